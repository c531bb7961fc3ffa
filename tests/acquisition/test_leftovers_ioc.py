from typing import Any

import pytest

from acquisition.leftovers import clear_leftovers
from operando.profile import Profile

pytestmark = pytest.mark.ioc


def test_what_a_dead_acquisition_left_behind_is_told_and_put_right(at_start: Any, beamline: Profile) -> None:
    devices = at_start
    devices.shutter.set(1).wait(30)
    devices.fast.velocity.set(2.0).wait(30)
    told: list[str] = []
    clear_leftovers(devices, beamline, tell=told.append)
    assert [words.split(" was")[0] for words in told] == ["the shutter", "the fast axis"]
    assert not devices.shutter.is_open
    assert devices.fast.velocity.get(use_monitor=False) == beamline.control.fast.speed


def test_beamline_that_was_left_in_order_is_not_touched(at_start: Any, beamline: Profile) -> None:
    told: list[str] = []
    clear_leftovers(at_start, beamline, tell=told.append)
    assert told == []
