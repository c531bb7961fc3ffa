"""The simulated storage ring: a current that decays, is topped up, and can be lost."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBeam:
    """The current of a ring in top-up operation, as a function of time."""

    epoch_s: float
    """When the counting of top-ups began."""
    nominal_ma: float = 100.0
    lifetime_s: float = 10 * 3600.0
    period_s: float = 300.0
    """From one top-up to the next."""
    injection_s: float = 1.0
    """How long the current rises at a top-up."""
    is_dumped: bool = False

    def current_ma(self, time_s: float) -> float:
        """Give the current: exponential decay, then a linear rise to the nominal current during the injection."""
        if self.is_dumped:
            return 0.0
        phase_s = (time_s - self.epoch_s) % self.period_s
        decay_s = self.period_s - self.injection_s
        lowest = self.nominal_ma * math.exp(-decay_s / self.lifetime_s)
        if phase_s <= decay_s:
            return self.nominal_ma * math.exp(-phase_s / self.lifetime_s)
        return lowest + (self.nominal_ma - lowest) * (phase_s - decay_s) / self.injection_s

    def countdown_s(self, time_s: float) -> float:
        """Give the time to the next injection; 0 while it lasts."""
        phase_s = (time_s - self.epoch_s) % self.period_s
        return max(self.period_s - self.injection_s - phase_s, 0.0)

    def fraction(self, time_s: float) -> float:
        """Give the current as a fraction of the nominal one."""
        return self.current_ma(time_s) / self.nominal_ma

    def kept_up(self) -> "StoredBeam":
        """Give a ring whose current does not decay."""
        return replace(self, lifetime_s=math.inf)

    def dumped(self, is_dumped: bool) -> "StoredBeam":
        """Give the ring after a beam loss, or after a refill."""
        return replace(self, is_dumped=is_dumped)
