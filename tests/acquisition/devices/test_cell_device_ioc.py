"""The cell as a device: readings from a bridge that runs, dies, and was never there."""

import time

import pytest

pytestmark = pytest.mark.ioc


@pytest.fixture(scope="module")
def cell(ca_port):
    from acquisition.devices.cell import CellMonitor

    return CellMonitor("OPR:CELL", name="cell")


def test_without_a_bridge_there_is_no_reading(cell):
    assert cell.reading() is None


def test_readings_come_from_the_bridge_and_age_when_it_dies(cell, beamline_profile, serve_process):
    bridge = serve_process("acquisition.cell.bridge", beamline_profile)
    # A client that has searched in vain for long searches again once a minute only.
    deadline = time.monotonic() + 90
    while (reading := cell.reading()) is None:
        assert time.monotonic() < deadline, "no reading came"
        time.sleep(0.05)
    assert 2.0 < reading.voltage_v < 5.0
    assert abs(time.time() - reading.time_s) < 60
    bridge.kill()
    bridge.wait()
    bridge.stdout.close()
    last = cell.reading()
    late = cell.reading(now_s=last.time_s + 100)
    assert late.age_s == pytest.approx(100)
    assert late.voltage_v == last.voltage_v
