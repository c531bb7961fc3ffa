"""The words of a scan: which run, which line, which attempt, and where the line's points lie.

A pixel is (run, line, attempt, index) and a frame is (series, image_id). Identity is never the order of arrival.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LineKey:
    """The identity of one flown line; a line flown again has the next attempt."""

    run: str
    line: int
    attempt: int

    @property
    def stem(self) -> str:
        """The name of the line's file without its ending: sortable, and unique within a run."""
        return f"line-{self.line:05d}-attempt-{self.attempt:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TomogramGrid:
    """The planned points of one tomogram: every line's angle, and the positions along a line."""

    angles_deg: NDArray[np.float64]
    """Rotation angle of each line in flying order, shape (n_lines,), degree."""

    first_position_mm: float
    """Centre of the first grid point along the fast axis, mm."""

    step_mm: float
    """Distance between grid points along the fast axis, mm; always positive."""

    n_points: int
    """Grid points along the fast axis."""

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """Centres of the grid points in ascending order, shape (n_points,), mm."""
        return self.first_position_mm + self.step_mm * np.arange(self.n_points, dtype=np.float64)
