"""Cycler files that grow: gives the new rows of the newest file of a pattern, having finished the ones before it.

A cycler begins a new file with every technique, half cycle or size limit. Files are taken in the order in which they were last
written, equal times by the numbers in their names; the one before is read to its end before the next is begun.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from acquisition.cell.csv_table import CsvReader
from acquisition.cell.ec_lab import EcLabReader
from acquisition.cell.gamry import GamryReader
from acquisition.cell.neware import read_neware_rows
from acquisition.cell.row import Row, RowReader
from acquisition.tail import Tail
from operando.errors import DataError, MissingInputError
from operando.profile import Cell

logger = structlog.get_logger(__name__)

NEWARE = (".nda", ".ndax")
_READERS: dict[str, Callable[[Cell, Path], RowReader]] = {
    ".mpt": lambda cell, path: EcLabReader(cell),
    ".dta": GamryReader,
    ".csv": lambda cell, path: CsvReader(cell),
    ".txt": lambda cell, path: CsvReader(cell),
    ".tsv": lambda cell, path: CsvReader(cell),
}
_WORDS = re.compile(r"(\d+)")
_PATTERN_MARKS = "*?["


@dataclass(slots=True, kw_only=True)
class Rows:
    """What came of one look at a file."""

    name: str
    """The file's name."""
    rows: list[Row] = field(default_factory=list)
    n_refused: int = 0
    trouble: str = ""
    """What is wrong now, in words; empty if nothing is."""


class GrowingFile(Protocol):
    """One file; used from one thread."""

    def look(self) -> Rows:
        """Give what is new; never raises for what the file holds or how it is locked."""
        ...


class TextFile:
    """A file of lines.

    Parameters
    ----------
    path
        Its ending tells who wrote it.
    cell
        How to read it.
    """

    def __init__(self, path: Path, cell: Cell) -> None:
        self._path, self._cell = path, cell
        self._tail = Tail(path)
        self._reader = reader_of(path, cell)
        self._complaint = ""

    def look(self) -> Rows:
        """Give the rows of the whole new lines."""
        found = Rows(name=self._path.name)
        try:
            while True:
                news = self._tail.read()
                if news.is_rewritten:
                    self._reader = reader_of(self._path, self._cell)
                self._read(news.lines, found)
                if not news.has_more:
                    break
        except FileNotFoundError:
            found.trouble = f"{self._path.name} is not there"
        except OSError as locked:
            found.trouble = f"{self._path.name} cannot be read now: {locked.strerror or locked}"
        except DataError as wrong:
            self._complaint = str(wrong)
        found.trouble = found.trouble or self._complaint
        return found

    def _read(self, lines: list[str], found: Rows) -> None:
        for line in lines:
            try:
                row = self._reader.row(line)
            except DataError as wrong:
                found.n_refused += 1
                self._complaint = f"{self._path.name}: {wrong}"
                continue
            if row is not None:
                found.rows.append(row)
                self._complaint = ""


class NewareFile:
    """A Neware file: a table in a container, which is read whole whenever it has changed.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._newest_s = float("-inf")
        self._trouble = ""

    def look(self) -> Rows:
        """Give the rows behind the newest that is known."""
        try:
            state = self._path.stat()
            if (state.st_size, state.st_mtime_ns) == self._seen:
                return Rows(name=self._path.name, trouble=self._trouble)
            rows = read_neware_rows(self._path, after_s=self._newest_s)
        except MissingInputError:
            return Rows(name=self._path.name, trouble=f"{self._path.name} is not there")
        except OSError as locked:
            return Rows(name=self._path.name, trouble=f"{self._path.name} cannot be read now: {locked.strerror or locked}")
        except DataError as wrong:
            # A container that is being written cannot be read: it will change again.
            self._trouble = str(wrong)
            return Rows(name=self._path.name, trouble=self._trouble)
        self._seen, self._trouble = (state.st_size, state.st_mtime_ns), ""
        self._newest_s = rows[-1].time_s if rows else self._newest_s
        return Rows(name=self._path.name, rows=rows)


class FileSequence:
    """The files of a pattern, one after the other.

    Parameters
    ----------
    pattern
        A path, with ``*`` and ``?`` in its last part where there may be several.
    cell
        How to read them.
    """

    def __init__(self, pattern: Path, cell: Cell) -> None:
        self._pattern, self._cell = pattern, cell
        self._files: dict[Path, GrowingFile] = {}
        self.newest: Path | None = None
        """The file that is followed now."""

    def look(self) -> list[Rows]:
        """Give what is new in each file that has not been read to its end, in the order of the files; at least one entry."""
        paths = self._paths()
        if not paths:
            return [Rows(name=self._pattern.name, trouble=f"no file {self._pattern}")]
        found = [self._file(path).look() for path in self._unfinished(paths)]
        if paths[-1] != self.newest:
            logger.info("cycler file followed", path=str(paths[-1]))
            self.newest = paths[-1]
        return found

    def _unfinished(self, paths: list[Path]) -> Iterator[Path]:
        """Give the followed file, which may have grown before the next was begun, and those that are newer."""
        first = paths.index(self.newest) if self.newest in paths else 0
        yield from paths[first:]

    def _file(self, path: Path) -> GrowingFile:
        if path not in self._files:
            is_neware = path.suffix.lower() in NEWARE
            self._files = {self.newest: self._files[self.newest]} if self.newest in self._files else {}
            self._files[path] = NewareFile(path) if is_neware else TextFile(path, self._cell)
        return self._files[path]

    def _paths(self) -> list[Path]:
        try:
            if not is_pattern(self._pattern):
                return [self._pattern] if self._pattern.exists() else []
            found = [
                (path.stat().st_mtime_ns, natural(path.name), path) for path in self._pattern.parent.glob(self._pattern.name)
            ]
        except OSError:
            # One vanished between listing and asking, or the folder is locked; the next look will do.
            if not is_pattern(self._pattern):
                return [self._pattern]
            return [] if self.newest is None else [self.newest]
        return [path for *_, path in sorted(found, key=lambda entry: entry[:2])]


def is_pattern(path: Path) -> bool:
    """Tell whether a path stands for several files."""
    return any(mark in path.name for mark in _PATTERN_MARKS)


def reader_of(path: Path, cell: Cell) -> RowReader:
    """Give the reader for a file by its ending.

    Raises
    ------
    DataError
        If no cycler's text files end so.
    """
    make = _READERS.get(path.suffix.lower())
    if make is None:
        known = ", ".join((*_READERS, *NEWARE))
        raise DataError(f"{path}: files that end in {path.suffix!r} are not known; known are {known}")
    return make(cell, path)


def natural(name: str) -> list[tuple[int, str]]:
    """Give what sorts ``#9`` before ``#21``."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in _WORDS.split(name)]
