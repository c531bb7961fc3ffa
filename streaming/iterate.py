"""Iterative reconstruction for few angles: receives projections, gives the non-negative slice that explains them best.

SIRT with Nesterov's momentum, row and column sums for scales (J. Gregor and T. Benson, IEEE Trans. Med. Imaging 27 (2008) 918;
A. Beck and M. Teboulle, SIAM J. Imaging Sci. 2 (2009) 183), every voxel held at zero or above. With fewer angles than filtered
back projection needs, positivity does what a filter cannot: streaks go. It ends where the misfit is what the noise explains
(V. A. Morozov's discrepancy principle); going on would fit noise.

Live channels qualify: they are sums of intensities with positive weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.projection import Rays

Array = NDArray[np.float64]

MOST_ITERATIONS = 200
_STEP = 1.0
"""Of the scaled gradient; from 2 on it diverges."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Iterated:
    """A slice and how it came about."""

    volume: Array
    """Shape (y, x, channel), per mm of path."""
    misfit: Array
    """Mean squared misfit over its expectation from noise, shape (n_channels,); 1 where the slice explains the data."""
    n_iterations: int


def reconstruct_non_negative(
    sinogram: Array, rays: Rays, *, variance: Array, iterations: int = MOST_ITERATIONS, start: Array | None = None
) -> Iterated:
    """Reconstruct from any angles in any order.

    Parameters
    ----------
    sinogram
        Shape (n_lines, n_points, n_channels); NaN where nothing was measured, which counts for nothing.
    rays
        Where the points are.
    variance
        Of every point, (n_lines, n_points, n_channels); 0 everywhere iterates to the end.
    iterations
        At most so many.
    start
        A slice to begin with, shape (y, x, channel), for instance the last one of a growing scan; None is nothing.
    """
    is_known = np.isfinite(sinogram) & np.isfinite(variance)
    measured = np.where(is_known, sinogram, 0.0)
    n_channels = sinogram.shape[2]
    lengths = rays.project(np.ones((rays.n_voxels, rays.n_voxels, 1)))
    row_scale = np.where(lengths > 0.1 * rays.pixel_mm, 1 / np.maximum(lengths, 0.1 * rays.pixel_mm), 0.0)
    weights = np.broadcast_to(row_scale, sinogram.shape) * is_known
    sums = rays.transpose(np.ascontiguousarray(is_known * (lengths > 0), dtype=np.float64))
    column_scale = np.where(sums > 1e-9 * sums.max(), 1 / np.maximum(sums, 1e-9 * sums.max()), 0.0)
    volume = np.zeros((rays.n_voxels, rays.n_voxels, n_channels)) if start is None else np.maximum(start, 0.0)
    leading, momentum = volume, 1.0
    expected = np.where(is_known, variance, 0.0).sum(axis=(0, 1))
    misfit, n_done = np.full(n_channels, np.inf), 0
    while n_done < iterations:
        n_done += 1
        residual = measured - np.where(is_known, rays.project(leading), 0.0)
        misfit = (residual**2).sum(axis=(0, 1)) / np.where(expected > 0, expected, np.nan)
        if (misfit < 1.0).all():
            break
        step = _STEP * column_scale * rays.transpose(weights * residual)
        # A channel that is explained already stays as it is.
        new = np.where(misfit < 1.0, volume, np.maximum(leading + step, 0.0))
        following = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        leading = np.where(misfit < 1.0, new, new + (momentum - 1) / following * (new - volume))
        volume, momentum = new, following
    return Iterated(volume=volume, misfit=misfit, n_iterations=n_done)
