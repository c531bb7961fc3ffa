"""Few angles, windows and noise: iterations with positivity, and what neighbours have in common."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from operando.profile import Profile
from operando.scan import LineKey, TomogramGrid
from streaming.iterate import reconstruct_non_negative
from streaming.noise_correlation import noise_correlation
from streaming.projection import Rays
from streaming.reconstruct import Reconstruction, angular_weights, filter_kernel
from streaming.sinogram import Projection
from streaming.tomogram import Result, Tomogram
from tests.streaming.phantom import N_LINES, Phantom, a_run, demo_profile

Array = NDArray[np.float64]
N = 41
AXIS = np.arange(N) - (N - 1) / 2
Y, X = np.meshgrid(AXIS, AXIS, indexing="ij")


def discs() -> Array:
    """Give two channels: a ring with a hole, and three small discs."""
    distance = np.hypot(X, Y)
    ring = np.clip(15.5 - distance, 0, 1) - np.clip(6.5 - distance, 0, 1)
    small = sum(np.clip(2.5 - np.hypot(X - x, Y - y), 0, 1) for x, y in ((8, 3), (-5, -9), (-8, 7)))
    return np.stack([ring, small], axis=-1)


def rays(n_lines: int) -> Rays:
    angles = np.arange(n_lines) * 180.0 / n_lines
    return Rays(angles_deg=angles, first_s_mm=AXIS[0], step_mm=1.0, n_points=N, pixel_mm=1.0, n_voxels=N)


def filtered(sinogram: Array, seen: Rays, *, variance: Array | None = None) -> Reconstruction:
    grid = TomogramGrid(angles_deg=seen.angles_deg, first_position_mm=seen.first_s_mm, step_mm=1.0, n_points=N)
    reconstruction = Reconstruction(grid=grid, n_channels=sinogram.shape[2], centre_mm=0.0)
    noise = np.ones(sinogram.shape[:2]) if variance is None else variance
    for line, rows in enumerate(sinogram):
        reconstruction.update({line: a_projection(rows, seen.angles_deg[line], line, noise[line])})
    return reconstruction


def a_projection(rows: Array, angle_deg: float, line: int, variance: Array) -> Projection:
    measured = np.isfinite(rows).all(axis=1)
    return Projection(
        key=LineKey(run="run", line=line, attempt=0), angle_deg=float(angle_deg), channels=rows, variance=variance,
        unit_variance=np.ones(rows.shape[1]), is_measured=measured, pattern_sum=np.zeros(1), variance_sum=np.zeros(1),
        n_received=int(measured.sum()), n_points=rows.shape[0],
    )  # fmt: skip


def error(found: Array, truth: Array) -> float:
    inside = np.hypot(X, Y) < 19
    return float(np.sqrt(np.mean((found - truth)[inside] ** 2)))


def test_few_angles_have_half_the_error_of_filtered_back_projection() -> None:
    truth, seen = discs(), rays(12)
    sinogram = seen.project(truth)
    found = reconstruct_non_negative(sinogram, seen, variance=np.zeros_like(sinogram))
    plain = filtered(sinogram, seen).slice().channels
    assert error(found.volume, truth) < 0.5 * error(plain, truth)
    assert found.volume.min() >= 0.0
    assert plain.min() < -0.1


def test_it_ends_where_the_noise_explains_the_misfit() -> None:
    truth, seen = discs(), rays(16)
    rng = np.random.default_rng(2)
    sigma = 1.5
    sinogram = seen.project(truth) + rng.normal(0, sigma, (16, N, 2))
    known = reconstruct_non_negative(sinogram, seen, variance=np.full_like(sinogram, sigma**2))
    driven = reconstruct_non_negative(sinogram, seen, variance=np.zeros_like(sinogram))
    assert known.n_iterations < 60 < driven.n_iterations
    assert (known.misfit < 1.0).all()
    assert error(known.volume, truth) < 0.9 * error(driven.volume, truth)


def test_points_that_were_not_measured_count_for_nothing() -> None:
    truth, seen = discs(), rays(16)
    sinogram = seen.project(truth)
    holed, wrong = sinogram.copy(), sinogram.copy()
    holes = np.random.default_rng(0).random((16, N)) < 0.1
    holed[holes], wrong[holes] = np.nan, 0.0
    whole, found, filled = (
        error(reconstruct_non_negative(one, seen, variance=np.zeros_like(one), iterations=80).volume, truth)
        for one in (sinogram, holed, wrong)
    )
    assert found < 1.3 * whole
    assert filled > 2 * whole


def test_lines_between_grid_points_are_iterated_where_they_stand() -> None:
    truth, n_lines = discs(), 40
    shifted = [0.4 if line % 2 else -0.3 for line in range(n_lines)]
    seen = rays(n_lines)
    reconstruction = filtered(seen.project(truth), seen)
    for line, offset in enumerate(shifted):
        own = Rays(
            angles_deg=seen.angles_deg[[line]], first_s_mm=AXIS[0] + offset, step_mm=1.0, n_points=N, pixel_mm=1.0, n_voxels=N
        )
        plain = a_projection(own.project(truth)[0], seen.angles_deg[line], line, np.ones(N))
        values = {name: getattr(plain, name) for name in Projection.__slots__}
        reconstruction.update({line: Projection(**{**values, "offset_steps": offset})})
    assert error(reconstruction.slice().channels, truth) < 0.13
    assert error(reconstruction.iterated(60).channels, truth) < 0.16


# --- weights and windows ---------------------------------------------------------------------------------------------


def test_lines_at_one_angle_share_its_weight() -> None:
    weights = np.rad2deg(angular_weights(np.array([0.0, 20.0, 40.0, 20.0, 200.0, 60.0, *np.arange(80.0, 180.0, 20.0)])))
    np.testing.assert_allclose(weights[[1, 3, 4]], 20.0 / 3)
    np.testing.assert_allclose(weights[[0, 2]], 20.0)
    assert weights.sum() == pytest.approx(180.0)


def test_a_half_turn_that_ends_at_its_beginning_counts_it_once() -> None:
    weights = np.rad2deg(angular_weights(np.array([0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0 - 1e-5])))
    np.testing.assert_allclose(weights, [15.0, 30.0, 30.0, 30.0, 30.0, 30.0, 15.0], rtol=1e-3)


def with_reconstruction(**changes: object) -> Profile:
    profile = demo_profile()
    return profile.model_copy(update={"reconstruction": profile.reconstruction.model_copy(update=changes)})


def analysed(phantom: Phantom, numbers: list[int], profile: Profile) -> Result:
    lines = {phantom.line(number).key: phantom.line(number) for number in numbers}
    tomogram = Tomogram(profile=profile, model=phantom.model, run=a_run(), read_again=lines.__getitem__)
    for line in lines.values():
        tomogram.add(line)
    result = tomogram.result()
    assert result is not None
    return result


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(demo_profile())


def test_a_window_forgets_old_lines_whatever_came_when(phantom: Phantom) -> None:
    profile = with_reconstruction(window_lines=12)
    numbers = list(range(N_LINES))
    found = analysed(phantom, numbers, profile)
    assert [line.key.line for line in found.ingredients.lines] == numbers[-12:]
    late = analysed(phantom, [0, *range(20, 36), *range(1, 20)], profile)
    np.testing.assert_allclose(late.slice.channels, found.slice.channels, atol=1e-9 * np.abs(found.slice.channels).max())
    everything = analysed(phantom, numbers, with_reconstruction())
    assert len(everything.ingredients.lines) == N_LINES


def test_few_lines_of_a_phantom_are_better_by_iterations(phantom: Phantom) -> None:
    numbers = list(range(0, N_LINES, 4))
    plain, iterated = (analysed(phantom, numbers, with_reconstruction(method=method)) for method in ("fbp", "sirt"))
    truth = phantom.truth(plain.axis_mm)
    scale = np.nansum(truth * iterated.amounts.phases) / np.nansum(iterated.amounts.phases**2)
    wrong = [float(np.sqrt(np.mean((scale * one.amounts.phases - truth) ** 2))) for one in (plain, iterated)]
    assert wrong[1] < 0.9 * wrong[0]


# --- noise -----------------------------------------------------------------------------------------------------------


def test_noise_of_neighbours_goes_together_as_is_said() -> None:
    seen, rng = rays(60), np.random.default_rng(5)
    volume = filtered(rng.normal(size=(60, N, 400)), seen).slice().channels
    middle = volume[14:27, 14:27]
    found = np.zeros((5, 5))
    power = np.mean(middle[2:-2, 2:-2] ** 2)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            moved = middle[2 + dy : 11 + dy, 2 + dx : 11 + dx]
            found[dy + 2, dx + 2] = np.mean(moved * middle[2:-2, 2:-2]) / power
    said = noise_correlation(
        filter_kernel(N, window="shepp-logan"),
        angles_deg=seen.angles_deg,
        weights_rad=angular_weights(seen.angles_deg),
        pixel_mm=1.0,
        step_mm=1.0,
        reach=2,
    )
    np.testing.assert_allclose(found, said, atol=0.06)
    assert said[2, 2] == 1.0
    assert (said[2, [0, 4]] < 0).all()
    # The mean of the square is known better than by 25 independent voxels.
    overlap = sum(said[2 + a, 2 + b] * (3 - abs(a)) * (3 - abs(b)) for a in range(-2, 3) for b in range(-2, 3)) / 81
    assert overlap < 0.75 / 9 * 2


def test_published_maps_of_few_angles_are_found_better_than_by_filtered_back_projection(data_folder: Path) -> None:
    """Peak areas of nDTomo's phantom with truth, projected at 60 angles by our own projector."""
    with h5py.File(data_folder / "nDTomo/dlsr_results.h5") as file:
        truth = file["peak_area_gt"][()]
        published = file["peak_area_fbp_prms"][()]
    n = truth.shape[0]
    angles = np.arange(60) * 3.0
    seen = Rays(angles_deg=angles, first_s_mm=-(n - 1) / 2, step_mm=1.0, n_points=n, pixel_mm=1.0, n_voxels=n)
    sinogram = seen.project(truth[..., None])
    found = reconstruct_non_negative(sinogram, seen, variance=np.zeros_like(sinogram), iterations=100)

    def rms(values: Array) -> float:
        return float(np.sqrt(np.nanmean((values - truth) ** 2)))

    assert rms(found.volume[..., 0]) < 0.5 * rms(published)
