from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.cell.model import model_recording
from acquisition.cell.neware import charge_from_step_counters
from acquisition.cell.recording import Recording, Replay
from operando.errors import ProfileError


@pytest.fixture(scope="module")
def model() -> Recording:
    return model_recording("cccv")


def a_recording(times_s: list[float]) -> Recording:
    n = len(times_s)
    return Recording(
        name="made",
        time_s=np.array(times_s, dtype=float),
        voltage_v=np.arange(n, dtype=float),
        current_a=np.zeros(n),
        charge_ah=np.zeros(n),
        temperature_c=None,
        cycle=np.ones(n, dtype=np.int64),
        step=("Rest",) * n,
    )


@given(
    steps_s=st.lists(st.floats(0, 50), min_size=1, max_size=20),
    speed=st.sampled_from([0.5, 1.0, 60.0]),
    asked_s=st.floats(0, 2000),
)
def test_reading_is_the_newest_row_that_was_taken_by_then(steps_s: list[float], speed: float, asked_s: float) -> None:
    recording = a_recording([0.0, *np.cumsum(steps_s), sum(steps_s) + 1])
    replay = Replay(recording, speed=speed, start_s=0.0, origin_s=1000.0)
    row = replay.row_at(1000.0 + asked_s)
    recorded_s = asked_s * speed
    assert recording.time_s[row] <= recorded_s + 1e-6
    assert row == len(recording.time_s) - 1 or recording.time_s[row + 1] > recorded_s - 1e-6


def test_last_reading_stands_and_ages_after_the_end() -> None:
    replay = Replay(a_recording([0, 1, 2]), speed=2.0, start_s=1.0, origin_s=1000.0)
    reading = replay.reading_at(1060.0)
    assert (reading.voltage_v, reading.time_s, reading.age_s) == (2.0, 1000.5, 59.5)


def test_replay_that_begins_after_the_end_is_refused() -> None:
    with pytest.raises(ProfileError, match="ends at 2 s: begin earlier"):
        Replay(a_recording([0, 1, 2]), speed=1.0, start_s=2.0, origin_s=0.0)


def test_missing_temperature_is_none_and_never_a_number() -> None:
    recording = replace(a_recording([0, 1]), temperature_c=np.array([np.nan, 21.0]))
    replay = Replay(recording, speed=1.0, start_s=0.0, origin_s=0.0)
    assert replay.reading_at(0.5).temperature_c is None
    assert replay.reading_at(1.5).temperature_c == 21.0
    assert Replay(a_recording([0, 1]), speed=1.0, start_s=0.0, origin_s=0.0).reading_at(0.5).temperature_c is None


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 4)), min_size=1, max_size=12))
def test_charge_since_the_start_is_the_sum_over_step_counters(steps: list[tuple[int, int]]) -> None:
    net = np.concatenate([np.arange(n) * rate for rate, n in steps]).astype(float)
    step = np.concatenate([np.full(n, i) for i, (_, n) in enumerate(steps)])
    charge = charge_from_step_counters(charged_ah=np.maximum(net, 0), discharged_ah=np.maximum(-net, 0), step=step)
    assert charge[-1] == pytest.approx(sum(rate * (n - 1) for rate, n in steps))


def test_model_cell_stays_within_the_limits_of_its_schedule(model: Recording) -> None:
    assert model.voltage_v.min() > 2.45
    assert model.voltage_v.max() == pytest.approx(4.2, abs=1e-6)
    assert np.abs(model.current_a).max() == pytest.approx(0.5 * 4.7)
    assert {"Rest", "CCCV_Chg", "CC_DChg"} == set(model.step)


def test_charge_of_the_model_is_the_integral_of_its_current(model: Recording) -> None:
    integrated_ah = np.concatenate([[0.0], np.cumsum(model.current_a[:-1] * np.diff(model.time_s))]) / 3600
    np.testing.assert_allclose(model.charge_ah, integrated_ah, atol=1e-9)


def test_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(ProfileError, match="no model 'magic'"):
        model_recording("magic")
