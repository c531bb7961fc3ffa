"""The history of the cell as arrays that grow: what the strip chart draws."""

import numpy as np
from numpy.typing import NDArray

from operando.messages import CellReading

CAPACITY = 1 << 20
"""Readings that are kept, twelve days at one a second; beyond, the older half loses every second one."""


class Readings:
    """Time, voltage and current of every reading; what a reading did not give is NaN."""

    def __init__(self) -> None:
        self._rows = np.empty((1024, 3))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Ascending times, shape (n,), seconds since the epoch; a view that the next reading may outdate."""
        return self._rows[: self._n, 0]

    @property
    def voltage_v(self) -> NDArray[np.float64]:
        """Voltages, shape (n,), V."""
        return self._rows[: self._n, 1]

    @property
    def current_a(self) -> NDArray[np.float64]:
        """Currents, shape (n,), A, positive while the cell charges."""
        return self._rows[: self._n, 2]

    def add(self, reading: CellReading) -> None:
        """Add a reading in its place in time; one of the same time replaces the earlier."""
        row = (reading.time_s, _number(reading.voltage_v), _number(reading.current_a))
        if self._n and reading.time_s <= self.time_s[-1]:
            self._insert(row)
            return
        if self._n == len(self._rows):
            self._make_room()
        self._rows[self._n] = row
        self._n += 1

    def _insert(self, row: tuple[float, float, float]) -> None:
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


def _number(value: float | None) -> float:
    return np.nan if value is None else value
