"""Two halves of the lines: receives the reconstruction as it stands, gives how much every other line changes the amounts.

Each half of a scan, every other line by angle, makes a slice of its own. Half their difference is as large as the error of the
whole slice where that is random between lines: counting, streaks of few angles, a drift. What both halves share it cannot show:
blur, wrong templates. Streaks it exaggerates, because they fall faster than the number of lines rises: with 40 lines across 49
points 68 % intervals hold two thirds of the demo's electrode, with 20 lines nearly all of it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from streaming.reconstruct import Reconstruction, angular_weights

Array = NDArray[np.float64]

LEAST_LINES = 3
"""As many as a map needs; a half of fewer than one is none."""

_WINDOW_STEPS = 3.0
"""Edge of the square over which squares of the difference are averaged, in points of the scan: one voxel alone knows its own
scatter to a factor of two at best, a larger square gives the smooth inside of an electrode the scatter of its edge."""

_SAME_ANGLE = 0.25
"""Part of the mean gap between lines below which two lines, opposite or flown again, look the same way."""


def scatter_of_halves(reconstruction: Reconstruction, response: Array) -> Array | None:
    """Give the covariance of amounts that the two halves show, shape (n_voxels, n_voxels, n_phases, n_phases).

    None where there are fewer than :data:`LEAST_LINES` lines.

    Parameters
    ----------
    reconstruction
        The slice with all its lines.
    response
        Change of each phase's amount with each channel, shape (n_phases, n_channels).
    """
    angles_deg = reconstruction.angles_deg
    if angles_deg.size < LEAST_LINES:
        return None
    difference = reconstruction.combined(opposed_weights(angles_deg), response)
    products = difference[..., :, None] * difference[..., None, :]
    size = 2 * round(0.5 * (_WINDOW_STEPS * reconstruction.grid.step_mm / reconstruction.pixel_mm - 1)) + 1
    scatter: Array = uniform_filter(products, size=(size, size, 1, 1), mode="nearest")
    return scatter


def opposed_weights(angles_deg: Array) -> Array:
    """Give the weights, shape (n_lines,), by which a sum over lines becomes half the difference of the slices of two halves.

    Opposite lines, which have the same streaks, belong to the same half.
    """
    folded = np.mod(angles_deg, 180.0)
    order = np.argsort(folded, kind="stable")
    is_next = np.diff(folded[order], prepend=folded[order[0]]) > _SAME_ANGLE * 180.0 / angles_deg.size
    is_odd = np.cumsum(is_next) % 2 == 1
    weights = np.empty(angles_deg.size)
    for half, sign in ((order[~is_odd], 1.0), (order[is_odd], -1.0)):
        if not half.size:
            return np.zeros(angles_deg.size)
        own = angular_weights(angles_deg[half])
        weights[half] = 0.5 * sign * np.pi / own.sum() * own
    return weights
