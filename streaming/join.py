"""Join patterns with announced lines: receives patterns and the words of the journal in any order, gives finished lines.

The announcement binds (series, first image id, number of points) to (run, line, attempt); point i of the line is image
``first_image_id + i``. Nothing is paired by order of arrival, and nothing is turned round: zig-zag is in the positions.

A line is finished when its flight is over and all its images came, or when nothing that could still bring one has happened for
``deadline_s``. An image that comes later still opens the line again, for as long as it is among the newest few.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from operando.messages import LineAborted, LineAnnounced, LineFlown, Message, RunStarted, RunStopped
from operando.scan import LineKey
from streaming.account import FrameKey, SeriesKey
from streaming.measured import Measured
from streaming.open_line import OpenLine

N_KEPT = 8
"""Incomplete lines that stay in memory after they were written, for images that come late; each costs its patterns."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Stretch:
    """Lines of one series number between two armings; one series of the stream belongs to it, once known."""

    series: SeriesKey | None = None
    lines: list[OpenLine] = field(default_factory=list)
    newest_first_id: int = -1

    @property
    def has_images(self) -> bool:
        """Whether images came for the newest line, as far as anyone knows."""
        return not self.lines or self.lines[-1].n_received > 0


class Join:
    """Knows all open lines and all patterns without a line; used from one thread.

    Parameters
    ----------
    deadline_s
        How long to wait for images of a line that has flown, counted from the last sign of progress.
    is_on_disk
        Whether a line needs no file any more; lines that have one are not opened again.
    clock
        Monotonic seconds.
    """

    def __init__(self, *, deadline_s: float, is_on_disk: Callable[[LineKey], bool], clock: Callable[[], float]) -> None:
        self._deadline_s = deadline_s
        self._is_on_disk = is_on_disk
        self._clock = clock
        self._lines: dict[LineKey, OpenLine] = {}
        self._closed: set[LineKey] = set()
        self._stretches: dict[int, list[_Stretch]] = {}
        self._held: dict[FrameKey, Measured] = {}

    @property
    def n_held(self) -> int:
        """Patterns whose line nobody has announced."""
        return len(self._held)

    def add(self, measured: Measured) -> None:
        """Put a pattern into its line, or hold it until its line is announced."""
        stretch, line = self._find(measured.frame)
        if line is None or stretch is None:
            self._held[measured.frame] = measured
            return
        stretch.series = measured.frame.series
        line.add(measured)
        self._note_progress(line)

    def hear(self, message: Message) -> None:
        """Take in what acquisition says; words that concern no line are ignored."""
        match message:
            case LineAnnounced():
                self._announce(message)
            case LineFlown():
                line = self._lines.get(LineKey(run=message.run, line=message.line, attempt=message.attempt))
                if line is not None and line.flown is None:
                    line.flown = message
                    line.touched_at = self._clock()
            case LineAborted():
                key = LineKey(run=message.run, line=message.line, attempt=message.attempt)
                self._abort([self._lines[key]] if key in self._lines else [], message.reason or "aborted")
            case RunStopped():
                reason = f"the run ended ({message.exit_status}) before the line had flown"
                self._abort([line for key, line in self._lines.items() if key.run == message.run], reason)
            case RunStarted():
                others = [line for key, line in self._lines.items() if key.run != message.run]
                self._abort(others, "another run began before the line had flown")
            case _:
                pass

    def abort_all(self, reason: str) -> None:
        """End every line that has not flown, because nobody will tell of it any more."""
        self._abort(self._lines.values(), reason)

    def finished(self) -> list[OpenLine]:
        """Give the lines that want to be written now; say :meth:`written` when that is done."""
        now = self._clock()
        return [line for line in self._lines.values() if not line.is_written and self._is_finished(line, now)]

    def unwritten(self) -> list[OpenLine]:
        """Give every line, finished or not, that has patterns which are not on disk."""
        return [line for line in self._lines.values() if not line.is_written and line.n_received]

    def written(self, line: OpenLine) -> None:
        """Note that a line is on disk."""
        line.is_written = True
        done = [line for line in self._lines.values() if line.is_written]
        waiting = [line for line in done if not line.is_complete]
        for old in {*done} - {*waiting[-N_KEPT:]}:
            self._close(old)

    def series_of(self, line: OpenLine) -> SeriesKey:
        """Give the series that a line's images come from; one without a unique id where none came."""
        for stretch in self._stretches.get(line.announced.series, []):
            if line in stretch.lines and stretch.series is not None:
                return stretch.series
        return SeriesKey(series=line.announced.series)

    def oldest_held(self, *, n_left: int) -> list[Measured]:
        """Give the patterns without a line, oldest first, all but the newest ``n_left``; they stay until released."""
        return list(self._held.values())[: max(0, len(self._held) - n_left)]

    def release(self, held: Iterable[Measured]) -> None:
        """Forget patterns without a line."""
        for measured in held:
            self._held.pop(measured.frame, None)

    def _announce(self, message: LineAnnounced) -> None:
        key = LineKey(run=message.run, line=message.line, attempt=message.attempt)
        if key in self._lines or key in self._closed:
            return
        earlier = [line for other, line in self._lines.items() if (other.run, other.line) == (key.run, key.line)]
        self._abort(earlier, f"flown again as attempt {key.attempt}")
        stretch = self._stretch_of(message)
        if self._is_on_disk(key):
            self._closed.add(key)
            return
        line = OpenLine(announced=message, touched_at=self._clock())
        for other in stretch.lines:
            for measured in other.cede(line.first_id, line.last_id):
                line.add(measured)
        self._lines[key] = line
        stretch.lines.append(line)
        self._take_held(stretch, line)

    def _stretch_of(self, message: LineAnnounced) -> _Stretch:
        """Give the stretch that an announced line continues.

        A first id above that of the line before goes on counting, even inside its ids when that line was aborted early. An id
        that is not above, where images have come, means that the detector counts anew.
        """
        stretches = self._stretches.setdefault(message.series, [])
        first = message.first_image_id
        is_new = not stretches or first < stretches[-1].newest_first_id
        if is_new or (first == stretches[-1].newest_first_id and stretches[-1].has_images):
            stretches.append(_Stretch())
        stretches[-1].newest_first_id = first
        return stretches[-1]

    def _take_held(self, stretch: _Stretch, line: OpenLine) -> None:
        for frame in self._held_of(stretch, line):
            found, owner = self._find(frame)
            if owner is line and found is stretch:
                stretch.series = frame.series
                line.add(self._held.pop(frame))

    def _held_of(self, stretch: _Stretch, line: OpenLine) -> Iterable[FrameKey]:
        number, first, last = line.announced.series, line.first_id, line.last_id
        return [frame for frame in self._held if frame.series.series == number and first <= frame.image_id <= last]

    def _find(self, frame: FrameKey) -> tuple[_Stretch | None, OpenLine | None]:
        """Find the line of an image: in the stretch that its series is bound to, else in the newest that is not bound."""
        stretches = self._stretches.get(frame.series.series, [])
        bound = [stretch for stretch in stretches if stretch.series == frame.series]
        for stretch in bound or [stretch for stretch in reversed(stretches) if stretch.series is None]:
            for line in reversed(stretch.lines):
                if line.first_id <= frame.image_id <= line.last_id:
                    return stretch, line
        return None, None

    def _note_progress(self, line: OpenLine) -> None:
        """Let this line and those announced after it wait on: their images come behind this one."""
        now = self._clock()
        is_behind = False
        for other in self._lines.values():
            is_behind = is_behind or other is line
            if is_behind:
                other.touched_at = now

    def _is_finished(self, line: OpenLine, now: float) -> bool:
        return line.is_over and (line.is_complete or now - line.touched_at > self._deadline_s)

    def _abort(self, lines: Iterable[OpenLine], reason: str) -> None:
        for line in lines:
            if not line.is_over:
                line.aborted, line.touched_at = reason, self._clock()

    def _close(self, line: OpenLine) -> None:
        key = line.key
        del self._lines[key]
        self._closed.add(key)
        for stretch in self._stretches[line.announced.series]:
            if line in stretch.lines:
                stretch.lines.remove(line)
