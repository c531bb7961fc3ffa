"""The trigger cable of the simulated beamline: one small message for each gate pulse, from the trigger box to the detector.

On a real beamline this is a wire, and the sample is simply there. Here the pulse also says where the sample stood and how much
beam there was, so that the detector can make the frame that it would have seen.
"""

from pydantic import BaseModel, ConfigDict


class Pulse(BaseModel):
    """One gate pulse; values are those at the middle of the exposure."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int
    """Counts up from 0 over the life of the trigger box."""
    time_s: float
    """Unix epoch."""
    exposure_s: float
    fast_mm: float
    """Readback of the fast axis."""
    fast_mm_s: float = 0.0
    """Velocity of the fast axis: what a detector that exposes late needs to know."""
    angle_deg: float
    """Readback of the rotation stage."""
    beam: float
    """Beam on the sample as a fraction of the nominal: 0 with the shutter closed or the beam lost."""
