"""The axes and how they are driven, the scan, and the table of another system that is followed."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from operando.profile.section import Finite, Positive, Section
from operando.profile.surroundings import Watched


class Axis(Section):
    """A motor by its role."""

    pv: str
    unit: Literal["mm", "deg"]
    low: Finite
    """Soft limits that a plan must respect, in ``unit``."""
    high: Finite
    speed: Positive
    """Speed for moves that are not measured, unit/s."""
    acceleration_s: Positive
    """Time to reach full speed."""
    tolerance: Positive
    """How far from the demand the axis may stand and still count as arrived, in ``unit``."""


_NOT_MOVED = {"pv": "none", "low": 0.0, "high": 0.0, "speed": 1.0, "acceleration_s": 1.0, "tolerance": 1.0}


_NOT_CONTROLLED: dict[str, Any] = {
    "fast": {**_NOT_MOVED, "unit": "mm"},
    "rotation": {**_NOT_MOVED, "unit": "deg"},
    **dict.fromkeys(("shutter", "trigger", "ring_current", "topup_countdown"), "none"),
    "cell": "OPR:CELL",
}
"""What a beamline that is only listened to need not name."""


class Control(Section):
    """Where the beamline's process variables are."""

    mode: Literal["plans", "listen"] = "plans"
    """Whether operando scans, or another control system does and operando follows its scan table (``listen``)."""
    fast: Axis
    """The axis that sweeps; which hexapod axis it is, is the beamline's business."""
    rotation: Axis
    hexapod_axes: dict[str, str] = {}
    """PV of each of the six hexapod axes by its name."""
    hexapod_reach_mm: Positive | None = None
    """Radius of the hexapod's reachable volume at zero tilt; shrinks with tilt (:mod:`acquisition`)."""
    hexapod_tilt_deg: Positive | None = None
    """Tilt at which nothing of the reach is left."""
    shutter: str
    trigger: str
    """Prefix of the trigger box."""
    ring_current: str
    topup_countdown: str
    ring_current_floor_ma: Positive = 10.0
    beam_shutter: str = ""
    """Status of a shutter that others drive, front end or hutch; the scan is suspended while it is 0. Empty watches none."""
    watched: list[Watched] = []
    """What else suspends the scan while it is out of bounds."""
    cable_wrap_deg: Positive | None = None
    """How far the rotation stage may turn from zero, either way, before the cell's cables are wound up; None is no limit."""
    cell: str
    """Prefix of the cell PVs."""
    channels: dict[str, str] = {}
    """Prefixes of further cells' PVs by channel of the cycler, for plans that scan several cells in turn."""
    channel_access_port: Annotated[int, Field(ge=1024, le=65535)] = 5064

    @model_validator(mode="before")
    @classmethod
    def _listening_controls_nothing(cls, values: Any) -> Any:
        return {**_NOT_CONTROLLED, **values} if isinstance(values, dict) and values.get("mode") == "listen" else values


TableColumn = Literal[
    "line", "attempt", "state", "angle", "position", "first_position", "last_position", "n_points", "series", "image", "file",
    "time", "start", "end", "ring_current", "monitor", "transmitted", "voltage", "current", "charge", "temperature",
]  # fmt: skip
"""What a column of a scan table may hold (``docs/listening.md``)."""


class Listen(Section):
    """The scan table that another control system writes."""

    table: str
    """Path of the table, ``.csv`` or ``.h5``; with ``*`` and ``?`` in its name every new table is a new run."""
    columns: dict[TableColumn, str] = {}
    """Names of columns that are not named as ``docs/listening.md`` says."""
    position_factor: Finite = 1.0
    """mm per unit of the table's positions; negative if the axis counts against the laboratory."""
    angle_factor: Finite = 1.0
    """Degree per unit of the table's angles; negative if the stage turns the other way."""
    quiet_s: Positive = 30.0
    """A line whose frames are in the table and that gets no more for so long is over."""


class Scan(Section):
    """The tomogram that the default plan flies."""

    n_lines: Annotated[int, Field(ge=1)]
    angle_range_deg: Literal[180, 360] = 180
    n_points: Annotated[int, Field(ge=2)]
    step_mm: Positive
    centre_mm: Finite = 0.0
    exposure_s: Positive
    order: Literal["sequential", "interlaced"] = "interlaced"
    interlaces: Annotated[int, Field(ge=1)] = 4
    max_attempts: Annotated[int, Field(ge=1)] = 3
    on_backlog: Literal["hold", "mark"] = "hold"
    plan: str = "xrdct"
    """What ``operando run`` flies; a name of the catalogue (:mod:`acquisition.plans.catalogue`)."""
    plan_arguments: dict[str, JsonValue] = {}
    """Arguments of the plan, by name."""
    begin: Literal["at_once", "on_command"] = "at_once"
    """Whether the plan flies as soon as all is ready, or when a person starts it."""
