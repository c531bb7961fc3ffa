"""Parallax taken off whole patterns: against a projector of its own, voxel by voxel, and against what half a turn leaves."""

import numpy as np
import pytest

from operando.profile.correction import Correction
from operando.scan import LineKey, TomogramGrid
from streaming.reconstruct import convolved, filter_kernel
from streaming.refine.reprojection import parallax_of_patterns
from streaming.region import CountingLine, Ingredients

Q = np.linspace(1.2, 1.5, 120)
DISTANCE_MM, STEP_MM, N_POINTS = 250.0, 0.25, 41
PLACE, SIGMA = 1.32, 0.02


def ingredients(angles: np.ndarray) -> Ingredients:
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-STEP_MM * (N_POINTS - 1) / 2, step_mm=STEP_MM, n_points=N_POINTS)
    lines = [
        CountingLine(key=LineKey(run="run", line=k, attempt=0), weight_rad=np.pi / angles.size) for k in range(angles.size)
    ]
    return Ingredients(
        run="run", grid=grid, centre_mm=0.0, window="shepp-logan", estimator="mean", lines=tuple(lines),
        reference=lines[0].key, residual=np.zeros(Q.size), mean_mass=1.0, correction=Correction(),
    )  # fmt: skip


def peak(depth_mm: np.ndarray) -> np.ndarray:
    """The reflection of matter at a depth: q as it seems."""
    return np.exp(-0.5 * ((Q - PLACE * (1 - depth_mm[..., None] / DISTANCE_MM)) / SIGMA) ** 2)


def reconstructed(angles: np.ndarray, x: np.ndarray, y: np.ndarray, *, has_depth: bool) -> np.ndarray:
    """What filtered back projection makes of voxels, by sums over voxels and points."""
    kernel = filter_kernel(N_POINTS, window="shepp-logan")
    volume = np.zeros((x.size, Q.size))
    for angle in np.deg2rad(angles):
        place = (x * np.cos(angle) + y * np.sin(angle)) / STEP_MM + (N_POINTS - 1) / 2
        share = np.maximum(1 - np.abs(place[:, None] - np.arange(N_POINTS)), 0)
        depth = -x * np.sin(angle) + y * np.cos(angle)
        row = share.T @ peak(depth if has_depth else np.zeros_like(depth)) * STEP_MM
        volume += np.pi / angles.size * share @ convolved(row, kernel) / STEP_MM
    return volume


def a_ring(*, only_right: bool) -> tuple[np.ndarray, np.ndarray]:
    axis = STEP_MM * (np.arange(25) - 12)
    x, y = (one.ravel() for one in np.meshgrid(axis, axis))
    radius = np.hypot(x, y)
    chosen = (radius > 1.6) & (radius < 2.9) & ((x > 1.2) | (not only_right))
    return x[chosen], y[chosen]


def centres(patterns: np.ndarray) -> np.ndarray:
    return patterns @ Q / patterns.sum(axis=1)


@pytest.mark.parametrize("only_right", [False, True])
def test_what_parallax_did_to_a_reconstruction_is_what_is_taken_off(only_right: bool) -> None:
    angles = np.arange(60) * 3.0
    x, y = a_ring(only_right=only_right)
    seen, wanted = (reconstructed(angles, x, y, has_depth=one) for one in (True, False))
    on_axis = peak(np.zeros(x.size)).astype(np.float32)
    added = parallax_of_patterns(on_axis, ingredients(angles), x_mm=x, y_mm=y, pixel_mm=STEP_MM, q=Q, distance_mm=DISTANCE_MM)
    assert np.abs(seen - wanted).max() > 0.05
    assert np.abs(seen - added - wanted).max() < 0.05 * np.abs(seen - wanted).max()
    # A one-sided sample over half a turn: naively its lattice is wrong by parts in a thousand.
    if only_right:
        assert np.abs(centres(seen) / PLACE - 1).mean() > 2e-3
        assert np.abs(centres(seen - added) / PLACE - 1).mean() < 1e-4


def test_a_sample_on_the_axis_has_no_parallax() -> None:
    angles = np.arange(12) * 15.0
    added = parallax_of_patterns(
        peak(np.zeros(1)).astype(np.float32), ingredients(angles), x_mm=np.zeros(1), y_mm=np.zeros(1), pixel_mm=STEP_MM, q=Q,
        distance_mm=DISTANCE_MM,
    )  # fmt: skip
    assert np.abs(added).max() < 1e-5
