"""Parallax taken off whole patterns: receives fitted voxels and the scan's lines, gives what depth along the beam made of them.

Matter that stands z nearer to the detector than the rotation axis draws its pattern at q (1 - z / L). The fitted voxels are
projected twice along every line, once with each voxel's pattern drawn at its own depth and once as if all stood on the axis;
the difference is reconstructed as the lines are, and is what parallax did to each voxel's measured pattern: shifts, widths and
the ghosts of other voxels alike, for all phases. Taken off, the patterns are fitted again. One step is enough, since the fitted
reflections are wrong by a hundredth of what parallax moves them.

Only differences of projections of the same slice are used, so neither the grid nor the interpolation of the projector matters
much; smooth background does not move and is left out.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from streaming.reconstruct import convolved, filter_kernel
from streaming.refine.voxels import add_rows
from streaming.region import Ingredients

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

LAYER_SHIFT = 0.75
"""Bins by which the outermost reflections of neighbouring layers differ: linear weights between two layers then widen a
reflection of 15 bins by less than 0.1 %."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Depth:
    """Planes of depth along the beam."""

    first_mm: float
    step_mm: float
    n: int


_DEPOSIT = "void(float32[:,::1], float64[::1], float64[::1], float64, float64, float32[:,:,::1])"


@numba.njit(_DEPOSIT, cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _deposit(patterns, places, depths, first_mm, step_mm, layers):  # type: ignore[no-untyped-def]
    """Add voxels to the rays beside them and the planes before and behind them, (point, layer, bin)."""
    n_points, n_layers, n_radial = layers.shape
    for voxel in range(patterns.shape[0]):
        point = math.floor(places[voxel])
        layer = min(max(math.floor((depths[voxel] - first_mm) / step_mm), 0), n_layers - 2)
        across = places[voxel] - point
        along = min(max((depths[voxel] - first_mm) / step_mm - layer, 0.0), 1.0)
        for corner in range(4):
            at, behind = point + corner % 2, layer + corner // 2
            if at < 0 or at >= n_points:
                continue
            share = across if corner % 2 == 1 else 1 - across
            weight = np.float32(share * (along if corner // 2 == 1 else 1 - along))
            row = layers[at, behind]
            for i in range(n_radial):
                row[i] += weight * patterns[voxel, i]


_SHIFT = "void(float32[:,:,::1], float64[::1], float64, float64, float32[:,::1])"


@numba.njit(_SHIFT, cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _shifted_less_plain(layers, stretch, q_first, q_step, rows):  # type: ignore[no-untyped-def]
    """Give the sum of all layers, each drawn at its own q, less that of all as they are, in place of ``rows`` (point, bin)."""
    n_points, n_layers, n_radial = layers.shape
    rows[:] = 0.0
    for layer in range(n_layers):
        for i in range(n_radial):
            place = ((q_first + q_step * i) * stretch[layer] - q_first) / q_step
            lower = min(max(math.floor(place), 0), n_radial - 2)
            part = np.float32(min(max(place - lower, 0.0), 1.0))
            for point in range(n_points):
                one = layers[point, layer]
                rows[point, i] += (np.float32(1.0) - part) * one[lower] + part * one[lower + 1] - one[i]


def parallax_of_patterns(
    fitted: Floats, ingredients: Ingredients, *, x_mm: Array, y_mm: Array, pixel_mm: float, q: Array, distance_mm: float
) -> Floats:
    """Give what parallax added to the reconstructed pattern of each voxel, shape (n_voxels, n_radial), per mm.

    Parameters
    ----------
    fitted
        Reflections of all voxels without background, as they would be on the axis, shape (n_voxels, n_radial), per mm.
    ingredients
        The tomogram that the patterns were reconstructed in.
    x_mm, y_mm
        Centres of the voxels from the rotation axis, shape (n_voxels,).
    pixel_mm
        Edge of a voxel.
    q
        Bin centres, shape (n_radial,), evenly spaced.
    distance_mm
        From the rotation axis to the detector.
    """
    grid = ingredients.grid
    kernel = filter_kernel(grid.n_points, window=ingredients.window)
    planes = _planes(float(np.hypot(x_mm, y_mm).max(initial=pixel_mm)), q=q, distance_mm=distance_mm)
    # The pattern of depth z at q is that of the axis at q / (1 - z / L).
    stretch = 1 / (1 - (planes.first_mm + planes.step_mm * np.arange(planes.n)) / distance_mm)
    layers = np.zeros((grid.n_points, planes.n, q.size), np.float32)
    rows = np.zeros((grid.n_points, q.size), np.float32)
    added, nothing = np.zeros(fitted.shape, np.float32), np.zeros((0, q.size), np.float32)
    patterns = np.ascontiguousarray(fitted * np.float32(pixel_mm**2 / grid.step_mm))
    for line in ingredients.lines:
        angle = np.deg2rad(grid.angles_deg[line.key.line])
        s_mm = x_mm * np.cos(angle) + y_mm * np.sin(angle) + ingredients.centre_mm
        places = (s_mm - grid.first_position_mm) / grid.step_mm
        layers[:] = 0.0
        _deposit(patterns, places, -x_mm * np.sin(angle) + y_mm * np.cos(angle), planes.first_mm, planes.step_mm, layers)
        _shifted_less_plain(layers, stretch, float(q[0]), float(q[1] - q[0]), rows)
        filtered = np.ascontiguousarray(convolved(rows.astype(np.float64), kernel) / grid.step_mm, dtype=np.float32)
        one, none = np.array([line.weight_rad]), np.zeros(1)
        add_rows(added, nothing, filtered[None], places[None], one, none, 0, places.size)
    return added


def _planes(reach_mm: float, *, q: Array, distance_mm: float) -> _Depth:
    step_mm = LAYER_SHIFT * float(q[1] - q[0]) / float(q[-1]) * distance_mm
    n = max(2, math.ceil(2 * reach_mm / step_mm) + 1)
    return _Depth(first_mm=-reach_mm, step_mm=2 * reach_mm / (n - 1), n=n)
