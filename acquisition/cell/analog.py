"""The cell on analog inputs: voltage and current as other process variables show them, scaled, never invented.

A reading is as old as the oldest of its values: the time of each is that at which its record was last processed. Without a
counter the charge is integrated from the current, and marked so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from acquisition.cell.charge import Charge
from acquisition.cell.row import Row
from operando.messages import CellReading
from operando.profile.cell_signals import Analog

FUTURE_S = 2.0
"""A value from further ahead shows that the clocks disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A value of a process variable."""

    value: float
    time_s: float
    """Unix epoch, by the clock of its server."""


class ReadsSignals(Protocol):
    """Asks process variables for their values; called from the thread that looks, may wait for a second."""

    def read(self, pv: str) -> Sample | None:
        """Give the value now; None if it is not to be had, or is no finite number."""
        ...


class AnalogCell:
    """A cell wired to analog inputs.

    Parameters
    ----------
    analog
        What is wired where.
    signals
        Reads the inputs.
    clock_offset_s
        Seconds by which the clock of the inputs' server is ahead.
    """

    def __init__(self, analog: Analog, signals: ReadsSignals, *, clock_offset_s: float = 0.0) -> None:
        self._inputs = analog.inputs
        self._signals = signals
        self._offset_s = clock_offset_s
        self._charge = Charge()
        self._newest: CellReading | None = None
        self.trouble = ""
        """What is wrong now, in words; empty if nothing is."""

    def look(self, now_s: float) -> None:
        """Ask the inputs; ``now_s`` is the control system's time, Unix epoch."""
        found = {name: self._signals.read(one.pv) for name, one in self._inputs.items()}
        silent = [self._inputs[name].pv for name, sample in found.items() if sample is None]
        samples = {name: sample for name, sample in found.items() if sample is not None}
        self.trouble = f"no value from {', '.join(silent)}" if silent else ""
        if not silent:
            self._take(samples, now_s)
        if self._newest is not None:
            self._newest = self._newest.model_copy(update={"trouble": self.trouble[:200]})

    def reading_at(self, time_s: float) -> CellReading | None:
        """Give the newest reading with its age at a control system time; None before the first. From any thread."""
        newest = self._newest
        if newest is None:
            return None
        return newest.model_copy(update={"age_s": max(time_s - newest.time_s, 0.0)})

    def _take(self, samples: Mapping[str, Sample], now_s: float) -> None:
        time_s = min(sample.time_s for sample in samples.values()) - self._offset_s
        if time_s - now_s > FUTURE_S:
            self.trouble = f"the inputs' clock is {time_s - now_s:.0f} s ahead: correct cell.clock_offset_s, or set the clock"
        if self._newest is not None and time_s <= self._newest.time_s:
            return
        values = {name: self._inputs[name].gain * one.value + self._inputs[name].offset for name, one in samples.items()}
        row = Row(
            time_s=time_s,
            voltage_v=values.get("voltage"),
            current_a=values.get("current"),
            temperature_c=values.get("temperature"),
        )
        charge_ah = self._charge.add(row, file="analog")
        self._newest = CellReading(
            time_s=time_s,
            voltage_v=row.voltage_v,
            current_a=row.current_a,
            temperature_c=row.temperature_c,
            charge_ah=charge_ah,
            charge_source="" if charge_ah is None else self._charge.source,
            source="analog inputs",
            clock_offset_s=self._offset_s,
        )
