"""The choice between processor and GPU, and the pipeline on a device without one."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from benchmarks.gpu import rows
from operando.errors import ProfileError, ServiceError
from operando.profile import read_profile
from operando.profile.settings import with_settings
from streaming.gpu.device import choose_device, find_gpu
from streaming.gpu.integrator import GpuIntegrator, integrator_on
from streaming.gpu.refiner import kernel_on
from streaming.gpu.self_test import TriedKernel
from streaming.gpu.volume import GpuVolume, voxels_on
from streaming.reduction import Masked
from streaming.refine.fit import refine
from streaming.volume import VoxelGrid
from tests.streaming.gpu.emulated import EmulatedDevice
from tests.streaming.gpu.test_gpu_integrate import make_host

without_gpu = pytest.mark.skipif(not isinstance(find_gpu(), str), reason="there is a GPU")


def test_nobody_computes_on_a_gpu_unless_told() -> None:
    assert read_profile("demo").compute.device == "cpu"
    assert choose_device("cpu") is None


@without_gpu
def test_a_gpu_that_is_wanted_and_not_there_is_one_clear_sentence() -> None:
    with pytest.raises(ServiceError, match=r"^compute.device gpu: .*; or compute on the processor: compute.device cpu$"):
        choose_device("gpu")


@without_gpu
def test_auto_computes_on_the_processor_and_says_why() -> None:
    with capture_logs() as said:
        assert choose_device("auto") is None
    assert said[0]["event"] == "computing on the processor"
    assert said[0]["reason"]


def test_another_word_for_a_device_is_refused() -> None:
    assert with_settings(read_profile("demo"), ["compute.device=auto"]).compute.device == "auto"
    with pytest.raises(ProfileError, match=r"compute\.device"):
        with_settings(read_profile("demo"), ["compute.device=tpu"])


def test_without_a_device_everything_stays_with_the_processor() -> None:
    host = make_host()
    assert integrator_on(None, host) is host
    assert voxels_on(None) is None
    assert kernel_on(None) is refine


def test_what_has_a_kernel_goes_to_the_device_and_what_has_none_stays(emulated: EmulatedDevice) -> None:
    make_volume = voxels_on(emulated)
    assert make_volume is not None
    assert isinstance(make_volume(VoxelGrid(n_voxels=3, n_columns=1, pixel_mm=1.0, step_mm=1.0)), GpuVolume)
    assert isinstance(kernel_on(emulated), TriedKernel)
    rejecting = make_host(rejects=True)
    with capture_logs() as said:
        assert integrator_on(emulated, rejecting) is rejecting
    assert said[0]["log_level"] == "warning"


def test_a_series_with_a_mask_of_its_own_is_integrated_on_the_device(emulated: EmulatedDevice) -> None:
    host = make_host()
    masked = Masked(read_profile("demo"), host, emulated)
    plain = masked(np.zeros(host.geometry.shape, bool)).integrator
    assert isinstance(plain, GpuIntegrator)
    frame = np.random.default_rng().poisson(4.0, host.geometry.shape).astype(np.uint8)
    np.testing.assert_allclose(plain.integrate(frame).mean, host.integrate(frame).mean, rtol=1e-6)


@without_gpu
def test_rows_of_the_gpu_say_that_they_were_not_run() -> None:
    measured = rows()
    assert len(measured) == 3
    assert all(row["ours"] is None and row["device"].startswith("not run: ") for row in measured)
