"""Few angles: nDTomo's published phantom, 60 projections, peak positions by our own estimators beside the published ones.

The truth maps are those that nDTomo publishes with its results; its tutorial says how its sinogram is made from them (a
Gaussian peak on a line in 20 channels, 60 angles over half a turn, Poisson noise of 100 counts for one unit), and so is ours,
by another projector than the one that reconstructs. Two estimators: every channel by iterations with positivity, then a fit in
each voxel; and all parameters at once against the sinogram, held together by their neighbours as far as its noise allows.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate
from scipy.optimize import minimize

from streaming.iterate import reconstruct_non_negative
from streaming.projection import Rays

Array = NDArray[np.float64]

NAMES = ("area", "position", "fwhm", "slope", "intercept")
X = np.arange(0, 5, 0.25)
N_ANGLES, COUNTS, BORDER = 60, 100.0, 5
LOW = np.array([0.0, 1.5, 0.1, -0.1, 0.0])
HIGH = np.array([2.0, 3.5, 0.8, 0.1, 1.0])
SCALE = np.array([1.0, 1.0, 0.2, 0.025, 0.2])
"""Of each parameter: what a step of the prior is measured in."""
LEAST_AREA = 0.1
"""Of the largest: voxels that are compared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantom:
    """Truth, sinogram and what others made of it."""

    truth: Array
    """Shape (5, y, x), as in :data:`NAMES`."""
    published: dict[str, Array]
    """Positions by FBP and fit, DLSR, and DLSR with a network, shape (y, x)."""
    sinogram: Array
    """Shape (n_angles, n_points, n_channels)."""
    rays: Rays
    is_compared: NDArray[np.bool_]

    def rms(self, position: Array) -> float:
        """Give how far positions are from the truth where there is a peak."""
        return float(np.sqrt(np.mean((position - self.truth[1])[self.is_compared] ** 2)))


def read_phantom(path: Path, *, seed: int = 1) -> Phantom:
    """Read the truth maps and make the sinogram of them."""
    with h5py.File(path) as file:
        truth = np.stack([np.pad(file[f"peak_{name}_gt"][()], BORDER) for name in NAMES])
        keys = {"FBP and fit": "fbp_prms", "DLSR": "dlsr_prms", "network": "dlsr_cnn"}
        published = {name: np.pad(file[f"peak_position_{key}"][()], BORDER) for name, key in keys.items()}
    volume = np.where(truth[0][..., None] > 1e-4, pattern(np.where(truth[0] > 1e-4, truth, 1.0)), 0.0)
    angles = np.arange(N_ANGLES) * 180.0 / N_ANGLES
    clean = np.stack([rotate(volume, angle, reshape=False, order=1, axes=(1, 0)).sum(axis=0) for angle in angles])
    noisy = np.random.default_rng(seed).poisson(np.maximum(clean, 0) * COUNTS) / COUNTS
    n = volume.shape[0]
    rays = Rays(angles_deg=angles, first_s_mm=-0.5 * (n - 1), step_mm=1.0, n_points=n, pixel_mm=1.0, n_voxels=n)
    return Phantom(
        truth=truth,
        published=published,
        sinogram=noisy,
        rays=rays,
        is_compared=truth[0] > LEAST_AREA * truth[0].max(),
    )


def pattern(parameters: Array) -> Array:
    """Give area exp(-(x - position)^2 / (2 fwhm^2)) + slope x + intercept, as nDTomo names them: (5, ...) to (..., channel)."""
    area, position, width, slope, intercept = (one[..., None] for one in parameters)
    return np.asarray(area * np.exp(-0.5 * ((X - position) / width) ** 2) + slope * X + intercept)


def slopes(parameters: Array) -> Array:
    """Give the derivatives of :func:`pattern`, shape (5, ..., channel)."""
    area, position, width, _, intercept = (one[..., None] for one in parameters)
    away = (X - position) / width
    peak = np.exp(-0.5 * away**2)
    line = np.broadcast_to(X, peak.shape)
    return np.stack([peak, area * peak * away / width, area * peak * away**2 / width, line, np.ones_like(peak) + 0 * intercept])


def iterated(phantom: Phantom) -> Array:
    """Reconstruct every channel with positivity until the noise explains the rest, shape (y, x, channel)."""
    variance = np.maximum(phantom.sinogram, 1 / COUNTS) / COUNTS
    return reconstruct_non_negative(phantom.sinogram, phantom.rays, variance=variance).volume


def fitted(volume: Array, *, n_steps: int = 40) -> Array:
    """Fit every voxel by Levenberg-Marquardt within bounds, shape (y, x, channel) to (5, y, x)."""
    flat = volume.reshape(-1, X.size)
    above = np.maximum(flat - np.median(flat, axis=1, keepdims=True), 1e-9)
    position = (above @ X) / above.sum(axis=1)
    start = [flat.max(axis=1), position, np.full(position.size, 0.3), np.zeros(position.size), flat.min(axis=1)]
    now = np.clip(np.stack(start), LOW[:, None], HIGH[:, None])
    damping = np.full(position.size, 1e-2)
    misfit = ((pattern(now) - flat) ** 2).sum(axis=1)
    for _ in range(n_steps):
        slope = slopes(now)
        normal = np.einsum("kni,mni->nkm", slope, slope)
        normal[:, range(5), range(5)] *= 1 + damping[:, None]
        normal[:, range(5), range(5)] += 1e-9
        step = np.linalg.solve(normal, np.einsum("kni,ni->nk", slope, flat - pattern(now))[..., None])[..., 0].T
        trial = np.clip(now + step, LOW[:, None], HIGH[:, None])
        found = ((pattern(trial) - flat) ** 2).sum(axis=1)
        is_better = found < misfit
        now, misfit = np.where(is_better, trial, now), np.where(is_better, found, misfit)
        damping = np.where(is_better, damping / 3, np.minimum(damping * 5, 1e6))
    return now.reshape(5, *volume.shape[:2])


def direct(phantom: Phantom, start: Array, *, prior: float, n_steps: int = 150) -> tuple[Array, float]:
    """Refine all voxels' parameters against the sinogram; give them, and chi squared over its expectation.

    Neighbours are held together by ``prior`` times the Huber norm of their difference: smooth inside, free at edges.
    """
    weight = COUNTS / np.maximum(phantom.sinogram, 1 / COUNTS)
    shape = start.shape
    is_sample = start[0] > 0.02 * start[0].max()
    present = is_sample.astype(np.float64)[..., None]

    def cost(flat: Array) -> tuple[float, Array]:
        scaled = flat.reshape(shape)
        parameters = scaled * SCALE[:, None, None]
        residual = phantom.rays.project(present * pattern(parameters)) - phantom.sinogram
        back = phantom.rays.transpose(weight * residual)
        gradient = np.einsum("kyxi,yxi->kyx", slopes(parameters), present * back) * SCALE[:, None, None]
        total = 0.5 * float((weight * residual**2).sum())
        for axis in (1, 2):
            difference = np.diff(scaled, axis=axis)
            root = np.sqrt(difference**2 + _EDGE**2)
            total += prior * float((root - _EDGE).sum())
            pull = prior * difference / root
            low, high = [slice(None)] * 3, [slice(None)] * 3
            low[axis], high[axis] = slice(None, -1), slice(1, None)
            gradient[tuple(high)] += pull
            gradient[tuple(low)] -= pull
        return total, gradient.ravel()

    bounds = np.repeat(np.stack([LOW / SCALE, HIGH / SCALE], axis=1), start[0].size, axis=0)
    begin = (start / SCALE[:, None, None]).ravel()
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": n_steps, "maxcor": 12})
    parameters = found.x.reshape(shape) * SCALE[:, None, None]
    residual = phantom.rays.project(present * pattern(parameters)) - phantom.sinogram
    return parameters, float((weight * residual**2).mean())


_EDGE = 0.02
"""Of a parameter's scale: smaller differences of neighbours are noise and cost by their square, larger ones are edges."""

PRIOR = 30.0
"""The largest of 0.3, 3, 10 and 30 at which chi squared stays below its expectation (0.75, 0.84, 0.92, 0.99)."""
