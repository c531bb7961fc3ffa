"""The cell as the bridge serves it: read, never driven."""

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

from epics.ca import CASeverityException, ChannelAccessException
from ophyd import Component, Device, EpicsSignalRO
from ophyd.utils import DisconnectedError

from acquisition.devices.late import ask_for
from operando.messages import CellReading

SETTLE_S = 2.0
"""How long the variables of a bridge are waited for after the last new one: a bridge of others may serve only some."""
_REGIMES = ("rest", "cc_charge", "cv_charge", "cc_discharge", "cv_discharge")


class CellMonitor(Device):
    """The process variables of the cell bridge, given as readings; what is absent is None, never a default.

    Parameters
    ----------
    prefix
        What the names of the variables begin with.
    elapsed
        A clock in seconds that never goes back.
    """

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
    regime = Component(EpicsSignalRO, ":REGIME", kind="normal", auto_monitor=True, string=True)
    c_rate = Component(EpicsSignalRO, ":C_RATE", kind="normal", auto_monitor=True)
    """1/h, positive while the cell charges."""
    soc = Component(EpicsSignalRO, ":SOC", kind="normal", auto_monitor=True)
    """0 empty, 1 full."""
    step_charge = Component(EpicsSignalRO, ":STEP_CHARGE", kind="normal", auto_monitor=True)
    """Ah."""
    specific_charge = Component(EpicsSignalRO, ":SPECIFIC_CHARGE", kind="normal", auto_monitor=True)
    """mAh/g."""
    charge_source = Component(EpicsSignalRO, ":CHARGE_SOURCE", kind="config", auto_monitor=True, string=True)
    clock_offset = Component(EpicsSignalRO, ":CLOCK_OFFSET", kind="config", auto_monitor=True)
    """Seconds by which the cycler's clock is ahead."""
    trouble = Component(EpicsSignalRO, ":TROUBLE", kind="omitted", auto_monitor=True, string=True)

    def __init__(self, prefix: str = "", *, elapsed: Callable[[], float] = time.monotonic, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._elapsed = elapsed
        self._last: CellReading | None = None
        self._served: set[str] = set()
        self._asked: set[str] = set()
        self._grew_s = elapsed()

    def reading(self, *, now_s: float | None = None) -> CellReading | None:
        """Give the newest reading with its age, or None if there never was one.

        When the bridge is gone, the last reading stays and ages.
        """
        now_s = time.time() if now_s is None else now_s
        # Lost in between: what was read last stays.
        with contextlib.suppress(DisconnectedError, TimeoutError, CASeverityException, ChannelAccessException):
            # Asked before and after: a variable that comes or goes while the others are read is missing in the reading.
            if self._is_whole() and (fresh := self._read()) is not None and self._is_whole():
                self._last = fresh
        if self._last is None:
            return None
        age_s = max(self._last.age_s, now_s - self._last.time_s, 0.0)
        return self._last.model_copy(update={"age_s": age_s})

    def _is_whole(self) -> bool:
        """Tell whether all that the bridge serves is there: variables come, and leave with it, one after the other."""
        connected = {name for name in self.component_names if getattr(self, name).connected}
        missing = set(self.component_names) - connected
        if connected - self._served:
            self._grew_s = self._elapsed()
        # When all are away, the next bridge may serve others.
        self._served = self._served | connected if connected else set()
        if not connected or connected != self._served:
            return False
        if missing and connected != self._asked and self._elapsed() - self._grew_s > SETTLE_S:
            self._asked = connected
            ask_for(getattr(self, name) for name in sorted(missing))
            return False
        return not missing or connected == self._asked

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
            charge_source=_word(self.charge_source, ("counter", "integrated")),
            regime=_word(self.regime, _REGIMES),
            step_charge_ah=_number(self.step_charge),
            c_rate=_number(self.c_rate),
            soc=_number(self.soc),
            specific_charge_mah_g=_number(self.specific_charge),
            clock_offset_s=_number(self.clock_offset) or 0.0,
            trouble=_text(self.trouble)[:200],
        )


def _number(signal: EpicsSignalRO) -> float | None:
    """Give a finite number, or None for what the source does not give: served as NaN, or not served at all."""
    value = signal.get() if signal.connected else None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _text(signal: EpicsSignalRO) -> str:
    return str(signal.get()) if signal.connected else ""


def _word(signal: EpicsSignalRO, known: tuple[str, ...]) -> Any:
    """Give one of the known words; empty for any other, as a bridge that is not ours may serve."""
    text = _text(signal)
    return text if text in known else ""
