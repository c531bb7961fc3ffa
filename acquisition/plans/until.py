"""When a series of runs ends before its last: after a time, or when the cell has reached a state."""

from dataclasses import dataclass

from operando.messages import CellReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """Conditions, of which one is enough; None is no condition.

    A reading that is older than ``stale_s`` meets no condition: a series does not end on a value that may have passed.
    """

    hours: float | None = None
    """Since the start of the programme."""
    voltage_above_v: float | None = None
    voltage_below_v: float | None = None
    charge_above_ah: float | None = None
    """On the cycler's own counter."""
    charge_below_ah: float | None = None
    step: str = ""
    """The cycler's name of the step at which to end, for instance ``Rest``."""
    stale_s: float = 10.0

    @property
    def asks_cell(self) -> bool:
        """Whether any condition is on the cell."""
        limits = (self.voltage_above_v, self.voltage_below_v, self.charge_above_ah, self.charge_below_ah)
        return bool(self.step) or any(limit is not None for limit in limits)

    def met(self, *, elapsed_s: float, reading: CellReading | None, now_s: float) -> str:
        """Say which condition is met; empty if none is.

        Parameters
        ----------
        elapsed_s
            Since the start of the programme, s.
        reading, now_s
            The newest of the cell, and the time in seconds since the Unix epoch.
        """
        if self.hours is not None and elapsed_s >= 3600 * self.hours:
            return f"{self.hours:g} h have passed"
        if reading is None or self.is_stale(reading, now_s=now_s):
            return ""
        return self._met_by(reading)

    def is_stale(self, reading: CellReading, *, now_s: float) -> bool:
        """Whether a reading is too old to decide on."""
        return max(now_s - reading.time_s, reading.age_s) > self.stale_s

    def _met_by(self, reading: CellReading) -> str:
        comparisons = (
            ("voltage", reading.voltage_v, self.voltage_above_v, self.voltage_below_v, "V"),
            ("charge", reading.charge_ah, self.charge_above_ah, self.charge_below_ah, "Ah"),
        )
        for name, value, above, below, unit in comparisons:
            if value is None:
                continue
            if above is not None and value >= above:
                return f"the {name} is {value:.5g} {unit}, at or above {above:g}"
            if below is not None and value <= below:
                return f"the {name} is {value:.5g} {unit}, at or below {below:g}"
        if self.step and reading.step == self.step:
            return f"the cycler is at step {reading.step}"
        return ""
