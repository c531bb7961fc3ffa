"""Replay a recorded run: receives its journal and line files, gives the two feeds that the analysis follows, at any speed.

The analysis cannot tell a replay from the beamline, so that what a file shows is what was shown live.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from operando.bus import MemoryStore
from operando.errors import DataError, MissingInputError
from operando.journal import read_journal
from operando.messages import LineFlown, LineWritten, Message
from operando.scan import LineKey
from streaming.line_file import line_path, read_line

logger = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 2.0
"""A replay never waits longer than this, however long the beamline stood still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The folder of a recorded run."""

    journal: Path
    lines: Path


def find_recording(archive: Path) -> Recording:
    """Give the recording that an archive belongs to.

    Raises
    ------
    MissingInputError
        If the journal or the line files are not beside it.
    """
    recording = Recording(journal=archive.parent / "journal.jsonl", lines=archive.parent / "lines")
    for path in (archive, recording.journal, recording.lines):
        if not path.exists():
            raise MissingInputError(f"no {path}: a replay needs scan.nxs, journal.jsonl and lines/ in one folder")
    return recording


def replay(
    recording: Recording,
    *,
    journal: MemoryStore,
    reduction: MemoryStore,
    speed: float,
    stop: threading.Event,
    wait: Callable[[float], object] | None = None,
) -> int:
    """Append the recorded messages to the two stores in their rhythm, until the end or a stop.

    Parameters
    ----------
    speed
        Recorded seconds per second.
    wait
        Waits so many seconds; default: for the stop event.

    Returns
    -------
    int
        The number of lines replayed.

    Raises
    ------
    DataError
        If the journal is damaged. A damaged line file is logged and left out.
    """
    pause = wait or stop.wait
    n_lines = 0
    before_s: float | None = None
    for message in read_journal(recording.journal):
        if stop.is_set():
            break
        at_s = _time_of(message)
        if at_s is not None:
            if before_s is not None and at_s > before_s:
                pause(min((at_s - before_s) / speed, LONGEST_PAUSE_S))
            before_s = at_s if before_s is None else max(before_s, at_s)
        journal.append(message)
        if isinstance(message, LineFlown):
            for written in _line_written(message, recording.lines):
                reduction.append(written)
                n_lines += 1
    return n_lines


def _time_of(message: Message) -> float | None:
    """Give when a message was journalled, as well as it tells; a document does not tell."""
    if isinstance(message, LineFlown):
        return message.end_s
    found = getattr(message, "time_s", None)
    return float(found) if found is not None else None


def _line_written(flown: LineFlown, lines: Path) -> Iterator[LineWritten]:
    key = LineKey(run=flown.run, line=flown.line, attempt=flown.attempt)
    path = line_path(key, lines)
    if not path.is_file():
        return
    try:
        line = read_line(path)
    except DataError as wrong:
        logger.warning("line left out", path=str(path), reason=str(wrong))
        return
    missing = [(int(i) + line.first_image_id,) * 2 for i in (~line.is_received).nonzero()[0]]
    yield LineWritten(
        run=key.run,
        line=key.line,
        attempt=key.attempt,
        path=str(path),
        n_points=len(line.positions_mm),
        n_received=int(line.is_received.sum()),
        missing_ids=missing,
        series=line.series,
        last_frame_s=line.end_s,
        time_s=time.time(),
    )
