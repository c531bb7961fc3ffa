"""The journal of a beamtime on disk: append-only, numbered from 1, one JSON object a line, synced before it is served.

The first line names the numbering (epoch), so a journal that is opened again goes on where it stopped. A last line that a
crash tore is cut off: its number was never served.
"""

import errno
import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

from operando.bus.entry import Entry, first_complaint
from operando.errors import DataError
from operando.messages import Message, message_from_json

FORMAT = "operando-journal-1"


class Journal:
    """A store of entries without arrays, kept on disk and in memory; one process writes it.

    Raises
    ------
    DataError
        If the file exists and is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            self._epoch, self._entries, n_good_bytes = _read(path)
            os.truncate(path, n_good_bytes)
            self._n_bytes = n_good_bytes
            self._file = path.open("ab", buffering=0)
        else:
            self._epoch = uuid.uuid4().hex
            self._n_bytes = 0
            self._file = path.open("ab", buffering=0)
            self._write({"format": FORMAT, "epoch": self._epoch})

    @property
    def epoch(self) -> str:
        """The identity of this numbering, kept over restarts."""
        return self._epoch

    @property
    def head(self) -> int:
        """The number of the newest entry; 0 before the first."""
        return len(self._entries)

    def append(self, message: Message, *, key: str | None = None, arrays: Mapping[str, NDArray[Any]] | None = None) -> int:
        """Write a message through to the disk, then give its number.

        Raises
        ------
        ValueError
            If arrays or a key are given: a journal forgets nothing and holds words only.
        OSError
            If the disk does not take the message: then it was neither written nor served.
        """
        if arrays or key is not None:
            raise ValueError("a journal keeps words only, every one of them: publish arrays and superseded states elsewhere")
        with self._lock:
            number = len(self._entries) + 1
            self._write({"number": number, "message": message.model_dump(mode="json")})
            self._entries.append(Entry(number=number, message=message))
            return number

    def since(self, number: int, *, limit: int) -> list[Entry]:
        """Give at most ``limit`` entries with numbers above ``number``, oldest first."""
        return self._entries[number : number + limit]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, value: dict[str, Any]) -> None:
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        try:
            n_written = self._file.write(line)
            if n_written != len(line):
                raise OSError(errno.ENOSPC, f"{n_written} of {len(line)} bytes were taken: free the disk", str(self.path))
            os.fsync(self._file.fileno())
        except OSError:
            # Part of an entry in front of the next would make a damaged journal of it.
            os.ftruncate(self._file.fileno(), self._n_bytes)
            raise
        self._n_bytes += len(line)


def read_journal(path: Path) -> list[Message]:
    """Give all messages of a journal file, oldest first.

    Raises
    ------
    DataError
        If the file is not a journal, or is damaged before its last line.
    """
    return [entry.message for entry in _read(path)[1]]


def _read(path: Path) -> tuple[str, list[Entry], int]:
    lines = _whole_lines(path)
    first, n_good_bytes = next(lines, ({}, 0))
    epoch = first.get("epoch")
    if first.get("format") != FORMAT or not isinstance(epoch, str):
        raise DataError(f"{path} is not an operando journal ({FORMAT}): choose another folder for this run")
    entries: list[Entry] = []
    for value, end in lines:
        number = len(entries) + 1
        if value.get("number") != number:
            raise DataError(f"{path} line {number + 1}: expected entry {number}, found {value.get('number')!r}")
        try:
            entries.append(Entry(number=number, message=message_from_json(value.get("message"))))
        except ValidationError as wrong:
            raise DataError(f"{path} line {number + 1}: {first_complaint(wrong)}") from wrong
        n_good_bytes = end
    return epoch, entries, n_good_bytes


def _whole_lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    end = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                value = json.loads(line)
            except ValueError as wrong:
                raise DataError(f"{path} is damaged before byte {end}: {wrong}") from wrong
            if not isinstance(value, dict):
                raise DataError(f"{path} is damaged before byte {end}: expected an object")
            yield value, end
