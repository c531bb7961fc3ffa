"""Incremental filtered back projection: equal to batch in any order, equal to scikit-image, honest about what is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, rescale

from operando.scan import LineKey, TomogramGrid
from streaming.reconstruct import Filter, Reconstruction, Slice, angular_weights, fill_unmeasured, filter_kernel
from streaming.sinogram import Projection

Array = NDArray[np.float64]


def a_grid(n_lines: int = 12, n_points: int = 21, step_mm: float = 0.1) -> TomogramGrid:
    angles = np.arange(n_lines) * 180.0 / n_lines
    return TomogramGrid(angles_deg=angles, first_position_mm=-step_mm * (n_points - 1) / 2, step_mm=step_mm, n_points=n_points)


def a_projection(
    channels: Array, *, angle_deg: float, line: int = 0, attempt: int = 0, measured: Array | None = None
) -> Projection:
    is_measured = np.ones(len(channels), dtype=bool) if measured is None else measured.astype(bool)
    return Projection(
        key=LineKey(run="run", line=line, attempt=attempt),
        angle_deg=angle_deg,
        channels=np.where(is_measured[:, None], channels, np.nan),
        variance=np.where(is_measured, 0.5 + np.abs(channels).mean(axis=1), np.nan),
        unit_variance=np.ones(channels.shape[1]),
        is_measured=is_measured,
        pattern_sum=np.zeros(1),
        variance_sum=np.zeros(1),
        n_received=int(is_measured.sum()),
        n_points=len(channels),
    )


def random_projections(grid: TomogramGrid, *, seed: int, attempt: int = 0) -> list[Projection]:
    random = np.random.default_rng(seed)
    return [
        a_projection(random.normal(size=(grid.n_points, 3)), angle_deg=angle, line=line, attempt=attempt)
        for line, angle in enumerate(grid.angles_deg)
    ]


def batch(
    grid: TomogramGrid, projections: list[Projection], *, window: Filter = "shepp-logan", centre_mm: float = 0.03
) -> Array:
    """Reconstruct at once, in plain float64 NumPy."""
    n = grid.n_points
    axis = (np.arange(n) - (n - 1) / 2) * grid.step_mm
    y, x = np.meshgrid(axis, axis, indexing="ij")
    kernel = filter_kernel(n, window=window)
    weights = angular_weights(np.array([projection.angle_deg for projection in projections]))
    volume = np.zeros((n, n, projections[0].channels.shape[1]))
    for projection, weight in zip(projections, weights, strict=True):
        angle = np.deg2rad(projection.angle_deg)
        place = x * np.cos(angle) + y * np.sin(angle) + centre_mm
        for channel, values in enumerate(projection.channels.T):
            filtered = np.convolve(values, kernel)[n - 1 : 2 * n - 1] / grid.step_mm
            volume[..., channel] += weight * np.interp(place, grid.positions_mm, filtered, left=0, right=0)
    return volume * np.pi / weights.sum()


def incremental(grid: TomogramGrid, projections: list[Projection], *, centre_mm: float = 0.03) -> Slice:
    reconstruction = Reconstruction(grid=grid, n_channels=3, centre_mm=centre_mm)
    for projection in projections:
        reconstruction.update({projection.key.line: projection})
    return reconstruction.slice()


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)), n_lines=st.integers(1, 12))
def test_slice_equals_batch_in_every_order_of_arrival(order: list[int], n_lines: int) -> None:
    grid = a_grid()
    projections = random_projections(grid, seed=1)
    found = incremental(grid, [projections[line] for line in order[:n_lines]]).channels
    expected = batch(grid, [projections[line] for line in sorted(order[:n_lines])])
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@settings(max_examples=20, deadline=None)
@given(again=st.lists(st.integers(0, 11), min_size=1, max_size=24))
def test_slice_equals_batch_after_lines_were_flown_again(again: list[int]) -> None:
    grid = a_grid()
    first, second = random_projections(grid, seed=1), random_projections(grid, seed=2, attempt=1)
    found = incremental(grid, [*first, *(second[line] for line in again)]).channels
    expected = batch(grid, [second[line] if line in again else first[line] for line in range(12)])
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_line_taken_out_leaves_no_trace() -> None:
    grid = a_grid()
    projections = random_projections(grid, seed=3)
    reconstruction = Reconstruction(grid=grid, n_channels=3, centre_mm=0.03)
    reconstruction.update({projection.key.line: projection for projection in projections})
    reconstruction.update({4: None})
    expected = batch(grid, [projection for projection in projections if projection.key.line != 4])
    np.testing.assert_allclose(reconstruction.slice().channels, expected, atol=1e-9 * np.abs(expected).max())
    reconstruction.update(dict.fromkeys(range(12)))
    assert np.abs(reconstruction.slice().channels).max() == 0


def test_moved_centre_is_a_rebuild() -> None:
    grid = a_grid()
    projections = random_projections(grid, seed=4)
    reconstruction = Reconstruction(grid=grid, n_channels=3, centre_mm=-0.2)
    reconstruction.update({projection.key.line: projection for projection in projections})
    reconstruction.move_centre(0.03)
    np.testing.assert_allclose(reconstruction.slice().channels, incremental(grid, projections).channels, atol=1e-9)


@pytest.mark.parametrize("window", ["ramp", "shepp-logan", "hann"])
def test_slice_agrees_with_scikit_image_to_half_a_percent(window: Filter) -> None:
    phantom = rescale(shepp_logan_phantom(), 101 / 400, anti_aliasing=True)[:101, :101]
    angles = np.arange(120) * 1.5
    sinogram = radon(phantom, theta=angles, circle=True)
    # Their x axis turns the other way: the same sinogram is the picture upside down in ours.
    theirs = iradon(sinogram, theta=angles, filter_name={"hann": "hann"}.get(window, window), circle=True)[::-1]
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-50.0, step_mm=1.0, n_points=101)
    reconstruction = Reconstruction(grid=grid, n_channels=1, centre_mm=0.0, window=window)
    reconstruction.update({i: a_projection(row[:, None], angle_deg=angles[i], line=i) for i, row in enumerate(sinogram.T)})
    ours = reconstruction.slice().channels[..., 0]
    y, x = np.mgrid[-50:51, -50:51]
    inside = x**2 + y**2 < 49**2
    assert np.sqrt(np.mean((ours - theirs)[inside] ** 2)) < 0.005 * theirs[inside].max()


def disc_projection(positions_mm: Array, *, angle_deg: float, x: float, y: float, radius: float) -> Array:
    """Chord lengths through a disc of unit density."""
    angle = np.deg2rad(angle_deg)
    distance = positions_mm - (x * np.cos(angle) + y * np.sin(angle))
    return 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))


@pytest.mark.parametrize("turn_deg", [180.0, 360.0])
def test_disc_comes_out_at_its_place_with_its_density(turn_deg: float) -> None:
    angles = np.arange(90) * turn_deg / 90
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-3.0, step_mm=0.1, n_points=61)
    reconstruction = Reconstruction(grid=grid, n_channels=1, centre_mm=0.25)
    for line, angle in enumerate(angles):
        chords = disc_projection(grid.positions_mm - 0.25, angle_deg=angle, x=0.8, y=-1.1, radius=0.6)
        reconstruction.update({line: a_projection(chords[:, None], angle_deg=angle, line=line)})
    axis = reconstruction.axis_mm
    y, x = np.meshgrid(axis, axis, indexing="ij")
    density = reconstruction.slice().channels[..., 0]
    inside = np.hypot(x - 0.8, y + 1.1) < 0.4
    assert density[inside].mean() == pytest.approx(1.0, abs=0.03)
    assert np.abs(density[np.hypot(x, y) < 2][~inside[np.hypot(x, y) < 2]]).mean() < 0.1
    np.testing.assert_allclose([x[inside].mean(), y[inside].mean()], [0.8, -1.1], atol=0.05)


def test_weights_are_the_gaps_and_sum_to_half_a_turn() -> None:
    angles = np.array([0.0, 170.0, 20.0, 40.0, 60.0, 75.0, 80.0, 100.0, 120.0, 140.0])
    weights = np.rad2deg(angular_weights(angles))
    assert weights.sum() == pytest.approx(180)
    np.testing.assert_allclose(weights[[0, 4, 5]], [15, 17.5, 10])


def test_opposite_lines_share_a_weight() -> None:
    angles = np.arange(36) * 10.0
    np.testing.assert_allclose(np.rad2deg(angular_weights(angles)), 5.0)


def test_missing_wedge_does_not_outweigh_the_lines_beside_it() -> None:
    assert np.rad2deg(angular_weights(np.array([0.0, 5.0, 10.0]))).max() <= 30.0


def test_missing_point_changes_what_its_ray_passed_and_coverage_says_so() -> None:
    grid = a_grid(n_lines=12, n_points=41)
    chords = [disc_projection(grid.positions_mm, angle_deg=a, x=0.3, y=0.2, radius=1.2)[:, None] for a in grid.angles_deg]
    whole = Reconstruction(grid=grid, n_channels=1, centre_mm=0.0)
    whole.update({i: a_projection(c, angle_deg=grid.angles_deg[i], line=i) for i, c in enumerate(chords)})
    measured = np.ones(41)
    measured[20] = 0
    holed = Reconstruction(grid=grid, n_channels=1, centre_mm=0.0)
    holed.update(
        {
            i: a_projection(c, angle_deg=grid.angles_deg[i], line=i, measured=measured if i == 0 else None)
            for i, c in enumerate(chords)
        }
    )
    change = np.abs(holed.slice().channels - whole.slice().channels)[..., 0]
    # Line 0 looks along y: voxels at x = 0 are what the missing point saw; chords are smooth there, the filling good.
    assert change.argmax() % 41 == 20
    assert change.max() < 0.05
    lost = whole.slice().coverage - holed.slice().coverage
    np.testing.assert_allclose(lost[:, 20], 1 / 12)
    assert np.count_nonzero(np.abs(lost) > 1e-12) == 41


def test_line_that_is_mostly_holes_is_left_out() -> None:
    grid = a_grid()
    projections = random_projections(grid, seed=5)
    few = np.zeros(21)
    few[:8] = 1
    holed = a_projection(np.ones((21, 3)), angle_deg=projections[3].angle_deg, line=3, measured=few)
    found = incremental(grid, [*projections[:3], holed, *projections[4:]])
    assert found.n_lines == 11
    expected = batch(grid, [p for p in projections if p.key.line != 3])
    np.testing.assert_allclose(found.channels, expected, atol=1e-9 * np.abs(expected).max())


def test_hole_is_filled_between_its_neighbours_with_more_noise() -> None:
    measured = np.array([1, 1, 0, 0, 1, 0])
    holed = a_projection(np.arange(6.0)[:, None] * 3, angle_deg=0, measured=measured)
    channels, variance = fill_unmeasured(holed)
    np.testing.assert_allclose(channels[:, 0], [0, 3, 6, 9, 12, 12])
    assert (variance[[2, 3]] > variance[[1, 4]].mean()).all()


def test_noise_is_that_of_repeated_measurements() -> None:
    grid = a_grid(n_lines=30, n_points=25)
    random = np.random.default_rng(7)
    repeated = []
    for _ in range(200):
        reconstruction = Reconstruction(grid=grid, n_channels=1, centre_mm=0.013)
        noise = random.normal(size=(30, 25, 1))
        reconstruction.update({i: a_projection(row, angle_deg=grid.angles_deg[i], line=i) for i, row in enumerate(noise)})
        repeated.append(reconstruction.slice().channels[..., 0])
    y, x = np.mgrid[-12:13, -12:13]
    inside = np.hypot(x, y) < 11
    measured = np.var(repeated, axis=0)[inside]
    flat = Reconstruction(grid=grid, n_channels=1, centre_mm=0.013)
    # a_projection gives variance 0.5 + |mean channel|: 1 for channels of one half.
    flat.update({i: a_projection(np.full((25, 1), 0.5), angle_deg=a, line=i) for i, a in enumerate(grid.angles_deg)})
    predicted = flat.slice().noise[inside]
    assert np.mean(measured / predicted) == pytest.approx(1.0, abs=0.08)
