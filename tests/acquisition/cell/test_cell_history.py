import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.cell.history import CellHistory
from operando.messages import CellReading


def reading(time_s: float, voltage_v: float | None, step: str = "CC_Chg") -> CellReading:
    return CellReading(time_s=time_s, voltage_v=voltage_v, current_a=1.0, step=step, source="made")


def history(*readings: CellReading) -> CellHistory:
    kept = CellHistory()
    for one in readings:
        kept.append(one)
    return kept


@given(fraction=st.floats(0, 1), first=st.floats(2.5, 4.2), second=st.floats(2.5, 4.2))
def test_voltage_between_two_readings_lies_on_their_line(fraction: float, first: float, second: float) -> None:
    state = history(reading(100.0, first), reading(104.0, second)).at(100.0 + 4 * fraction)
    assert state is not None
    assert state.voltage_v == pytest.approx(first + (second - first) * fraction, abs=1e-9)


def test_nothing_is_extrapolated_after_the_last_reading() -> None:
    state = history(reading(100.0, 3.0), reading(101.0, 4.0)).at(105.0)
    assert state is not None
    assert (state.voltage_v, state.time_s, state.age_s) == (4.0, 101.0, 4.0)


def test_nothing_is_interpolated_across_a_change_of_step() -> None:
    kept = history(reading(100.0, 3.0, step="Rest"), reading(102.0, 4.0))
    assert [kept.at(time_s).voltage_v for time_s in (100.5, 101.5)] == [3.0, 4.0]  # type: ignore[union-attr]


def test_value_that_one_of_the_readings_lacks_is_absent_between_them() -> None:
    state = history(reading(100.0, None), reading(102.0, 4.0)).at(101.0)
    assert state is not None
    assert (state.voltage_v, state.current_a) == (None, 1.0)


def test_no_reading_gives_no_state() -> None:
    assert history().at(1.0) is None


def test_same_reading_twice_is_kept_once() -> None:
    kept = CellHistory()
    assert kept.append(reading(1.0, 3.0))
    assert not kept.append(reading(1.0, 3.0))
