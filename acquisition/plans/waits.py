"""What a run took longer than its dry run said: the seconds that it waited for others, by what it waited for.

A dry run knows the axes, the gates and the usual answers of servers. It cannot know how far a detector lags, what the reduction
needs, or when the ring is topped up: that is counted here, and said when the run is over.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from bluesky import Msg

Plan = Generator[Msg, Any, Any]

WORTH_A_WORD = 0.05
"""Part of the planned time by which a run may be longer before that is told."""

LEAST_S = 0.5
"""A wait that adds up to less is not named."""


@dataclass(slots=True, kw_only=True)
class Waits:
    """Adds up waits; used from the RunEngine's thread."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)
    """By what was waited for, s."""

    def add(self, what: str, seconds: float) -> None:
        """Note a wait."""
        self.seconds[what] = self.seconds.get(what, 0.0) + seconds

    def during(self, what: str, plan: Plan) -> Plan:
        """Run a plan and note how long it took."""
        began_s = self.clock()
        try:
            return (yield from plan)
        finally:
            self.add(what, self.clock() - began_s)

    def words(self, *, flown_s: float, planned_s: float) -> str:
        """Say what made a run longer than planned; empty if it was not."""
        if flown_s <= planned_s * (1 + WORTH_A_WORD):
            return ""
        named = sorted(((spent, what) for what, spent in self.seconds.items() if spent >= LEAST_S), reverse=True)
        reasons = ", ".join(f"{spent:.0f} s for {what}" for spent, what in named) or "nothing that is counted"
        return f"flown in {flown_s:.0f} s, {planned_s:.0f} s were planned; waited {reasons}"
