"""The simulated rotation stage."""

from collections.abc import Callable

import numpy as np

from acquisition.twin.platform import Clock, Platform
from operando.profile import Axis

SETTLE_S = 0.05


def make_stage(axis: Axis, *, clock: Clock, haste: Callable[[], float]) -> Platform:
    """Make a stage of one axis, standing at zero or at the limit nearest to it."""
    return Platform(
        np.array([float(np.clip(0.0, axis.low, axis.high))]),
        speed=axis.speed,
        acceleration_s=axis.acceleration_s,
        settle_s=SETTLE_S,
        clock=clock,
        haste=haste,
    )
