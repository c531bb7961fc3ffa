"""The cell as a device: readings from a bridge that runs, dies, and was never there."""

import time
from collections.abc import Iterator

import pytest

from operando.profile import Profile

pytestmark = pytest.mark.ioc


def monitor(prefix: str):
    from acquisition.devices.cell import CellMonitor

    return CellMonitor(prefix, name="cell")


@pytest.fixture
def bridge_profile(ca_port: int, tmp_path_factory, make_test_profile) -> Profile:
    """A beamline whose names no other test asks for: a client that has searched in vain for a name searches rarely."""
    return make_test_profile(tmp_path_factory.mktemp("profile"), port=ca_port + 2, prefix="OPR-CELL:")


@pytest.fixture
def bridge(bridge_profile: Profile, serve_process) -> Iterator:
    process = serve_process("acquisition.cell.bridge", bridge_profile)
    yield process
    process.kill()
    process.wait()


def test_without_a_bridge_there_is_no_reading(ca_port):
    assert monitor("OPR-NOBODY:CELL").reading() is None


def test_readings_come_from_the_bridge_and_age_when_it_dies(bridge):
    cell = monitor("OPR-CELL:CELL")
    deadline = time.monotonic() + 60
    while (reading := cell.reading()) is None:
        assert time.monotonic() < deadline, "no reading came"
        time.sleep(0.05)
    assert 2.0 < reading.voltage_v < 5.0
    assert abs(time.time() - reading.time_s) < 60
    bridge.kill()
    bridge.wait()
    last = cell.reading()
    late = cell.reading(now_s=last.time_s + 100)
    assert late.age_s == pytest.approx(100)
    assert late.voltage_v == last.voltage_v
