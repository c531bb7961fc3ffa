"""The cell interlock: what must stop the beam because of the cell; the cell itself is left to its cycler's own protection.

It looks at the readings that are recorded anyway. When a limit is passed, or the cycler is silent, it pauses the scan at once;
the pause stops the axes and closes the shutter, and only a person resumes. Whoever resumes or starts too early meets the same
limits before the next line, where the plan asks for them itself.
"""

import threading
import time
from collections.abc import Callable, Mapping

from acquisition.cell.history import CellHistory
from operando.messages import CellReading
from operando.profile import CellLimits

LOOK_S = 0.5


class CellInterlock:
    """Asks for a pause when the cell leaves its limits, once for each time that it does.

    Parameters
    ----------
    channel
        Whose limits these are, where there are several cells.
    trip
        Called with the reason in words, from the interlock's thread; must not wait.
    clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        limits: CellLimits,
        history: CellHistory,
        *,
        trip: Callable[[str], None],
        channel: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._history = history
        self._trip = trip
        self._whose = f"channel {channel}: " if channel else ""
        self._clock = clock
        self._is_tripped = False

    def look(self) -> str:
        """Look once, trip if the cell has left its limits since the last look, and give what is wrong now."""
        reason = complaint(self._limits, self._history, now_s=self._clock())
        if reason and not self._is_tripped:
            found = f"{self._whose}{reason}"
            self._trip(f"{found}: the shutter closes and the scan is paused; the cell is left alone, a person must resume")
        self._is_tripped = bool(reason)
        return reason

    def run(self, ended: threading.Event) -> None:
        """Look until ended; to be the work of a thread."""
        while not ended.wait(LOOK_S):
            self.look()


def first_complaint(limits: CellLimits, histories: Mapping[str, CellHistory], *, now_s: float) -> str:
    """Say what is wrong with the first cell that must stop the beam, and whose it is; empty if all may go on."""
    found = ((channel, complaint(limits, history, now_s=now_s)) for channel, history in histories.items())
    return next((f"channel {channel}: {wrong}" if channel else wrong for channel, wrong in found if wrong), "")


def complaint(limits: CellLimits, history: CellHistory, *, now_s: float) -> str:
    """Say which limit a cell passes; empty if none. One that was never heard is silent since it is waited for."""
    reading = history.newest
    if reading is None:
        return _never_heard(limits.silent_s, waited_s=now_s - history.since_s)
    silent_s = max(reading.age_s, now_s - reading.time_s)
    if limits.silent_s is not None and silent_s > limits.silent_s:
        return f"the cycler has been silent for {silent_s:.0f} s, allowed are {limits.silent_s:g} s"
    return _out_of_bounds(limits, reading)


def _never_heard(allowed_s: float | None, *, waited_s: float) -> str:
    if allowed_s is None or waited_s <= allowed_s:
        return ""
    return (
        f"no reading of the cell has come in {waited_s:.0f} s, allowed are {allowed_s:g} s (cell_limits.silent_s): "
        "see that the cell bridge runs and that the cycler writes"
    )


def _out_of_bounds(limits: CellLimits, reading: CellReading) -> str:
    voltage_v, temperature_c = reading.voltage_v, reading.temperature_c
    if voltage_v is not None and limits.voltage_high_v is not None and voltage_v > limits.voltage_high_v:
        return f"the cell is at {voltage_v:.4g} V, above {limits.voltage_high_v:g} V"
    if voltage_v is not None and limits.voltage_low_v is not None and voltage_v < limits.voltage_low_v:
        return f"the cell is at {voltage_v:.4g} V, below {limits.voltage_low_v:g} V"
    if temperature_c is not None and limits.temperature_high_c is not None and temperature_c > limits.temperature_high_c:
        return f"the cell is at {temperature_c:.4g} degC, above {limits.temperature_high_c:g} degC"
    return ""
