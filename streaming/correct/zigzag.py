"""Zig-zag: receives a sinogram of lines flown both ways, gives how far their two directions stand apart.

A detector that exposes later than positions were captured moves a line by speed times delay in the sense of its flight, and so
lines of opposite directions by twice that against each other. Neighbouring angles differ by themselves: a line is compared with
what its neighbours on either side say of its angle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Array = NDArray[np.float64]

LEAST_LINES = 6
"""Lines that differ in direction from a neighbour; fewer do not show their own scatter."""
_SHARED = 1.63
"""Every line is its own measurement and half that of either neighbour, all with the same sign: the mean of such differences
scatters by 2 / sqrt(3/2) times what independent ones would."""
_EMPTY_END = 0.01
"""Part of the largest mean mass below which the ends of the lines see no sample."""
_NEIGHBOURS_PART = 0.2
"""Of what is found from neighbours: how far too large it may be (:func:`zigzag_of_neighbours`)."""
_OUTLIER = 4.0
_BINOMIAL = np.array([1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0]) / 64.0
_ITERATIONS = 6
_SMALL_STEP = 1e-3
"""Points: a twentieth of what is worth correcting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zigzag:
    """How far a line's points lie ahead of where they were captured, in the sense of its flight."""

    steps: float
    """Points of the grid; half of what stands between the two directions."""
    sigma: float
    """Standard uncertainty, from the scatter between lines and what the estimator itself may be wrong by."""

    @property
    def is_significant(self) -> bool:
        """Whether it is more than four standard deviations and a twentieth of a point: less blurs nothing."""
        return abs(self.steps) > 4 * self.sigma and abs(self.steps) >= 0.05


def find_zigzag(sinogram: Array, angles_deg: Array, directions: NDArray[np.int_]) -> Zigzag | None:
    """Give the displacement d for which true position = captured position + direction * d.

    From the centres of mass where lines reach beyond the sample, else from neighbours. None where the lines cannot say.

    Parameters
    ----------
    sinogram
        Placed by captured positions, shape (n_lines, n_points), no NaN.
    angles_deg
        Shape (n_lines,), any order.
    directions
        +1 or -1 for each line, shape (n_lines,).
    """
    profile = sinogram.mean(axis=0) if len(sinogram) else np.zeros(1)
    if max(profile[0], profile[-1]) < _EMPTY_END * profile.max():
        return zigzag_of_centres(sinogram, angles_deg, directions)
    return zigzag_of_neighbours(sinogram, angles_deg, directions)


def zigzag_of_centres(sinogram: Array, angles_deg: Array, directions: NDArray[np.int_]) -> Zigzag | None:
    """Fit centres of mass by waves of none to three periods a turn and by the direction of flight, whose part is -d.

    Waves of two and three periods take up what run-out and absorption do, which is smooth in the angle; the direction is not.
    Exact for any distance of the angles, as long as nothing of the sample lies beyond the ends of the lines.
    """
    mass = sinogram.sum(axis=1)
    signs = directions.astype(np.float64)
    kept = mass > 0.1 * np.median(mass)
    n_waves = 3 if kept.sum() >= 4 * LEAST_LINES else 1
    if min((signs[kept] > 0).sum(), (signs[kept] < 0).sum()) < LEAST_LINES // 2:
        return None
    position = sinogram @ np.arange(sinogram.shape[1]) / np.where(kept, mass, 1.0)
    angles = np.deg2rad(angles_deg)
    waves = [wave(k * angles) for k in range(1, n_waves + 1) for wave in (np.cos, np.sin)]
    design = np.column_stack([signs, np.ones(signs.size), *waves])
    residual, solution = position, np.zeros(design.shape[1])
    for _ in range(3):
        solution = np.linalg.lstsq(design[kept], position[kept])[0]
        residual = position - design @ solution
        scatter = 1.4826 * np.median(np.abs(residual[kept])) + 1e-9
        kept &= np.abs(residual) < _OUTLIER * scatter
        if kept.sum() < design.shape[1] + 3:
            return None
    variance = float(np.sum(residual[kept] ** 2)) / (int(kept.sum()) - design.shape[1])
    covariance = np.linalg.pinv(design[kept].T @ design[kept]) * variance
    return Zigzag(steps=-float(solution[0]), sigma=float(np.sqrt(covariance[0, 0])))


def zigzag_of_neighbours(sinogram: Array, angles_deg: Array, directions: NDArray[np.int_]) -> Zigzag | None:
    """Compare each line with the mean of its neighbours; for samples that lines do not reach beyond.

    With p the sinogram moved back by an assumed d, line i differs from the mean of its neighbours j and k in angle, weighed by
    their distance, by (c_i - w c_j - (1 - w) c_k) e dp/ds, c being directions and e what is still missing in d: Gauss-Newton
    over all lines. How the sample changes from angle to angle adds to that with either sign, and so to the scatter; where its
    rim moves by a point or two from one angle to the next, what is found is a tenth to a fifth too large; the uncertainty says
    so.
    """
    order = np.argsort(angles_deg, kind="stable")
    # Moving a line by interpolation moves what is sharper than a few points by less: it is smoothed away first.
    lines = correlate1d(sinogram[order], _BINOMIAL, axis=1, mode="nearest")
    angles, signs = angles_deg[order], directions[order].astype(np.float64)
    before, line, after, part = _neighbours(angles)
    contrast = signs[line] - (1 - part) * signs[before] - part * signs[after]
    used = np.abs(contrast) > 1e-3
    if used.sum() < LEAST_LINES:
        return None
    before, line, after, part, contrast = before[used], line[used], after[used], part[used], contrast[used]
    shift, scatter = 0.0, np.inf
    for _ in range(_ITERATIONS):
        moved = straightened(lines, signs, shift)
        beside = (1 - part)[:, None] * moved[before] + part[:, None] * moved[after]
        slope = 0.5 * np.gradient(moved[line] + beside, axis=1)
        weight = contrast**2 * np.sum(slope**2, axis=1)
        if not weight.sum() > 0:
            return None
        # What is found at captured places is p(s + c d): a positive slope of c says that d is positive.
        each = np.sum((moved[line] - beside) * slope, axis=1) * contrast / np.where(weight > 0, weight, 1.0)
        step = float(weight @ each / weight.sum())
        scatter = float(np.sqrt(np.sum(weight**2 * (each - step) ** 2)) / weight.sum())
        shift += np.clip(step, -1.0, 1.0)
        if abs(step) < _SMALL_STEP:
            break
    return Zigzag(steps=float(shift), sigma=float(np.hypot(_SHARED * scatter, _NEIGHBOURS_PART * shift)))


def _neighbours(angles: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Array]:
    """Give for every inner line the line before it, itself, the line after it, and the part of the latter."""
    line = np.arange(1, angles.size - 1)
    before, after = line - 1, line + 1
    gap = angles[after] - angles[before]
    part = np.where(gap > 0, (angles[line] - angles[before]) / np.where(gap > 0, gap, 1.0), 0.5)
    return before, line, after, part


def moved_back(rows: Array, steps: float) -> Array:
    """Give values, shape (..., n_points), at places that really lie ``steps`` points above where they were captured.

    Interpolated linearly; beyond its ends a row goes on as it ends.
    """
    n_points = rows.shape[-1]
    places = np.clip(np.arange(n_points, dtype=np.float64) - steps, 0.0, n_points - 1.0)
    lower = np.minimum(places.astype(np.intp), n_points - 2)
    part = places - lower
    moved: Array = rows[..., lower] * (1 - part) + rows[..., lower + 1] * part
    return moved


def straightened(lines: Array, signs: Array, steps: float) -> Array:
    """Give lines, shape (n_lines, n_points), moved back by direction times ``steps``."""
    moved = np.empty_like(lines)
    for sign in (-1.0, 1.0):
        moved[signs == sign] = moved_back(lines[signs == sign], sign * steps)
    return moved
