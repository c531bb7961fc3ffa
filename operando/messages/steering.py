"""What a plan may ask the analysis, and what it answers: how far the map is, and where it has the most detail.

Lines fly again, the scan ends, or a part of it flies again with finer steps.
"""

from typing import Annotated, Literal

from pydantic import Field

from operando.messages.message import Count, Finite, Message, Name


class SteeringAsked(Message):
    """A plan's question for a map of the run that it flies; it never waits for the answer."""

    kind: Literal["steering_asked"] = "steering_asked"
    run: Name
    map: Name = "x_lithium"
    x_mm: Finite = 0.0
    """Middle of the region that is asked for, from the rotation axis."""
    y_mm: Finite = 0.0
    radius_mm: Annotated[float, Field(gt=0)] | None = None
    """None asks for the whole slice."""
    over_lines: Annotated[int, Field(ge=1)] = 1
    """Over how many lines the change is asked for."""
    detail_radius_mm: Annotated[float, Field(gt=0)] | None = None
    """Radius of the disc to be named in which the map has the most detail; None asks for none."""


class SteeringAnswered(Message):
    """How the map stands in the region; what is not known yet is None, never a default."""

    kind: Literal["steering_answered"] = "steering_answered"
    run: Name
    n_lines: Count
    """Lines in the map."""
    n_lines_expected: Count
    n_voxels: Count
    """Voxels of the region that have a value."""
    mean: Finite | None
    sigma: Finite | None
    """Median of the voxels' standard uncertainties."""
    change: Finite | None
    """Root mean square change of the voxels over the lines that were asked for; None while there is no map so far back."""
    missing: dict[Count, Count]
    """Points missing of each line that has holes, by the number of the line."""
    detail_x_mm: Finite | None = None
    """Middle of the disc that was asked for, from the rotation axis; None if none was, or the map shows no detail."""
    detail_y_mm: Finite | None = None
    time_s: Finite
