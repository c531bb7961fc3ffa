"""The trigger box on a clock of our own: position start, time train, positions from the motion itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.twin.platform import Platform
from acquisition.twin.trigger_box import Train, TriggerBox


class HandClock:
    def __init__(self):
        self.now_s = 1.8e9

    def __call__(self):
        return self.now_s


def make_box(clock, *, position=0.0, speed=2.0):
    def one(at, speed):
        return Platform(np.array([at]), speed=speed, acceleration_s=0.1, settle_s=0.0, clock=clock)

    return TriggerBox(fast=one(position, speed), axis=0, rotation=one(30.0, 90.0), beam=lambda _: 0.5)


def sweep(box, clock, *, target, tick_s=0.01, duration_s=10.0):
    box.fast.go(0, target)
    pulses = []
    for _ in range(int(duration_s / tick_s)):
        clock.now_s += tick_s
        pulses += box.advance(clock.now_s)
    return pulses


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([1, -1]), st.integers(1, 40), st.floats(0.5, 5.0), st.floats(0.005, 0.3), st.floats(0.2, 1.0))
def test_gates_stand_at_their_places_in_both_directions_however_seldom_the_box_looks(direction, n_pulses, speed, tick_s, duty):
    clock = HandClock()
    step_mm, period_s = 0.1, 0.1 / speed
    run_up_mm = speed * 0.1
    box = make_box(clock, position=-direction * run_up_mm, speed=speed)
    exposure_s = duty * period_s
    box.train = Train(start_mm=0.0, direction=direction, n_pulses=n_pulses, period_s=period_s, exposure_s=exposure_s)
    box.arm(now_s=clock.now_s)
    pulses = sweep(box, clock, target=direction * (n_pulses * step_mm + run_up_mm), tick_s=tick_s)
    wanted = direction * speed * (np.arange(n_pulses) * period_s + exposure_s / 2)
    assert box.state == "Done"
    assert [pulse.number for pulse in pulses] == list(range(n_pulses))
    assert np.allclose(box.positions_mm, wanted, atol=speed * 2e-6)
    assert np.allclose(np.diff(box.times_s), period_s, atol=1e-6)
    assert all(pulse.angle_deg == 30.0 and pulse.beam == 0.5 for pulse in pulses)


def test_a_crossing_against_the_direction_starts_nothing():
    clock = HandClock()
    box = make_box(clock, position=1.0)
    box.train = Train(start_mm=0.0, direction=1, n_pulses=5, period_s=0.05, exposure_s=0.04)
    box.arm(now_s=clock.now_s)
    assert sweep(box, clock, target=-1.0, duration_s=3.0) == []
    assert box.state == "Armed"
    assert len(sweep(box, clock, target=1.0, duration_s=3.0)) == 5


def test_a_crossing_before_arming_counts_for_nothing():
    clock = HandClock()
    box = make_box(clock, position=-1.0)
    box.train = Train(start_mm=0.0, direction=1, n_pulses=5, period_s=0.05, exposure_s=0.04)
    sweep(box, clock, target=1.0, duration_s=3.0)
    box.arm(now_s=clock.now_s)
    clock.now_s += 1.0
    assert box.advance(clock.now_s) == []
    assert box.state == "Armed"


def test_a_stopped_axis_does_not_end_the_train_and_the_positions_say_that_it_stood():
    clock = HandClock()
    box = make_box(clock, position=-1.0)
    box.train = Train(start_mm=0.0, direction=1, n_pulses=20, period_s=0.05, exposure_s=0.04)
    box.arm(now_s=clock.now_s)
    sweep(box, clock, target=5.0, duration_s=1.0)
    box.fast.stop()
    clock.now_s += 5.0
    box.advance(clock.now_s)
    assert box.state == "Done"
    assert len(box.positions_mm) == 20
    assert box.positions_mm[-1] == box.positions_mm[-2] == pytest.approx(box.fast.target[0])


def test_disarming_ends_the_train_and_keeps_what_was_captured():
    clock = HandClock()
    box = make_box(clock, position=-1.0)
    box.train = Train(start_mm=0.0, direction=1, n_pulses=100, period_s=0.05, exposure_s=0.04)
    box.arm(now_s=clock.now_s)
    n_given = len(sweep(box, clock, target=5.0, duration_s=1.5))
    box.disarm()
    clock.now_s += 5.0
    assert 0 < n_given < 100
    assert box.advance(clock.now_s) == []
    assert (box.state, box.count, len(box.positions_mm)) == ("Idle", n_given, n_given)


def test_without_capture_there_are_times_and_no_positions():
    clock = HandClock()
    box = make_box(clock, position=-1.0)
    box.train = Train(start_mm=0.0, direction=1, n_pulses=5, period_s=0.05, exposure_s=0.04, captures=False)
    box.arm(now_s=clock.now_s)
    assert len(sweep(box, clock, target=2.0, duration_s=3.0)) == 5
    assert (box.positions_mm, len(box.times_s)) == ([], 5)


@pytest.mark.parametrize(
    "train",
    [
        Train(direction=0, n_pulses=5),
        Train(n_pulses=0),
        Train(n_pulses=10_001),
        Train(n_pulses=5, period_s=0.01, exposure_s=0.02),
        Train(n_pulses=5, exposure_s=0.0),
    ],
)
def test_a_train_that_cannot_be_given_is_not_armed(train):
    clock = HandClock()
    box = make_box(clock)
    box.train = train
    with pytest.raises(ValueError, match="wanted"):
        box.arm(now_s=clock.now_s)
    assert box.state == "Idle"
