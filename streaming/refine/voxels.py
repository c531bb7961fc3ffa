"""Patterns of voxels: receives the lines of a tomogram and some voxels, gives each one's pattern with its noise.

The same reconstruction as that of the maps, for whole patterns and for chosen voxels only. Beside the slice of all lines goes
half the difference of the slices of every other line, which shows the errors that a prediction cannot know
(:mod:`streaming.halves`).
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray

from operando.bus import SupersededError
from operando.scan import LineKey
from streaming.correct.beam import Reference, reference_from_line
from streaming.correct.points import is_usable, point_scale, without_holes
from streaming.halves import LEAST_LINES, opposed_weights
from streaming.reconstruct import convolved, fill_unmeasured, filter_kernel, interpolated_noise
from streaming.region import CountingLine, Ingredients, Patterns
from streaming.sinogram import Projection, line_offset, make_resampling, shifted_grid

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

_SIGNATURE = "void(float32[:,::1], float32[:,::1], float32[:,::1], float64[::1], float64, float64, int64, int64)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoxelPatterns:
    """Patterns of some voxels, per mm of path."""

    patterns: Floats
    """Shape (n_voxels, n_radial), photons per pixel and mm; NaN where no pixel is."""
    noise: Array
    """Variance in bins of unit weight, shape (n_voxels,): that of bin i is noise / weights[i]."""
    differences: Floats | None
    """Half the difference of two halves of the lines, as ``patterns``; None where there are too few lines."""
    weights: Array
    """Inverse of the scan's mean variance, shape (n_radial,); 0 where no pixel is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Row:
    """A line, filtered."""

    values: Floats
    """Shape (n_grid_points, n_radial)."""
    noise: Array
    """Shape (n_grid_points,)."""
    first_mm: float
    angle_rad: float


@numba.njit(_SIGNATURE, cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def add_row(patterns, differences, row, places, weight, opposed, first, last):  # type: ignore[no-untyped-def]
    """Back project a filtered line, (point, bin), onto voxels ``first`` to ``last``, that stand at ``places`` on it."""
    n_points, n_radial = row.shape
    for voxel in range(first, last):
        lower = math.floor(places[voxel])
        if lower < 0 or lower >= n_points - 1:
            if places[voxel] != n_points - 1:
                continue
            lower = n_points - 2
        fraction = places[voxel] - lower
        left, right = np.float32(1.0 - fraction), np.float32(fraction)
        whole, half = np.float32(weight), np.float32(opposed)
        for i in range(n_radial):
            value = left * row[lower, i] + right * row[lower + 1, i]
            patterns[voxel, i] += whole * value
            if differences.shape[0] > 0:
                differences[voxel, i] += half * value


def patterns_of_voxels(
    ingredients: Ingredients,
    *,
    x_mm: Array,
    y_mm: Array,
    weights: Array,
    patterns_of: Callable[[LineKey], Patterns],
    n_threads: int = 1,
    is_wanted: Callable[[], bool] = lambda: True,
) -> VoxelPatterns:
    """Reconstruct the pattern of each voxel.

    Parameters
    ----------
    ingredients
        The tomogram.
    x_mm, y_mm
        Centres of the voxels from the rotation axis, shape (n_voxels,).
    weights
        Inverse of the scan's mean variance, shape (n_radial,); 0 where no pixel is.
    patterns_of
        Gives the patterns of a line.
    n_threads
        Bands of voxels that are worked on at the same time.
    is_wanted
        Asked at every line.

    Raises
    ------
    SupersededError
        If it is no longer wanted.
    """
    n_voxels, n_radial, step_mm = x_mm.size, weights.size, ingredients.grid.step_mm
    kernel = filter_kernel(ingredients.grid.n_points, window=ingredients.window)
    reference = reference_from_line(patterns_of(ingredients.reference))
    angles = np.array([patterns_of(line.key).angle_deg for line in ingredients.lines])
    has_halves = angles.size >= LEAST_LINES
    opposed = opposed_weights(angles) if has_halves else np.zeros(angles.size)
    patterns = np.zeros((n_voxels, n_radial), np.float32)
    differences = np.zeros((n_voxels if has_halves else 0, n_radial), np.float32)
    noise = np.zeros(n_voxels)
    bands = list(pairwise(np.linspace(0, n_voxels, max(1, n_threads) + 1).astype(int).tolist()))
    with ThreadPoolExecutor(len(bands)) as pool:
        for line, other in zip(ingredients.lines, opposed, strict=True):
            if not is_wanted():
                raise SupersededError("newer lines have come")
            row = _filtered(line, patterns_of(line.key), ingredients, reference, kernel, weights)
            s_mm = x_mm * np.cos(row.angle_rad) + y_mm * np.sin(row.angle_rad) + ingredients.centre_mm
            places = (s_mm - row.first_mm) / step_mm
            work = [
                pool.submit(add_row, patterns, differences, row.values, places, line.weight_rad, other, *band) for band in bands
            ]
            noise += line.weight_rad**2 * np.interp(places, np.arange(row.noise.size), row.noise, left=0.0, right=0.0)
            for band_done in work:
                band_done.result()
    patterns[:, weights <= 0] = np.nan
    return VoxelPatterns(
        patterns=patterns, noise=np.maximum(noise, 0.0), differences=differences if has_halves else None, weights=weights
    )


def _filtered(
    line: CountingLine, patterns: Patterns, ingredients: Ingredients, reference: Reference, kernel: Array, weights: Array
) -> _Row:
    """Normalise, place, fill and filter a line."""
    scale, _ = point_scale(patterns, reference=reference, correction=ingredients.correction)
    counted = weights > 0
    usable = patterns.is_received & np.isfinite(scale) & is_usable(patterns.mean, counted)
    grid = ingredients.grid
    positions_mm = patterns.positions_mm + line.shift_mm
    grid = shifted_grid(grid, line_offset(positions_mm, usable, grid))
    resampling = make_resampling(positions_mm, usable, grid)
    values, unit = _normalised(patterns, usable, np.where(usable, scale, 0.0), weights)
    is_air = list(line.air_points)
    air = values[is_air].mean(axis=0) if is_air else np.zeros(values.shape[1])
    gain = np.ones(grid.n_points) if line.gain is None else line.gain
    channels, variance = fill_unmeasured(
        Projection(
            key=line.key,
            angle_deg=patterns.angle_deg,
            channels=resampling.values(values) * gain[:, None] - air,
            variance=resampling.variances(unit) * gain**2 + (unit[is_air].mean() / len(is_air) if is_air else 0.0),
            unit_variance=np.where(counted, 1 / np.where(counted, weights, 1.0), 1.0),
            is_measured=resampling.is_measured,
            pattern_sum=air,
            variance_sum=air,
            n_received=int(usable.sum()),
            n_points=usable.size,
        )
    )
    return _Row(
        values=np.ascontiguousarray(convolved(channels, kernel) / grid.step_mm, dtype=np.float32),
        noise=convolved(variance[:, None], kernel**2)[:, 0] / grid.step_mm**2 * interpolated_noise(kernel),
        first_mm=grid.first_position_mm,
        angle_rad=float(np.deg2rad(patterns.angle_deg)),
    )


def _normalised(patterns: Patterns, usable: NDArray[np.bool_], scale: Array, weights: Array) -> tuple[Array, Array]:
    """Give patterns without holes in q, shape (n_points, n_radial), and their noise for unit weights, shape (n_points,)."""
    counted = weights > 0
    values, unit = np.zeros(patterns.mean.shape), np.zeros(usable.size)
    values[usable] = np.where(counted, without_holes(patterns.mean[usable], counted), 0.0) * scale[usable, None]
    variance: Array = np.where(counted, without_holes(patterns.variance[usable], counted), 0.0) * scale[usable, None] ** 2
    unit[usable] = variance @ weights / float(max(1, counted.sum()))
    return values, unit
