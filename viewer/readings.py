"""The history of the cell as arrays that grow: what the strip chart draws."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from operando.messages import CellReading

CAPACITY = 1 << 20
"""Readings that are kept, twelve days at one a second; beyond, the older half loses every second one."""

COLUMNS = ("time_s", "voltage_v", "current_a", "charge_ah", "temperature_c")
_STEP = len(COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stretch of time in which the cycler stayed in one step."""

    name: str
    first_s: float
    last_s: float
    """Where the next one begins; the newest reading for the last."""
    current_a: float
    """Median over the stretch, positive while the cell charges; NaN where the source gives none."""


class Readings:
    """What every reading said; what it did not give is NaN."""

    def __init__(self) -> None:
        self._rows = np.empty((1024, len(COLUMNS) + 1))
        self._n = 0
        self._step_codes: dict[str, int] = {}

    def __len__(self) -> int:
        return self._n

    def column(self, name: str) -> NDArray[np.float64]:
        """Give a column of :data:`COLUMNS`, shape (n,), ascending in time; a view that the next reading may outdate."""
        return self._rows[: self._n, COLUMNS.index(name)]

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Ascending times, shape (n,), seconds since the epoch."""
        return self.column("time_s")

    @property
    def voltage_v(self) -> NDArray[np.float64]:
        """Voltages, shape (n,), V."""
        return self.column("voltage_v")

    @property
    def current_a(self) -> NDArray[np.float64]:
        """Currents, shape (n,), A, positive while the cell charges."""
        return self.column("current_a")

    @property
    def steps(self) -> list[Step]:
        """The steps of the cycler, oldest first; empty where the source names none."""
        if not self._n or list(self._step_codes) == [""]:
            return []
        codes = self._rows[: self._n, _STEP]
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), self._n]
        names = list(self._step_codes)
        return [
            Step(
                name=names[int(codes[first])],
                first_s=float(self.time_s[first]),
                last_s=float(self.time_s[min(last, self._n - 1)]),
                current_a=_median(self.current_a[first:last]),
            )
            for first, last in pairwise(edges)
        ]

    def add(self, reading: CellReading) -> None:
        """Add a reading in its place in time; one of the same time replaces the earlier."""
        code = self._step_codes.setdefault(reading.step, len(self._step_codes))
        row = (*(_number(getattr(reading, name)) for name in COLUMNS), float(code))
        if self._n and reading.time_s <= self.time_s[-1]:
            self._insert(row)
            return
        if self._n == len(self._rows):
            self._make_room()
        self._rows[self._n] = row
        self._n += 1

    def _insert(self, row: tuple[float, ...]) -> None:
        place = int(np.searchsorted(self.time_s, row[0]))
        if self.time_s[place] == row[0]:
            self._rows[place] = row
            return
        self._rows = np.insert(self._rows[: self._n], place, row, axis=0)
        self._n += 1

    def _make_room(self) -> None:
        if self._n >= CAPACITY:
            half = self._n // 2
            kept = np.concatenate([self._rows[:half:2], self._rows[half : self._n]])
            self._n = len(kept)
            self._rows[: self._n] = kept
        else:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])


def _median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.nan


def _number(value: float | None) -> float:
    return np.nan if value is None else value
