"""Sections of a profile about a cell whose state, or whose clock, comes from process variables of the beamline."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from operando.profile.section import STRICT, Finite, Positive


class AnalogInput(BaseModel):
    """A value as an analog input shows it: gain times reading plus offset."""

    model_config = STRICT

    pv: str
    gain: Finite = 1.0
    """Of the quantity's unit (V, A, degC) per unit of the process variable; negative where the wiring turns the sign."""
    offset: Finite = 0.0
    """In the quantity's unit."""

    @model_validator(mode="after")
    def _gain_is_not_zero(self) -> "AnalogInput":
        if self.gain == 0:
            raise ValueError("gain 0 would make every value the same: give V, A or degC per unit of the process variable")
        return self


class Analog(BaseModel):
    """What of the cell is wired to analog inputs, as the monitor outputs of a potentiostat are."""

    model_config = STRICT

    voltage: AnalogInput | None = None
    current: AnalogInput | None = None
    temperature: AnalogInput | None = None

    @model_validator(mode="after")
    def _something_is_wired(self) -> "Analog":
        if not self.inputs:
            raise ValueError("name at least one of voltage, current and temperature")
        return self

    @property
    def inputs(self) -> dict[str, AnalogInput]:
        """The inputs by quantity."""
        wired = {"voltage": self.voltage, "current": self.current, "temperature": self.temperature}
        return {name: one for name, one in wired.items() if one is not None}


class Marker(BaseModel):
    """A line that the cycler raises when a step begins, seen by the control system: what its clock is compared by."""

    model_config = STRICT

    pv: str
    edge: Literal["rising", "falling", "both"] = "rising"
    window_s: Annotated[Positive, Field(le=3600)] = 120.0
    """How far the cycler's clock may be from ``cell.clock_offset_s``, either way. Steps that are nearer to each other than
    twice that tell nothing, and an edge is understood three times as long after it."""
