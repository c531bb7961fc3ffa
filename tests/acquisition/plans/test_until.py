import pytest

from acquisition.plans.until import Until
from operando.messages import CellReading


def reading(**values: object) -> CellReading:
    return CellReading.model_validate({"time_s": 100.0, "voltage_v": 3.7, "current_a": 1.0, "charge_ah": 0.5, **values})


@pytest.mark.parametrize(
    ("until", "word"),
    [
        (Until(voltage_above_v=3.6), "voltage is 3.7 V, at or above 3.6"),
        (Until(voltage_below_v=3.8), "voltage is 3.7 V, at or below 3.8"),
        (Until(charge_above_ah=0.5), "charge is 0.5 Ah"),
        (Until(charge_below_ah=0.5), "charge is 0.5 Ah"),
        (Until(step="Rest"), "at step Rest"),
        (Until(hours=0.01), "0.01 h have passed"),
    ],
)
def test_condition_that_is_met_says_why(until: Until, word: str) -> None:
    assert word in until.met(elapsed_s=36.0, reading=reading(step="Rest"), now_s=101.0)


def test_condition_that_is_not_met_says_nothing() -> None:
    until = Until(hours=1, voltage_above_v=4.2, voltage_below_v=3.0, charge_above_ah=1.0, charge_below_ah=0.1, step="Rest")
    assert until.met(elapsed_s=36.0, reading=reading(), now_s=101.0) == ""


@pytest.mark.parametrize("stale", [reading(age_s=11.0), reading(time_s=80.0), None])
def test_stale_or_absent_reading_meets_no_condition(stale: CellReading | None) -> None:
    assert Until(voltage_above_v=3.0, stale_s=10.0).met(elapsed_s=0.0, reading=stale, now_s=100.0) == ""


def test_value_that_the_cycler_does_not_give_meets_no_condition() -> None:
    assert Until(charge_above_ah=0.0).met(elapsed_s=0.0, reading=reading(charge_ah=None), now_s=100.0) == ""
