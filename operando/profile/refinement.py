"""Section ``[refinement]`` of a profile: how the full profile is refined."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from operando.profile.section import STRICT, Finite, Fraction, Positive

Width = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Refinable = Literal["a", "b", "c", "width"]
"""What of a phase may be refined beside its amount: lengths of its cell, and the width of its reflections."""


class Instrument(BaseModel):
    """Widths of reflections by instrument alone, from a standard: J. Appl. Cryst. 20 (1987) 79; degrees of two theta."""

    model_config = STRICT

    u: Finite = 0.0
    """Gaussian, squared: u tan^2(theta) + v tan(theta) + w."""
    v: Finite = 0.0
    w: Positive
    x: Width = 0.0
    """Lorentzian: x tan(theta) + y / cos(theta)."""
    y: Width = 0.0


class Refinement(BaseModel):
    """The full profile in every voxel."""

    model_config = STRICT

    enabled: bool = True
    interval_s: Positive = 10.0
    """The volume is refined again at most this often while lines come."""
    n_background: Annotated[int, Field(ge=4, le=60)] = 12
    """Smooth functions under the reflections; they may be negative, as noise is."""
    instrument: Instrument | None = None
    """None takes each phase's ``fwhm_deg`` at every angle."""
    lorentz_fraction: Fraction | None = None
    """Lorentzian part of the reflections where there is no instrument; None finds it from the mean pattern."""
    atoms: bool = True
    """Find from the mean pattern what symmetry leaves open of the atoms of phases whose lattice is refined, and their B."""
    significance: Positive = 5.0
    """Standard uncertainties that a phase's amount must be above zero for its lattice to be refined."""
    lattice_scale_sigma: Annotated[float, Field(ge=0, le=0.01)] = 0.0
    """Relative uncertainty of all lattice parameters together, from energy and distance; enters the uncertainty of lithium."""
