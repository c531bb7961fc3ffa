"""Read a text file that another program is writing: gives the whole new lines, each once, and never a part of one.

A line counts when its newline is there. Bytes that a network share has reserved but not filled yet read as zeros: a line with
zeros in it waits, and all behind it, until they are filled. A file that got shorter, or begins otherwise than before, was
written anew and is read from its beginning.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from operando.errors import DataError

HOLE_PATIENCE_S = 60.0
"""Zeros that stay for longer are damage, for instance of a power failure: their line is passed over and counted."""

_CHUNK_BYTES = 4 * 1024 * 1024
"""Read at a time: a large file is taken in parts, so that nothing else waits long."""
_HEAD_BYTES = 256
"""Compared at every look, to see that it is still the same file."""
_MAX_LINE_BYTES = 1024 * 1024
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is new in a file."""

    lines: list[str]
    """Whole lines without their ends."""
    is_rewritten: bool = False
    """Whether the file was written anew: the lines are its first."""
    has_more: bool = False
    """Whether there is more to read at once."""


class Tail:
    """Follows one file; used from one thread.

    Parameters
    ----------
    path
        The file; it need not exist yet.
    clock
        Monotonic seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.n_damaged = 0
        """Lines passed over because of zeros that stayed."""
        self._clock = clock
        self._n_read = 0
        self._head = b""
        self._hole_since: float | None = None

    def read(self) -> News:
        """Give what is new since the last call.

        Raises
        ------
        OSError
            If the file is absent, locked, or its share does not answer: call again later, nothing is lost.
        DataError
            If it is not text of one byte a letter, or UTF-8.
        """
        with self.path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(_UTF16_MARKS):
                raise DataError(f"{self.path} is UTF-16: export it as plain text or UTF-8")
            is_rewritten = self._is_another(head, os.fstat(file.fileno()).st_size)
            if is_rewritten:
                self._n_read, self._hole_since = 0, None
            self._head = head
            file.seek(self._n_read)
            chunk = file.read(_CHUNK_BYTES)
        whole = self._whole_lines(chunk)
        self._n_read += len(whole)
        if not whole and len(chunk) > _MAX_LINE_BYTES and self._hole_since is None:
            raise DataError(f"{self.path}: no end of a line in {len(chunk)} bytes: it is not a text file")
        lines = [decoded(line) for line in whole.split(b"\n")[:-1]]
        return News(lines=lines, is_rewritten=is_rewritten, has_more=bool(whole) and len(chunk) == _CHUNK_BYTES)

    def _is_another(self, head: bytes, n_bytes: int) -> bool:
        """Tell whether the file is not the one that was read so far; bytes that were zeros may have been filled."""
        if n_bytes < self._n_read:
            return True
        known = min(len(self._head), self._n_read)
        return head[:known] != self._head[:known]

    def _whole_lines(self, chunk: bytes) -> bytes:
        """Give the part of a chunk that is whole lines, without zeros; lines whose zeros stay are taken out."""
        whole = chunk[: chunk.rfind(b"\n") + 1]
        hole = whole.find(b"\0")
        if hole < 0:
            if b"\0" not in chunk:
                self._hole_since = None
            return whole
        before = whole[: whole.rfind(b"\n", 0, hole) + 1]
        if before:
            self._hole_since = None
            return before
        if self._hole_since is None:
            self._hole_since = self._clock()
        if self._clock() - self._hole_since < HOLE_PATIENCE_S:
            return b""
        self._hole_since = None
        self.n_damaged += 1
        self._n_read += whole.find(b"\n", hole) + 1
        return b""


def decoded(line: bytes) -> str:
    """Decode a line: UTF-8, else Latin-1, which is what Windows programs of the west write for units."""
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return text.rstrip("\r")
