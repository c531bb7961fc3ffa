"""What is known of the experiment at this moment, from messages alone: the model behind every panel.

It receives entries of the results feed, live or read from a file, and gives the newest state and a counter of changes for
each topic. It knows no phase, no colour and no window; what does not fit is refused, counted and explained, never raised.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from operando.bus import Entry
from operando.errors import DataError
from operando.messages import (
    CellReading,
    FramePreview,
    MapPublished,
    Message,
    Notice,
    PatternPublished,
    RunStarted,
    ScanProgress,
    SinogramPublished,
    StreamStatus,
)
from viewer.readings import Readings

Topic = Literal["maps", "sinogram", "pattern", "frame", "cell", "status", "progress", "notices", "run"]
RUN_TOPICS: tuple[Topic, ...] = ("maps", "sinogram", "pattern", "progress", "run")
TOPICS: tuple[Topic, ...] = (*RUN_TOPICS, "frame", "cell", "status", "notices")
M = TypeVar("M", bound=Message)
N_NOTICES = 50
ENDED = frozenset({"finished", "aborted", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(Generic[M]):
    """A message with its arrays, checked to fit each other."""

    message: M
    arrays: Mapping[str, NDArray[Any]]


@dataclass(slots=True, kw_only=True)
class RunState:
    """Everything that belongs to one run and is forgotten when the next begins."""

    run: str | None = None
    started: RunStarted | None = None
    maps: dict[str, Shown[MapPublished]] = field(default_factory=dict)
    """Newest of each name, in the order in which the names first came."""
    sinograms: dict[str, Shown[SinogramPublished]] = field(default_factory=dict)
    patterns: dict[str, Shown[PatternPublished]] = field(default_factory=dict)
    progress: ScanProgress | None = None


class Session:
    """The newest state; used from one thread.

    Parameters
    ----------
    clock
        Seconds since the epoch, of the same clock as the messages' times.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.n_refused = 0
        self.complaint = ""
        self.changes: Counter[Topic] = Counter()
        """Counts the changes of each topic: a panel draws again when its topic's count has moved."""
        self._earlier_runs: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self.tomogram = RunState()
        self.readings = Readings()
        self.cell: CellReading | None = None
        self.frame: Shown[FramePreview] | None = None
        self.status: StreamStatus | None = None
        self.notices: deque[Notice] = deque(maxlen=N_NOTICES)
        self.data_s: float | None = None
        """When the newest thing that was measured was measured, seconds since the epoch."""

    def void(self) -> None:
        """Forget everything: the source numbers its entries anew and will tell all that it knows again."""
        self._forget()
        self._earlier_runs.clear()
        self.changes.update(TOPICS)

    def apply(self, entry: Entry) -> None:
        """Take up one entry; what does not fit is counted in :attr:`n_refused` and explained in :attr:`complaint`."""
        try:
            self._take(entry.message, entry.arrays)
        except DataError as wrong:
            self.n_refused += 1
            self.complaint = str(wrong)
            self.changes["notices"] += 1

    @property
    def is_over(self) -> bool:
        """Whether the run has come to its end, good or bad."""
        progress = self.tomogram.progress
        return progress is not None and progress.state in ENDED

    @property
    def data_age_s(self) -> float | None:
        """Seconds since the newest measured thing was measured; None before the first."""
        return None if self.data_s is None else max(0.0, self._clock() - self.data_s)

    @property
    def cell_age_s(self) -> float | None:
        """Seconds since the cycler took the newest reading; None before the first."""
        return None if self.cell is None else max(self.cell.age_s, self._clock() - self.cell.time_s)

    def voxel_text(self, name: str, *, x_mm: float, y_mm: float) -> str:
        """Write what a map says at a place: value, uncertainty and unit, or why there is none; empty outside the map."""
        shown = self.tomogram.maps.get(name)
        if shown is None:
            return ""
        message, value = shown.message, shown.arrays["value"]
        row, column = (
            round((y_mm - message.y_first_mm) / message.pixel_mm),
            round((x_mm - message.x_first_mm) / message.pixel_mm),
        )
        if not (0 <= row < value.shape[0] and 0 <= column < value.shape[1]):
            return ""
        place = f"{message.label} at x {x_mm:.2f} mm, y {y_mm:.2f} mm"
        if not np.isfinite(value[row, column]):
            code = int(shown.arrays["reason"][row, column]) if "reason" in shown.arrays else 0
            return f"{place}: none ({message.reasons.get(code, f'reason {code}')})"
        sigma = shown.arrays["sigma"][row, column] if "sigma" in shown.arrays else np.nan
        doubt = f" ± {sigma:.2g}" if np.isfinite(sigma) else ""
        return f"{place}: {value[row, column]:.3g}{doubt} {message.unit}".rstrip()

    def _take(self, message: Message, arrays: Mapping[str, NDArray[Any]]) -> None:
        match message:
            case MapPublished() if self._is_current(message.run):
                self.tomogram.maps[message.name] = _checked_map(message, arrays)
                self._measured(message.data_time_s)
                self.changes["maps"] += 1
            case SinogramPublished() if self._is_current(message.run):
                self.tomogram.sinograms[message.name] = _checked_sinogram(message, arrays)
                self.changes["sinogram"] += 1
            case PatternPublished() if self._is_current(message.run):
                self.tomogram.patterns[message.name] = _checked_pattern(message, arrays)
                self.changes["pattern"] += 1
            case ScanProgress() if self._is_current(message.run):
                self.tomogram.progress = message
                self.changes["progress"] += 1
            case RunStarted() if self._is_current(message.run):
                self.tomogram.started = message
                self.changes["run"] += 1
            case FramePreview():
                self.frame = _checked_frame(message, arrays)
                self._measured(message.time_s)
                self.changes["frame"] += 1
            case StreamStatus():
                self._take_status(message)
            case CellReading():
                self.cell = message
                self.readings.add(message)
                self.changes["cell"] += 1
            case Notice():
                self.notices.append(message)
                self.changes["notices"] += 1
            case _:
                pass  # A kind that is not for the eye, or a late word about an earlier run.

    def _take_status(self, status: StreamStatus) -> None:
        # A status is always fresh; only a count that grew says that a frame came.
        if self.status is not None and status.frames_received > self.status.frames_received:
            self._measured(status.time_s)
        self.status = status
        self.changes["status"] += 1

    def _is_current(self, run: str) -> bool:
        """Whether a message is about the newest run; the first word of a new run makes it the newest."""
        if run in self._earlier_runs:
            return False
        if run != self.tomogram.run:
            if self.tomogram.run is not None:
                self._earlier_runs.add(self.tomogram.run)
            self.tomogram = RunState(run=run)
            self.changes.update(RUN_TOPICS)
        return True

    def _measured(self, time_s: float) -> None:
        self.data_s = time_s if self.data_s is None else max(self.data_s, time_s)


def _array(message: Message, arrays: Mapping[str, NDArray[Any]], name: str, *, n_dim: int) -> NDArray[Any]:
    found = arrays.get(name)
    if found is None:
        raise DataError(f"a {type(message).__name__} came without its array {name!r}: the sender is at fault")
    if found.ndim != n_dim or found.size == 0:
        raise DataError(f"array {name!r} of a {type(message).__name__} has shape {found.shape}, expected {n_dim} axes")
    return found


def _checked_map(message: MapPublished, arrays: Mapping[str, NDArray[Any]]) -> Shown[MapPublished]:
    value = _array(message, arrays, "value", n_dim=2)
    for name in ("sigma", "reason"):
        if name in arrays and arrays[name].shape != value.shape:
            raise DataError(f"map {message.name!r} has shape {value.shape}, its {name} {arrays[name].shape}: they must agree")
    if message.low >= message.high:
        raise DataError(f"map {message.name!r} declares the range {message.low} to {message.high}: it must be ascending")
    return Shown(message=message, arrays=dict(arrays))


def _checked_sinogram(message: SinogramPublished, arrays: Mapping[str, NDArray[Any]]) -> Shown[SinogramPublished]:
    sinogram = _array(message, arrays, "sinogram", n_dim=2)
    if len(sinogram) != len(message.angles_deg):
        raise DataError(f"sinogram {message.name!r} has {len(sinogram)} rows for {len(message.angles_deg)} angles")
    if message.step_mm <= 0:
        raise DataError(f"sinogram {message.name!r} has a step of {message.step_mm} mm: it must be positive")
    return Shown(message=message, arrays=dict(arrays))


def _checked_pattern(message: PatternPublished, arrays: Mapping[str, NDArray[Any]]) -> Shown[PatternPublished]:
    q = _array(message, arrays, "q", n_dim=1)
    for name in ("intensity", "fit"):
        if name == "intensity" or name in arrays:
            curve = _array(message, arrays, name, n_dim=1)
            if curve.shape != q.shape:
                raise DataError(f"pattern {message.name!r} has {q.size} q values and {curve.size} of {name}")
    return Shown(message=message, arrays=dict(arrays))


def _checked_frame(message: FramePreview, arrays: Mapping[str, NDArray[Any]]) -> Shown[FramePreview]:
    image = _array(message, arrays, "image", n_dim=2)
    if not np.issubdtype(image.dtype, np.unsignedinteger):
        raise DataError(f"the preview of image {message.image_id} is {image.dtype}, expected unsigned counts")
    return Shown(message=message, arrays=dict(arrays))
