"""The kernel of the integration, its own source run on the processor: against plain float64 and against the compiled loops."""

from typing import Any

import numpy as np
import pytest
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from streaming.gpu.integrator import GpuIntegrator
from streaming.integrate.geometry import make_geometry
from streaming.integrate.integrator import Integrator
from streaming.integrate.reference import reduce_plainly
from tests.streaming.gpu.emulated import EmulatedDevice

SHAPE = (93, 87)
SATURATION = 1_000_000


def make_host(**changes: Any) -> Integrator:
    """A small detector that sees wide angles, so that corrections differ much within a bin."""
    small = AzimuthalIntegrator(
        dist=0.3, poni1=0.03, poni2=0.02, rot1=0.05, rot2=-0.03, wavelength=1.2e-11, pixel1=1e-3, pixel2=1e-3
    )
    gaps = np.zeros(SHAPE, bool)
    gaps[40:45] = True
    settings = {"q_min": 0.5, "q_max": 9.0, "n_radial": 24, "saturation_counts": SATURATION, **changes}
    return Integrator(make_geometry(small, gaps, polarization=0.95), **settings)


def frame_of(level: float, dtype: Any, rng: np.random.Generator) -> Any:
    """Poisson counts with masked, saturated and spotty pixels among them."""
    most = np.iinfo(dtype).max
    counts = rng.poisson(level * rng.gamma(3.0, 0.3, SHAPE))
    frame = np.minimum(counts, most - 1).astype(dtype)
    frame[rng.random(SHAPE) < 0.01] = most
    frame[rng.random(SHAPE) < 0.003] = min(2 * SATURATION, most - 1)
    return frame


def wanted_of(host: Integrator, frame: Any) -> Any:
    return reduce_plainly(frame, host.bins, limit=int(host.limit(frame.dtype)), cuts=host.trim)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_patterns_agree_with_plain_float64_and_with_the_processor(device: Any, dtype: Any) -> None:
    host, rng = make_host(), np.random.default_rng()
    frames = [frame_of(level, dtype, rng) for level in (0.02, 0.3, 4.0, 30.0, 700.0)]
    for frame, found in zip(frames, GpuIntegrator(host, device, n_frames=2).integrate_all(frames), strict=True):
        same, wanted = host.integrate(frame), wanted_of(host, frame)
        for values, plain, processor in zip(
            (found.mean, found.variance, found.trimmed), wanted, (same.mean, same.variance, same.trimmed), strict=True
        ):
            np.testing.assert_allclose(values, plain, rtol=1e-6)
            # The processor orders intensities by float32: seldom it cuts a pixel's neighbour in its place.
            assert np.mean(np.isclose(values, processor, rtol=1e-5, equal_nan=True)) > 0.9
        assert (found.n_saturated, found.n_masked) == (same.n_saturated, same.n_masked)
        assert found.n_masked > 0


@pytest.mark.parametrize("trim", [(0.0, 1.0), (0.0, 0.5), (0.3, 1.0), (0.5, 0.5), (0.49, 0.51)])
def test_any_cuts_agree_with_plain_float64(device: Any, trim: tuple[float, float]) -> None:
    host = make_host(trim=trim)
    frame = frame_of(9.0, np.uint8, np.random.default_rng())
    np.testing.assert_allclose(GpuIntegrator(host, device).integrate(frame).trimmed, wanted_of(host, frame)[2], rtol=1e-6)


@pytest.mark.parametrize("trim", [(0.25, 0.75), (0.5, 0.5), (0.0, 0.25)])
def test_cuts_that_end_between_two_pixels_agree_with_plain_float64(device: Any, trim: tuple[float, float]) -> None:
    far = AzimuthalIntegrator(dist=1e6, poni1=0.0, poni2=0.0, wavelength=1e-11, pixel1=1e-3, pixel2=1e-3)
    geometry = make_geometry(far, np.zeros((16, 64), bool), polarization=0.0)
    host = Integrator(geometry, q_min=0.0, q_max=float(geometry.q.max()), n_radial=8, trim=trim)
    assert set(host.bins.correction[host.bins.correction > 0].tolist()) == {1.0}
    assert (host.bins.n_pixels % 4 == 0).any()
    frame = np.random.default_rng().poisson(400.0, (16, 64)).astype(np.uint16)
    np.testing.assert_allclose(GpuIntegrator(host, device).integrate(frame).trimmed, wanted_of(host, frame)[2], rtol=1e-6)


def test_equal_intensities_are_cut_by_falling_correction(device: Any) -> None:
    host = make_host()
    for counts in (0, 1):
        frame = np.full(SHAPE, counts, np.uint8)
        frame[::7] = 1
        found = GpuIntegrator(host, device).integrate(frame).trimmed
        np.testing.assert_allclose(found, wanted_of(host, frame)[2], rtol=1e-6, atol=1e-12)


def test_bins_without_a_good_pixel_are_nan(device: Any) -> None:
    host = make_host(q_max=25.0)
    frame = np.full(SHAPE, 255, np.uint8)
    frame[:40] = 3
    found = GpuIntegrator(host, device).integrate(frame)
    wanted = wanted_of(host, frame)
    assert np.isnan(wanted[0]).any()
    np.testing.assert_allclose([found.mean, found.variance, found.trimmed], wanted, rtol=1e-6)


def test_sectors_are_kept_as_on_the_processor(device: Any) -> None:
    host = make_host(n_sectors=3, cakes_mean=False)
    frame = frame_of(5.0, np.uint8, np.random.default_rng())
    found, wanted = GpuIntegrator(host, device).integrate(frame), host.integrate(frame)
    assert found.cake is not None
    assert wanted.cake is not None
    np.testing.assert_allclose(found.cake.values, wanted.cake.values, rtol=2e-4)
    np.testing.assert_allclose(found.trimmed, wanted.trimmed, rtol=1e-5)


def test_the_order_of_threads_means_nothing(emulated: EmulatedDevice) -> None:
    host, frame = make_host(), frame_of(4.0, np.uint8, np.random.default_rng())
    backwards = EmulatedDevice(emulated.folder, is_descending=True)
    one, other = (GpuIntegrator(host, device).integrate(frame) for device in (emulated, backwards))
    assert np.array_equal(one.trimmed, other.trimmed, equal_nan=True)


def test_frames_of_several_depths_come_in_order(device: Any) -> None:
    host = make_host(trim=(0.0, 1.0))
    frames = [np.full(SHAPE, k, np.uint8 if k % 3 else np.uint16) for k in range(1, 8)]
    found = [pattern.mean for pattern in GpuIntegrator(host, device, n_frames=3).integrate_all(frames)]
    for frame, mean in zip(frames, found, strict=True):
        np.testing.assert_allclose(mean, host.integrate(frame).mean, rtol=1e-6)


def test_a_frame_of_another_detector_is_refused(device: Any) -> None:
    with pytest.raises(ValueError, match="check binning"):
        GpuIntegrator(make_host(), device).integrate(np.zeros((2, 2), np.uint8))


def test_rejection_is_left_to_the_processor(device: Any) -> None:
    with pytest.raises(ValueError, match="integrate on the processor"):
        GpuIntegrator(make_host(rejects=True), device)
