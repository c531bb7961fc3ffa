"""A beamline and an experiment as data: ``profiles/<name>/profile.toml`` read once into a frozen model.

Nothing else reads the file. Unknown keys are refused, and every complaint names the key. Paths inside a profile are relative
to its folder. A profile may say ``extends = "NAME"``: its keys then stand over those of the other, table by table, but for the
tables that it names in ``without``.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tomli_w
from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from operando.cell_signals import Analog, Marker
from operando.correction import Correction
from operando.errors import MissingInputError, ProfileError
from operando.refinement import Refinable, Refinement
from operando.section import STRICT, Finite, Fraction, Positive, TcpAddress
from operando.surroundings import Dose, SignPin, Watched


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys refused."""

    model_config = STRICT


class FrameFolder(Section):
    """Detector files that another program writes."""

    template: str
    """Absolute path of the files, with ``{series}``, ``{image}`` (files of one image) or ``{file}`` (of several) for digits and
    ``*`` for any part of a name, for instance ``/data/raw/scan_{series}/pilatus_{image}.cbf``."""
    series: Annotated[int, Field(ge=0)] = 0
    """Series of files whose template does not tell."""
    first: Annotated[int, Field(ge=0)] = 0
    """Number of the first file: image ids count from it."""
    images_per_file: Annotated[int, Field(ge=1)] = 1
    """Of HDF5 files that are numbered."""
    dataset: str = ""
    """Where in an HDF5 file the images are; empty finds the one dataset of the detector's shape."""
    check_header: bool = True
    """Whether pixel size and wavelength in the files must agree with the geometry; not everybody fills them in."""


class Detector(Section):
    """The area detector and its stream."""

    model: str
    """A name that pyFAI knows, for instance ``Pilatus CdTe 2M``: gives gaps and pixel size."""
    n_rows: Annotated[int, Field(gt=0)]
    n_columns: Annotated[int, Field(gt=0)]
    pixel_m: Positive
    readout_s: Annotated[float, Field(ge=0)]
    """Dead time between two frames."""
    source: Literal["simplon", "folder"] = "simplon"
    """Where the frames come from: the detector's own stream, or files in a folder."""
    folder: FrameFolder | None = None
    rest: Annotated[str, Field(pattern=r"^(http://[^:/]+:\d+)?$")] = ""
    """Base URL of the SIMPLON REST interface."""
    stream: Annotated[str, Field(pattern=r"^(tcp://[^:]+:(\d+|\*))?$")] = ""
    stream_format: Literal["v2", "v1"] = "v2"
    saturation_counts: Annotated[int, Field(gt=0)] = 1_000_000

    @model_validator(mode="after")
    def _source_is_described(self) -> "Detector":
        if self.source == "folder" and self.folder is None:
            raise ValueError('source "folder" needs the section detector.folder with its template')
        if self.source == "simplon" and not (self.rest and self.stream):
            raise ValueError('source "simplon" needs rest and stream')
        return self


class Geometry(Section):
    """Where the detector is, as pyFAI writes it, and what else the integration must know."""

    poni: Path
    mask: Path | None = None
    """A mask file that fabio or NumPy reads, non-zero is masked; the detector's own gaps are always masked."""
    flat: Path | None = None
    """A flat field as NumPy saves it: the response of each pixel, near 1, that counts are divided by (``operando flat``)."""
    distance_tolerance_mm: Positive | None = None
    """How well the distance is known otherwise, by a ruler for instance: a calibration that moves it further is refused. Rings
    alone hardly tell a wrong distance from a wrong energy."""
    beam_tolerance_mm: Positive | None = None
    """How far the beam may lie from the geometry's place on the detector."""
    polarization: Annotated[float, Field(ge=-1, le=1)] = 0.95
    """Polarisation factor: 1 horizontal, -1 vertical, 0 none."""
    rotation_axis_deg: Annotated[float, Field(ge=-180, le=180)] = 90.0
    """Direction of the projected rotation axis on the detector, from where the column number grows to where the row number
    grows; eta counts from it."""
    sensor: str = ""
    """Formula of the sensor, for instance ``CdTe``: with its thickness, counts are divided by the part of the photons that it
    stops, which grows with obliquity; empty corrects nothing."""
    sensor_m: Positive | None = None
    """Thickness of the sensor."""
    sensor_g_cm3: Positive | None = None
    """Its density; None takes that of the tables."""

    @model_validator(mode="after")
    def _sensor_is_whole(self) -> "Geometry":
        if bool(self.sensor) != (self.sensor_m is not None):
            raise ValueError("sensor and sensor_m go together: give both or none")
        return self


class Integration(Section):
    """The radial grid and the estimator."""

    q_min: Annotated[float, Field(ge=0)]
    """1/angstrom."""
    q_max: Positive
    n_radial: Annotated[int, Field(ge=10, le=20_000)]
    estimator: Literal["mean", "trimmed", "rejected"] = "mean"
    """Which is analysed: the mean of all pixels, the trimmed mean, which is biased below a few counts a pixel, or the mean
    without what the others of a bin exclude, which is not. The mean is always kept, and of the two others the one that is
    analysed, or else the trimmed one."""
    trim: tuple[Fraction, Fraction] = (0.05, 0.95)
    sectors: Annotated[int, Field(ge=0, le=36)] = 0
    """Sectors of azimuth over half a turn whose patterns are kept, so that a window can be chosen after the scan; 0 keeps the
    full ring alone."""
    sector: tuple[Finite, Annotated[float, Field(gt=0, le=90)]] | None = None
    """Window of eta that is analysed: its centre and half width, degrees from the projected rotation axis, with the opposite
    of it; None is the full ring. Its edges must be edges of sectors."""

    @model_validator(mode="after")
    def _ranges_are_ascending(self) -> "Integration":
        if self.q_min >= self.q_max:
            raise ValueError(f"q_min {self.q_min} must be below q_max {self.q_max}")
        if self.trim[0] >= self.trim[1]:
            raise ValueError(f"trim {self.trim} must be ascending")
        if self.sectors * self.n_radial > 65_534:
            raise ValueError(f"sectors x n_radial is {self.sectors * self.n_radial}, at most 65534 bins can be numbered")
        return self


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


class Phase(Section):
    """A phase that the analysis looks for."""

    name: str
    label: str
    cif: Path
    lithium_x: float | None = None
    """x in LixC6 that this phase stands for; None if it is not a graphite phase."""
    fwhm_deg: Positive = 0.05
    """Width of its reflections in two theta."""
    refine: list[Refinable] = []
    """What the full profile refines of it in every voxel beside its amount."""
    range_percent: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How far a length may be from that of the mean pattern."""
    lithium_curve: Path | None = None
    """Table of lithium against ``a`` and ``c`` (CSV), for a phase whose lattice tells its lithium."""
    lithium_x_range: tuple[Fraction, Fraction] | None = None
    """Range of x that this phase cannot be told apart from, for instance 0.33 to 0.5 for stages 2L and 2."""
    colormap: str = "viridis"


class Reconstruction(Section):
    """How patterns become maps."""

    pixel_mm: Positive | None = None
    """Edge of a voxel; None takes the scan step."""
    filter: Literal["ramp", "shepp-logan", "hann"] = "shepp-logan"
    q_windows: tuple[tuple[Finite, Finite], ...] = ()
    """Ranges of q, 1/angstrom, that the fit of phases uses; empty uses all that was integrated."""
    window_lines: Annotated[int, Field(ge=3)] | None = None
    """How many lines, newest by number, the maps are made of, for a cell that changes while it is scanned; None takes all. With
    interlaced angles a window of whole interlaces is a tomogram of its own."""
    method: Literal["fbp", "sirt"] = "fbp"
    """Filtered back projection, or iterations with positivity, for few angles: many times the time, without most of the
    streaks. The noise that is stated is that of the former, which is not less."""
    n_background: Annotated[int, Field(ge=2, le=40)] = 8
    """Smooth functions that stand for everything that is not a reflection."""
    electrode_fraction: Fraction = 0.15
    """Below this part of the strongest graphite voxel, x in LixC6 has no meaning and is masked."""

    @model_validator(mode="after")
    def _windows_are_ascending(self) -> "Reconstruction":
        for low, high in self.q_windows:
            if not low < high:
                raise ValueError(f"q_windows: [{low}, {high}] must be ascending")
        return self


Quantity = Literal["time", "voltage", "current", "charge", "charged", "discharged", "temperature", "cycle", "step"]
"""What a column of a cycler's file may hold; ``charged`` and ``discharged`` are counters that begin anew with every step."""

_SOURCE = r"^((file|tail|model|pybamm):.+|analog|none)$"


class Cell(Section):
    """The cell and where its state comes from."""

    name: str = ""
    chemistry: str = ""
    source: Annotated[str, Field(pattern=_SOURCE)]
    """``file:PATH`` of a finished cycler file that is replayed, ``tail:PATH`` of one that grows now (``*`` and ``?`` follow the
    newest of several), ``analog`` for process variables (``cell.analog``), ``none``, ``model:cccv``, or ``pybamm:NAME`` of a
    simulated cell, whose lithium a simulated sample can then show. ``$OPERANDO_DATA`` is understood."""
    fallback: Annotated[str, Field(pattern=_SOURCE)] | None = None
    """Used, and said so, when the file of ``source`` is absent."""
    speed: Positive = 1.0
    """Recorded seconds per second, of a replay."""
    start_s: Annotated[float, Field(ge=0)] = 0.0
    """Where in a replayed recording to begin."""
    stale_s: Positive = 10.0
    """A reading older than this is shown as stale."""

    timezone: str = ""
    """Time zone of the cycler's computer, for instance ``Europe/Berlin``; empty is that of this computer. Files with local
    times need it."""
    clock_offset_s: Finite = 0.0
    """How far the cycler's clock is ahead of the control system's; subtracted from its times, and recorded."""
    day_first: bool = False
    """Whether dates in its files begin with the day; the vendors begin with the month, whatever the country."""
    marker: Marker | None = None
    """A line that the cycler raises when a step begins; its clock is then compared by it."""
    analog: Analog | None = None
    """Process variables that show voltage and current, for ``source = "analog"``."""
    charging_current: Literal["positive", "negative"] = "positive"
    """Sign of the current while the cell charges, in its files; for a half cell wired the other way round it is negative."""
    columns: dict[Quantity, str] = {}
    """Names of columns, where the file's own names are not known or another one is wanted."""
    units: dict[Quantity, str] = {}
    """Units of columns whose names do not tell, for instance ``mA``; for ``time`` a unit, ``epoch`` or a strptime format."""
    start_time: str = ""
    """When the times of a file count from zero: its zero, as ``2026-03-01 14:00:00`` on the cycler's clock."""

    capacity_ah: Positive | None = None
    """What C-rate and state of charge refer to."""
    mass_g: Positive | None = None
    """Mass of active material; with ``specific_capacity_mah_g`` it gives the capacity where ``capacity_ah`` is not given."""
    specific_capacity_mah_g: Positive | None = None
    start_soc: Fraction | None = None
    """State of charge where the charge counter is zero; without it no state of charge is given."""
    rest_rate: Positive = 0.002
    """Currents below this C-rate are rest."""

    @model_validator(mode="after")
    def _timezone_is_known(self) -> "Cell":
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError) as unknown:
                raise ValueError(f"timezone {self.timezone!r} is not known: write for instance Europe/Berlin") from unknown
        return self

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Cell":
        if self.source == "analog" and self.analog is None:
            raise ValueError('source "analog" needs the section cell.analog with its process variables')
        if self.marker is not None and not self.source.startswith("tail:"):
            raise ValueError(f"a marker tells the clock of a file that grows (tail:PATH), found source {self.source!r}")
        return self

    @property
    def nominal_ah(self) -> float | None:
        """Capacity as given, or by mass; None if neither is."""
        if self.capacity_ah is not None or self.mass_g is None or self.specific_capacity_mah_g is None:
            return self.capacity_ah
        return self.mass_g * self.specific_capacity_mah_g / 1000


class CellLimits(Section):
    """What the cell may do while the beam is on; beyond it the shutter closes and the scan is paused. None is no limit."""

    voltage_low_v: Finite | None = None
    voltage_high_v: Finite | None = None
    temperature_high_c: Finite | None = None
    silent_s: Positive | None = None
    """How long the cycler may be silent."""


class Addresses(Section):
    """Where the three feeds are served, and where questions and commands are taken."""

    journal: TcpAddress = "tcp://127.0.0.1:24101"
    reduction: TcpAddress = "tcp://127.0.0.1:24102"
    results: TcpAddress = "tcp://127.0.0.1:24103"
    questions: TcpAddress = "tcp://127.0.0.1:24105"
    """Answered by the analysis: patterns of voxels."""
    commands: TcpAddress = "tcp://127.0.0.1:24106"
    """Taken by the acquisition: start, pause, resume, abort."""


class Queue(Section):
    """The queue of plans (``operando start queue``)."""

    control: TcpAddress = "tcp://127.0.0.1:60615"
    """Where the queue server's own command line and other clients of it ask."""
    redis: str = ""
    """Host and port of a Redis, in which the queue outlives its process; empty keeps it in memory."""


class Effects(Section):
    """What the simulated experiment suffers from; everything is off or zero unless a profile says so. See ``docs/twin.md``."""

    lattice: bool = False
    """Lattice parameters follow the local lithium."""
    parallax: bool = False
    """A voxel downstream scatters from nearer to the detector."""
    absorption: Literal["none", "zero-order", "first-order"] = "none"
    """Attenuation along the straight ray, or along the way in and each scattered ray's own way out."""
    texture: bool = False
    """Graphite, foils and can prefer directions about the layers' normal."""
    beam_um: Annotated[float, Field(ge=0)] = 0.0
    """Full width at half maximum of the beam across the rotation axis, micrometre; 0 leaves the way of the axis alone."""
    beam_shape: Literal["gaussian", "flat"] = "gaussian"
    """Of the beam across the axis: as a focus, or with the sharp edges of slits."""
    beam_stop_mm: Annotated[float, Field(ge=0)] = 0.0
    """Radius of the beam stop's shadow on the detector; its arm is a quarter of that wide."""
    bad_pixels: Fraction = 0.0
    """Part of the pixels that is dead, or ten times fewer hot, without standing in the pixel mask."""
    grains: Annotated[int, Field(ge=0)] = 0
    """Large grains in the sample; each flashes as a spot at a few angles."""
    zingers: Annotated[float, Field(ge=0)] = 0.0
    """Mean number of pixels of a frame that a stray particle hits."""
    drift_mm: Annotated[float, Field(ge=0)] = 0.0
    """Amplitude of the beam's slow motion across the rotation axis."""
    drift_period_s: Positive = 600.0
    axis_offset_mm: Finite = 0.0
    """How far from ``scan.centre_mm`` the rotation axis really is."""
    wobble_mm: Annotated[float, Field(ge=0)] = 0.0
    """Run-out of the rotation: two and three waves a turn, which no displacement of the sample can have."""
    gate_delay_s: Finite = 0.0
    """How much later than the captured positions say the detector exposes."""
    axis_downstream_mm: Finite = 0.0
    """How much nearer to the detector the rotation axis is than the calibrant was."""
    energy_error: Annotated[float, Field(ge=-0.1, le=0.1)] = 0.0
    """True photon energy over that of the PONI file, minus 1."""
    saturation: bool = False
    """Pixels stop at the detector's largest count."""
    noise: bool = True
    """Counting statistics; without, every pixel holds its rounded mean."""
    air: bool = True
    """The air between collimator and beam stop scatters."""
    halo: bool = True
    """Separator, electrolyte and air scatter coherently, with their broad maxima."""
    compton: bool = True
    thermal_diffuse: bool = True
    """What the Debye-Waller factors take from the reflections is scattered between them."""
    ring_decay: bool = True
    """The ring's current decays and is topped up."""
    uneven: bool = True
    """Wound cells differ from place to place: lag near can, tab and core, hot spots of inactive oxide, a wave of loading."""

    @property
    def reaches_into_depth(self) -> bool:
        """Whether it matters where along the beam something is."""
        return self.lattice or self.parallax or self.texture or self.absorption != "none" or self.axis_downstream_mm != 0


class Twin(Section):
    """The simulated beamline and sample, for profiles that have no real one."""

    sample: str
    """A sample that :mod:`acquisition.twin` can make."""
    seed: int = 1
    cable: TcpAddress = "tcp://127.0.0.1:24104"
    """Stands for the trigger cable from the trigger box to the detector."""
    counts_per_pixel: Positive = 4.0
    """Mean counts of an unmasked pixel in a frame through the middle of the cell."""
    time_scale: Positive = 1.0
    """How much faster than real the axes move and settle between lines."""
    prepared_frames: Annotated[int, Field(ge=0)] = 0
    """Serve so many frames, made beforehand, in turn: for rates that cannot be made; maps then mean nothing. 0 makes each."""
    effects: Effects = Effects()


class Profile(Section):
    """All that operando knows of a beamline and an experiment."""

    name: str
    description: str = ""
    detector: Detector
    geometry: Geometry
    integration: Integration
    control: Control
    scan: Scan
    phases: Annotated[list[Phase], Field(min_length=1)]
    reconstruction: Reconstruction = Reconstruction()
    correction: Correction = Correction()
    refinement: Refinement = Refinement()
    cell: Cell
    cell_limits: CellLimits = CellLimits()
    dose: Dose | None = None
    sign_pin: SignPin | None = None
    addresses: Addresses = Addresses()
    queue: Queue = Queue()
    listen: Listen | None = None
    twin: Twin | None = None
    folder: Annotated[Path, Field(exclude=True)] = Path()
    """Where the profile was read; set by the reader, not a key of the file."""

    @model_validator(mode="after")
    def _phases_have_different_names(self) -> "Profile":
        names = [phase.name for phase in self.phases]
        if len(set(names)) != len(names):
            raise ValueError(f"phases must have different names, found {names}")
        return self

    @model_validator(mode="after")
    def _watched_have_different_names(self) -> "Profile":
        names = [watched.name for watched in self.control.watched]
        if len(set(names)) != len(names):
            raise ValueError(f"control.watched must have different names, found {names}")
        return self

    @model_validator(mode="after")
    def _listening_has_a_table(self) -> "Profile":
        if self.control.mode == "listen" and self.listen is None:
            raise ValueError('control.mode "listen" needs the section listen with its table')
        return self

    def path(self, relative: Path) -> Path:
        """Give the place of a file that the profile names."""
        return (self.folder / relative.expanduser()).resolve()


def profiles_folder() -> Path:
    """Give the folder of the profiles that come with operando: the checkout's, or the installed package's."""
    installed = Path(__file__).parent / "_profiles"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "profiles"


def find_profile(name_or_path: str) -> Path:
    """Give the profile file that a name or a path means.

    Raises
    ------
    MissingInputError
        If there is none, with the names that exist.
    """
    path = Path(name_or_path)
    for candidate in (path, path / "profile.toml", profiles_folder() / name_or_path / "profile.toml"):
        if candidate.is_file():
            return candidate
    known = sorted(found.parent.name for found in profiles_folder().glob("*/profile.toml"))
    raise MissingInputError(
        f"no profile {name_or_path!r}: give a folder with a profile.toml, or one of {', '.join(known) or 'none installed'}"
    )


def read_profile(name_or_path: str) -> Profile:
    """Read a profile by name or path.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it is not TOML, or a key is unknown, missing or wrong; the sentence names the key.
    """
    path = find_profile(name_or_path)
    values = _read_values(path)
    try:
        return Profile.model_validate({**values, "folder": path.parent.resolve()})
    except ValidationError as wrong:
        raise ProfileError(f"{path}: {complaints(wrong)}") from wrong


def _read_values(path: Path, *, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the keys of a file over those of the profile that it extends, whose paths become absolute."""
    if path in extended_by:
        raise ProfileError(f"{path}: extends: these profiles extend each other in a circle; end it")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ProfileError(f"{path} is not TOML: {wrong}") from wrong
    if "folder" in values:
        raise ProfileError(f"{path}: folder: unknown key; remove it")
    base, without = values.pop("extends", None), values.pop("without", [])
    if base is None:
        return values
    base_path = find_profile(str(base))
    inherited = _read_values(base_path, extended_by=(*extended_by, path))
    strange = [key for key in without if key not in inherited]
    if strange:
        raise ProfileError(f"{path}: without: {', '.join(map(str, strange))} is not in {base}; remove it")
    kept = {key: value for key, value in inherited.items() if key not in without}
    return _overlaid(_with_absolute_paths(kept, base_path.parent), values)


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Give tables merged key by key; anything else above replaces what is below."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _overlaid(below[key], value) if both else value
    return merged


def _with_absolute_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    geometry = {
        key: str((folder / value).resolve()) if key in ("poni", "mask", "flat") else value
        for key, value in values.get("geometry", {}).items()
    }
    phases = [
        {**phase, **{key: str((folder / phase[key]).resolve()) for key in ("cif", "lithium_curve") if key in phase}}
        for phase in values.get("phases", [])
    ]
    return {**values, **({"geometry": geometry} if geometry else {}), **({"phases": phases} if phases else {})}


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile so that it reads back equal from another folder: paths inside become absolute."""
    values = profile.model_dump(mode="json", exclude_none=True)
    values["geometry"]["poni"] = str(profile.path(profile.geometry.poni))
    for key in ("mask", "flat"):
        if key in values["geometry"]:
            values["geometry"][key] = str(profile.path(Path(values["geometry"][key])))
    for phase, section in zip(profile.phases, values["phases"], strict=True):
        section["cif"] = str(profile.path(phase.cif))
        if phase.lithium_curve is not None:
            section["lithium_curve"] = str(profile.path(phase.lithium_curve))
    if profile.listen is not None:
        values["listen"]["table"] = str(profile.path(Path(profile.listen.table)))
    for key in ("source", "fallback"):
        if key in values["cell"]:
            values["cell"][key] = _absolute(profile, values["cell"][key])
    path.write_text(tomli_w.dumps(values), encoding="utf-8")


def _absolute(profile: Profile, source: str) -> str:
    """Give a cell source that names the same file from another folder; what begins with a variable does so already."""
    kind, _, what = source.partition(":")
    if kind not in ("file", "tail") or what.startswith("$"):
        return source
    return f"{kind}:{profile.path(Path(what))}"


def complaints(error: ValidationError) -> str:
    """Say what is wrong with a profile's values, key by key."""
    sentences = []
    for complaint in error.errors(include_url=False)[:5]:
        key = ".".join(map(str, complaint["loc"])) or "profile"
        if complaint["type"] == "extra_forbidden":
            sentences.append(f"{key}: unknown key; remove it or correct its spelling")
        elif complaint["type"] == "missing":
            sentences.append(f"{key}: missing; add it")
        else:
            sentences.append(f"{key}: {complaint['msg']}, found {complaint['input']!r}"[:300])
    return "; ".join(sentences)
