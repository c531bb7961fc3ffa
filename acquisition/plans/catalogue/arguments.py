"""Types of the plans' arguments, with the bounds that a person gets told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=10_000)]


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


Finite = Annotated[float, Field(allow_inf_nan=False)]


Several = Annotated[list[Finite], Field(min_length=1, max_length=10_000)]


class CellPlace(BaseModel):
    """Where a cell stands on the stage, and which channel of the cycler it hangs on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    pose: Annotated[dict[str, Finite], Field(min_length=1)]
    """Position of hexapod axes by lower-case name, mm."""
    channel: str = ""
    """The cycler's channel, a name of control.channels; empty where nobody reads this cell."""
    chemistry: str = ""
