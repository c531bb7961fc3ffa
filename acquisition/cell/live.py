"""The cell as the files of a running cycler show it: reads what is new now and then, and gives the newest reading with its age.

Nothing is extrapolated: between two rows the last one stands and ages. Rows that are not later than the newest are left out, as
they come when a file is written anew. Signs, the clock of the cycler's computer and the charge over all files are put right
here; everything behind this is the control system's.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

from acquisition.cell.charge import Charge
from acquisition.cell.growing import FileSequence, Rows
from acquisition.cell.row import Regime, Row
from operando.messages import CellReading
from operando.profile import Cell

logger = structlog.get_logger(__name__)

LOOK_S = 0.5
"""Pause between two looks: cyclers write once a second at most, and a network share is asked every time."""
FUTURE_S = 2.0
"""A reading from further ahead shows that the clocks disagree."""

_MIRRORED: dict[Regime, Regime] = {
    "cc_charge": "cc_discharge",
    "cc_discharge": "cc_charge",
    "cv_charge": "cv_discharge",
    "cv_discharge": "cv_charge",
}


class ClockOffset(Protocol):
    """How far the cycler's clock is ahead; asked and told from the thread that reads."""

    def note(self, row: Row) -> None:
        """Take notice of a row."""
        ...

    @property
    def offset_s(self) -> float:
        """Seconds by which the cycler's clock is ahead."""
        ...


class FixedOffset:
    """An offset that the profile gives.

    Parameters
    ----------
    offset_s
        Seconds by which the cycler's clock is ahead.
    """

    def __init__(self, offset_s: float) -> None:
        self.offset_s = offset_s

    def note(self, row: Row) -> None:
        """Take notice of nothing."""


class LiveFiles:
    """A cell whose cycler writes files.

    Parameters
    ----------
    pattern
        The file, or where several follow each other a pattern.
    cell
        How to read them.
    offset
        How far the cycler's clock is off; None takes the profile's.
    """

    def __init__(self, pattern: Path, cell: Cell, *, offset: ClockOffset | None = None) -> None:
        self._files = FileSequence(pattern, cell)
        self._offset = offset or FixedOffset(cell.clock_offset_s)
        self._sign = 1.0 if cell.charging_current == "positive" else -1.0
        self._charge = Charge()
        self._newest: CellReading | None = None
        self._newest_row_s = float("-inf")
        self.n_rows = self.n_refused = self.n_late = 0
        """Rows taken, lines refused, and rows left out because they were not later than the newest."""
        self.trouble = ""
        """What is wrong now, in words; empty if nothing is."""

    def look(self, now_s: float) -> None:
        """Read what is new; ``now_s`` is the control system's time, Unix epoch."""
        for found in self._files.look():
            self._take(found, now_s)

    def reading_at(self, time_s: float) -> CellReading | None:
        """Give the newest reading with its age at a control system time; None before the first. From any thread."""
        newest = self._newest
        if newest is None:
            return None
        return newest.model_copy(update={"age_s": max(time_s - newest.time_s, 0.0)})

    def _take(self, found: Rows, now_s: float) -> None:
        reading = self._newest_of(found) or self._newest
        self.trouble = found.trouble
        if reading is not None and reading.time_s - now_s > FUTURE_S:
            ahead_s = reading.time_s - now_s
            self.trouble = f"the newest reading is {ahead_s:.0f} s ahead of this clock: correct cell.clock_offset_s or its zone"
        if reading is not None:
            self._newest = reading.model_copy(update={"trouble": self.trouble[:200]})

    def _newest_of(self, found: Rows) -> CellReading | None:
        """Go through new rows, and give the reading of the last one; None if none is later than what is known."""
        self.n_refused += found.n_refused
        newest: tuple[Row, float | None] | None = None
        for row in found.rows:
            if row.time_s <= self._newest_row_s:
                self.n_late += 1
                continue
            self._newest_row_s = row.time_s
            self._offset.note(row)
            newest = row, self._charge.add(row, file=found.name)
            self.n_rows += 1
        return None if newest is None else self._reading(*newest, source=found.name)

    def _reading(self, row: Row, charge_ah: float | None, *, source: str) -> CellReading:
        sign, offset_s = self._sign, self._offset.offset_s
        return CellReading(
            time_s=row.time_s - offset_s,
            voltage_v=row.voltage_v,
            current_a=None if row.current_a is None else sign * row.current_a,
            charge_ah=None if charge_ah is None else sign * charge_ah,
            temperature_c=row.temperature_c,
            cycle=row.cycle,
            step=row.step[:80],
            source=source[:200],
            charge_source=self._charge.source if charge_ah is not None else "",
            regime=row.regime if sign > 0 else _MIRRORED.get(row.regime, row.regime),
            clock_offset_s=offset_s,
        )


class Looks(Protocol):
    """A source that must be let look now and then, by a thread of its own: a share that hangs must hold up nobody else."""

    def look(self, now_s: float) -> None:
        """Read what is new."""
        ...


@contextmanager
def looking(source: Looks, *, clock: Callable[[], float] = time.time, every_s: float = LOOK_S) -> Iterator[None]:
    """Let a source look now and then, while the block lasts."""
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            try:
                source.look(clock())
            except Exception as wrong:  # whatever it is, the last reading stands and ages
                logger.exception("cell source failed", reason=str(wrong))
            stop.wait(every_s)

    thread = threading.Thread(target=look, name="look at cell", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
