"""The cell as the bridge serves it: read, never driven."""

import contextlib
import math
import time
from typing import Any

from ophyd import Component, Device, EpicsSignalRO
from ophyd.utils import DisconnectedError

from operando.messages import CellReading


class CellMonitor(Device):
    """The process variables of the cell bridge, given as readings; what is absent is None, never a default."""

    voltage = Component(EpicsSignalRO, ":VOLTAGE", kind="hinted", auto_monitor=True)
    """V."""
    current = Component(EpicsSignalRO, ":CURRENT", kind="normal", auto_monitor=True)
    """A, positive while the cell charges."""
    charge = Component(EpicsSignalRO, ":CHARGE", kind="normal", auto_monitor=True)
    """Ah."""
    temperature = Component(EpicsSignalRO, ":TEMPERATURE", kind="normal", auto_monitor=True)
    """Degree Celsius."""
    step = Component(EpicsSignalRO, ":STEP", kind="normal", auto_monitor=True, string=True)
    cycle = Component(EpicsSignalRO, ":CYCLE", kind="normal", auto_monitor=True)
    reading_time = Component(EpicsSignalRO, ":TIME", kind="normal", auto_monitor=True)
    """When the cycler took the reading, seconds since the Unix epoch."""
    age = Component(EpicsSignalRO, ":AGE", kind="normal", auto_monitor=True)
    """Seconds, as of the bridge's last word."""
    heartbeat = Component(EpicsSignalRO, ":HEARTBEAT", kind="omitted", auto_monitor=True)
    source = Component(EpicsSignalRO, ":SOURCE", kind="config", auto_monitor=True, string=True)

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._last: CellReading | None = None

    def reading(self, *, now_s: float | None = None) -> CellReading | None:
        """Give the newest reading with its age, or None if there never was one.

        When the bridge is gone, the last reading stays and ages.
        """
        now_s = time.time() if now_s is None else now_s
        # Lost in between: what was read last stays.
        with contextlib.suppress(DisconnectedError, TimeoutError):
            self._last = self._read() or self._last
        if self._last is None:
            return None
        age_s = max(self._last.age_s, now_s - self._last.time_s, 0.0)
        return self._last.model_copy(update={"age_s": age_s})

    def _read(self) -> CellReading | None:
        time_s = _number(self.reading_time)
        if time_s is None or time_s <= 0:
            return None
        cycle = _number(self.cycle)
        return CellReading(
            time_s=time_s,
            voltage_v=_number(self.voltage),
            current_a=_number(self.current),
            charge_ah=_number(self.charge),
            temperature_c=_number(self.temperature),
            cycle=None if cycle is None or cycle < 0 else int(cycle),
            step=_text(self.step)[:80],
            age_s=_number(self.age) or 0.0,
            source=_text(self.source)[:200],
        )


def _number(signal: EpicsSignalRO) -> float | None:
    """Give a finite number, or None for what the source does not give: served as NaN, or not served at all."""
    value = signal.get() if signal.connected else None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _text(signal: EpicsSignalRO) -> str:
    return str(signal.get()) if signal.connected else ""
