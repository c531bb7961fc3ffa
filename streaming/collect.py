"""Collect what the workers measured and what the journal says: writes line files, and tells how the stream fares. One thread.

Idempotent over restarts: the journal is heard again from its first entry, lines that have a file are told of and left alone,
and what was lost with the process shows as missing ids of the line that was in flight.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.bus import Store
from operando.errors import DataError
from operando.scan import LineKey
from streaming.account import Account, SeriesKey
from streaming.events import Ended, Event, Heard, JournalBeganAnew, Previewed, Rejected, Started, Unstarted
from streaming.join import Join
from streaming.line_file import line_path, read_line, write_line
from streaming.measured import Measured
from streaming.open_line import OpenLine
from streaming.reduction_feed import ReductionFeed
from streaming.stream_status import Figures
from streaming.unannounced import write_unannounced

logger = structlog.get_logger(__name__)

DEADLINE_S = 3.0
"""How long a flown line waits for images after the last progress: less cuts off a slow sender, more delays the map."""
STATUS_INTERVAL_S = 1.0
HELD_CAPACITY = 4096
"""Patterns without a line in memory, some 20 kB each; when there are more, the oldest quarter goes to a file."""
RETRY_S = 5.0
"""How long to leave a disk alone that did not take a file."""


class Collector:
    """Joins, writes and publishes; every method is called from one thread.

    Parameters
    ----------
    q
        Centres of the bins, shape (n_radial,), 1/angstrom.
    out
        The folder of the beamtime: line files go to ``lines/``, unclaimed patterns to ``unannounced/``.
    store
        The reduction feed.
    queue_state
        Gives depth and capacity of the queue before the workers.
    clock, wall_clock
        Monotonic seconds, and seconds since the Unix epoch.
    deadline_clock
        Seconds that count towards the deadline of a line; default: ``clock``.
    """

    def __init__(
        self,
        *,
        q: NDArray[np.float64],
        out: Path,
        store: Store,
        queue_state: Callable[[], tuple[int, int]],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        deadline_clock: Callable[[], float] | None = None,
    ) -> None:
        self._q = q
        self._lines_folder = out / "lines"
        self._unannounced_folder = out / "unannounced"
        self._feed = ReductionFeed(store, clock=clock, wall_clock=wall_clock)
        self._queue_state = queue_state
        self._clock = clock
        self._wall_clock = wall_clock
        self._account = Account()
        self._join = Join(deadline_s=DEADLINE_S, is_on_disk=self._is_on_disk, clock=deadline_clock or clock)
        self._figures = Figures(now=clock())
        self._status_at = clock()
        self._disk_rests_until = clock()

    def handle(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case Measured():
                self._figures.note_image(event.frame.series)
                if self._account.add(event.frame):
                    self._join.add(event)
            case Heard(message=message):
                self._join.hear(message)
            case Rejected(reason=reason, detail=detail):
                self._figures.rejected[reason] += 1
                self._feed.say("warning", f"{reason}: {detail}", about=reason)
            case Previewed():
                self._feed.preview(event)
            case Ended(series=series):
                self._account.end(series)
            case Started() | Unstarted():
                self._note_start(event)
            case JournalBeganAnew():
                self._join.abort_all("another journal took the place of the one that announced the line")

    def tick(self) -> None:
        """Write the lines that are finished, and tell how the stream fares when it is time; call it several times a second."""
        now = self._clock()
        if now >= self._disk_rests_until:
            try:
                self._write_finished()
                if self._join.n_held > HELD_CAPACITY:
                    self._set_aside(n_left=HELD_CAPACITY * 3 // 4)
            except OSError as refused:
                self._disk_rests_until = now + RETRY_S
                text = f"cannot write to {self._lines_folder}: {refused}. Lines are kept in memory: free the disk."
                self._feed.say("error", text, about="disk")
        if now >= self._status_at:
            self._status_at = now + STATUS_INTERVAL_S
            self._publish_status()

    def close(self) -> None:
        """Put everything that is in memory on disk: unfinished lines as aborted, unclaimed patterns in their own file."""
        self._write_finished()
        self._join.abort_all("the reduction was stopped in the middle of the line")
        for line in self._join.unwritten():
            self._write(line)
        self._set_aside(n_left=0)
        self._publish_status()

    def _note_start(self, event: Started | Unstarted) -> None:
        number = event.series.series
        match event:
            case Unstarted():
                text = f"START of series {number} was missed: its images are integrated with the profile's own mask"
                self._feed.say("warning", text)
            case Started(complaint=""):
                logger.info("series started", series=number, unique_id=event.series.unique_id)
                for oddity in event.oddities:
                    self._feed.say("info", f"the detector's messages are not quite stream V2: {oddity}")
            case Started(complaint=complaint):
                self._feed.say("error", f"series {number} cannot be used: {complaint}")

    def _write_finished(self) -> None:
        for line in self._join.finished():
            if line.aborted and not line.n_received:
                self._join.written(line)
            else:
                self._write(line)

    def _write(self, line: OpenLine) -> None:
        path = write_line(line.to_line(self._q), self._lines_folder)
        if line.aborted:
            logger.info("aborted attempt kept", path=str(path), reason=line.aborted, n_received=line.n_received)
        else:
            self._account_for(line, path)
        self._join.written(line)

    def _account_for(self, line: OpenLine, path: Path) -> None:
        announced, missing_ids = line.announced, line.missing_ids()
        self._account.expect(self._join.series_of(line), line.first_id, line.last_id)
        self._feed.written(
            line.key,
            path,
            series=announced.series,
            n_points=announced.n_points,
            missing_ids=missing_ids,
            last_frame_s=line.last_frame_s,
        )
        if line.flown is not None and line.has_wrong_positions:
            found = len(line.flown.positions_mm)
            text = f"{found} positions were captured for {announced.n_points} points: the planned ones are used"
            self._feed.say("warning", f"{line.key.stem}: {text}")
        if missing_ids:
            n_missing = announced.n_points - line.n_received
            self._feed.say("warning", f"{line.key.stem}: {n_missing} of {announced.n_points} images are missing")

    def _is_on_disk(self, key: LineKey) -> bool:
        """Tell whether a line has its file, and if so tell everyone of it once more; a damaged file is left as it is."""
        path = line_path(key, self._lines_folder)
        if not path.exists():
            return False
        try:
            line = read_line(path)
        except DataError as wrong:
            self._feed.say("error", f"{wrong}: remove it, or fly the line again")
            return True
        series = SeriesKey(series=line.series)
        missing_ids = self._account.restore(series, line.first_image_id, line.is_received.tolist())
        self._feed.written(
            key,
            path,
            series=line.series,
            n_points=line.is_received.size,
            missing_ids=missing_ids,
            last_frame_s=line.end_s,
        )
        return True

    def _set_aside(self, *, n_left: int) -> None:
        unclaimed = self._join.oldest_held(n_left=n_left)
        if not unclaimed:
            return
        path = write_unannounced(unclaimed, self._unannounced_folder, q=self._q)
        self._join.release(unclaimed)
        self._figures.n_set_aside += len(unclaimed)
        text = f"{len(unclaimed)} images belong to no announced line and are kept in {path}: is acquisition running?"
        self._feed.say("warning", text, about="unannounced")

    def _publish_status(self) -> None:
        depth, capacity = self._queue_state()
        status = self._figures.status(
            self._account,
            n_held=self._join.n_held,
            queue_depth=depth,
            queue_capacity=capacity,
            now=self._clock(),
            wall_s=self._wall_clock(),
        )
        self._feed.status(status)
