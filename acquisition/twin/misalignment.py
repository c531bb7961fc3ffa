"""Where a pulse's beam really passes the sample: beside where the readback says it does."""

import numpy as np

from acquisition.twin.cable import Pulse
from operando.profile import Effects


def true_s_mm(pulse: Pulse, *, centre_mm: float, effects: Effects) -> float:
    """Give the distance of the beam from the true rotation axis, mm.

    Added up: a detector that exposes later than the box captured the position, an axis that is not at the profile's centre, the
    run-out of the rotation (two and three waves a turn: one wave would be a sample that stands elsewhere), and a beam that
    drifts as a sine of time.
    """
    angle = np.radians(pulse.angle_deg)
    wobble = effects.wobble_mm * (np.cos(2 * angle) + 0.5 * np.sin(3 * angle)) / 1.5
    drift = effects.drift_mm * np.sin(2 * np.pi * pulse.time_s / effects.drift_period_s)
    late = effects.gate_delay_s * pulse.fast_mm_s
    return float(pulse.fast_mm + late - centre_mm - effects.axis_offset_mm - wobble + drift)
