"""Rejection of spots, zingers and dead pixels: equal to plain NumPy, linear at low counts, better than a trim on real data."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from streaming.integrate.geometry import load_poni, make_geometry
from streaming.integrate.integrator import Integrator
from streaming.integrate.reference import reject_plainly
from streaming.integrate.reject import largest_count
from tests.streaming.integrate.test_integrator import LIMIT, assert_agree, make_integrator

REJECTING = make_integrator(rejects=True)
TRIMMING = make_integrator()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("level", [0.02, 0.3, 4.0, 60.0, 900.0])
def test_rejection_agrees_with_plain_float64(level: float, dtype: Any) -> None:
    rng = np.random.default_rng(int(100 * level))
    frame = rng.poisson(level * rng.gamma(20.0, 0.05, REJECTING.geometry.shape)).astype(dtype)
    frame[rng.random(frame.shape) < 0.01] = np.iinfo(dtype).max
    frame[rng.random(frame.shape) < 0.003] = 40_000
    frame[rng.random(frame.shape) < 0.003] = 0
    pattern = REJECTING.integrate(frame)
    wanted, (n_high, n_dead) = reject_plainly(frame, REJECTING.bins, limit=min(LIMIT, np.iinfo(dtype).max))
    assert_agree(pattern.mean, wanted[0], 1e-6)
    assert_agree(pattern.variance, wanted[1], 1e-5)
    assert_agree(pattern.trimmed, wanted[2], 1e-5)
    assert (pattern.n_rejected, pattern.n_dead) == (n_high, n_dead)


@pytest.mark.parametrize("level", [0.003, 0.01, 0.0316, 0.1, 0.3, 1.0, 2.0, 5.0, 20.0, 200.0])
def test_intensity_is_linear_at_any_count(level: float) -> None:
    rng = np.random.default_rng(7)
    true = REJECTING.geometry.correction * level
    bins, kept, trimmed, total = REJECTING.bins, 0.0, 0.0, 0.0
    full = bins.n_pixels > 100
    weight = (bins.norm * full)[full]
    for _ in range(12):
        frame = rng.poisson(true).astype(np.uint32)
        kept += float(weight @ REJECTING.integrate(frame).trimmed[full])
        trimmed += float(weight @ TRIMMING.integrate(frame).trimmed[full])
        total += float(weight @ REJECTING.integrate(frame).mean[full])
    # Against the mean of the same frames: their common noise is no bias.
    assert kept / total == pytest.approx(1.0, abs=0.003)
    if level <= 1.0:
        assert trimmed / total < 0.95


def test_what_is_cut_of_a_poisson_distribution_is_less_than_a_ten_thousandth() -> None:
    for mean in np.geomspace(1e-4, 40.0, 200):
        t = largest_count(mean)
        n = np.arange(300)
        probability = np.exp(n * np.log(mean) - mean - np.array([0.0, *np.cumsum(np.log(np.arange(1, 300)))]))
        assert float(np.sum((n * probability)[t + 1 :])) <= 1e-4 * mean
        assert t == 1 or float(np.sum(probability[t - 1 :])) > 1e-4


@pytest.mark.parametrize("level", [0.05, 0.5, 3.0, 50.0])
def test_spots_and_zingers_go_and_are_counted(level: float) -> None:
    rng = np.random.default_rng(11)
    clean = rng.poisson(level * REJECTING.geometry.correction).astype(np.uint32)
    dirty = clean.copy()
    inside = REJECTING.bins.bin.reshape(clean.shape) < REJECTING.bins.n_radial
    hit = inside & (rng.random(clean.shape) < 0.004)
    dirty[hit] = 500 + rng.poisson(40 * level, hit.sum())
    found, wanted = REJECTING.integrate(dirty), REJECTING.integrate(clean)
    full = REJECTING.bins.n_pixels > 100
    assert hit.sum() <= found.n_rejected <= hit.sum() + 30
    difference = (found.trimmed - wanted.trimmed)[full] / np.sqrt(wanted.variance[full])
    assert np.abs(difference).max() < 1.5
    assert ((found.mean - wanted.mean)[full] / np.sqrt(wanted.variance[full])).mean() > 5


def test_dead_pixels_go_where_others_count_and_stay_where_nothing_can_be_known() -> None:
    rng = np.random.default_rng(3)
    for level, is_known in ((100.0, True), (2.0, False)):
        frame = rng.poisson(level * REJECTING.geometry.correction).astype(np.uint32)
        inside = REJECTING.bins.bin.reshape(frame.shape) < REJECTING.bins.n_radial
        dead = inside & (rng.random(frame.shape) < 0.01)
        frame[dead] = 0
        pattern = REJECTING.integrate(frame)
        assert pattern.n_dead == (dead.sum() if is_known else 0)


def test_nothing_is_rejected_from_empty_and_from_flat_frames() -> None:
    for value in (0, 1, 19, 3000):
        pattern = REJECTING.integrate(np.full(REJECTING.geometry.shape, value, np.uint32))
        assert (pattern.n_rejected, pattern.n_dead) == (0, 0)
        np.testing.assert_allclose(pattern.trimmed, pattern.mean, rtol=1e-6)


@pytest.fixture(scope="module")
def real_pair(data_folder: Path) -> tuple[Any, Any, Integrator, Integrator]:
    with h5py.File(data_folder / "nDTomo/Spotty_small.h5") as file:
        powder, spotty = file["powder"][()], file["spotty"][()]
    poni = load_poni(data_folder / "nDTomo/Spotty_calib.poni")
    geometry = make_geometry(poni, (powder == 0) | (spotty == 0), polarization=0.95)
    settings: dict[str, Any] = {"q_min": 1.5, "q_max": 4.4, "n_radial": 1000}
    return powder, spotty, Integrator(geometry, **settings, rejects=True), Integrator(geometry, **settings)


def test_a_real_pattern_with_spots_comes_nearer_to_its_powder_than_by_a_trim(real_pair: Any) -> None:
    powder, spotty, rejecting, trimming = real_pair
    truth = trimming.integrate(powder)

    def deviation(pattern: Any) -> float:
        return float(np.sqrt(np.nanmean((pattern / truth.mean - 1) ** 2)))

    found, trimmed = rejecting.integrate(spotty), trimming.integrate(spotty)
    assert deviation(found.trimmed) < min(0.0635, deviation(trimmed.trimmed))
    assert deviation(trimmed.mean) > 0.085
    assert deviation(rejecting.integrate(powder).trimmed) < min(0.0035, deviation(truth.trimmed))
    assert found.n_rejected > 10_000
