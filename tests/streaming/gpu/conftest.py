"""The devices that kernels are tried on: the processor always, a GPU where there is one."""

from typing import Any

import pytest

from tests.streaming.gpu.emulated import COMPILER, EmulatedDevice


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> EmulatedDevice:
    """The kernels' own source on the processor."""
    if COMPILER is None:
        pytest.skip("no C++ compiler: the kernels' source cannot be run on the processor")
    return EmulatedDevice(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session", params=["emulated", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Any:
    """Each device in turn."""
    if request.param == "emulated":
        return request.getfixturevalue("emulated")
    from streaming.gpu.device import find_gpu

    found = find_gpu()
    return pytest.skip(found) if isinstance(found, str) else found
