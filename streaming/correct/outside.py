"""Points beside the sample: receives a line's total intensity, tells which points at its ends saw air alone."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_POINTS = 4
"""Fewer points at the ends of a line are not taken for air: three of a slope look level."""
_LOWEST = 3
"""Points whose mean is the level."""
_FLAT = 0.03
"""Part of a line's range by which points beside the sample may differ, beside their noise."""


def outside_points(total: Array, sigma: Array) -> NDArray[np.bool_]:
    """Tell which points are beside the sample, shape (n_points,); none at all where the line does not reach beyond it.

    From either end inwards, as long as the intensity stays at the level of the three lowest points among the ends, within
    three percent of the line's range and three standard deviations.

    Parameters
    ----------
    total
        Total intensity along the line in ascending positions, shape (n_points,); NaN where nothing was measured.
    sigma
        Its standard deviation, shape (n_points,).
    """
    known = np.flatnonzero(np.isfinite(total))
    is_outside = np.zeros(total.size, dtype=np.bool_)
    if known.size < 3 * LEAST_POINTS:
        return is_outside
    ends = np.r_[total[known[:_LOWEST]], total[known[-_LOWEST:]]]
    level = float(np.sort(ends)[:_LOWEST].mean())
    tolerance = _FLAT * (float(total[known].max()) - level) + 3 * sigma
    for way in (known, known[::-1]):
        for point in way:
            if not abs(total[point] - level) <= tolerance[point]:
                break
            is_outside[point] = True
    if is_outside.sum() < LEAST_POINTS or is_outside[known].all():
        is_outside[:] = False
    return is_outside
