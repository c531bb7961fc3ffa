import pytest

from acquisition.cell.history import CellHistory
from acquisition.safety import CellInterlock, complaint
from operando.messages import CellReading
from operando.profile import CellLimits

LIMITS = CellLimits(voltage_low_v=2.5, voltage_high_v=4.25, temperature_high_c=45.0, silent_s=30.0)


def reading(*, time_s: float = 100.0, voltage_v: float | None = 3.7, temperature_c: float | None = 25.0) -> CellReading:
    return CellReading(time_s=time_s, voltage_v=voltage_v, current_a=1.0, temperature_c=temperature_c)


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
    assert word in complaint(LIMITS, found, now_s=101.0)


@pytest.mark.parametrize("found", [reading(), reading(voltage_v=None, temperature_c=None), None])
def test_cell_within_limits_or_unknown_trips_nothing(found: CellReading | None) -> None:
    assert complaint(LIMITS, found, now_s=101.0) == ""


def test_profile_without_limits_never_trips() -> None:
    assert complaint(CellLimits(), reading(voltage_v=9.0, temperature_c=300.0), now_s=9e9) == ""


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
