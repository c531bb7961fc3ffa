"""Integration against pyFAI, against plain float64 NumPy, and its invariants."""

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from streaming.integrate.geometry import load_poni, make_geometry
from streaming.integrate.integrator import Integrator
from streaming.integrate.reference import reduce_plainly

LIMIT = 1_000_001
CUTS = (0.05, 0.95)


def make_small(shape: tuple[int, int] = (211, 187)) -> Any:
    """A pyFAI integrator for a small detector that sees as wide angles as a large one."""
    return AzimuthalIntegrator(
        dist=0.3, poni1=0.6e-3 * shape[0], poni2=0.4e-3 * shape[1], rot1=0.05, rot2=-0.03, wavelength=1.2e-11, detector=None,
        pixel1=1e-3, pixel2=1e-3,
    )  # fmt: skip


def make_integrator(shape: tuple[int, int] = (211, 187), **changes: Any) -> Integrator:
    gaps = np.zeros(shape, bool)
    gaps[40:45] = True
    geometry = make_geometry(make_small(shape), gaps, polarization=0.95)
    return Integrator(geometry, **{"q_min": 0.5, "q_max": 20.0, "n_radial": 90, "saturation_counts": LIMIT - 1, **changes})


def assert_agree(found: Any, wanted: Any, bound: float) -> None:
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=bound, atol=1e-12)


INTEGRATOR = make_integrator()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("is_spotty", [False, True])
@pytest.mark.parametrize("level", [0.02, 0.3, 1.0, 4.0, 30.0, 700.0])
def test_patterns_agree_with_plain_float64(level: float, dtype: Any, is_spotty: bool) -> None:
    rng = np.random.default_rng()
    counts = rng.poisson(level * rng.gamma(3.0, 0.3, INTEGRATOR.geometry.shape))
    frame = np.minimum(counts, np.iinfo(dtype).max - 1).astype(dtype)
    frame[rng.random(frame.shape) < 0.01] = np.iinfo(dtype).max
    if is_spotty:
        frame[rng.random(frame.shape) < 0.003] = min(50_000, np.iinfo(dtype).max - 1)
    pattern = INTEGRATOR.integrate(frame)
    wanted = reduce_plainly(frame, INTEGRATOR.bins, limit=min(LIMIT, np.iinfo(dtype).max), cuts=CUTS)
    assert_agree(pattern.mean, wanted[0], 1e-6)
    assert_agree(pattern.variance, wanted[1], 1e-6)
    assert_agree(pattern.trimmed, wanted[2], 1e-5)


@pytest.mark.parametrize("cuts", [(0.0, 0.999), (0.0, 0.5), (0.3, 1.0), (0.49, 0.51), (0.45, 0.9)])
def test_any_cuts_agree_with_plain_float64(cuts: tuple[float, float]) -> None:
    frame = np.random.default_rng().poisson(9.0, INTEGRATOR.geometry.shape).astype(np.uint32)
    pattern = make_integrator(trim=cuts).integrate(frame)
    assert_agree(pattern.trimmed, reduce_plainly(frame, INTEGRATOR.bins, limit=LIMIT, cuts=cuts)[2], 1e-5)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (97, 3), (64, 64)])
def test_odd_shapes_agree_with_plain_float64(shape: tuple[int, int]) -> None:
    integrator = Integrator(
        make_geometry(make_small(shape), np.zeros(shape, bool), polarization=0.0), q_min=0.1, q_max=25.0, n_radial=300
    )
    frame = np.random.default_rng().poisson(5.0, shape).astype(np.uint16)
    pattern = integrator.integrate(frame)
    wanted = reduce_plainly(frame, integrator.bins, limit=65535, cuts=CUTS)
    assert_agree(pattern.mean, wanted[0], 1e-6)
    assert_agree(pattern.trimmed, wanted[2], 1e-5)


def test_a_bin_of_more_pixels_than_16_bits_count_agrees_with_plain_float64() -> None:
    shape = (300, 260)
    geometry = make_geometry(make_small(shape), np.zeros(shape, bool), polarization=0.95)
    integrator = Integrator(geometry, q_min=0.0, q_max=40.0, n_radial=1)
    assert integrator.bins.order.source.dtype == np.uint32
    frame = np.random.default_rng().poisson(9.0, shape).astype(np.uint32)
    wanted = reduce_plainly(frame, integrator.bins, limit=LIMIT, cuts=CUTS)
    assert_agree(integrator.integrate(frame).trimmed, wanted[2], 1e-5)


def test_spots_far_above_everything_do_not_disturb_the_trim() -> None:
    rng = np.random.default_rng()
    frame = rng.poisson(6.0, INTEGRATOR.geometry.shape).astype(np.uint32)
    frame[rng.random(frame.shape) < 0.01] = 999_999
    assert_agree(INTEGRATOR.integrate(frame).trimmed, reduce_plainly(frame, INTEGRATOR.bins, limit=LIMIT, cuts=CUTS)[2], 1e-5)


@pytest.mark.parametrize("value", [0, 1, 17, 65_000])
def test_a_flat_frame_agrees_with_plain_float64(value: int) -> None:
    frame = np.full(INTEGRATOR.geometry.shape, value, np.uint32)
    pattern = INTEGRATOR.integrate(frame)
    assert_agree(pattern.trimmed, reduce_plainly(frame, INTEGRATOR.bins, limit=LIMIT, cuts=CUTS)[2], 1e-5)


def pyfai_patterns(peer: Any, frame: Any, mask: Any, q_min: float, q_max: float, n_radial: int) -> tuple[Any, Any]:
    shared = {
        "unit": "q_A^-1", "radial_range": (q_min, q_max), "mask": mask.copy(), "polarization_factor": 0.95,
        "method": ("no", "csr", "cython"), "correctSolidAngle": True,
    }  # fmt: skip
    mean = peer.integrate1d_ng(frame, n_radial, **shared)
    trimmed = peer.medfilt1d_ng(frame, n_radial, percentile=(5, 95), **shared)
    return mean, trimmed


def by_place(frame: Any, bins: Any) -> Any:
    counts = np.zeros(bins.n_places + 1, np.int64)
    counts[bins.place] = frame.reshape(-1)
    return counts[:-1]


def is_clear_of_rounding(frame: Any, bins: Any) -> Any:
    """True for bins whose cuts do not fall within float32 rounding of a pixel's end: pyFAI sums in float32 steps there."""
    clear = np.ones(bins.n_radial, bool)
    value = by_place(frame, bins)
    for k in range(bins.n_radial):
        members = slice(bins.offsets[k], bins.offsets[k] + bins.n_pixels[k])
        weight = bins.correction[members].astype(float)
        order = np.lexsort((-weight, value[members] / weight))
        after = np.cumsum(weight[order])
        if after.size:
            cuts = np.array([[0.05], [0.95]]) * after[-1]
            clear[k] = np.abs(after - cuts).min() > 4e-7 * after[-1]
    return clear


def test_a_small_frame_agrees_with_pyfai() -> None:
    frame = np.random.default_rng().poisson(300.0, INTEGRATOR.geometry.shape).astype(np.uint32)
    mean, trimmed = pyfai_patterns(make_small(), frame, INTEGRATOR.geometry.mask, 0.5, 20.0, 90)
    pattern = INTEGRATOR.integrate(frame)
    filled = ~np.isnan(pattern.mean)
    np.testing.assert_allclose(pattern.mean[filled], mean.intensity[filled], rtol=1e-6)
    np.testing.assert_allclose(INTEGRATOR.q, mean.radial, rtol=1e-6)
    sure = filled & ~np.isnan(pattern.trimmed) & is_clear_of_rounding(frame, INTEGRATOR.bins)
    assert sure.sum() > 0.8 * filled.sum()
    np.testing.assert_allclose(pattern.trimmed[sure], trimmed.intensity[sure], rtol=1e-5)


def test_the_real_ceria_frame_agrees_with_pyfai(data_folder: Path) -> None:
    peer = load_poni(data_folder / "nDTomo" / "CeO2.poni")
    counts = fabio.open(str(data_folder / "nDTomo" / "CeO2.cbf")).data
    mask = (fabio.open(str(data_folder / "nDTomo" / "mask.edf")).data != 0) | (counts < 0)
    frame = np.where(counts < 0, 0xFFFFFFFF, counts).astype(np.uint32)
    integrator = Integrator(
        make_geometry(peer, mask, polarization=0.95), q_min=1.0, q_max=9.0, n_radial=1500, saturation_counts=2**31
    )
    pattern = integrator.integrate(frame)
    mean, trimmed = pyfai_patterns(peer, frame, mask, 1.0, 9.0, 1500)
    np.testing.assert_allclose(pattern.mean, mean.intensity, rtol=1e-6)
    sure = is_clear_of_rounding(frame, integrator.bins)
    assert sure.mean() > 0.98
    np.testing.assert_allclose(pattern.trimmed[sure], trimmed.intensity[sure], rtol=1e-5)


frames = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).poisson(
        np.random.default_rng(seed + 1).uniform(0, 40), INTEGRATOR.geometry.shape
    ).astype(np.uint32)
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(frames, st.integers(1, 9))
def test_the_mean_is_linear(frame: Any, factor: int) -> None:
    once, many = INTEGRATOR.integrate(frame), INTEGRATOR.integrate(frame * np.uint32(factor))
    np.testing.assert_allclose(many.mean, once.mean * np.float32(factor), rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(frames, st.integers(0, 2**32 - 1))
def test_what_a_masked_pixel_holds_does_not_matter(frame: Any, seed: int) -> None:
    other = frame.copy()
    masked = INTEGRATOR.geometry.mask
    other[masked] = np.random.default_rng(seed).integers(0, 2**32 - 1, masked.sum(), dtype=np.uint32)
    one, two = INTEGRATOR.integrate(frame), INTEGRATOR.integrate(other)
    assert one.mean.tobytes() == two.mean.tobytes()
    assert one.trimmed.tobytes() == two.trimmed.tobytes()
    assert two.n_saturated == two.n_masked == 0


@settings(max_examples=25, deadline=None)
@given(frames)
def test_the_trimmed_mean_lies_between_the_least_and_the_most(frame: Any) -> None:
    bins = INTEGRATOR.bins
    counts = by_place(frame, bins)
    trimmed = INTEGRATOR.integrate(frame).trimmed
    for k in np.flatnonzero(~np.isnan(trimmed)):
        here = slice(bins.offsets[k], bins.offsets[k] + bins.n_pixels[k])
        members = counts[here] / bins.correction[here]
        assert members.min() * (1 - 1e-6) <= trimmed[k] <= members.max() * (1 + 1e-6)


@settings(max_examples=25, deadline=None)
@given(frames)
def test_no_count_is_lost_or_made(frame: Any) -> None:
    bins = INTEGRATOR.bins
    norm = np.array([bins.correction[begin:end].sum(dtype=float) for begin, end in pairwise(bins.offsets)])
    mean = np.nan_to_num(INTEGRATOR.integrate(frame).mean.astype(float))
    assert (mean * norm).sum() == pytest.approx(by_place(frame, bins).sum(), rel=1e-7)


def test_saturated_and_masked_pixels_are_left_out_and_counted_apart() -> None:
    integrator = make_integrator(saturation_counts=1000)
    frame = np.full(integrator.geometry.shape, 10, np.uint32)
    used = np.flatnonzero(integrator.bins.place < integrator.bins.n_places)
    frame.reshape(-1)[used[:7]] = 1001
    frame.reshape(-1)[used[7:12]] = 0xFFFFFFFF
    frame.reshape(-1)[used[12]] = 1000
    pattern = integrator.integrate(frame)
    assert (pattern.n_saturated, pattern.n_masked) == (7, 5)
    assert np.nanmax(pattern.mean[2:]) < 20.0


def test_the_largest_uint16_is_masked() -> None:
    frame = np.full(INTEGRATOR.geometry.shape, 65535, np.uint16)
    pattern = INTEGRATOR.integrate(frame)
    assert np.isnan(pattern.mean).all()
    assert pattern.n_masked == INTEGRATOR.bins.n_used


def test_bins_without_pixels_are_nan_and_the_others_are_not() -> None:
    integrator = make_integrator(q_max=2000.0)
    pattern = integrator.integrate(np.ones(integrator.geometry.shape, np.uint32))
    empty = integrator.bins.n_pixels == 0
    assert empty.any()
    for values in (pattern.mean, pattern.variance):
        assert np.array_equal(np.isnan(values), empty)


def test_no_counts_still_have_a_variance() -> None:
    pattern = INTEGRATOR.integrate(np.zeros(INTEGRATOR.geometry.shape, np.uint32))
    assert (pattern.mean[5:40] == 0.0).all()
    assert (pattern.variance[5:40] > 0.0).all()


def test_the_variance_is_that_of_repeated_means() -> None:
    rng = np.random.default_rng(5)
    patterns = [INTEGRATOR.integrate(rng.poisson(3.0, INTEGRATOR.geometry.shape).astype(np.uint32)) for _ in range(200)]
    scatter = np.var([pattern.mean for pattern in patterns], axis=0)
    ratio = np.nanmean(scatter[5:40] / patterns[0].variance[5:40])
    assert ratio == pytest.approx(1.0, abs=0.08)


def test_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(3)
    frames = [rng.poisson(level, INTEGRATOR.geometry.shape).astype(np.uint32) for level in range(1, 9)]
    wanted = [INTEGRATOR.integrate(frame).trimmed.tobytes() for frame in frames]
    failures: list[int] = []

    def work(number: int) -> None:
        for _ in range(40):
            if INTEGRATOR.integrate(frames[number]).trimmed.tobytes() != wanted[number]:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    "wrong", [np.zeros((5, 5), np.uint32), np.zeros((211, 187), np.int32), np.zeros((211, 187), np.float32)]
)
def test_a_frame_of_another_shape_or_dtype_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"frame has (shape|dtype)"):
        INTEGRATOR.integrate(wrong)


def test_the_pixel_mask_of_the_stream_joins_the_mask_and_changes_the_hash() -> None:
    geometry = INTEGRATOR.geometry
    more = np.zeros(geometry.shape, np.uint32)
    more[100, 100] = 4
    joined = geometry.with_mask(more)
    assert joined.mask.sum() == geometry.mask.sum() + 1
    assert joined.sha256 != geometry.sha256
    assert geometry.with_mask(np.zeros(geometry.shape)).sha256 == geometry.sha256


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_without_a_trim_the_patterns_agree_with_plain_float64(dtype: Any) -> None:
    rng = np.random.default_rng()
    integrator = make_integrator(trim=(0.0, 1.0), saturation_counts=1000)
    frame = rng.poisson(5.0, integrator.geometry.shape).astype(dtype)
    frame[rng.random(frame.shape) < 0.02] = np.iinfo(dtype).max
    frame[rng.random(frame.shape) < 0.02] = 1001
    pattern, trimming = integrator.integrate(frame), make_integrator(saturation_counts=1000).integrate(frame)
    wanted = reduce_plainly(frame, integrator.bins, limit=1001, cuts=(0.0, 1.0))
    assert_agree(pattern.mean, wanted[0], 1e-6)
    assert_agree(pattern.variance, wanted[1], 1e-6)
    assert_agree(pattern.trimmed, wanted[2], 1e-6)
    assert (pattern.n_saturated, pattern.n_masked) == (trimming.n_saturated, trimming.n_masked)


def test_without_a_trim_a_bin_of_excluded_pixels_is_nan() -> None:
    integrator = make_integrator(trim=(0.0, 1.0))
    frame = np.ones(integrator.geometry.shape, np.uint32)
    frame.reshape(-1)[integrator.bins.bin == 20] = 0xFFFFFFFF
    pattern = integrator.integrate(frame)
    assert np.isnan(pattern.mean[20])
    assert np.isfinite(pattern.mean[[19, 21]]).all()


@pytest.mark.parametrize("cuts", [CUTS, (0.0, 1.0)])
def test_a_read_only_frame_is_integrated(cuts: tuple[float, float]) -> None:
    frame = np.frombuffer(np.ones(INTEGRATOR.geometry.shape, np.uint16).tobytes(), np.uint16).reshape(INTEGRATOR.geometry.shape)
    assert np.nanmax(make_integrator(trim=cuts).integrate(frame).mean) < 5.0
