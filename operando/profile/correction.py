"""What a profile says of corrections between measured patterns and maps: section ``[correction]``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Correction(BaseModel):
    """Which faults of a scan are taken off, and from what they are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    beam: Literal["auto", "ring", "none"] = "auto"
    """What intensities are divided by: the monitor of each point and, without one, the ring current of the line (``auto``)."""
    zigzag: Literal["correct", "report", "off"] = "correct"
    """Opposite lines that stand apart, because the detector exposes late: found from the lines themselves."""
    wobble: Literal["correct", "report", "off"] = "report"
    """Projections that leave the sinusoid of their centre of mass. Uncorrected absorption does that too: look first."""
    air: bool = True
    """Whether scattering of air, seen beside the sample, is subtracted as far as the beam's attenuation leaves it."""
    parallax: bool = True
    """Whether refined lattices are freed of the depth that scans mix in them; off where depth plays no part."""
    self_absorption: Literal["none", "diode", "maps"] = "none"
    """What the transmission of each ray is known from: a diode behind the sample, or what the phase maps imply."""
    transmission_middle: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Transmission measured through the rotation axis, mean of some angles: sets the density that ``maps`` cannot know."""
    fill: Annotated[float, Field(gt=0, le=1)] = 0.65
    """Part of the sample's densest places that crystals fill; stands for the density where no transmission was measured."""
