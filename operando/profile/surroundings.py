"""Sections of a profile about what surrounds a scan: what is watched, and what the beam does to the sample."""

from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from operando.profile.section import STRICT, Finite, Positive


class Watched(BaseModel):
    """A process variable that suspends the scan while it is out of bounds, for instance a temperature."""

    model_config = STRICT

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """In small letters, digits and underscores; the scan's messages use it."""
    pv: str
    low: Finite | None = None
    high: Finite | None = None
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How far inside its bound it must be again before the scan goes on."""

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> "Watched":
        if self.low is None and self.high is None:
            raise ValueError("give low, high or both: without a bound nothing is watched")
        if self.low is not None and self.high is not None and self.low + self.margin > self.high - self.margin:
            raise ValueError(f"low {self.low} and high {self.high} leave no room for a margin of {self.margin}")
        return self


class SignPin(BaseModel):
    """A pin off the rotation axis, by which the sign test tells which way everything counts."""

    model_config = STRICT

    phase: str
    """Name of the phase that the pin is of."""
    x_mm: Finite
    """About where it stands at rotation 0, towards positive readbacks of the fast axis; only the quadrant counts."""
    y_mm: Finite
    """As ``x_mm``, downstream positive."""

    @model_validator(mode="after")
    def _pin_is_off_both_axes(self) -> "SignPin":
        if self.x_mm == 0 or self.y_mm == 0:
            raise ValueError("the pin must stand off the axis both across the beam (x_mm) and along it (y_mm)")
        return self


class Dose(BaseModel):
    """What the beam is, for the estimate of the dose before a scan; measured or from the beamline's own tables."""

    model_config = STRICT

    flux_photons_s: Positive
    """On the sample."""
    energy_kev: Positive
    beam_width_mm: Positive
    """Along the fast axis, full width at half maximum."""
    beam_height_mm: Positive
    absorption_cm2_g: Positive
    """Mass energy-absorption coefficient of the electrode at this energy."""
    limit_gy: Positive | None = None
    """The dose of a plan must stay below; None is no limit."""
