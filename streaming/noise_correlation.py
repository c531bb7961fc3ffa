"""How the noise of voxels goes together: receives filter and angles, gives the correlation of a voxel with its neighbours.

Filtered back projection makes neighbours negatively correlated across a line of sight and nearly equal along it; over all
angles that leaves a dip around each voxel. A mean over a region is better known than if its voxels were independent, and a
difference of neighbours worse.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def noise_correlation(
    kernel: Array, *, angles_deg: Array, weights_rad: Array, pixel_mm: float, step_mm: float, reach: int = 3
) -> Array:
    """Give the correlation between a voxel and those up to ``reach`` away, shape (2 reach + 1, 2 reach + 1), (y, x).

    White noise along a line has the autocorrelation of the filter after filtering, interpolated linearly on both sides: a cubic
    B-spline in the lag, mean over all places between points. Two voxels (dx, dy) apart stand dx cos + dy sin apart on a line.

    Parameters
    ----------
    kernel
        Filter in real space for unit step, :func:`streaming.reconstruct.filter_kernel`.
    angles_deg, weights_rad
        The lines, and the angle that each stands for, shape (n_lines,).
    pixel_mm, step_mm
        Edge of a voxel, and distance of points.
    reach
        Voxels to either side.
    """
    filtered = np.correlate(kernel, kernel, mode="full")
    lags = np.arange(filtered.size) - (filtered.size - 1) / 2
    offsets = np.arange(-reach, reach + 1) * pixel_mm / step_mm
    dy, dx = np.meshgrid(offsets, offsets, indexing="ij")
    covariance = np.zeros(dx.shape)
    for angle, weight in zip(np.deg2rad(angles_deg), weights_rad, strict=True):
        apart = dx * np.cos(angle) + dy * np.sin(angle)
        covariance += weight**2 * (_cubic_spline(apart[..., None] - lags) @ filtered)
    correlation: Array = covariance / covariance[reach, reach]
    return correlation


def _cubic_spline(lag: Array) -> Array:
    """Give the cubic B-spline: two linear interpolations, averaged over where between two points they fall."""
    away = np.abs(lag)
    near, far = 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0.0) ** 3 / 6
    spline: Array = np.where(away < 1, near, far)
    return spline
