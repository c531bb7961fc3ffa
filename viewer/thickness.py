"""A map through the thickness of a wound electrode: from the side that looks to the middle of the roll to the outer one.

Rays from the middle of the map's voxels cross the band winding after winding. Every crossing is stretched to the same length,
and all are averaged. What is no band, a disc for instance, gives nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewer.stacks import Grid

N_RAYS = 360
N_DEPTHS = 12
_STEPS_PER_VOXEL = 4
_LEAST_CROSSINGS = 30
"""Fewer are a fragment, not an electrode."""
_LIKE_THE_MEDIAN = (0.6, 1.5)
"""Thickness of crossings that count, over their median: shorter are ends of the band, longer are two windings that touch."""
_LEAST_VOXELS = 2.0
"""A thinner band is not resolved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thickness:
    """What a map is at each depth of its band."""

    depth_mm: NDArray[np.float64]
    """From the inner side, shape (n_depths,), centres of equal steps of the median thickness."""
    mean: NDArray[np.float64]
    """Over all crossings, shape (n_depths,)."""
    scatter: NDArray[np.float64]
    """Standard deviation over the crossings, shape (n_depths,): how the electrode differs along its length, not how sure the
    mean is."""
    thickness_mm: float
    """Median over the crossings."""
    n_crossings: int


def through_thickness(value: NDArray[np.floating], grid: Grid) -> Thickness | None:
    """Average a map over the crossings of its band.

    Parameters
    ----------
    value
        Shape (y, x), NaN outside the band.
    grid
        Where its voxels are.

    Returns
    -------
    Thickness or None
        None where there is no band, or it is not resolved.
    """
    rows, columns = np.nonzero(np.isfinite(value))
    if not rows.size:
        return None
    sampled = _along_rays(value, middle=(float(rows.mean()), float(columns.mean())))
    crossings = [crossing for ray in sampled for crossing in _complete_runs(ray)]
    if len(crossings) < _LEAST_CROSSINGS:
        return None
    lengths = np.array([crossing.size for crossing in crossings])
    median = float(np.median(lengths))
    kept = [crossing for crossing in crossings if _LIKE_THE_MEDIAN[0] <= crossing.size / median <= _LIKE_THE_MEDIAN[1]]
    if median < _LEAST_VOXELS * _STEPS_PER_VOXEL or len(kept) < _LEAST_CROSSINGS:
        return None
    at = (np.arange(N_DEPTHS) + 0.5) / N_DEPTHS
    stretched = np.array([crossing[(at * crossing.size).astype(np.intp)] for crossing in kept])
    thickness_mm = median * grid.pixel_mm / _STEPS_PER_VOXEL
    return Thickness(
        depth_mm=at * thickness_mm,
        mean=stretched.mean(axis=0),
        scatter=stretched.std(axis=0),
        thickness_mm=thickness_mm,
        n_crossings=len(kept),
    )


def _along_rays(value: NDArray[np.floating], *, middle: tuple[float, float]) -> NDArray[np.float64]:
    """Sample the nearest voxel along rays, shape (ray, step); NaN beyond the map."""
    radius = np.arange(0, np.hypot(*value.shape), 1 / _STEPS_PER_VOXEL)
    angle = 2 * np.pi * np.arange(N_RAYS)[:, None] / N_RAYS
    row = np.round(middle[0] + radius * np.sin(angle)).astype(np.intp)
    column = np.round(middle[1] + radius * np.cos(angle)).astype(np.intp)
    is_inside = (row >= 0) & (row < value.shape[0]) & (column >= 0) & (column < value.shape[1])
    found = np.full(row.shape, np.nan)
    found[is_inside] = value[row[is_inside], column[is_inside]]
    return found


def _complete_runs(ray: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Give the stretches of numbers that begin and end between NaNs."""
    edges = np.diff(np.isfinite(ray).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1) + 1
    # A ray that begins inside the band leaves it before it enters it: that first crossing is cut.
    ends = ends[ends > begins[0]] if begins.size else ends[:0]
    return [ray[begin:end] for begin, end in zip(begins, ends, strict=False)]
