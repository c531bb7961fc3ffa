"""What the sections of a profile are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
TcpAddress = Annotated[str, Field(pattern=r"^tcp://[^:]+:(\d+|\*)$")]

STRICT = ConfigDict(frozen=True, extra="forbid")
"""Immutable, unknown keys refused."""


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys refused."""

    model_config = STRICT
