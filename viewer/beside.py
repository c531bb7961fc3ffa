"""Which scan stands beside the one that is shown, for a comparison: by its number, its charge or its voltage. No window.

The other scan comes from the same session, such as the discharge beside the charge, or from another one, such as the file of an
aged cell beside that of a pristine one. It follows the slider by a rule, and the pins: they are asked for in both.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum

import numpy as np

from operando.messages import MapPublished, ServicesOffered
from viewer.cell_state import CellState
from viewer.checks import Shown
from viewer.pins import Pin, Pins
from viewer.scan import Scan
from viewer.session import Session, Topic
from viewer.stacks import Grid
from viewer.words import value_at, value_words, voxel_text

REST_SHARE = 0.02
"""Of the largest current of a session: a scan with less is of a cell at rest, which neither charges nor discharges."""


class Rule(Enum):
    """How the other scan is found; the value is what a person reads."""

    CHARGE = "at the same charge"
    VOLTAGE = "at the same voltage"
    NUMBER = "with the same number"
    OTHER_WAY = "charge and discharge, at the same charge"
    FIRST = "the first scan"
    BEFORE = "the scan before"


OF_ANOTHER_SESSION = (Rule.CHARGE, Rule.VOLTAGE, Rule.NUMBER)
OF_THE_SAME_SESSION = (Rule.OTHER_WAY, Rule.FIRST, Rule.BEFORE)


class Beside:
    """A scan beside the one that is shown; used from one thread.

    Parameters
    ----------
    session
        Whose slider is followed.
    other
        Where the other scan is looked for; the same session for a comparison with itself.
    rule
        How it is found.
    names
        What the two are called, for instance by their files.
    """

    def __init__(self, session: Session, other: Session, rule: Rule, names: tuple[str, str]) -> None:
        self.session, self.other, self.rule, self.names = session, other, rule, names
        self.pins = Pins()
        """Those of the session, where the other scan has the same places."""
        self._mirrored: dict[Pin, tuple[Grid | None, Pin | None]] = {}
        self._found: tuple[object, int | None] = (None, None)

    @property
    def is_of_itself(self) -> bool:
        """Whether both scans are of one session."""
        return self.other is self.session

    @property
    def shown(self) -> Scan:
        """The other scan; an empty one where there is none."""
        index = self.index
        return Scan() if index is None else self.other.scans[index]

    @property
    def index(self) -> int | None:
        """Which of the other session's scans it is; None if the rule finds none."""
        if not self.session.scans or not self.other.scans:
            return None
        topics: tuple[Topic, ...] = ("scan", "maps", "run", "cell")
        key = [self.rule, *(session.changes[topic] for session in (self.session, self.other) for topic in topics)]
        if self._found[0] != key:
            self._found = (key, self._find())
        return self._found[1]

    def _find(self) -> int | None:
        here = self.session.timeline.index
        match self.rule:
            case Rule.FIRST:
                return 0 if here > 0 else None
            case Rule.BEFORE:
                return here - 1 if here > 0 else None
            case Rule.NUMBER:
                return min(here, len(self.other.scans) - 1)
            case Rule.VOLTAGE:
                return self._nearest([state.voltage_v if state else None for state in self._alike], self._state.voltage_v)
            case Rule.CHARGE:
                return self._nearest([state.charge_ah if state else None for state in self._alike], self._state.charge_ah)
            case Rule.OTHER_WAY:
                return self._other_way()

    @property
    def services(self) -> ServicesOffered | None:
        """Who answers for the other scan."""
        return self.other.services

    @property
    def changes(self) -> Counter[Topic]:
        """The counts of changes of the session that is shown: its panels draw both."""
        return self.session.changes

    def map_of(self, name: str) -> Shown[MapPublished] | None:
        """Give the other scan's map of a name; None without one."""
        return self.shown.maps.get(name)

    def state(self) -> CellState:
        """Give how the other scan's cell was."""
        return self.other.cell_of(self.shown)

    def mirror_pins(self) -> None:
        """Pin in the other scan what is pinned in the session, at the same places; answers stay with pins that stay."""
        grid = next((_grid(self.other, name) for name in self.shown.maps), None)
        before, self._mirrored = self._mirrored, {}
        for pin in self.session.pins.items:
            known = before.get(pin)
            is_known = known is not None and known[0] == grid
            self._mirrored[pin] = (
                known if known is not None and is_known else (grid, None if grid is None else mirrored_pin(pin, grid))
            )
        self.pins.line = self.session.pins.line
        self.pins.items = [mirrored for _, mirrored in self._mirrored.values() if mirrored is not None]

    def mirrored(self, pin: Pin) -> Pin | None:
        """Give the pin of the other scan that stands for one of the session; None where the other has no such place."""
        return self._mirrored.get(pin, (None, None))[1]

    def _states(self, session: Session) -> list[CellState]:
        return [session.cell_of(scan) for scan in session.scans]

    @property
    def _state(self) -> CellState:
        return self.session.cell_of(self.session.shown)

    @property
    def _alike(self) -> list[CellState | None]:
        """Give the other session's states of the cell; None where its current had the other sign, unless it always had."""
        states, here = self._states(self.other), self._state.current_a
        alike = [state if np.sign(state.current_a or 0.0) == np.sign(here or 0.0) else None for state in states]
        return alike if any(alike) else list(states)

    def _nearest(self, values: Sequence[float | None], wanted: float | None) -> int | None:
        """Give the place of the value nearest to a wanted one; of another session the newest where nothing is known."""
        known = [(abs(value - wanted), k) for k, value in enumerate(values) if value is not None and wanted is not None]
        if known:
            return min(known)[1]
        return None if self.is_of_itself else len(values) - 1

    def _other_way(self) -> int | None:
        """Give the scan at the nearest charge among those whose current has the other sign."""
        states = self._states(self.session)
        current = np.array([np.nan if state.current_a is None else state.current_a for state in states])
        here = current[self.session.timeline.index]
        rest = REST_SHARE * np.nanmax(np.abs(current), initial=0.0) if np.isfinite(current).any() else 0.0
        if not np.isfinite(here) or abs(here) <= rest:
            return None
        is_other = (np.sign(current) == -np.sign(here)) & (np.abs(current) > rest)
        return self._nearest(
            [s.charge_ah if other else None for s, other in zip(states, is_other, strict=True)], self._state.charge_ah
        )


def mirrored_pin(pin: Pin, grid: Grid) -> Pin | None:
    """Give a pin at the same places, in millimetres, on another grid; None if they all lie outside."""
    voxels = np.zeros(grid.shape, dtype=np.bool_)
    for row, column in np.argwhere(pin.voxels):
        x_mm, y_mm = pin.grid.place_mm(int(row), int(column))
        voxel = grid.voxel(x_mm=x_mm, y_mm=y_mm)
        if voxel is not None:
            voxels[voxel] = True
    return Pin(label=pin.label, colour=pin.colour, grid=grid, voxels=voxels) if voxels.any() else None


def beside_text(beside: Beside, name: str, *, x_mm: float, y_mm: float) -> str:
    """Write what the other scan's map says at a place, and the difference; empty outside the map."""
    text = voxel_text(beside.shown, name, x_mm=x_mm, y_mm=y_mm)
    if not text:
        return ""
    here, there = (value_at(scan, name, x_mm=x_mm, y_mm=y_mm) for scan in (beside.session.shown, beside.shown))
    called = beside.names[1] or "beside"
    less = value_words(here[0] - there[0], float(np.hypot(here[1], there[1])), "")
    return f"{called}: {text}" + (f"; difference {less}" if less != "–" else "")


def _grid(session: Session, name: str) -> Grid | None:
    stack = session.stacks.get(name)
    return None if stack is None else stack.grid
