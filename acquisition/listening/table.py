"""The growing scan table of another control system: gives its new rows as words by column, and what it says of the run.

Text tables have a header of column names, rows parted by comma, semicolon or tab, and lines ``# name: value`` that say
something of the run, anywhere. HDF5 tables have a group with one dataset per column, whose rows are as many as the shortest
column has, and say something of the run in the group's attributes.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from acquisition.tail import Tail
from operando.errors import DataError

Record = Mapping[str, str | float]
GROUP = "scan"
_HDF5 = (".h5", ".hdf5", ".nxs")


@dataclass(slots=True, kw_only=True)
class TableNews:
    """What is new in a table."""

    records: list[Record] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    """What the table says of the run, all of it."""
    trouble: str = ""


class ScanTable(Protocol):
    """One table; asked from one thread."""

    def look(self) -> TableNews:
        """Give what is new; never raises for what the table holds or how it is locked."""
        ...


def open_table(path: Path) -> ScanTable:
    """Give the table of a file by its ending."""
    return Hdf5Table(path) if path.suffix.lower() in _HDF5 else TextTable(path)


class TextTable:
    """A table of lines.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = Tail(path)
        self._names: list[str] = []
        self._delimiter = ","
        self._facts: dict[str, str] = {}

    def look(self) -> TableNews:
        """Give the records of the whole new lines; a table that was written anew gives all of them once more."""
        news = TableNews(facts=self._facts)
        try:
            while True:
                found = self._tail.read()
                if found.is_rewritten:
                    self._names = []
                    self._facts.clear()
                for line in found.lines:
                    self._take(line, news)
                if not found.has_more:
                    break
        except (OSError, DataError) as wrong:
            news.trouble = f"{self._path.name}: {wrong}"
        return news

    def _take(self, line: str, news: TableNews) -> None:
        if line.startswith("#"):
            name, colon, value = line[1:].partition(":")
            if colon:
                self._facts[name.strip().lower()] = value.strip()
            return
        if not line.strip():
            return
        if not self._names:
            self._delimiter = next((mark for mark in ";\t" if mark in line), ",")
            self._names = [name.strip() for name in self._fields(line)]
            return
        fields = self._fields(line)
        if len(fields) != len(self._names):
            news.trouble = f"{self._path.name}: a row of {len(fields)} fields, the header has {len(self._names)}: {line[:80]!r}"
            return
        news.records.append(dict(zip(self._names, (text.strip() for text in fields), strict=True)))

    def _fields(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self._delimiter))


class Hdf5Table:
    """A table of datasets.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._n_read = 0
        self._facts: dict[str, str] = {}

    def look(self) -> TableNews:
        """Give the rows that every column has by now."""
        news = TableNews(facts=self._facts)
        try:
            with h5py.File(self._path, "r", locking=False) as file:
                group = file[GROUP]
                columns = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset) and item.ndim == 1}
                n_rows = min((item.shape[0] for item in columns.values()), default=0)
                if n_rows < self._n_read:
                    self._n_read = 0
                values = {name: item[self._n_read : n_rows] for name, item in columns.items()}
                self._facts.update({name.lower(): _fact(value) for name, value in group.attrs.items()})
        except (OSError, KeyError, RuntimeError) as torn:
            news.trouble = f"{self._path.name} cannot be read now: {torn}"
            return news
        for row in range(n_rows - self._n_read):
            news.records.append({name: _plain(column[row]) for name, column in values.items()})
        self._n_read = n_rows
        return news


def _plain(value: Any) -> str | float:
    return value.decode() if isinstance(value, bytes) else value if isinstance(value, str) else float(value)


def _fact(value: Any) -> str:
    """Give an attribute as the words that a text table would hold."""
    if isinstance(value, bytes):
        return value.decode()
    return " ".join(f"{number!r}" for number in value.tolist()) if isinstance(value, np.ndarray) else str(value)
