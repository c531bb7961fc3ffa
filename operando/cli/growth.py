"""How the maps of a recorded run grew: the same analysis as live, line by line, as the entries that it would have published."""

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from operando.bus import Entry, MemoryStore
from operando.errors import DataError, MissingInputError
from operando.journal import read_journal
from operando.messages import CellReading, LineFlown, LineWritten, Message, RunStarted, RunStopped
from operando.profile import Profile, read_profile

_ALL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A recorded run."""

    readings: list[CellReading]
    """The cell from the run's begin to its end."""
    steps: Iterator[list[Entry]]
    """What is published after each line, in the order in which lines flew; computed as it is asked for."""


def growth_of(archive: Path) -> Growth:
    """Prepare to analyse the run of an archive again, from the files beside it.

    Raises
    ------
    MissingInputError
        If profile, journal or line files are not beside it.
    DataError
        If the archive or the journal is damaged, or they are of different runs.
    """
    from streaming.archive import run_of_archive
    from streaming.replay import find_recording, replay

    recording = find_recording(archive)
    profile_file = archive.parent / "profile.toml"
    if not profile_file.is_file():
        raise MissingInputError(f"no {profile_file}: maps that grow are computed anew, with the profile of their run")
    run = run_of_archive(archive)
    if run is None:
        raise DataError(f"{archive} is no archive of operando, or it is damaged")
    messages = _messages_of(run, recording.journal)
    reduction = MemoryStore()
    replay(recording, journal=MemoryStore(), reduction=reduction, speed=1.0, stop=threading.Event(), wait=lambda _: None)
    written = {
        (entry.message.line, entry.message.attempt): entry.message
        for entry in reduction.since(0, limit=_ALL)
        if isinstance(entry.message, LineWritten) and entry.message.run == run
    }
    if not written:
        raise DataError(f"{recording.lines} holds no line of run {run}: the maps cannot be computed anew")
    return Growth(readings=_readings(messages), steps=_steps(read_profile(str(profile_file)), messages, written))


def _messages_of(run: str, journal: Path) -> list[Message]:
    """Give the journal from a run's begin to its end, without what other runs said."""
    messages = read_journal(journal)
    begins = (k for k, message in enumerate(messages) if isinstance(message, RunStarted) and message.run == run)
    first = next(begins, None)
    if first is None:
        raise DataError(f"{journal} knows nothing of run {run}: it belongs to another archive")
    ends = (k for k, message in enumerate(messages) if isinstance(message, RunStopped) and message.run == run)
    last = next(ends, len(messages) - 1)
    return [message for message in messages[first : last + 1] if getattr(message, "run", run) == run]


def _readings(messages: list[Message]) -> list[CellReading]:
    found = {message.time_s: message for message in messages if isinstance(message, CellReading)}
    return [found[time_s] for time_s in sorted(found)]


def _steps(profile: Profile, messages: list[Message], written: dict[tuple[int, int], LineWritten]) -> Iterator[list[Entry]]:
    from streaming.analysis import Analysis
    from streaming.channels import make_pattern_model

    store, ticks, taken = MemoryStore(), count(), 0
    with tempfile.TemporaryDirectory(prefix="operando-film-") as folder:
        analysis = Analysis(
            profile,
            make_pattern_model(profile),
            out=Path(folder),
            store=store,
            # A clock that moves by a second whenever it is looked at: no line is too soon after the last to be published.
            clock=lambda: float(next(ticks)),
            wall_clock=lambda: 0.0,
        )
        for message in messages:
            analysis.hear(message, {})
            if isinstance(message, LineFlown) and (message.line, message.attempt) in written:
                analysis.hear(written[message.line, message.attempt], {})
                analysis.finish()
                yield store.since(taken, limit=_ALL)
                taken = store.head
