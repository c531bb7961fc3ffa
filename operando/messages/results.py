"""What the analysis publishes."""

from typing import Annotated, Literal

from pydantic import Field

from operando.messages.commands import Action as Action
from operando.messages.commands import CommandAnswered as CommandAnswered
from operando.messages.commands import CommandGiven as CommandGiven
from operando.messages.commands import ScanState as ScanState
from operando.messages.journal import CellReading
from operando.messages.message import Count as Count
from operando.messages.message import Finite as Finite
from operando.messages.message import IdRange as IdRange
from operando.messages.message import Message as Message
from operando.messages.message import Name as Name
from operando.messages.message import Text as Text
from operando.messages.steering import SteeringAnswered as SteeringAnswered
from operando.messages.steering import SteeringAsked as SteeringAsked


class MapPublished(Message):
    """One quantity over the slice. Arrays: ``value`` and ``sigma`` (y, x) float32, ``reason`` (y, x) uint8 (0 is a good voxel).

    The first axis is y and grows upwards in the laboratory; a masked voxel is NaN in ``value`` and non-zero in ``reason``.
    """

    kind: Literal["map_published"] = "map_published"
    run: Name
    tomogram: Count = 0
    """Which tomogram of the run, counted from 0."""
    name: Name
    """Machine name, for instance ``x_lithium``."""
    label: Name
    """What a person reads, for instance ``x in LixC6``."""
    unit: Annotated[str, Field(max_length=40)]
    low: Finite
    high: Finite
    """Declared range of the colour scale."""
    colormap: Name
    estimator: Name
    """Which estimator made it, for instance ``live: phase amounts``."""
    reasons: dict[int, str]
    """What the codes in ``reason`` mean."""
    empty_reasons: list[int] = Field(default_factory=list)
    """Codes of voxels where there is nothing to know, such as outside the sample; any other code but 0 marks a hole."""
    n_lines: Count
    n_lines_expected: Count
    revision: Count
    """Grows with every publication of the run's maps; maps of one set share it."""
    pixel_mm: Annotated[float, Field(gt=0)]
    x_first_mm: Finite
    y_first_mm: Finite
    cell: CellReading | None
    data_time_s: Finite
    """When the newest frame in this map was taken."""
    time_s: Finite


class SinogramPublished(Message):
    """One channel of the sinogram. Arrays: ``sinogram`` (angle, position) float32, NaN where nothing was measured."""

    kind: Literal["sinogram_published"] = "sinogram_published"
    run: Name
    tomogram: Count = 0
    name: Name
    label: Name
    unit: Annotated[str, Field(max_length=40)]
    angles_deg: list[Finite]
    first_position_mm: Finite
    step_mm: Finite
    n_lines: Count
    n_lines_expected: Count
    centre_mm: Finite | None = None
    """Where the reconstruction takes the rotation axis to be, rounded to a tenth of a point."""
    centre_estimated_mm: Finite | None = None
    """Where the sinogram says that it is; ``centre_sigma_mm`` is the uncertainty of this."""
    centre_sigma_mm: Finite | None = None
    time_s: Finite


class PatternPublished(Message):
    """A diffraction pattern. Arrays: ``q`` (n,) 1/angstrom, ``intensity`` (n,), ``fit`` (n,; may be absent), float32."""

    kind: Literal["pattern_published"] = "pattern_published"
    run: Name
    tomogram: Count = 0
    name: Name
    label: Name
    unit: Annotated[str, Field(max_length=40)]
    reflections: dict[str, list[Finite]]
    """q of every phase's reflections, 1/angstrom."""
    time_s: Finite


class TrendPublished(Message):
    """One quantity of the whole slice, line by line, against the charge of the cell; by the full profile of each line's sum.

    Arrays: ``against``, ``value``, ``sigma``, ``time_s`` (n_lines,) float64, by time; ``line`` (n_lines,) int64.
    """

    kind: Literal["trend_published"] = "trend_published"
    run: Name
    tomogram: Count = 0
    name: Name
    """Machine name, for instance ``c_nmc``."""
    label: Name
    unit: Annotated[str, Field(max_length=40)]
    against: Literal["state of charge", "charge", "time"]
    """What ``against`` holds: the first of these that the cell tells."""
    against_unit: Annotated[str, Field(max_length=40)]
    slope: Finite | None
    """Of a straight line through all points, ``unit`` per ``against_unit``; None where ``against`` does not change."""
    slope_sigma: Finite | None
    """With the scatter of the points about the line, where it is larger than their uncertainty."""
    estimator: Name
    time_s: Finite


class ScanProgress(Message):
    """How far the scan is, as the analysis knows it."""

    kind: Literal["scan_progress"] = "scan_progress"
    run: Name
    tomogram: Count = 0
    state: Literal["waiting", "scanning", "paused", "suspended", "finished", "aborted", "failed"]
    """Paused until a person resumes; suspended until what the scan needs, such as the beam, is back."""
    lines_done: Count
    lines_expected: Count
    attempts: Count
    frames_expected: Count
    frames_received: Count
    frames_missing: Count
    seconds_left: Finite | None
    archive: Annotated[str, Field(max_length=4096)] = ""
    time_s: Finite
