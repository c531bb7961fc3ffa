"""``operando check``: roles and guards in words, and with ``--live`` the beamline as it stands; read, never put."""

from typing import Any

import pytest

from acquisition.devices.beamline import BeamlineDevices
from acquisition.examine import _of_axis, describe_control
from operando.errors import ServiceError
from operando.profile import CellLimits, Profile, read_profile


def test_roles_and_guards_are_said_in_words() -> None:
    words = describe_control(read_profile("18650-1c/beamline"))
    assert "fast hexapod Y (BL:HEX:Y) -12 to 12 mm" in words
    assert "suspended by ring current, beam shutter, hutch_temperature" in words
    assert "cell interlock: voltage_low_v" in words
    assert "cell interlock: none" in describe_control(read_profile("demo"))


def test_limits_of_a_cell_that_nobody_heeds_while_listening_are_said() -> None:
    listening = read_profile("p07-aaa")
    assert "NOBODY GUARDS THE CELL HERE: cell_limits (voltage_low_v, voltage_high_v" in describe_control(listening)
    without = listening.model_copy(update={"cell_limits": CellLimits()})
    assert "CELL" not in describe_control(without)


@pytest.mark.ioc
def test_profile_that_promises_more_than_the_motor_record_allows_is_corrected(
    devices: BeamlineDevices, beamline: Profile
) -> None:
    fast = beamline.control.fast
    assert _of_axis("fast", fast, devices.fast) == []
    wrong: dict[str, Any] = {"low": -80.0, "speed": 99.0, "unit": "deg"}
    limit, speed, unit = _of_axis("fast", fast.model_copy(update=wrong), devices.fast)
    assert "is limited to -8 to 8, the profile says -80 to 8" in limit
    assert "does at most 10/s, the profile says 99" in speed
    assert "counts in 'mm', the profile in 'deg'" in unit


@pytest.mark.ioc
def test_live_check_needs_the_detector_too(devices: BeamlineDevices, beamline: Profile) -> None:
    from acquisition.examine import examine_beamline

    with pytest.raises(ServiceError, match="detector"):
        examine_beamline(beamline, timeout_s=2.0)
