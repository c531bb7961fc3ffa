"""What is known of the experiment at this moment, from messages alone: the model behind every panel.

It receives entries of the results feed, live or read from a file, and gives the scans of the beamtime with the newest of
everything, and a counter of changes for each topic. It knows no phase, no colour and no window; what does not fit is refused,
counted and explained, never raised.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from operando.bus import Entry
from operando.errors import DataError
from operando.messages import (
    CakePreview,
    CellReading,
    FrameGeometry,
    FramePreview,
    MapPublished,
    Message,
    Notice,
    PatternPublished,
    RunStarted,
    ScanProgress,
    ScanState,
    ServicesOffered,
    SinogramPublished,
    StreamStatus,
)
from viewer.cell_state import CellState, cell_during, cell_of_reading
from viewer.checks import (
    Shown,
    checked_cake,
    checked_frame,
    checked_geometry,
    checked_map,
    checked_pattern,
    checked_services,
    checked_sinogram,
)
from viewer.pins import Pins, Place
from viewer.readings import Readings
from viewer.scan import Scan
from viewer.stacks import CAPACITY, Grid, Stack, grid_of
from viewer.timeline import Timeline

if TYPE_CHECKING:
    from viewer.beside import Beside

Topic = Literal[
    "maps",
    "sinogram",
    "pattern",
    "frame",
    "cake",
    "cell",
    "status",
    "progress",
    "notices",
    "run",
    "scan",
    "pins",
    "focus",
    "control",
]
RUN_TOPICS: tuple[Topic, ...] = ("maps", "sinogram", "pattern", "progress", "run", "scan")
TOPICS: tuple[Topic, ...] = (*RUN_TOPICS, "frame", "cake", "cell", "status", "notices", "pins", "control")
N_NOTICES = 50
N_SINOGRAMS = 64
"""Scans whose sinogram is kept: it is for watching, and large; the archive has them all."""
ENDED = frozenset({"finished", "aborted", "failed"})

__all__ = ["Session", "Shown", "Topic"]


class Session:
    """The newest state; used from one thread.

    Parameters
    ----------
    clock
        Seconds since the epoch, of the same clock as the messages' times.
    capacity
        Scans that are kept; of more, the oldest quarter is forgotten.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self.n_refused = 0
        self.complaint = ""
        self.changes: Counter[Topic] = Counter()
        """Counts the changes of each topic: a panel draws again when its topic's count has moved."""
        self.pins = Pins()
        self.beside: Beside | None = None
        """The scan beside the one that is shown; None while there is none."""
        self.focus: str | None = None
        """Machine name of the map that the user looks at: the one that profiles, histories and histograms are of."""
        self._forget()

    def _forget(self) -> None:
        self.scans: list[Scan] = []
        """Oldest first; the last one is the newest, growing or finished."""
        self.stacks: dict[str, Stack] = {}
        """History of each map; slot k is that of ``scans[k]``."""
        self.timeline = Timeline()
        self.readings = Readings()
        self.cell: CellReading | None = None
        self.frame: Shown[FramePreview] | None = None
        self.geometry: Shown[FrameGeometry] | None = None
        self.cake: Shown[CakePreview] | None = None
        self.status: StreamStatus | None = None
        self.services: ServicesOffered | None = None
        self.scan_state: ScanState | None = None
        """How the acquisition stands, as the journal last told it."""
        self.notices: deque[Notice] = deque(maxlen=N_NOTICES)
        self.data_s: float | None = None
        """When the newest thing that was measured was measured, seconds since the epoch."""

    def void(self) -> None:
        """Forget everything: the source numbers its entries anew and will tell all that it knows again."""
        self._forget()
        self.pins.forget_answers()
        self.changes.update(TOPICS)

    def apply(self, entry: Entry) -> None:
        """Take up one entry; what does not fit is counted in :attr:`n_refused` and explained in :attr:`complaint`."""
        try:
            self._take(entry.message, entry.arrays)
        except DataError as wrong:
            self.refuse(str(wrong))

    def refuse(self, complaint: str) -> None:
        """Count something that does not fit, and remember why."""
        self.n_refused += 1
        self.complaint = complaint
        self.changes["notices"] += 1

    @property
    def tomogram(self) -> Scan:
        """The newest scan; an empty one before the first."""
        return self.scans[-1] if self.scans else Scan()

    @property
    def shown(self) -> Scan:
        """The scan that the slider stands on; an empty one before the first."""
        return self.scans[self.timeline.index] if self.scans else Scan()

    @property
    def is_over(self) -> bool:
        """Whether the newest scan has come to its end, good or bad."""
        progress = self.tomogram.progress
        return progress is not None and progress.state in ENDED

    @property
    def held(self) -> ScanState | None:
        """How the scan is held: paused by a person, or suspended until what it needs is back; None while it is not."""
        state = self.scan_state
        return state if state is not None and state.state in ("paused", "suspended") and not self.is_over else None

    @property
    def held_s(self) -> float:
        """For how long the scan has been held; 0 while it is not."""
        return 0.0 if self.held is None else max(0.0, self._clock() - self.held.time_s)

    @property
    def data_age_s(self) -> float | None:
        """Seconds since the newest measured thing was measured; None before the first."""
        return None if self.data_s is None else max(0.0, self._clock() - self.data_s)

    @property
    def cell_age_s(self) -> float | None:
        """Seconds since the cycler took the newest reading; None before the first."""
        return None if self.cell is None else max(self.cell.age_s, self._clock() - self.cell.time_s)

    def show(self, index: int) -> None:
        """Show a scan because the user wants it; anything but the newest stops the following."""
        if self.timeline.take(index):
            self.changes["scan"] += 1

    def follow(self) -> None:
        """Show the newest scan, and follow from now on."""
        if self.timeline.resume():
            self.changes["scan"] += 1

    def say(self, level: Literal["info", "warning", "error"], text: str) -> None:
        """Let the window say a sentence of its own among the notices."""
        self.notices.append(Notice(level=level, origin="view", text=text[:4000], time_s=self._clock()))
        self.changes["notices"] += 1

    def look_at(self, name: str | None) -> None:
        """Let profiles, histories and histograms be of this map."""
        if name != self.focus:
            self.focus = name
            self.changes["focus"] += 1

    def pin(self, grid: Grid, voxels: NDArray[np.bool_], *, keep: bool) -> None:
        """Ask about some voxels."""
        self.pins.pin(grid, voxels, keep=keep)
        self.changes["pins"] += 1

    def draw_line(self, start: Place, end: Place) -> None:
        """Ask for the profile along a line."""
        self.pins.line = (start, end)
        self.changes["pins"] += 1

    def clear_pins(self) -> None:
        """Forget all that was asked about."""
        self.pins.clear()
        self.changes["pins"] += 1

    def cell_of(self, scan: Scan) -> CellState:
        """Give how the cell was in the middle of a scan, as far as it has been measured; else as its maps tell it."""
        state = CellState() if scan.span_s is None else cell_during(self.readings, scan.span_s)
        return state if state != CellState() else cell_of_reading(scan.cell)

    def scan_at(self, time_s: float) -> int | None:
        """Give the scan whose middle is nearest to a time; None without scans."""
        middles = [(abs(scan.middle_s - time_s), k) for k, scan in enumerate(self.scans) if scan.middle_s is not None]
        return min(middles)[1] if middles else None

    def _take(self, message: Message, arrays: Mapping[str, NDArray[Any]]) -> None:
        match message:
            case MapPublished():
                self._take_map(checked_map(message, arrays))
            case SinogramPublished():
                shown = checked_sinogram(message, arrays)
                self._scan(message.run, message.tomogram).sinograms[message.name] = shown
                self.changes["sinogram"] += 1
            case PatternPublished():
                self._scan(message.run, message.tomogram).patterns[message.name] = checked_pattern(message, arrays)
                self.changes["pattern"] += 1
            case ScanProgress():
                self._scan(message.run, message.tomogram).progress = message
                self.changes["progress"] += 1
            case RunStarted():
                self._take_run(message)
            case FramePreview():
                self.frame = checked_frame(message, arrays)
                self._measured(message.time_s)
                self.changes["frame"] += 1
            case FrameGeometry():
                self.geometry = checked_geometry(message, arrays)
                self.changes["frame"] += 1
            case CakePreview():
                self.cake = checked_cake(message, arrays)
                self.changes["cake"] += 1
            case StreamStatus():
                self._take_status(message)
            case CellReading():
                if self.cell is None or message.time_s >= self.cell.time_s:
                    self.cell = message
                self.readings.add(message)
                self.changes["cell"] += 1
            case ScanState():
                self.scan_state = message
                self.changes.update(("progress", "control"))
            case ServicesOffered():
                self.services = checked_services(message)
                self.changes["status"] += 1
            case Notice():
                self.notices.append(message)
                self.changes["notices"] += 1
            case _:
                pass  # A kind that is not for the eye.

    def _take_run(self, started: RunStarted) -> None:
        self._scan(started.run, 0)
        for scan in self.scans:
            if scan.run == started.run:
                scan.started = started
        self.changes["run"] += 1

    def _take_map(self, shown: Shown[MapPublished]) -> None:
        message = shown.message
        scan = self._scan(message.run, message.tomogram)
        grid = grid_of(message, shown.arrays["value"])
        stack = self.stacks.get(message.name)
        if stack is None or stack.grid != grid:
            if stack is not None:
                self._say_other_grid(message)
            stack = self.stacks[message.name] = Stack(grid, capacity=self._capacity)
            self._forget_oldest(len(self.scans) - stack.capacity)
            stack.grow(len(self.scans))
        kept = stack.put(self.scans.index(scan), shown.arrays)
        scan.maps[message.name] = Shown(message=message, arrays=kept)
        self._measured(message.data_time_s)
        self.changes["maps"] += 1

    def _say_other_grid(self, message: MapPublished) -> None:
        """Let the earlier scans of a map go whose voxels lie elsewhere: they cannot stand behind one slider."""
        for scan in self.scans:
            scan.maps.pop(message.name, None)
        text = f"{message.label} has another grid now: its earlier scans can be opened from their archives"
        self.notices.append(Notice(level="info", origin="view", text=text, time_s=message.time_s))
        self.changes["notices"] += 1

    def _take_status(self, status: StreamStatus) -> None:
        # A status is always fresh; only a count that grew says that a frame came.
        if self.status is not None and status.frames_received > self.status.frames_received:
            self._measured(status.time_s)
        self.status = status
        self.changes["status"] += 1

    def _scan(self, run: str, tomogram: int) -> Scan:
        """Give the scan of this name; its first word gives it the next place of the slider."""
        for scan in reversed(self.scans):
            if scan.run == run and scan.tomogram == tomogram:
                return scan
        capacity = min([self._capacity, *(stack.capacity for stack in self.stacks.values())])
        if len(self.scans) >= capacity:
            self._forget_oldest(max(1, capacity // 4))
        started = next((scan.started for scan in self.scans if scan.run == run), None)
        self.scans.append(Scan(run=run, tomogram=tomogram, started=started))
        for stack in self.stacks.values():
            stack.grow(len(self.scans))
        for scan in self.scans[:-N_SINOGRAMS]:
            scan.sinograms.clear()
        self.timeline.grow(len(self.scans))
        self.changes.update(RUN_TOPICS)
        return self.scans[-1]

    def _forget_oldest(self, n: int) -> None:
        if n <= 0:
            return
        del self.scans[:n]
        for name, stack in self.stacks.items():
            stack.forget(n)
            for k, scan in enumerate(self.scans):
                if name in scan.maps:
                    shown = scan.maps[name]
                    scan.maps[name] = Shown(message=shown.message, arrays=stack.views(k, shown.arrays))
        self.timeline.forget(n)

    def _measured(self, time_s: float) -> None:
        self.data_s = time_s if self.data_s is None else max(self.data_s, time_s)
