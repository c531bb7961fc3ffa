"""Parallax: the projector against closed forms, apparent depths of spots and rolls, lattices of patterns that were shifted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streaming.back_projection import add_back_projections
from streaming.parallax import Depths, apparent_depths, depth_distribution
from streaming.projection import Rays
from streaming.reconstruct import angular_weights, convolved, filter_kernel

Array = NDArray[np.float64]

PIXEL_MM, N = 0.1, 101
AXIS = (np.arange(N) - (N - 1) / 2) * PIXEL_MM
Y, X = np.meshgrid(AXIS, AXIS, indexing="ij")


def spot(x: float, y: float, radius: float = 0.3) -> Array:
    """Give the part of each voxel that a disc fills."""
    return np.clip((radius - np.hypot(X - x, Y - y)) / PIXEL_MM + 0.5, 0.0, 1.0)


def depths_of(phases: list[Array], *, turn_deg: float, n_lines: int = 100) -> Depths:
    angles = np.arange(n_lines) * turn_deg / n_lines
    weights = angular_weights(angles)
    return apparent_depths(
        np.stack(phases, axis=-1),
        angles_deg=angles,
        weights_rad=weights * np.pi / weights.sum(),
        pixel_mm=PIXEL_MM,
        step_mm=PIXEL_MM,
        n_points=N,
        window="shepp-logan",
    )


def rays(angles: Array, *, n: int = N) -> Rays:
    return Rays(angles_deg=angles, first_s_mm=AXIS[0], step_mm=PIXEL_MM, n_points=n, pixel_mm=PIXEL_MM, n_voxels=N)


def test_a_disc_projects_to_its_chords_and_their_moments() -> None:
    disc = spot(1.2, -0.8, 2.0)[..., None]
    for angle in (0.0, 30.0, 45.0, 77.0, 120.0, 263.0):
        theta = np.deg2rad(angle)
        s0, z0 = 1.2 * np.cos(theta) - 0.8 * np.sin(theta), -1.2 * np.sin(theta) - 0.8 * np.cos(theta)
        half = np.sqrt(np.maximum(2.0**2 - (AXIS - s0) ** 2, 0))
        seen = rays(np.array([angle]))
        inner = half > 0.8
        np.testing.assert_allclose(seen.project(disc)[0, inner, 0], 2 * half[inner], atol=0.12)
        np.testing.assert_allclose(seen.project(disc, depth_power=1)[0, inner, 0], (2 * half * z0)[inner], atol=0.25)
        second = 2 * half * z0**2 + 2 / 3 * half**3
        np.testing.assert_allclose(seen.project(disc, depth_power=2)[0, inner, 0], second[inner], atol=0.7)
        assert seen.project(disc)[0].sum() * PIXEL_MM == pytest.approx(np.pi * 4.0, rel=0.01)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), angle=st.floats(0, 360))
def test_the_transpose_is_that_of_the_projection(seed: int, angle: float) -> None:
    rng = np.random.default_rng(seed)
    small = Rays(angles_deg=np.array([angle, 45.0]), first_s_mm=-1.0, step_mm=0.13, n_points=17, pixel_mm=0.2, n_voxels=11)
    volume, rows = rng.random((11, 11, 2)), rng.random((2, 17, 2))
    one, other = float(np.sum(small.project(volume) * rows)), float(np.sum(volume * small.transpose(rows)))
    assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize(("radius_mm", "c_ma"), [(1.5, 14.0), (3.0, 28.0), (4.5, 41.0)])
def test_an_isolated_spot_over_half_a_turn_seems_as_deep_as_is_known(radius_mm: float, c_ma: float) -> None:
    found = depths_of([spot(radius_mm, 0.0)], turn_deg=180.0)
    at_spot = found.mean_mm[spot(radius_mm, 0.0, 0.15) > 0]
    # z = -x sin(theta): over 0 to 180 degrees always upstream, 2 r / pi in the mean.
    assert at_spot.mean() == pytest.approx(-2 * radius_mm / np.pi, abs=0.03 * radius_mm)
    assert 1e3 * 14.5 * (1 - found.lengthening(1000.0)[spot(radius_mm, 0.0, 0.15) > 0]).mean() == pytest.approx(c_ma, abs=2.0)
    # z is distributed as a sine: its variance over half a turn is r^2 (1/2 - 4/pi^2).
    spread = found.spread_mm[spot(radius_mm, 0.0, 0.15) > 0].mean()
    assert spread == pytest.approx(radius_mm * np.sqrt(0.5 - 4 / np.pi**2), rel=0.1)


def test_over_a_whole_turn_nothing_is_left() -> None:
    found = depths_of([spot(3.0, 0.0), spot(-1.0, 2.0)], turn_deg=360.0, n_lines=200)
    assert np.abs(found.mean_mm[spot(3.0, 0.0, 0.2) > 0, 0]).max() < 0.02
    assert np.abs(found.mean_mm[spot(-1.0, 2.0, 0.2) > 0, 1]).max() < 0.02


def test_a_phase_all_round_the_sample_keeps_little() -> None:
    ring = ((np.hypot(X, Y) < 4.5) & (np.hypot(X, Y) > 1.0)).astype(np.float64)
    found = depths_of([ring], turn_deg=180.0)
    inside = (np.hypot(X, Y) < 4.2) & (np.hypot(X, Y) > 1.3)
    # 1 mA in c of 14.5 at 1 m is a depth of 0.07 mm.
    assert np.abs(found.mean_mm[inside, 0]).mean() < 0.1


def test_each_phase_has_its_own_depth() -> None:
    found = depths_of([spot(3.0, 0.0), (np.hypot(X, Y) < 4.5).astype(np.float64)], turn_deg=180.0)
    here = spot(3.0, 0.0, 0.15) > 0
    assert found.mean_mm[here, 0].mean() < -1.7
    assert abs(found.mean_mm[here, 1].mean()) < 0.3


def test_where_a_phase_is_not_there_is_no_depth() -> None:
    found = depths_of([spot(3.0, 0.0), np.full_like(X, np.nan)], turn_deg=180.0)
    assert (found.mean_mm[np.hypot(X - 3.0, Y) > 0.5, 0] == 0).all()
    assert (found.mean_mm[..., 1] == 0).all()
    assert (found.lengthening(1000.0)[..., 1] == 1).all()


def test_moments_of_a_shifted_line_are_put_right_by_the_depths() -> None:
    """A sinogram whose first moments carry every voxel's own depth, reconstructed as any other, then corrected."""
    c, distance_mm = 14.45 + 0.05 * (X > 0), 1000.0
    amount = spot(3.0, 0.5) + spot(-2.0, -2.5, 0.5) + spot(0.5, -4.0)
    angles = np.arange(100) * 1.8
    seen, kernel = rays(angles), filter_kernel(N, window="shepp-logan")
    plain = np.stack([amount, amount * c], axis=-1)
    rows = seen.project(plain)
    rows[..., 1] += seen.project((amount * c)[..., None], depth_power=1)[..., 0] / distance_mm
    weights = angular_weights(angles)
    filtered = np.stack([convolved(row, kernel) for row in rows]) / PIXEL_MM * weights[:, None, None]
    volume = np.zeros((N, N, 2))
    centre = -AXIS[0] / PIXEL_MM
    add_back_projections(
        volume, np.ascontiguousarray(filtered), angles_deg=angles, pixel_mm=PIXEL_MM, step_mm=PIXEL_MM, centre_index=centre
    )
    here = (spot(3.0, 0.5, 0.15) + spot(-2.0, -2.5, 0.3) + spot(0.5, -4.0, 0.15)) > 0
    naive = volume[here, 1] / volume[here, 0]
    depths = apparent_depths(
        volume[..., :1],
        angles_deg=angles,
        weights_rad=weights,
        pixel_mm=PIXEL_MM,
        step_mm=PIXEL_MM,
        n_points=N,
        window="shepp-logan",
    )
    corrected = naive / depths.lengthening(distance_mm)[here, 0]
    assert 1e3 * np.abs(naive - c[here]).max() > 20
    assert 1e3 * np.abs(corrected - c[here]).max() < 5
    assert 1e3 * np.sqrt(np.mean((corrected - c[here]) ** 2)) < 1.5


def test_the_kernel_of_a_fit_has_mean_and_spread_of_the_depths() -> None:
    shifts, weights = depth_distribution(-1.0, 0.6, distance_mm=1000.0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ shifts == pytest.approx(1e-3)
    assert np.sqrt(weights @ (shifts - 1e-3) ** 2) == pytest.approx(0.6e-3)
