"""The platform on a clock of our own: one moving flag, one speed, a workspace, and moves that are changed on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.twin.hexapod import is_reachable
from acquisition.twin.platform import OutOfReachError, Platform
from acquisition.twin.ring import StoredBeam
from acquisition.twin.shutter import TRAVEL_S, Blade
from acquisition.workspace import Workspace


class HandClock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def make_platform(clock, **changed):
    settings = {"speed": 2.0, "acceleration_s": 0.1, "settle_s": 0.1, "clock": clock, **changed}
    return Platform(np.zeros(6), **settings)


def test_the_platform_is_done_after_move_and_settling():
    clock = HandClock()
    platform = make_platform(clock)
    platform.go(2, 4.0)
    clock.now_s += 2.0 + 0.1 + 0.09
    assert platform.is_moving()
    clock.now_s += 0.02
    assert not platform.is_moving()
    assert platform.trajectory.position(clock.now_s)[2] == 4.0


def test_a_second_axis_sent_on_the_way_ends_with_both_at_their_targets():
    clock = HandClock()
    platform = make_platform(clock)
    platform.go(2, 4.0)
    clock.now_s += 1.0
    platform.go(0, 1.0)
    clock.now_s += 10.0
    assert np.allclose(platform.trajectory.position(clock.now_s), [1, 0, 4, 0, 0, 0])


def test_a_stop_makes_the_place_of_rest_the_target():
    clock = HandClock()
    platform = make_platform(clock)
    platform.go(2, 4.0)
    clock.now_s += 1.0
    platform.stop()
    clock.now_s += 1.0
    assert platform.target[2] == platform.trajectory.position(clock.now_s)[2] == pytest.approx(2.0 * 0.95 + 0.1)


def test_a_refused_move_is_done_and_not_there():
    clock = HandClock()
    platform = make_platform(clock, can_reach=lambda pose: bool(pose[2] < 3))
    with pytest.raises(OutOfReachError):
        platform.go(2, 4.0)
    assert platform.is_moving()
    clock.now_s += 0.2
    assert not platform.is_moving()
    assert platform.trajectory.position(clock.now_s)[2] == 0.0


def test_haste_shortens_moves_and_settling_alike():
    clock = HandClock()
    platform = make_platform(clock, haste=lambda: 4.0)
    platform.go(2, 4.0)
    clock.now_s += (2.0 + 0.1 + 0.1) / 4 + 1e-6
    assert not platform.is_moving()


@given(st.lists(st.floats(-12, 12), min_size=6, max_size=6))
def test_the_envelope_of_the_plans_lies_within_what_the_controller_allows(pose):
    workspace = Workspace(reach_mm=10.0, tilt_deg=8.0)
    if not workspace.complaint(dict(zip("xyzuvw", pose, strict=True))):
        assert is_reachable(np.array(pose), reach_mm=10.0, tilt_deg=8.0)


@given(st.floats(0, 7.9), st.floats(0, 10))
def test_the_reach_shrinks_with_the_tilt(tilt, distance):
    workspace = Workspace(reach_mm=10.0, tilt_deg=8.0)
    is_refused = bool(workspace.complaint({"z": distance, "u": tilt}))
    assert is_refused == (distance > 10.0 * (1 - tilt / 8.0))


def test_the_shutter_is_half_open_half_way_and_can_turn_round():
    blade = Blade().told(1, at_s=10.0)
    assert blade.open_fraction(10.0 + TRAVEL_S / 2) == pytest.approx(0.5)
    assert blade.open_fraction(11.0) == 1.0
    back = blade.told(0, at_s=10.0 + TRAVEL_S / 2)
    assert back.open_fraction(10.0 + TRAVEL_S) == pytest.approx(0.0)
    assert back.status(10.0 + TRAVEL_S * 0.75, before=1) == 1


@given(st.floats(0, 5000))
def test_the_ring_stays_within_its_top_up_band_and_counts_down_to_the_injection(time_s):
    ring = StoredBeam(epoch_s=0.0)
    assert 0.99 * ring.nominal_ma < ring.current_ma(time_s) <= ring.nominal_ma
    left_s = ring.countdown_s(time_s)
    assert 0 <= left_s <= ring.period_s - ring.injection_s
    assert left_s == 0 or ring.countdown_s(time_s + left_s) == pytest.approx(0, abs=1e-6)


def test_a_dumped_ring_has_no_current_until_it_is_filled():
    ring = StoredBeam(epoch_s=0.0).dumped(True)
    assert ring.current_ma(100.0) == 0.0
    assert ring.dumped(False).current_ma(0.0) == ring.nominal_ma


def test_a_ring_that_is_kept_up_always_has_its_nominal_current() -> None:
    decaying = StoredBeam(epoch_s=0.0)
    times_s = [0.0, 100.0, 298.0, 299.5, 1000.0]

    assert [decaying.kept_up().fraction(time_s) for time_s in times_s] == [1.0] * 5
    assert decaying.fraction(298.0) < 0.995
