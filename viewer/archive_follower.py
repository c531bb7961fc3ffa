"""An archive on disk as a source: read when it is opened, and again whenever it has been replaced by a newer one.

What cannot be read, because it is damaged, foreign or still being written by a program that does not replace its files, is
explained and tried again when the file changes. No window.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from operando.bus import Entry
from operando.errors import OperandoError
from viewer.replay import entries_from_archive

logger = structlog.get_logger(__name__)

LOOK_S = 2.0
"""Time between two looks at the file: an archive is replaced after each line at most."""

_Signature = tuple[int, int, int]


class ArchiveFollower:
    """Looks after one file; used from one thread.

    Parameters
    ----------
    path
        A ``scan.nxs``.
    clock
        Monotonic seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.complaint = ""
        """Why the file as it is now cannot be shown; empty if it can."""
        self._clock = clock
        self._looked_s: float | None = None
        self._seen: _Signature | None = None

    def poll(self) -> list[Entry] | None:
        """Give what the file holds if it has changed since it was last read and can be read; None otherwise."""
        now_s = self._clock()
        if self._looked_s is not None and now_s - self._looked_s < LOOK_S:
            return None
        self._looked_s = now_s
        signature = self._signature()
        if signature is not None and signature == self._seen:
            return None
        self._seen = signature
        try:
            entries = entries_from_archive(self.path)
        except OperandoError as wrong:
            if str(wrong) != self.complaint:
                logger.warning("archive not shown", reason=str(wrong))
            self.complaint = str(wrong)
            return None
        self.complaint = ""
        return entries

    def _signature(self) -> _Signature | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)
