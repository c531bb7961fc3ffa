"""Archives on disk as a source: read when they are opened, and again whenever one has been replaced or another has come.

What cannot be read, because it is damaged, foreign or still being written by a program that does not replace its files, is
explained and tried again when the file changes; what was shown of it stays. No window.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from operando.bus import Entry
from operando.errors import OperandoError
from viewer.replay import ARCHIVES, begin_s, entries_from_archive, runs_of

logger = structlog.get_logger(__name__)

LOOK_S = 2.0
"""Time between two looks at the files: an archive is replaced after each line at most."""

_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has changed on disk since the last look."""

    entries: list[Entry]
    """Oldest scan first."""
    is_all: bool
    """Whether what was known before no longer counts; otherwise these add to it."""


class ArchiveFollower:
    """Looks after some archives; used from one thread.

    Parameters
    ----------
    sources
        Each a ``scan.nxs``, or a folder of such: then all that it will ever hold.
    clock
        Monotonic seconds.
    """

    def __init__(self, sources: Sequence[Path], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.sources = tuple(sources)
        self._complaints: dict[Path, str] = {}
        self._clock = clock
        self._looked_s: float | None = None
        self._seen: dict[Path, _Signature | None] = {}
        self._begins: dict[str, float] = {}
        """When each run began that has been given out."""

    @property
    def complaint(self) -> str:
        """Why the files as they are now cannot be shown, or not all of them; empty if they can."""
        if not self._complaints:
            return ""
        first, *others = self._complaints.values()
        return f"{first} (and {len(others)} more files)" if others else first

    def poll(self) -> News | None:
        """Give what has changed since the last look, as far as it can be read; None if nothing has."""
        now_s = self._clock()
        if self._looked_s is not None and now_s - self._looked_s < LOOK_S:
            return None
        self._looked_s = now_s
        before, self._seen = self._seen, {path: _signature(path) for path in self._paths()}
        self._complaints = {path: words for path, words in self._complaints.items() if path in self._seen}
        # A file that has only been renamed, as the archive of an earlier run is, holds nothing new.
        known = set(before.values()) - {None}
        changed = [path for path, found in self._seen.items() if path not in before or found != before[path]]
        changed = [path for path in changed if self._seen[path] not in known]
        return self._news(self._read(changed)) if changed else None

    def _news(self, archives: list[list[Entry]]) -> News | None:
        if not archives:
            return None
        newest_s = max(self._begins.values(), default=float("-inf"))
        is_all = len(self._seen) == 1 or any(
            begin_s(entries) < newest_s and not runs_of(entries) <= self._begins.keys() for entries in archives
        )
        if is_all and len(self._seen) > 1:
            # A scan that belongs before one that is shown: the slider has their order, so all begin anew.
            archives = self._read(list(self._seen))
        archives.sort(key=begin_s)
        self._begins.update((run, begin_s(entries)) for entries in archives for run in runs_of(entries))
        return News(entries=[entry for entries in archives for entry in entries], is_all=is_all)

    def _read(self, paths: Sequence[Path]) -> list[list[Entry]]:
        found = []
        for path in paths:
            complained = self._complaints.pop(path, "")
            try:
                found.append(entries_from_archive(path))
            except OperandoError as wrong:
                self._complaints[path] = str(wrong)
                if complained != str(wrong):
                    logger.warning("archive not shown", reason=str(wrong))
        return found

    def _paths(self) -> list[Path]:
        found: list[Path] = []
        for source in self.sources:
            found += (sorted(source.glob(ARCHIVES)) if source.is_dir() else []) or [source]
        return found


def _signature(path: Path) -> _Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
