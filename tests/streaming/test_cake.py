from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operando.bus import MemoryStore
from operando.messages import CakePreview, FrameGeometry
from streaming.cake import Caker, cake_grid_of, cake_of, make_cake_grid, preview_geometry
from streaming.integrate.geometry import DetectorGeometry, read_geometry
from streaming.reduction_feed import ReductionFeed
from tests.streaming.fakes import FakeClock, measured
from tests.streaming.small_detector import SHAPE, small_profile

MASKED = 2**32 - 1


def geometry_of(q: np.ndarray, *, mask: np.ndarray | None = None) -> DetectorGeometry:
    return DetectorGeometry(
        eta_deg=np.zeros(q.shape, np.float32),
        q=q,
        correction=np.ones(q.shape, np.float32),
        mask=np.zeros(q.shape, np.bool_) if mask is None else mask,
        wavelength_angstrom=0.12,
        identity="test",
    )


def centred(edge: int = 61) -> tuple[np.ndarray, np.ndarray]:
    """q growing from the middle of a detector, and the azimuth of its pixels."""
    y, x = np.mgrid[:edge, :edge] - (edge - 1) / 2
    return np.hypot(x, y) / 10, np.rad2deg(np.arctan2(y, x))


@given(seed=st.integers(0, 999), n_eta=st.integers(1, 12), n_q=st.integers(1, 12))
def test_every_count_of_a_good_pixel_is_in_one_bin(seed: int, n_eta: int, n_q: int) -> None:
    rng = np.random.default_rng(seed)
    q, eta = centred(21)
    mask = rng.random(q.shape) < 0.2
    grid = make_cake_grid(geometry_of(q, mask=mask), eta, q_min=0.2, q_max=0.9, n_eta=n_eta, n_q=n_q)
    frame = rng.integers(0, 9, q.shape).astype(np.uint16)
    frame[rng.random(q.shape) < 0.1] = 65535
    frame[rng.random(q.shape) < 0.1] = 500
    is_good = ~mask & (frame < 100) & (q >= 0.2) & (q < 0.9)
    n_pixels = np.bincount(grid.bin[is_good.ravel()], minlength=n_eta * n_q).reshape(n_eta, n_q)
    cake = cake_of(frame, grid, saturation_counts=100)
    assert cake.shape == (n_eta, n_q)
    np.testing.assert_array_equal(np.isnan(cake), n_pixels == 0)
    assert np.nansum(cake * n_pixels) == pytest.approx(frame[is_good].sum(), rel=1e-5)


def test_a_ring_is_a_straight_line_at_its_q() -> None:
    q, eta = centred()
    grid = make_cake_grid(geometry_of(q), eta, q_min=0.5, q_max=2.5, n_eta=12, n_q=20)
    ring = ((q >= 1.5) & (q < 1.6)).astype(np.uint32) * 50
    cake = cake_of(ring, grid, saturation_counts=1000)
    columns = np.flatnonzero(np.nanmax(cake, axis=0) > 0)
    assert [grid.q_first + grid.q_step * column for column in columns] == [pytest.approx(1.55)]
    assert np.nanmin(cake[:, columns[0]]) == 50


def test_azimuth_is_zero_along_the_columns_and_ninety_degrees_along_the_rows(tmp_path: Path) -> None:
    profile = small_profile(tmp_path, stream="tcp://127.0.0.1:1", journal="tcp://127.0.0.1:1")
    grid = cake_grid_of(profile, read_geometry(profile))
    for pixel, expected_deg in [((2, 480), 0.0), ((190, 233), 90.0), ((2, 2), 180.0)]:
        frame = np.full(SHAPE, MASKED, np.uint32)
        frame[pixel] = 7
        row, column = np.argwhere(np.isfinite(cake_of(frame, grid, saturation_counts=1000)))[0]
        assert grid.eta_first_deg + grid.eta_step_deg * row == pytest.approx(expected_deg, abs=grid.eta_step_deg)
        q = read_geometry(profile).q[pixel]
        assert grid.q_first + grid.q_step * column == pytest.approx(q, abs=grid.q_step / 2 + 1e-9)


def test_cakes_come_no_faster_than_asked_for_and_replace_each_other() -> None:
    q, eta = centred(21)
    clock, store = FakeClock(), MemoryStore()
    grid = make_cake_grid(geometry_of(q), eta, q_min=0.2, q_max=0.9)
    caker = Caker(grid, saturation_counts=1000, clock=clock)
    feed = ReductionFeed(store, clock=clock, wall_clock=clock)
    made = []
    for k in range(25):
        made.append(caker.preview(np.ones(q.shape, np.uint32), measured(k)))
        clock.pass_s(0.1)
    assert [k for k, cake in enumerate(made) if cake] == [0, 10, 20]
    for cake in made:
        if cake is not None:
            feed.preview(cake)
    (entry,) = store.since(0, limit=10)
    assert isinstance(entry.message, CakePreview)
    assert (entry.key, entry.message.image_id) == ("cake", 20)
    assert entry.arrays["cake"].shape == (grid.n_eta, grid.n_q)


@given(rows=st.integers(1, 13), columns=st.integers(1, 13), binning=st.integers(1, 6))
def test_a_preview_pixel_has_the_mean_q_of_its_square(rows: int, columns: int, binning: int) -> None:
    q = np.random.default_rng(1).random((rows, columns))
    message, arrays = preview_geometry(geometry_of(q), binning=binning, time_s=5.0)
    assert isinstance(message, FrameGeometry)
    assert arrays["q"].shape == (-(-rows // binning), -(-columns // binning))
    for (row, column), value in np.ndenumerate(arrays["q"]):
        square = q[row * binning : (row + 1) * binning, column * binning : (column + 1) * binning]
        assert value == pytest.approx(square.mean(), rel=1e-5)
