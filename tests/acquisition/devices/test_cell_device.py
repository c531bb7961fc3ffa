"""A bridge whose variables connect one after the other gives no reading before it gives a whole one."""

from typing import Any

import pytest
from ophyd.sim import FakeEpicsSignalRO, make_fake_device

from acquisition.devices.cell import SETTLE_S, CellMonitor

TIME_S = 1.7e9


class Slow(FakeEpicsSignalRO):
    """A variable that connects when the test says so."""

    connected = False
    is_lost = False
    """Whether it connects only when it is asked for."""

    def wait_for_connection(self, timeout: float = 0.0) -> None:
        if not self.is_lost:
            raise TimeoutError
        self.connected = True


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cell(clock: Clock) -> Any:
    monitor = make_fake_device(CellMonitor)("OPR-SLOW:CELL", name="cell", elapsed=clock)
    for name in monitor.component_names:
        signal = getattr(monitor, name)
        signal.sim_put("" if signal.as_string else 0.0)
        signal.__class__ = Slow
    monitor.reading_time.sim_put(TIME_S)
    monitor.voltage.sim_put(3.7)
    monitor.current.sim_put(-0.5)
    return monitor


def test_a_bridge_still_connecting_gives_no_reading_rather_than_one_with_holes(cell: Any) -> None:
    for name in cell.component_names:
        assert cell.reading() is None
        getattr(cell, name).connected = True
    reading = cell.reading(now_s=TIME_S)
    assert (reading.voltage_v, reading.current_a) == (3.7, -0.5)


def test_a_bridge_that_serves_only_some_variables_is_read_once_no_more_come(cell: Any, clock: Clock) -> None:
    cell.reading_time.connected = True
    assert cell.reading() is None
    clock.now_s += 0.5 * SETTLE_S
    cell.voltage.connected = True
    assert cell.reading() is None
    clock.now_s += 0.75 * SETTLE_S  # the first has stood alone for long enough, the second has not
    assert cell.reading() is None
    clock.now_s += 0.5 * SETTLE_S
    assert cell.reading() is None  # the others are asked for
    reading = cell.reading(now_s=TIME_S)
    assert (reading.voltage_v, reading.current_a) == (3.7, None)


def test_a_reading_stands_while_its_bridge_leaves_variable_by_variable(cell: Any) -> None:
    for name in cell.component_names:
        getattr(cell, name).connected = True
    assert cell.reading(now_s=TIME_S).current_a == -0.5
    cell.current.connected = False
    assert cell.reading(now_s=TIME_S + 9).current_a == -0.5
    assert cell.reading(now_s=TIME_S + 9).age_s == pytest.approx(9)


def test_a_variable_whose_first_answer_got_lost_is_asked_for_again(cell: Any, clock: Clock) -> None:
    for name in cell.component_names:
        getattr(cell, name).connected = name != "voltage"
    cell.voltage.is_lost = True
    assert cell.reading() is None
    clock.now_s += 1.5 * SETTLE_S
    assert cell.reading() is None
    assert cell.reading(now_s=TIME_S).voltage_v == 3.7
