"""The rotation centre: receives a sinogram, gives where the axis projects to, by three estimators that fail differently.

All take ``sinogram[angle, position]`` without NaN, non-negative and about zero outside the sample, with angles in any order
and spacing, and give the centre in points from the first of a line. :func:`centre_of_mass` is cheap and follows a scan live;
the two others check it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from streaming.back_projection import add_back_projections
from streaming.reconstruct import angular_weights, convolved, filter_kernel

Array = NDArray[np.float64]

CENTRES_AGREE = 0.5
"""Points by which the estimators may differ; more is drift, or a sample that leaves the field of view."""

LEAST_SPAN_DEG = 120.0
"""Angles must lie this far apart for a sinusoid to be told from a constant."""

_OUTLIER = 3.0
"""Residuals in robust standard deviations beyond which a projection is left out of the sinusoid."""

_LARGEST_SIZE = 128
"""Points to which a sinogram is averaged before it is reprojected; the cost grows with their cube."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """An estimate of the rotation centre."""

    index: float
    """Points from the first of a line."""
    sigma: float
    """Standard uncertainty in points, from the scatter of the data; infinity where the estimator does not say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sinusoid:
    """What the centres of mass of all projections say together, and each of them alone."""

    centre: Centre
    residual: Array
    """Centre of mass minus sinusoid of every line, points, shape (n_lines,); NaN where a line holds too little to say."""


def centre_of_mass(sinogram: Array, angles_deg: Array) -> Centre | None:
    """Give the constant of :func:`fit_sinusoid`; None where there is none."""
    fitted = fit_sinusoid(sinogram, angles_deg)
    return None if fitted is None else fitted.centre


def fit_sinusoid(sinogram: Array, angles_deg: Array) -> Sinusoid | None:
    """Fit a sinusoid to the centres of mass: each lies at c + a cos(theta) + b sin(theta), whatever the sample.

    Projections whose residual is beyond three robust standard deviations are left out. None if the angles span less than
    :data:`LEAST_SPAN_DEG` or fewer than five projections hold anything.
    """
    if not len(sinogram):
        return None
    mass = sinogram.sum(axis=1)
    if not mass.size:
        return None
    is_full = mass > 0.1 * np.median(mass)
    if is_full.sum() < 5 or np.ptp(angles_deg[is_full]) < LEAST_SPAN_DEG:
        return None
    position = sinogram[is_full] @ np.arange(sinogram.shape[1]) / mass[is_full]
    angles = np.deg2rad(angles_deg[is_full])
    design = np.column_stack([np.ones(angles.size), np.cos(angles), np.sin(angles)])
    kept = np.ones(angles.size, dtype=np.bool_)
    for _ in range(3):
        solution = np.linalg.lstsq(design[kept], position[kept])[0]
        residual = position - design @ solution
        scatter = 1.4826 * np.median(np.abs(residual[kept])) + 1e-9
        kept = np.abs(residual) < _OUTLIER * scatter
        if kept.sum() < 5:
            return None
    variance = float(np.sum(residual[kept] ** 2)) / max(1, int(kept.sum()) - 3)
    covariance = np.linalg.pinv(design[kept].T @ design[kept]) * variance
    every = np.full(mass.size, np.nan)
    every[is_full] = residual
    return Sinusoid(centre=Centre(index=float(solution[0]), sigma=float(np.sqrt(covariance[0, 0]))), residual=every)


def opposing_pairs(sinogram: Array, angles_deg: Array, *, near: float | None = None) -> Centre | None:
    """Compare each line with its mirrored opposites: p(theta + 180, s) = p(theta, 2 c - s).

    Each line is predicted from the nearest angles on either side, modulo a full turn, of the set of all lines and all mirrored
    lines; only predictions with a mirrored line in them know the centre. A scan of 360 degrees has them everywhere, one of 180
    at its seam. None if there are none.
    """
    if sinogram.shape[0] < 2:
        return None
    groups = _mirror_neighbours(angles_deg)
    if not groups:
        return None

    def misfit(centre: float) -> float:
        mirrored = _mirrored(sinogram, centre)
        total = 0.0
        for line, (below, above, part) in groups:
            predicted = np.zeros(sinogram.shape[1])
            for (other, is_mirrored), share in ((below, 1 - part), (above, part)):
                predicted += share * (mirrored[other] if is_mirrored else sinogram[other])
            squares = (predicted - sinogram[line]) ** 2
            if not np.isfinite(squares).any():
                return float("inf")
            total += float(np.nanmean(squares))
        return total

    return _minimum(misfit, n_points=sinogram.shape[1], near=near)


def reprojection(sinogram: Array, angles_deg: Array, *, near: float | None = None) -> Centre | None:
    """Reconstruct and project again: with the right centre the slice, non-negative, explains its own sinogram best.

    Costs two projections for each centre that is tried; large sinograms are averaged to 128 points first, which costs a
    twentieth of a point in precision. None with fewer than eight lines.
    """
    if sinogram.shape[0] < 8:
        return None
    factor = -(-sinogram.shape[1] // _LARGEST_SIZE)
    n_kept = sinogram.shape[1] // factor
    small = sinogram[:, : n_kept * factor].reshape(sinogram.shape[0], n_kept, factor).mean(axis=2)
    kernel = filter_kernel(n_kept, window="shepp-logan")
    rows = convolved(small.T, kernel).T * angular_weights(angles_deg)[:, None]
    half_width = (n_kept - 1) / 2
    y, x = np.mgrid[:n_kept, :n_kept] - half_width
    radius = np.hypot(x, y)

    def misfit(centre: float) -> float:
        volume = np.zeros((n_kept, n_kept, 1))
        place = (centre + 0.5) / factor - 0.5
        contiguous = np.ascontiguousarray(rows[:, :, None])
        add_back_projections(volume, contiguous, angles_deg=angles_deg, pixel_mm=1.0, step_mm=1.0, centre_index=place)
        # Beyond this circle some lines end, and what stands there is not the sample.
        is_seen = radius <= half_width - abs(place - half_width)
        again = _projected(np.maximum(volume[..., 0], 0.0) * is_seen, angles_deg=angles_deg, centre=place, n_points=n_kept)
        scale = float(np.sum(again * small)) / max(float(np.sum(again**2)), 1e-300)
        return float(np.mean((scale * again - small) ** 2))

    return _minimum(misfit, n_points=sinogram.shape[1], near=near)


def compare_centres(sinogram: Array, angles_deg: Array) -> dict[str, Centre]:
    """Give what each estimator says, by its name; those that cannot say are left out, and so are lines with a hole."""
    is_whole = np.isfinite(sinogram).all(axis=1)
    whole, angles = sinogram[is_whole], angles_deg[is_whole]
    mass = centre_of_mass(whole, angles)
    if mass is None:
        return {}
    estimates = {
        "centre of mass": mass,
        "opposing pairs": opposing_pairs(whole, angles, near=mass.index),
        "reprojection": reprojection(whole, angles, near=mass.index),
    }
    return {name: centre for name, centre in estimates.items() if centre is not None}


def _minimum(misfit: Callable[[float], float], *, n_points: int, near: float | None) -> Centre | None:
    """Find the least misfit: on a grid of whole points about ``near`` (or all of the inner half), then between them."""
    middle = (n_points - 1) / 2 if near is None else near
    reach = max(2, n_points // 4) if near is None else 4
    tried = middle + np.arange(-reach, reach + 1)
    values = np.array([misfit(float(centre)) for centre in tried])
    best = int(values.argmin())
    if best in (0, tried.size - 1):
        return None
    found = minimize_scalar(misfit, bounds=(tried[best - 1], tried[best + 1]), method="bounded", options={"xatol": 0.01})
    return Centre(index=float(found.x), sigma=float("inf"))


_Neighbour = tuple[int, bool]
_Prediction = tuple[_Neighbour, _Neighbour, float]


def _mirror_neighbours(angles_deg: Array) -> list[tuple[int, _Prediction]]:
    """Give the lines next to each in angle, mirrored or not, and its place between them; only where one of them is mirrored."""
    n_lines = angles_deg.size
    angles = np.mod(np.r_[angles_deg, angles_deg + 180.0], 360.0)
    predictions = []
    for line in range(n_lines):
        ahead = np.mod(angles - angles[line], 360.0)
        ahead[line] = np.nan
        # A copy of the same direction is either: it serves as both neighbours.
        after, before = int(np.nanargmin(ahead)), int(np.nanargmin(np.mod(-ahead, 360.0)))
        gap_after, gap_before = ahead[after], np.mod(-ahead, 360.0)[before]
        part = gap_before / (gap_before + gap_after) if gap_before + gap_after > 0 else 0.5
        neighbours = ((before % n_lines, before >= n_lines), (after % n_lines, after >= n_lines))
        if any(is_mirrored for _, is_mirrored in neighbours):
            predictions.append((line, (*neighbours, float(part))))
    return predictions


def _mirrored(sinogram: Array, centre: float) -> Array:
    """Give p(2 c - s), interpolated linearly; NaN where that lies beyond the line."""
    place = 2 * centre - np.arange(sinogram.shape[1])
    lower = np.clip(np.floor(place).astype(int), 0, sinogram.shape[1] - 2)
    part = place - lower
    mirrored: Array = (1 - part) * sinogram[:, lower] + part * sinogram[:, lower + 1]
    mirrored[:, (place < 0) | (place > sinogram.shape[1] - 1)] = np.nan
    return mirrored


def _projected(picture: Array, *, angles_deg: Array, centre: float, n_points: int) -> Array:
    """Project a picture, each voxel shared by the two points beside its place; shape (n_lines, n_points)."""
    half_width = (picture.shape[0] - 1) / 2
    row, column = np.nonzero(picture > 0)
    value = picture[row, column]
    y, x = row - half_width, column - half_width
    projected = np.empty((angles_deg.size, n_points))
    for line, angle in enumerate(np.deg2rad(angles_deg)):
        place = x * np.cos(angle) + y * np.sin(angle) + centre
        lower = np.floor(place).astype(int)
        part = place - lower
        inside = (lower >= 0) & (lower < n_points - 1)
        projected[line] = np.bincount(lower[inside], (value * (1 - part))[inside], minlength=n_points)
        projected[line] += np.bincount(lower[inside] + 1, (value * part)[inside], minlength=n_points)
    return projected
