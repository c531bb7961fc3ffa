"""The phases of the sample and how its slice is reconstructed."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from operando.profile.refinement import Refinable
from operando.profile.section import Finite, Fraction, Positive, Section


class Phase(Section):
    """A phase that the analysis looks for."""

    name: str
    label: str
    cif: Path
    lithium_x: float | None = None
    """x in LixC6 that this phase stands for; None if it is not a graphite phase."""
    fwhm_deg: Positive = 0.05
    """Width of its reflections in two theta."""
    refine: list[Refinable] = []
    """What the full profile refines of it in every voxel beside its amount."""
    range_percent: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How far a length may be from that of the mean pattern."""
    lithium_curve: Path | None = None
    """Table of lithium against ``a`` and ``c`` (CSV), for a phase whose lattice tells its lithium."""
    lithium_x_range: tuple[Fraction, Fraction] | None = None
    """Range of x that this phase cannot be told apart from, for instance 0.33 to 0.5 for stages 2L and 2."""
    fibre: tuple[int, int, int] | None = None
    """Texture: planes that lie along the layers, for instance [0, 0, 1] for flakes of graphite; None is a powder."""
    march: Annotated[float, Field(gt=0.1, lt=5)] | None = None
    """March parameter of the fibre, below 1 where its planes prefer to lie along the layers; None finds it from the mean
    pattern. Phases of the same fibre share one."""
    colormap: str = "viridis"


class Reconstruction(Section):
    """How patterns become maps."""

    pixel_mm: Positive | None = None
    """Edge of a voxel; None takes the scan step."""
    filter: Literal["ramp", "shepp-logan", "hann"] = "shepp-logan"
    q_windows: tuple[tuple[Finite, Finite], ...] = ()
    """Ranges of q, 1/angstrom, that the fit of phases uses; empty uses all that was integrated."""
    window_lines: Annotated[int, Field(ge=3)] | None = None
    """How many lines, newest by number, the maps are made of, for a cell that changes while it is scanned; None takes all. With
    interlaced angles a window of whole interlaces is a tomogram of its own."""
    method: Literal["fbp", "sirt"] = "fbp"
    """Filtered back projection, or iterations with positivity, for few angles: many times the time, without most of the
    streaks. The noise that is stated is that of the former, which is not less."""
    n_background: Annotated[int, Field(ge=2, le=40)] = 8
    """Smooth functions that stand for everything that is not a reflection."""
    electrode_fraction: Fraction = 0.15
    """Below this part of the strongest graphite voxel, x in LixC6 has no meaning and is masked."""

    @model_validator(mode="after")
    def _windows_are_ascending(self) -> "Reconstruction":
        for low, high in self.q_windows:
            if not low < high:
                raise ValueError(f"q_windows: [{low}, {high}] must be ascending")
        return self
