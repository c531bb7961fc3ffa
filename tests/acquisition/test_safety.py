import pytest

from acquisition.cell.history import CellHistory
from acquisition.safety import CellInterlock, complaint, first_complaint
from operando.messages import CellReading
from operando.profile import CellLimits

LIMITS = CellLimits(voltage_low_v=2.5, voltage_high_v=4.25, temperature_high_c=45.0, silent_s=30.0)


def reading(*, time_s: float = 100.0, voltage_v: float | None = 3.7, temperature_c: float | None = 25.0) -> CellReading:
    return CellReading(time_s=time_s, voltage_v=voltage_v, current_a=1.0, temperature_c=temperature_c)


def history_of(*readings: CellReading, since_s: float = 90.0) -> CellHistory:
    history = CellHistory(clock=lambda: since_s)
    for one in readings:
        history.append(one)
    return history


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (reading(voltage_v=4.3), "4.3 V, above 4.25 V"),
        (reading(voltage_v=2.4), "2.4 V, below 2.5 V"),
        (reading(temperature_c=46.0), "46 degC, above 45 degC"),
        (reading(time_s=60.0), "silent for 41 s, allowed are 30 s"),
    ],
)
def test_cell_beyond_a_limit_is_named_with_it(found: CellReading, word: str) -> None:
    assert word in complaint(LIMITS, history_of(found), now_s=101.0)


@pytest.mark.parametrize("found", [reading(), reading(voltage_v=None, temperature_c=None)])
def test_cell_within_limits_or_with_values_unknown_trips_nothing(found: CellReading) -> None:
    assert complaint(LIMITS, history_of(found), now_s=101.0) == ""


def test_profile_without_limits_never_trips() -> None:
    assert complaint(CellLimits(), history_of(reading(voltage_v=9.0, temperature_c=300.0)), now_s=9e9) == ""
    assert complaint(CellLimits(), history_of(), now_s=9e9) == ""


def test_cycler_that_was_never_heard_trips_once_the_patience_for_its_first_reading_is_over() -> None:
    now_s, trips = [119.0], list[str]()
    interlock = CellInterlock(LIMITS, history_of(since_s=90.0), trip=trips.append, clock=lambda: now_s[0])
    interlock.look()
    assert trips == []
    now_s[0] = 121.0
    interlock.look()
    (said,) = trips
    assert said.startswith("no reading of the cell has come in 31 s, allowed are 30 s")


def test_first_complaint_names_the_channel_whose_cell_it_is() -> None:
    histories = {"": history_of(reading()), "2": history_of(reading(voltage_v=4.3))}
    assert first_complaint(LIMITS, histories, now_s=101.0).startswith("channel 2: the cell is at 4.3 V")
    assert first_complaint(LIMITS, {"": history_of(reading())}, now_s=101.0) == ""


def test_interlock_trips_once_for_each_time_that_the_cell_leaves_its_limits() -> None:
    history, trips = CellHistory(), list[str]()
    interlock = CellInterlock(LIMITS, history, trip=trips.append, clock=lambda: 101.0)
    for time_s, voltage_v in ((97.0, 4.3), (98.0, 4.31), (99.0, 4.0), (100.0, 4.4)):
        history.append(reading(time_s=time_s, voltage_v=voltage_v))
        interlock.look()
    assert [trip.split(":")[0] for trip in trips] == [
        "the cell is at 4.3 V, above 4.25 V",
        "the cell is at 4.4 V, above 4.25 V",
    ]
