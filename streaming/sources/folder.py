"""A growing folder as a frame source: finds files by their names, reads each when it is whole, and tells of its images.

Identity is in the names. Files are looked for by listing, since no notification crosses a network share. A file that is not
whole yet is tried again, for as long as it takes, while later ones go ahead; what never comes is missing in its line and
counted there. Images that stand in line files already are not read again.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from operando.errors import DataError
from operando.frame_names import FrameName, FrameNames, Listing
from operando.profile import FrameFolder
from streaming.account import IdSet
from streaming.arrival import Arrival, Told
from streaming.detector_message import DetectorMessage, Image, SeriesEnd, SeriesStart
from streaming.events import Rejected
from streaming.sources.frame_file import FileFrame, ReadsFrames, UnfinishedFileError

logger = structlog.get_logger(__name__)

LOOK_S = 0.2
"""Pause between two looks: longer makes maps late, shorter asks a share for nothing."""
PATIENCE_S = 60.0
"""A file that is not whole after this is told of, once; it is tried on."""
_PUT_S = 0.1


@dataclass(slots=True, kw_only=True)
class _Pending:
    """A file that may still give images."""

    path: Path
    since: float
    n_read: int = 0
    seen: tuple[int, int] | None = None
    """Size and time of last change when it gave nothing new."""
    reason: str = ""
    is_told: bool = False


class FolderSource:
    """Reads the files of a template in its own thread until closed.

    Parameters
    ----------
    folder
        Template, numbering and what may be checked.
    reader
        Reads one format.
    destination
        Bounded queue; when it is full, the folder waits.
    known
        Image ids by series that need not be read again.
    reject
        Takes what came to nothing.
    clock, wall_clock
        Monotonic seconds, and seconds since the Unix epoch.
    """

    def __init__(
        self,
        folder: FrameFolder,
        reader: ReadsFrames,
        destination: "queue.Queue[Arrival]",
        *,
        known: dict[int, IdSet],
        reject: Callable[[Rejected], None],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._reader, self._destination = folder, reader, destination
        self._names = FrameNames(folder.template, series=folder.series)
        self._known, self._reject, self._clock, self._wall_clock = known, reject, clock, wall_clock
        self._listing = Listing(clock=clock)
        self._done: dict[int, IdSet] = {}
        self._pending: dict[FrameName, _Pending] = {}
        self._started: set[int] = set()
        self._ended: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"read {folder.template}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading; what was read stays in the queue."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(LOOK_S)

    def _look(self) -> None:
        """Take up new files, and read what can be read; older series first."""
        for name, path in self._names.files(self._listing):
            if name not in self._pending and not self._is_done(name):
                self._pending[name] = _Pending(path=path, since=self._clock())
        for name in sorted(self._pending):
            if self._stop.is_set():
                return
            self._read(name, self._pending[name])
        self._end_series()

    def _read(self, name: FrameName, file: _Pending) -> None:
        """Read a file as far as it goes now."""
        try:
            state = file.path.stat()
            stamp = (state.st_size, state.st_mtime_ns)
            if file.n_read and stamp == file.seen:
                return
            while not self._stop.is_set():
                found = self._reader.read(file.path, skip=file.n_read)
                for frame in found.frames:
                    self._tell(name, frame)
                    file.n_read = frame.index + 1
                if found.is_finished or file.n_read >= self._n_expected:
                    self._finish(name)
                    return
                if not found.frames:
                    file.seen = stamp
                    return
        except (UnfinishedFileError, OSError) as unfinished:
            self._wait_on(file, str(unfinished))
        except DataError as wrong:
            self._reject(Rejected(reason="unreadable file", detail=f"{file.path}: {wrong}"))
            self._finish(name)

    @property
    def _n_expected(self) -> float:
        """Images that make a file whole; of files without a number nobody knows."""
        is_numbered = "{file}" in self._folder.template or self._names.has_images
        return self._folder.images_per_file if is_numbered else float("inf")

    def _tell(self, name: FrameName, frame: FileFrame) -> None:
        image_id = (name.number - self._folder.first) * self._folder.images_per_file + frame.index
        if image_id < 0:
            detail = f"{self._pending[name].path} has a number below detector.folder.first = {self._folder.first}"
            self._reject(Rejected(reason="image before the first", detail=detail))
            return
        if image_id in self._known.get(name.series, ()):
            return
        if name.series not in self._started:
            self._started.add(name.series)
            self._put(self._start_of(name.series, frame))
        self._put(Image(series=name.series, unique_id="", image_id=image_id, channels={"image": frame.channel}))

    def _start_of(self, series: int, frame: FileFrame) -> SeriesStart:
        facts, is_trusted = frame.facts, self._folder.check_header
        return SeriesStart(
            series=series,
            unique_id="",
            channels=("image",),
            shape=facts.shape,
            pixel_m=facts.pixel_m if is_trusted else None,
            energy_ev=facts.energy_ev if is_trusted else None,
            description=facts.description,
        )

    def _end_series(self) -> None:
        """End series that a newer one has followed, once none of their files is waited for."""
        awaited = {name.series for name in self._pending}
        for series in sorted(self._started - self._ended)[:-1]:
            if series not in awaited:
                self._ended.add(series)
                self._put(SeriesEnd(series=series, unique_id=""))

    def _wait_on(self, file: _Pending, reason: str) -> None:
        file.reason = reason
        if not file.is_told and self._clock() - file.since > PATIENCE_S:
            file.is_told = True
            detail = f"{file.path} is not whole after {PATIENCE_S:.0f} s ({reason}): it is tried on"
            self._reject(Rejected(reason="unfinished file", detail=detail))

    def _is_done(self, name: FrameName) -> bool:
        return name.number in self._done.get(name.series, ())

    def _finish(self, name: FrameName) -> None:
        self._done.setdefault(name.series, IdSet()).add(name.number)
        del self._pending[name]

    def _put(self, message: DetectorMessage) -> None:
        told = Told(message=message, received_s=self._wall_clock())
        while not self._stop.is_set():
            try:
                self._destination.put(told, timeout=_PUT_S)
            except queue.Full:
                continue
            return
