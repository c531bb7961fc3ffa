"""A device that lies is found out before its numbers are used; one that does not is believed."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from operando.errors import ServiceError
from streaming.gpu.integrator import GpuIntegrator, integrator_on
from streaming.gpu.refiner import GpuRefiner, kernel_on
from streaming.gpu.self_test import TriedKernel
from streaming.gpu.volume import voxels_on
from streaming.refine.fit import refine
from tests.streaming.gpu.emulated import EmulatedDevice, EmulatedStream
from tests.streaming.gpu.test_gpu_integrate import make_host
from tests.streaming.gpu.test_gpu_refine import a_model, some_patterns


class LyingStream(EmulatedStream):
    """Gives back floating numbers that are a thousandth too large."""

    def copy_out(self, target: NDArray[Any], source: NDArray[Any]) -> None:
        super().copy_out(target, source)
        if target.dtype.kind == "f":
            target *= 1.001


class LyingDevice(EmulatedDevice):
    def stream(self) -> LyingStream:
        return LyingStream(is_descending=False)


@pytest.fixture
def lying(emulated: EmulatedDevice) -> LyingDevice:
    return LyingDevice(emulated.folder)


def test_an_integrator_that_lies_is_refused(emulated: EmulatedDevice, lying: LyingDevice) -> None:
    assert isinstance(integrator_on(emulated, make_host()), GpuIntegrator)
    with pytest.raises(ServiceError, match=r"the GPU does not integrate as the processor does: .*compute\.device cpu$"):
        integrator_on(lying, make_host())


def test_voxels_that_lie_are_refused(emulated: EmulatedDevice, lying: LyingDevice) -> None:
    assert voxels_on(emulated) is not None
    with pytest.raises(ServiceError, match="does not back project"):
        voxels_on(lying)


def test_a_refinement_that_lies_goes_on_with_the_processor(emulated: EmulatedDevice, lying: LyingDevice) -> None:
    model = a_model({"nmc": ("a", "c")})
    patterns, weights = some_patterns(model, 5)
    arguments = model, patterns[:4], np.ones(4), weights
    wanted = refine(*arguments)
    solved = wanted.is_solved
    with capture_logs() as said:
        np.testing.assert_allclose(kernel_on(emulated)(*arguments).scales[solved], wanted.scales[solved], rtol=1e-6, atol=1e-7)
    assert not said
    with capture_logs() as said:
        assert np.array_equal(TriedKernel(GpuRefiner(lying))(*arguments).scales, wanted.scales)
    assert said[0]["event"] == "refining on the processor"
