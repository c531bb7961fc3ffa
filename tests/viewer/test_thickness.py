"""Through the thickness of a band: a known slope comes back, and what is no band gives nothing."""

import numpy as np
import pytest

from viewer.stacks import Grid
from viewer.thickness import through_thickness

N, PIXEL_MM = 121, 0.05
GRID = Grid(shape=(N, N), pixel_mm=PIXEL_MM, x_first_mm=-PIXEL_MM * (N - 1) / 2, y_first_mm=-PIXEL_MM * (N - 1) / 2)
PITCH_MM, BAND_MM = 0.8, 0.5


def roll(*, turns: tuple[float, float] = (1.0, 3.0)) -> np.ndarray:
    """A spiral band whose value grows from 0 at its inner side to 1 at its outer one."""
    y, x = np.mgrid[:N, :N] * PIXEL_MM + GRID.x_first_mm
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    depth, turn = np.modf(radius / PITCH_MM - angle / (2 * np.pi) + 1)
    wound = turn + angle / (2 * np.pi)
    is_band = (depth < BAND_MM / PITCH_MM) & (wound > turns[0] + 0.5) & (wound < turns[1] + 0.5)
    return np.where(is_band, depth * PITCH_MM / BAND_MM, np.nan).astype(np.float32)


def test_the_slope_of_a_wound_band_comes_back_from_the_inner_to_the_outer_side():
    found = through_thickness(roll(), GRID)
    assert found.thickness_mm == pytest.approx(BAND_MM, abs=0.06)
    np.testing.assert_allclose(found.mean, found.depth_mm / found.thickness_mm, atol=0.12)
    assert (np.diff(found.mean) > 0).all()
    assert found.n_crossings > 360
    assert found.scatter.max() < 0.15


def test_a_band_that_differs_along_its_length_scatters():
    y, _ = np.mgrid[:N, :N]
    lopsided = np.where(np.isfinite(roll()), np.float32(y > N / 2), np.nan)
    found = through_thickness(lopsided, GRID)
    assert found.scatter.min() > 0.4
    assert found.mean == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "value",
    [
        np.full((N, N), np.nan, np.float32),
        np.where(np.hypot(*np.mgrid[-60:61, -60:61]) < 40, 1.0, np.nan),
        np.where(np.isfinite(roll()) & (np.arange(N)[:, None] < 4), 1.0, np.nan),
        np.where(np.abs(np.hypot(*np.mgrid[-60:61, -60:61]) - 30) < 0.5, 1.0, np.nan),
    ],
    ids=["nothing", "a disc", "a scrap", "a band of one voxel"],
)
def test_what_is_no_resolved_band_gives_nothing(value):
    assert through_thickness(value, GRID) is None
