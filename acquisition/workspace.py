"""What a hexapod reaches: the configured envelope that is checked before a plan starts, and again before each move."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from operando.profile import Control

TRANSLATIONS = ("x", "y", "z")
TILTS = ("u", "v", "w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A convex envelope in which the reach shrinks linearly with the tilt: ``|r| / reach + |tilt| / tilt_max <= 1``.

    It is an inner bound to configure below what the controller allows; the controller keeps the last word. Since it is
    convex, a straight move between two poses inside stays inside.
    """

    reach_mm: float
    """Distance from the centre at zero tilt."""
    tilt_deg: float
    """Tilt at which no reach is left."""

    @classmethod
    def of(cls, control: Control) -> "Workspace | None":
        """Give the workspace that a profile configures; None if it names no reach or no hexapod."""
        if not control.hexapod_axes or control.hexapod_reach_mm is None:
            return None
        tilt_deg = math.inf if control.hexapod_tilt_deg is None else control.hexapod_tilt_deg
        return cls(reach_mm=control.hexapod_reach_mm, tilt_deg=tilt_deg)

    def reach_left_mm(self, pose: Mapping[str, float]) -> float:
        """Give the reach that is left at the pose's tilt, mm; negative beyond the greatest tilt."""
        tilt = math.hypot(*(pose.get(name, 0.0) for name in TILTS))
        return self.reach_mm * (1.0 - tilt / self.tilt_deg)

    def complaint(self, pose: Mapping[str, float]) -> str:
        """Say why a pose (axis by lower-case name, mm and degree; absent is 0) is out of reach; empty if it is within."""
        distance = math.hypot(*(pose.get(name, 0.0) for name in TRANSLATIONS))
        left = self.reach_left_mm(pose)
        if distance <= left:
            return ""
        wanted = ", ".join(f"{name} {value:.4g}" for name, value in pose.items())
        return (
            f"the pose ({wanted}) lies {distance:.4g} mm from the centre, the reach at its tilt is {max(left, 0.0):.4g} mm: "
            "shorten the sweep, centre the sample or reduce the tilt"
        )
