"""What acquisition tells everyone."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from operando.messages.commands import Action as Action
from operando.messages.commands import CommandAnswered as CommandAnswered
from operando.messages.commands import CommandGiven as CommandGiven
from operando.messages.commands import ScanState as ScanState
from operando.messages.message import Count as Count
from operando.messages.message import Finite as Finite
from operando.messages.message import IdRange as IdRange
from operando.messages.message import Message as Message
from operando.messages.message import Name as Name
from operando.messages.message import Text as Text
from operando.messages.steering import SteeringAnswered as SteeringAnswered
from operando.messages.steering import SteeringAsked as SteeringAsked


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
    estimated_dose_gy: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """What all lines together leave at the sample's surface, each flown once, Gy; None where the beam is not known."""
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
