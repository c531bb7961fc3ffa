"""The clock of a line's deadline: it hardly runs while images are in hand."""

import pytest

from streaming.patient_clock import PatientClock


class Shop:
    """A clock to turn, and work that may be in hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.is_busy = False
        self.clock = PatientClock(clock=lambda: self.now, is_busy=lambda: self.is_busy)

    def pass_time(self, seconds: float) -> float:
        self.now += seconds
        return self.clock()


def test_all_time_counts_while_nothing_is_in_hand() -> None:
    assert Shop().pass_time(3.0) == pytest.approx(3.0)


def test_a_tenth_of_the_time_counts_while_images_are_in_hand() -> None:
    shop = Shop()
    shop.is_busy = True
    assert shop.pass_time(20.0) == pytest.approx(2.0)
    assert shop.pass_time(20.0) == pytest.approx(4.0)


def test_the_clock_never_goes_back_when_work_comes_and_goes() -> None:
    shop = Shop()
    readings = []
    for turn in range(10):
        shop.is_busy = turn % 2 == 0
        readings.append(shop.pass_time(0.5))
    assert readings == sorted(readings)
