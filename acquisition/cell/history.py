"""What the cell did during a line: readings as they were recorded, and the state in between.

Between two readings of the same step numbers are interpolated; across a change of step the nearer reading is taken, since the
cell jumped there. Before the first and after the last reading nothing is extrapolated: the nearest stands, with its age.
"""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable

from operando.messages import CellReading

KEPT = 4096
"""Readings kept, an hour at one a second: lines are asked for seconds after they flew."""


class CellHistory:
    """The last readings of a cell; one thread appends, others ask."""

    def __init__(self, *, kept: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self.since_s = clock()
        """Since when readings are waited for, seconds since the Unix epoch."""
        self._readings: deque[CellReading] = deque(maxlen=kept)
        self._lock = threading.Lock()

    def append(self, reading: CellReading) -> bool:
        """Keep a reading; false if it is not newer than the last one, which then stands."""
        with self._lock:
            if self._readings and reading.time_s <= self._readings[-1].time_s:
                return False
            self._readings.append(reading)
            return True

    @property
    def newest(self) -> CellReading | None:
        """The last reading; None before the first."""
        with self._lock:
            return self._readings[-1] if self._readings else None

    def at(self, time_s: float) -> CellReading | None:
        """Give the state of the cell at a time (Unix epoch); None if nothing was ever read."""
        with self._lock:
            readings = list(self._readings)
        if not readings:
            return None
        after = bisect_right(readings, time_s, key=lambda reading: reading.time_s)
        if after == 0 or after == len(readings):
            nearest = readings[0] if after == 0 else readings[-1]
            return nearest.model_copy(update={"age_s": abs(time_s - nearest.time_s)})
        return between(readings[after - 1], readings[after], time_s=time_s)


def between(earlier: CellReading, later: CellReading, *, time_s: float) -> CellReading:
    """Give the state at a time between two readings."""
    fraction = (time_s - earlier.time_s) / (later.time_s - earlier.time_s)
    nearest = later if fraction > 0.5 else earlier
    if any(getattr(earlier, name) != getattr(later, name) for name in ("step", "cycle", "source", "regime")):
        return nearest.model_copy(update={"age_s": abs(time_s - nearest.time_s)})
    names = ("voltage_v", "current_a", "charge_ah", "temperature_c", "step_charge_ah", "c_rate", "soc", "specific_charge_mah_g")
    values = {name: _mixed(getattr(earlier, name), getattr(later, name), fraction) for name in names}
    return earlier.model_copy(update={**values, "time_s": time_s, "age_s": 0.0})


def _mixed(earlier: float | None, later: float | None, fraction: float) -> float | None:
    if earlier is None or later is None:
        return None
    return earlier + (later - earlier) * fraction
