"""The scatter between two halves of the lines: as large as what repeated scans show, and seen where only lines differ."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from operando.scan import LineKey, TomogramGrid
from streaming.halves import LEAST_LINES, scatter_of_halves
from streaming.reconstruct import Reconstruction
from streaming.sinogram import Projection

N_POINTS, N_LINES = 31, 48
GRID = TomogramGrid(angles_deg=180.0 * np.arange(N_LINES) / N_LINES, first_position_mm=-1.5, step_mm=0.1, n_points=N_POINTS)
BOTH = np.eye(2)
INSIDE = np.hypot(*np.mgrid[-15:16, -15:16]) < 12


def projection(line: int, channels: NDArray[np.float64]) -> Projection:
    return Projection(
        key=LineKey(run="r", line=line, attempt=0),
        angle_deg=float(GRID.angles_deg[line]),
        channels=channels,
        variance=np.ones(N_POINTS),
        unit_variance=np.ones(2),
        is_measured=np.ones(N_POINTS, dtype=np.bool_),
        pattern_sum=np.zeros(1),
        variance_sum=np.zeros(1),
        n_received=N_POINTS,
        n_points=N_POINTS,
    )


def reconstructed(sinogram: NDArray[np.float64]) -> Reconstruction:
    reconstruction = Reconstruction(grid=GRID, n_channels=2, centre_mm=0.0)
    reconstruction.update({line: projection(line, rows) for line, rows in enumerate(sinogram)})
    return reconstruction


def blob() -> NDArray[np.float64]:
    """Give the sinogram of a smooth blob on the axis, the same in both channels, shape (n_lines, n_points, 2)."""
    profile = np.exp(-0.5 * (np.arange(-15, 16) / 4.0) ** 2)
    return np.repeat(np.tile(profile, (N_LINES, 1))[:, :, None], 2, axis=2)


def test_scatter_of_halves_is_on_average_that_of_repeated_scans() -> None:
    random = np.random.default_rng(0)
    mixing = np.array([[1.0, 0.5], [0.0, 2.0]])
    slices, scatters = [], []
    for _ in range(40):
        reconstruction = reconstructed(blob() + random.normal(0.0, 0.1, (N_LINES, N_POINTS, 2)))
        slices.append(reconstruction.slice().channels @ mixing.T)
        scatters.append(scatter_of_halves(reconstruction, mixing))
    deviations = (np.array(slices) - np.mean(slices, axis=0))[:, INSIDE]
    wanted = np.mean(deviations[..., :, None] * deviations[..., None, :], axis=(0, 1)) * 40 / 39
    found = np.mean(np.array(scatters)[:, INSIDE], axis=(0, 1))
    np.testing.assert_allclose(found, wanted, rtol=0.08)


def test_halves_of_a_smooth_sample_without_noise_agree() -> None:
    reconstruction = reconstructed(blob())
    scatter = scatter_of_halves(reconstruction, BOTH)
    assert scatter is not None
    assert np.sqrt(scatter[INSIDE][:, 0, 0]).max() < 1e-3 * reconstruction.slice().channels.max()


def test_lines_that_differ_in_strength_are_seen_where_the_sample_is() -> None:
    sinogram = blob()
    sinogram[::2] *= 1.1
    scatter = scatter_of_halves(reconstructed(sinogram), BOTH)
    assert scatter is not None
    middle = reconstructed(blob()).slice().channels[15, 15, 0]
    np.testing.assert_allclose(np.sqrt(scatter[15, 15, 0, 0]), 0.05 * middle, rtol=0.1)
    assert scatter[15, 15, 0, 0] > 100 * scatter[15, 27, 0, 0]


def test_scatter_does_not_depend_on_the_numbering_of_the_lines() -> None:
    random = np.random.default_rng(1)
    sinogram = blob() + random.normal(0.0, 0.1, (N_LINES, N_POINTS, 2))
    shuffled = Reconstruction(grid=GRID, n_channels=2, centre_mm=0.0)
    for number, line in enumerate(random.permutation(N_LINES)):
        shuffled.update({number: projection(int(line), sinogram[line])})
    np.testing.assert_allclose(
        scatter_of_halves(shuffled, BOTH), scatter_of_halves(reconstructed(sinogram), BOTH), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("n_lines", [0, 1, LEAST_LINES - 1])
def test_too_few_lines_have_no_halves(n_lines: int) -> None:
    assert scatter_of_halves(reconstructed(blob()[:n_lines]), BOTH) is None


def test_a_full_turn_shows_the_streaks_that_its_half_turn_has() -> None:
    few = N_LINES // 4
    edge = np.repeat((np.abs(np.arange(-15, 16)) < 6).astype(float)[None, :, None], N_LINES, axis=0).repeat(2, axis=2)
    angles = 180.0 * np.arange(few) / few
    scatters = []
    for turn in (angles, np.r_[angles, angles + 180.0]):
        reconstruction = Reconstruction(grid=GRID, n_channels=2, centre_mm=0.0)
        lines = [replace(projection(line, edge[line]), angle_deg=angle) for line, angle in enumerate(turn.tolist())]
        reconstruction.update(dict(enumerate(lines)))
        scatters.append(scatter_of_halves(reconstruction, BOTH))
    assert scatters[0].max() > 1e-4 * reconstruction.slice().channels.max() ** 2
    np.testing.assert_allclose(scatters[1][INSIDE], scatters[0][INSIDE], rtol=1e-6, atol=1e-9)
