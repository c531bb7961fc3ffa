"""How the noise of voxels goes together: receives filter and angles, gives the correlation of a voxel with its neighbours.

Filtered back projection makes neighbours negatively correlated across a line of sight and nearly equal along it; over all
angles that leaves a dip around each voxel. A mean over a region is better known than if its voxels were independent, and a
difference of neighbours worse.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.reconstruct import filter_kernel
from streaming.region import Ingredients

Array = NDArray[np.float64]

_SUPPORT = np.array([-1, 0, 1, 2])
"""Lags about a place where the spline is not zero."""


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
    middle = (filtered.size - 1) / 2
    offsets = np.arange(-reach, reach + 1) * pixel_mm / step_mm
    dy, dx = np.meshgrid(offsets, offsets, indexing="ij")
    covariance = np.zeros(dx.shape)
    for angle, weight in zip(np.deg2rad(angles_deg), weights_rad, strict=True):
        apart = dx * np.cos(angle) + dy * np.sin(angle)
        near = np.floor(apart + middle)[..., None].astype(np.intp) + _SUPPORT
        is_there = (near >= 0) & (near < filtered.size)
        terms = _cubic_spline(apart[..., None] + middle - near) * filtered[np.where(is_there, near, 0)] * is_there
        covariance += weight**2 * terms.sum(axis=-1)
    correlation: Array = covariance / covariance[reach, reach]
    return correlation


def write_noise_correlation(entry: Any, made_of: Ingredients, *, axis_mm: Array) -> None:
    """Write the correlation into the archive's entry, for whoever averages over some voxels or takes their differences.

    Parameters
    ----------
    entry
        An open group of HDF5.
    made_of
        The tomogram.
    axis_mm
        Voxel centres.
    """
    if not made_of.lines or axis_mm.size < 2:
        return
    grid, pixel_mm = made_of.grid, float(axis_mm[1] - axis_mm[0])
    correlation = noise_correlation(
        filter_kernel(grid.n_points, window=made_of.window),
        angles_deg=grid.angles_deg[[line.key.line for line in made_of.lines]],
        weights_rad=np.array([line.weight_rad for line in made_of.lines]),
        pixel_mm=pixel_mm,
        step_mm=grid.step_mm,
    )
    group = entry.create_group("noise_correlation")
    group.attrs.update(NX_class="NXdata", signal="correlation", axes=["y_offset", "x_offset"])
    group.attrs["title"] = "correlation of the noise of a voxel with that of its neighbours"
    group["correlation"] = correlation
    for name in ("x_offset", "y_offset"):
        group[name] = (np.arange(correlation.shape[0]) - correlation.shape[0] // 2) * pixel_mm
        group[name].attrs["units"] = "mm"


def _cubic_spline(lag: Array) -> Array:
    """Give the cubic B-spline: two linear interpolations, averaged over where between two points they fall."""
    away = np.abs(lag)
    near, far = 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0.0) ** 3 / 6
    spline: Array = np.where(away < 1, near, far)
    return spline
