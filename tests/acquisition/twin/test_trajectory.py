"""Motion of axes and platforms: exact, bounded by speed and acceleration, and asked at any time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.twin.trajectory import at_rest, move_segments, path_length, stop_segments

lengths = st.floats(-20, 20).filter(lambda length: abs(length) > 1e-3)
speeds = st.floats(0.1, 10)
accelerations = st.floats(0.5, 100)
starts_s = st.just(1.8e9)


def one_move(length: float, speed: float, acceleration: float, start_s: float = 1.8e9):
    start = np.array([0.0])
    planned = move_segments(start, np.array([length]), speed=speed, acceleration=acceleration, start_s=start_s)
    return at_rest(start, since_s=start_s - 10).then(planned)


@given(lengths, speeds, accelerations)
def test_a_move_ends_at_rest_at_its_target_and_never_exceeds_its_speed(length, speed, acceleration):
    trajectory = one_move(length, speed, acceleration)
    times = np.linspace(1.8e9, trajectory.end_s, 200)
    assert all(abs(trajectory.velocity(t)[0]) <= speed * (1 + 1e-5) for t in times)
    assert trajectory.position(trajectory.end_s + 1)[0] == pytest.approx(length)
    assert trajectory.velocity(trajectory.end_s + 1)[0] == 0


@given(lengths, speeds, accelerations)
def test_position_has_no_jumps_where_segments_meet(length, speed, acceleration):
    trajectory = one_move(length, speed, acceleration)
    for segment in trajectory.segments[1:]:
        before, after = trajectory.position(segment.start_s - 1e-6), trajectory.position(segment.start_s)
        assert abs(after[0] - before[0]) < speed * 2e-6 + 1e-9


@given(lengths, speeds, accelerations, st.floats(0.01, 0.99))
def test_a_crossing_is_where_the_position_is_and_only_in_the_direction_of_motion(length, speed, acceleration, part):
    trajectory = one_move(length, speed, acceleration)
    forward = int(np.sign(length))
    asked = {"axis": 0, "position": part * length, "after_s": 1.8e9 - 5, "until_s": trajectory.end_s + 5}
    crossing_s = trajectory.crossing_s(direction=forward, **asked)
    assert crossing_s is not None
    # An epoch time in double precision is known to a quarter of a microsecond.
    assert trajectory.position(crossing_s)[0] == pytest.approx(part * length, abs=speed * 1e-6)
    assert trajectory.crossing_s(direction=-forward, **asked) is None


@given(lengths, speeds, accelerations, st.floats(0.01, 0.99), st.floats(0.003, 0.5))
def test_a_crossing_does_not_depend_on_how_often_one_looks(length, speed, acceleration, part, interval_s):
    trajectory = one_move(length, speed, acceleration)
    edges = np.arange(1.8e9 - 0.1, trajectory.end_s + interval_s, interval_s)
    asked = {"axis": 0, "position": part * length, "direction": int(np.sign(length))}
    whole = trajectory.crossing_s(after_s=edges[0], until_s=edges[-1], **asked)
    looks = (trajectory.crossing_s(after_s=a, until_s=b, **asked) for a, b in pairwise(edges))
    assert next(found for found in looks if found is not None) == pytest.approx(whole, abs=2e-6)


def test_a_ramp_that_starts_at_the_position_crosses_it_at_once():
    trajectory = one_move(1.0, 1.0, 10.0)
    crossing_s = trajectory.crossing_s(axis=0, position=0.0, direction=1, after_s=1.8e9 - 1, until_s=1.8e9 + 1)
    assert crossing_s == pytest.approx(1.8e9, abs=1e-6)


def test_an_axis_at_rest_on_the_position_crosses_nothing():
    trajectory = at_rest(np.array([0.5]), since_s=0.0)
    assert trajectory.crossing_s(axis=0, position=0.5, direction=1, after_s=1.0, until_s=2.0) is None


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6).filter(lambda change: path_length(np.array(change)) > 0.01), speeds)
def test_a_platform_moves_all_axes_on_one_straight_line_and_none_faster_than_it(change, speed):
    start, target = np.zeros(6), np.array(change)
    planned = move_segments(start, target, speed=speed, acceleration=10.0, start_s=0.0)
    trajectory = at_rest(start, since_s=-1.0).then(planned)
    for time_s in np.linspace(0.0, trajectory.end_s, 20):
        position, velocity = trajectory.position(time_s), trajectory.velocity(time_s)
        along = position @ target / (target @ target)
        assert np.allclose(position, along * target, atol=1e-9)
        assert np.linalg.norm(velocity[:3]) <= speed * (1 + 1e-9)
        assert np.linalg.norm(velocity[3:]) <= speed * (1 + 1e-9)


@given(lengths, speeds, accelerations, st.floats(0.0, 1.0))
def test_a_stop_halts_within_its_braking_distance(length, speed, acceleration, part):
    trajectory = one_move(length, speed, acceleration, start_s=0.0)
    at_s = part * trajectory.end_s
    stopped = trajectory.then(stop_segments(trajectory, acceleration=acceleration, at_s=at_s))
    ran_on = abs(stopped.end_position[0] - trajectory.position(at_s)[0])
    assert ran_on <= speed**2 / (2 * acceleration) * (1 + 1e-6)
    assert abs(stopped.end_position[0]) <= abs(length) * (1 + 1e-6)
