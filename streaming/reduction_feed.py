"""What reduction tells everyone: lines that are on disk, the state of the stream, the newest image, sentences for people."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import structlog

from operando.bus import Store
from operando.messages import CakePreview, LineWritten, Notice, StreamStatus
from operando.scan import LineKey
from streaming.events import Previewed

logger = structlog.get_logger(__name__)

SAY_AGAIN_S = 60.0
"""The same sentence is not repeated sooner."""
_MAX_REMEMBERED = 1000

Level = Literal["info", "warning", "error"]
_LOG_LEVEL: dict[Level, int] = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class ReductionFeed:
    """Publishes to one store; used from one thread.

    Parameters
    ----------
    store
        What is served.
    clock, wall_clock
        Monotonic seconds, and seconds since the Unix epoch.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._wall_clock = wall_clock
        self._said_at: dict[str, float] = {}

    def written(
        self,
        key: LineKey,
        path: Path,
        *,
        series: int,
        n_points: int,
        missing_ids: Sequence[tuple[int, int]],
        last_frame_s: float,
    ) -> None:
        """Tell that a line file is on disk."""
        message = LineWritten(
            run=key.run,
            line=key.line,
            attempt=key.attempt,
            path=str(path),
            n_points=n_points,
            n_received=n_points - sum(last - first + 1 for first, last in missing_ids),
            missing_ids=list(missing_ids),
            series=series,
            last_frame_s=last_frame_s,
            time_s=self._wall_clock(),
        )
        self._store.append(message)

    def status(self, status: StreamStatus) -> None:
        """Tell how the stream fares; replaces what was told before."""
        self._store.append(status, key="status")

    def preview(self, previewed: Previewed) -> None:
        """Show an image; replaces the one before of its kind."""
        key, array = ("cake", "cake") if isinstance(previewed.message, CakePreview) else ("frame", "image")
        self._store.append(previewed.message, key=key, arrays={array: previewed.image})

    def say(self, level: Level, text: str, *, about: str | None = None) -> None:
        """Say a sentence, unless something about the same thing was said within the last minute."""
        about, now = about or text, self._clock()
        if now - self._said_at.get(about, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        self._said_at[about] = now
        if len(self._said_at) > _MAX_REMEMBERED:
            del self._said_at[next(iter(self._said_at))]
        logger.log(_LOG_LEVEL[level], "notice", text=text)
        self._store.append(Notice(level=level, origin="reduce", text=text[:4000], time_s=self._wall_clock()))
