"""The simulated fast shutter: a blade that takes its time."""

from dataclasses import dataclass

TRAVEL_S = 0.02
"""Time of the blade from closed to open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blade:
    """The motion of a shutter blade since the last demand."""

    demand: int = 0
    since_s: float = 0.0
    from_fraction: float = 0.0
    """How open it was when it was told."""

    def open_fraction(self, time_s: float) -> float:
        """Give how open the shutter is, from 0 to 1."""
        change = (time_s - self.since_s) / TRAVEL_S
        moved = max(change, 0.0)
        return min(self.from_fraction + moved, 1.0) if self.demand else max(self.from_fraction - moved, 0.0)

    def told(self, demand: int, *, at_s: float) -> "Blade":
        """Give the motion that a new demand begins."""
        return Blade(demand=demand, since_s=at_s, from_fraction=self.open_fraction(at_s))

    def status(self, time_s: float, *, before: int) -> int:
        """Give 1 for open, 0 for closed, and what it was before while the blade is under way."""
        fraction = self.open_fraction(time_s)
        return 1 if fraction >= 1.0 else 0 if fraction <= 0.0 else before
