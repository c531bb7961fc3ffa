"""The sum of a line: what passes from the live analysis to trends of the whole slice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.messages import CellReading
from streaming.line import Line

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineSum:
    """The mean pattern of a line, or of a stretch of frames at one point."""

    line: int
    pattern: Array
    """Shape (n_radial,), photons per pixel; NaN where no pixel is."""
    variance: Array
    """Of ``pattern``, shape (n_radial,)."""
    time_s: float
    """Its middle."""
    cell: CellReading | None


MOST_BLOCKS = 60
"""Stretches into which frames against time at one point are divided at most: more are more points of a trend, each noisier."""


def sums_of_line(line: Line, *, n_blocks: int) -> list[LineSum]:
    """Give the mean patterns of stretches of a line, in flying order; stretches without a pattern are left out.

    The cell's reading is that of the middle of the line, for all stretches of it.
    """
    sums = []
    for points in np.array_split(np.arange(line.is_received.size), min(n_blocks, line.is_received.size)):
        received = points[line.is_received[points]]
        if not received.size:
            continue
        part = (float(points.mean()) + 0.5) / line.is_received.size
        sums.append(
            LineSum(
                line=line.key.line,
                pattern=line.mean[received].astype(np.float64).mean(axis=0),
                variance=line.variance[received].astype(np.float64).sum(axis=0) / received.size**2,
                time_s=line.start_s + part * (line.end_s - line.start_s),
                cell=line.cell,
            )
        )
    return sums
