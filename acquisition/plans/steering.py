"""A plan that heeds the map: it asks the analysis after each line, never waits for the answer, and acts on the newest it has.

Lines with holes fly again; the scan ends when the map no longer changes, when lithium has reached a value, or when a region is
known well enough: in interlaced order the passes between the angles so far are flown only while it is not.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from bluesky import Msg
from bluesky import plan_stubs as bps

from operando.bus.entry import Entry
from operando.messages import Message
from operando.messages.steering import SteeringAnswered, SteeringAsked

Plan = Generator[Msg, Any, Any]

LAST_WORD_S = 10.0
"""How long the end of a run waits for the analysis' word on its last lines; without it, they stay as they are."""

_POLL_S = 0.05
_ASK_AGAIN_S = 1.0


class Asks(Protocol):
    """Asks the analysis; used from the RunEngine's thread, never waits."""

    def ask(self, question: Message) -> None:
        """Ask; the newest question counts."""
        ...

    def poll(self) -> Entry | None:
        """Give the answer if it has come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a scan is steered by; None is no condition, and one that is met ends the scan."""

    change_below: float | None = None
    """Root mean square change of x over ``over_lines`` lines."""
    x_above: float | None = None
    x_below: float | None = None
    sigma_below: float | None = None
    """Typical standard uncertainty of x in a voxel."""
    x_mm: float = 0.0
    y_mm: float = 0.0
    radius_mm: float | None = None
    """Region that the conditions look at; None is the whole slice."""
    over_lines: int = 4
    least_lines: int = 8
    """No condition ends the scan before so many lines are in the map."""
    missing_points: int | None = None
    """A line flies again, once, if at least so many of its points are missing; None flies none again."""

    def question(self, run: str) -> SteeringAsked:
        """Give what is to be asked."""
        return SteeringAsked(run=run, x_mm=self.x_mm, y_mm=self.y_mm, radius_mm=self.radius_mm, over_lines=self.over_lines)

    def met(self, answer: SteeringAnswered) -> str:
        """Say which condition is met; empty if none is."""
        if answer.n_lines < self.least_lines:
            return ""
        where = "" if self.radius_mm is None else f" within {self.radius_mm:g} mm of ({self.x_mm:g}, {self.y_mm:g}) mm"
        after = f"{where} after {answer.n_lines} lines"
        if self.x_above is not None and answer.mean is not None and answer.mean >= self.x_above:
            return f"x is {answer.mean:.4g}{after}, at or above {self.x_above:g}"
        if self.x_below is not None and answer.mean is not None and answer.mean <= self.x_below:
            return f"x is {answer.mean:.4g}{after}, at or below {self.x_below:g}"
        if self.sigma_below is not None and answer.sigma is not None and answer.sigma < self.sigma_below:
            return f"x is known to {answer.sigma:.2g}{after}, wanted {self.sigma_below:g}"
        if self.change_below is not None and answer.change is not None and answer.change < self.change_below:
            return f"x changes by {answer.change:.2g} in {self.over_lines} lines{after}, less than {self.change_below:g}"
        return ""


class Steering:
    """Steers one run.

    Parameters
    ----------
    notify
        Called with a sentence for the person at the beamline.
    run
        Gives the id of the open run.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        wanted: Wanted,
        asks: Asks,
        *,
        run: Callable[[], str],
        notify: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted, self._asks, self._run, self._notify, self._clock = wanted, asks, run, notify, clock
        self._newest: SteeringAnswered | None = None
        self._asked_at = float("-inf")
        self._n_flown = 0
        self._repeated: set[int] = set()

    def flew(self) -> None:
        """Learn that a line has flown, and ask how the map is now."""
        self._n_flown += 1
        # The answer to the question before this one came while the line flew; a new question drops what was not read.
        self._listen()
        self._ask()

    def end_reason(self) -> str:
        """Say why the scan shall end before its next line; empty if it shall go on, or a line has yet to fly again."""
        self._listen()
        return "" if self._newest is None or self._holes() else self._wanted.met(self._newest)

    def take_holes(self) -> list[int]:
        """Give the lines that shall fly again because they have holes, each once."""
        self._listen()
        found = self._holes()
        self._repeated.update(found)
        for line, n_missing in found.items():
            self._notify(f"line {line}: {n_missing} points are missing: it flies again")
        return list(found)

    def _holes(self) -> dict[int, int]:
        """Give the points missing of each line that has to fly again and has not yet."""
        least = self._wanted.missing_points
        if self._newest is None or least is None:
            return {}
        missing = sorted(self._newest.missing.items())
        return {line: n_missing for line, n_missing in missing if n_missing >= least and line not in self._repeated}

    def last_word(self) -> Plan:
        """Wait until the analysis has spoken of all lines that flew, or the patience ends; before a run may close."""
        deadline = self._clock() + LAST_WORD_S
        while self._clock() < deadline:
            self._listen()
            # A line that flew again is no further line of the map.
            if self._newest is not None and self._newest.n_lines >= self._n_flown - len(self._repeated):
                return
            if self._clock() - self._asked_at > _ASK_AGAIN_S:
                self._ask()
            yield from bps.sleep(_POLL_S)

    def _ask(self) -> None:
        self._asked_at = self._clock()
        self._asks.ask(self._wanted.question(self._run()))

    def _listen(self) -> None:
        entry = self._asks.poll()
        if entry is not None and isinstance(entry.message, SteeringAnswered) and entry.message.run == self._run():
            self._newest = entry.message
