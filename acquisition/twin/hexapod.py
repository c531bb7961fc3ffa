"""The simulated hexapod: six axes, one platform, and a workspace that is not a box."""

import math
from collections.abc import Callable

import numpy as np

from acquisition.twin.platform import Clock, Platform
from acquisition.twin.trajectory import Vector
from operando.profile import Control

AXES = ("X", "Y", "Z", "U", "V", "W")

SETTLE_S = 0.1
"""A hexapod's controller reports the end of a move late; EPICS drivers of real ones sleep for 0.2 s."""


def make_hexapod(control: Control, *, clock: Clock, haste: Callable[[], float]) -> Platform:
    """Make the platform that carries the profile's hexapod axes, standing at zero."""
    reach_mm = math.inf if control.hexapod_reach_mm is None else control.hexapod_reach_mm
    tilt_deg = math.inf if control.hexapod_tilt_deg is None else control.hexapod_tilt_deg
    return Platform(
        np.zeros(len(AXES)),
        speed=control.fast.speed,
        acceleration_s=control.fast.acceleration_s,
        settle_s=SETTLE_S,
        clock=clock,
        can_reach=lambda pose: is_reachable(pose, reach_mm=reach_mm, tilt_deg=tilt_deg),
        haste=haste,
    )


def is_reachable(pose: Vector, *, reach_mm: float, tilt_deg: float) -> bool:
    """Tell whether a pose (x, y, z in mm; u, v, w in degree) lies in the ellipsoid that the legs allow.

    Convex, and wider than the linear envelope that a profile's checks use: the controller has the last word, a plan the first.
    """
    distance, tilt = np.linalg.norm(pose[:3]), np.linalg.norm(pose[3:])
    return bool((distance / reach_mm) ** 2 + (tilt / tilt_deg) ** 2 <= 1.0)
