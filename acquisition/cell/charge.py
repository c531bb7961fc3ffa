"""The charge that has passed through the cell, over all files of an experiment: from the cycler's counter, or added up.

A counter begins at zero in every file and is carried on from where the last one stood. Without a counter the current is added
up by the trapezoidal rule with the cycler's own times, and the result is marked. Across a gap nothing is made up: the charge
is not known any more until a counter tells it.
"""

from typing import Literal

from acquisition.cell.row import Row

MAX_GAP_S = 600.0
"""Rows further apart are not integrated over; cyclers write at least every few minutes, whatever their thresholds."""


class Charge:
    """Adds up the charge of rows; given each once, in order."""

    def __init__(self) -> None:
        self.source: Literal["counter", "integrated"] = "counter"
        self._file = ""
        self._base_ah = 0.0
        self._total_ah: float | None = 0.0
        self._last: Row | None = None

    def add(self, row: Row, *, file: str) -> float | None:
        """Give the charge at a row, Ah, with the sign of its current; None if nobody can tell."""
        if file != self._file:
            self._file, self._base_ah = file, self._total_ah or 0.0
        if row.charge_ah is not None:
            self.source = "counter"
            self._total_ah = self._base_ah + row.charge_ah
        else:
            self.source = "integrated"
            self._total_ah = self._integrated(row)
        self._last = row
        return self._total_ah

    def _integrated(self, row: Row) -> float | None:
        if row.current_a is None or self._total_ah is None:
            return None
        if self._last is None:
            return self._total_ah
        passed_s = row.time_s - self._last.time_s
        if self._last.current_a is None or passed_s > MAX_GAP_S:
            return None
        return self._total_ah + 0.5 * (row.current_a + self._last.current_a) * passed_s / 3600
