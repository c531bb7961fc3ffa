"""The messages that cross process boundaries: versioned, frozen, bounded, with a golden example each.

Times are seconds since the Unix epoch (``_s``), lengths along the axes are mm, angles degrees. Arrays never stand inside a
message: they travel beside it, named (see :mod:`operando.bus.entry`), and each class states which arrays it carries.
A receiver refuses unknown keys and unknown versions; a changed meaning is a new version.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from operando.commands import Action as Action
from operando.commands import CommandAnswered as CommandAnswered
from operando.commands import CommandGiven as CommandGiven
from operando.commands import ScanState as ScanState
from operando.message import Count as Count
from operando.message import Finite as Finite
from operando.message import IdRange as IdRange
from operando.message import Message as Message
from operando.message import Name as Name
from operando.message import Text as Text
from operando.steering import SteeringAnswered as SteeringAnswered
from operando.steering import SteeringAsked as SteeringAsked

# --- the journal: what acquisition tells everyone -------------------------------------------------------------------


class CellReading(Message):
    """The state of the cell at one time; a field that the source does not give is None, never a default."""

    kind: Literal["cell_reading"] = "cell_reading"
    time_s: Finite
    """When the cycler took the reading, on the control system's clock."""
    voltage_v: Finite | None
    current_a: Finite | None
    """Positive while the cell charges."""
    charge_ah: Finite | None = None
    """Charge passed since the source's zero, positive for charging."""
    temperature_c: Finite | None = None
    cycle: int | None = None
    step: Annotated[str, Field(max_length=80)] = ""
    """The cycler's name of the running step, for instance ``CC_Chg``."""
    age_s: Finite = 0.0
    """How old the reading was when it was recorded; grows while the source is silent."""
    source: Annotated[str, Field(max_length=200)] = ""
    charge_source: Literal["", "counter", "integrated"] = ""
    """Whether ``charge_ah`` is the cycler's own counter or its current added up; empty where nobody says."""
    regime: Literal["", "rest", "cc_charge", "cv_charge", "cc_discharge", "cv_discharge"] = ""
    """What the cycler does to the cell, as it says or as the last readings show; empty if they do not."""
    step_charge_ah: Finite | None = None
    """Charge passed since the cell last began to charge, discharge or rest."""
    c_rate: Finite | None = None
    """Current over the nominal capacity, 1/h, positive for charging."""
    soc: Finite | None = None
    """State of charge by the charge counter and the nominal capacity, 0 to 1; beyond, the given numbers are not right."""
    specific_charge_mah_g: Finite | None = None
    """``charge_ah`` over the mass of active material."""
    clock_offset_s: Finite = 0.0
    """What was subtracted from the cycler's clock."""
    trouble: Annotated[str, Field(max_length=200)] = ""
    """What is wrong with the source, in words; empty if nothing is."""


class RunStarted(Message):
    """A run opens: everything that a listener needs to lay out the tomogram before the first line."""

    kind: Literal["run_started"] = "run_started"
    run: Name
    time_s: Finite
    profile: Name
    plan: Name
    sample: Text = ""
    cell: Text = ""
    angles_deg: Annotated[list[Finite], Field(max_length=100_000)]
    first_position_mm: Finite
    step_mm: Annotated[float, Field(gt=0)]
    n_points: Annotated[int, Field(ge=1, le=1_000_000)]
    exposure_s: Annotated[float, Field(gt=0)]
    period_s: Annotated[float, Field(gt=0)]
    speed_mm_s: Annotated[float, Field(gt=0)]
    geometry_sha256: Text = ""
    estimated_duration_s: Finite = 0.0
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class LineAnnounced(Message):
    """A line is about to fly: which frames belong to it and where its points are planned."""

    kind: Literal["line_announced"] = "line_announced"
    run: Name
    line: Count
    attempt: Count
    series: Count
    first_image_id: Count
    n_points: Annotated[int, Field(ge=1, le=1_000_000)]
    angle_deg: Finite
    direction: Literal[1, -1]
    first_position_mm: Finite
    """Planned centre of the first point in flying order."""
    step_mm: Finite
    """Planned distance from one point to the next in flying order; negative on the way back, 0 where the stage sweeps."""
    angle_step_deg: Finite = 0.0
    """Planned turn from one point to the next; 0 where the fast axis sweeps."""
    time_s: Finite


class LineFlown(Message):
    """A line has flown: where its points really were and what the cell did meanwhile."""

    kind: Literal["line_flown"] = "line_flown"
    run: Name
    line: Count
    attempt: Count
    positions_mm: Annotated[list[Finite], Field(max_length=1_000_000)]
    """Centre of each point in flying order; point i belongs to image ``first_image_id + i``."""
    positions_source: Literal["captured", "computed"]
    angle_deg: Finite
    """The rotation stage's readback, degree; of the first point where the stage sweeps."""
    angles_deg: Annotated[list[Finite], Field(max_length=1_000_000)] = Field(default_factory=list)
    """Of each point in flying order, where the stage sweeps; empty where it stands."""
    ring_current_ma: Finite | None = None
    monitor: Annotated[list[Finite], Field(max_length=1_000_000)] | None = None
    """Beam before the sample at each point, any unit; None where nothing measures it."""
    transmitted: Annotated[list[Finite], Field(max_length=1_000_000)] | None = None
    """Beam behind the sample at each point, any unit; None where nothing measures it."""
    cell: CellReading | None = None
    """Interpolated to the middle of the line."""
    start_s: Finite
    end_s: Finite


class LineAborted(Message):
    """A line attempt ended early; its frames count for nothing and the line may fly again as the next attempt."""

    kind: Literal["line_aborted"] = "line_aborted"
    run: Name
    line: Count
    attempt: Count
    reason: Text
    time_s: Finite


class RunStopped(Message):
    """A run closed, with the word of the RunEngine on how."""

    kind: Literal["run_stopped"] = "run_stopped"
    run: Name
    exit_status: Literal["success", "abort", "fail"]
    reason: Text = ""
    time_s: Finite


class PlanEnded(Message):
    """A plan is over: no further run of it follows."""

    kind: Literal["plan_ended"] = "plan_ended"
    plan: Name
    exit_status: Literal["success", "abort", "fail"]
    reason: Text = ""
    time_s: Finite


class Document(Message):
    """One document of the Bluesky event model, as the RunEngine emitted it."""

    kind: Literal["document"] = "document"
    name: Name
    document: dict[str, JsonValue]


class Notice(Message):
    """A sentence for the person at the beamline."""

    kind: Literal["notice"] = "notice"
    level: Literal["info", "warning", "error"]
    origin: Name
    text: Text
    time_s: Finite


# --- reduction: what became of the frames ----------------------------------------------------------------------------


class StreamStatus(Message):
    """What the receiver has seen of the detector stream, as of now."""

    kind: Literal["stream_status"] = "stream_status"
    time_s: Finite
    series: Count | None
    frames_received: Count
    frames_duplicated: Count
    frames_rejected: dict[str, Count]
    """Rejected messages by reason."""
    frames_unannounced: Count
    """Frames held whose line nobody has announced (yet)."""
    missing_ids: Annotated[list[tuple[Count, Count, Count]], Field(max_length=10_000)]
    """(series, first, last) of every stretch known to be missing in finished lines or series."""
    frames_missing: Count
    queue_depth: Count
    queue_capacity: Count
    frames_per_s: Annotated[float, Field(ge=0)]


class FramePreview(Message):
    """The newest detector frame, reduced in size. Array ``image``: (rows, columns), uint32, counts; masked at the maximum."""

    kind: Literal["frame_preview"] = "frame_preview"
    time_s: Finite
    series: Count
    image_id: Count
    binning: Annotated[int, Field(ge=1)]
    """Edge of the square of detector pixels whose largest unmasked value one preview pixel shows."""
    n_saturated: Count


class FrameGeometry(Message):
    """Where the pixels of frame previews are.

    Array ``q``: (rows, columns) of a preview, float32, 1/angstrom.
    """

    kind: Literal["frame_geometry"] = "frame_geometry"
    binning: Annotated[int, Field(ge=1)]
    geometry_sha256: Text = ""
    time_s: Finite


class CakePreview(Message):
    """A detector frame over azimuth and q, at most once a second.

    Array ``cake``: (azimuth, q), float32, photons per pixel; NaN where no pixel is.
    """

    kind: Literal["cake_preview"] = "cake_preview"
    time_s: Finite
    series: Count
    image_id: Count
    eta_first_deg: Finite
    """Centre of the first bin of azimuth around the beam: 0 where the column number grows, 90 where the row number grows."""
    eta_step_deg: Annotated[float, Field(gt=0)]
    q_first: Finite
    """Centre of the first bin, 1/angstrom."""
    q_step: Annotated[float, Field(gt=0)]


class LineWritten(Message):
    """A line file is on disk, complete as far as it will ever be."""

    kind: Literal["line_written"] = "line_written"
    run: Name
    line: Count
    attempt: Count
    path: Annotated[str, Field(max_length=4096)]
    n_points: Count
    n_received: Count
    missing_ids: Annotated[list[IdRange], Field(max_length=100_000)]
    series: Count
    last_frame_s: Finite
    time_s: Finite


# --- analysis: results for whoever looks ------------------------------------------------------------------------------


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


# --- questions: asked of one process, answered once; commands stand in operando.commands ------------------------------


class ServicesOffered(Message):
    """Where questions are answered and commands are taken; empty where nobody does.

    The acquisition says in the journal where it takes commands, the analysis in the results where both is done.
    """

    kind: Literal["services_offered"] = "services_offered"
    questions: Annotated[str, Field(max_length=200)] = ""
    commands: Annotated[str, Field(max_length=200)] = ""
    time_s: Finite


class RegionAsked(Message):
    """A question for the mean pattern of some voxels of a tomogram, and for what the fit makes of it."""

    kind: Literal["region_asked"] = "region_asked"
    run: Name
    tomogram: Count = 0
    x_mm: Annotated[list[Finite], Field(min_length=1, max_length=20_000)]
    """Centres of the voxels, as many as in ``y_mm``."""
    y_mm: Annotated[list[Finite], Field(min_length=1, max_length=20_000)]


class PhaseShare(BaseModel):
    """What a fit says of one phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    label: Name
    amount: Finite
    """Mass density, in a unit common to all phases of a tomogram."""
    amount_sigma: Finite
    percent: Finite | None
    """Of the mass of all phases; None where there is no mass."""
    percent_sigma: Finite | None


class RegionAnswered(Message):
    """The mean pattern of a region and its fit.

    Arrays, float32: ``q`` (n,) 1/angstrom; ``intensity``, ``sigma``, ``fit``, ``background`` (n,); ``phases`` (n_phases, n),
    what each phase adds to the fit, in the order of :attr:`phases`.
    """

    kind: Literal["region_answered"] = "region_answered"
    run: Name
    tomogram: Count = 0
    estimator: Name
    unit: Annotated[str, Field(max_length=40)]
    n_voxels: Count
    n_lines: Count
    n_lines_expected: Count
    phases: Annotated[list[PhaseShare], Field(max_length=100)]
    reflections: dict[str, list[Finite]]
    x_lithium: Finite | None
    x_lithium_sigma: Finite | None
    misfit_percent: Finite | None
    """Weighted profile residual Rwp; None where nothing is measured."""
    time_s: Finite


class Refused(Message):
    """A question or command that cannot be answered, and why."""

    kind: Literal["refused"] = "refused"
    text: Text


AnyMessage = Annotated[
    CellReading
    | RunStarted
    | LineAnnounced
    | LineFlown
    | LineAborted
    | RunStopped
    | PlanEnded
    | Document
    | Notice
    | StreamStatus
    | FramePreview
    | FrameGeometry
    | CakePreview
    | LineWritten
    | MapPublished
    | SinogramPublished
    | PatternPublished
    | TrendPublished
    | ScanProgress
    | ServicesOffered
    | RegionAsked
    | RegionAnswered
    | CommandGiven
    | CommandAnswered
    | ScanState
    | SteeringAsked
    | SteeringAnswered
    | Refused,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyMessage)


def message_from_json(value: object) -> Message:
    """Give the message that a decoded JSON object stands for.

    Raises
    ------
    pydantic.ValidationError
        If the kind, the version or a field is not one that this program knows.
    """
    message: Message = _ADAPTER.validate_python(value, strict=False)
    return message
