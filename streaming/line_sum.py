"""The sum of a line: what passes from the live analysis to trends of the whole slice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.messages import CellReading

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
