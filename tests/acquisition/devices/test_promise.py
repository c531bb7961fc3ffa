"""A promise has its time again when something of it has come, and never once it is settled."""

from collections.abc import Callable

import pytest

from acquisition.devices.promise import Promise


class HandTimer:
    """A timer that runs out when the test says so."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self._call = seconds, call
        self.daemon = self.is_running = False

    def start(self) -> None:
        self.is_running = True

    def cancel(self) -> None:
        self.is_running = False

    def run_out(self) -> None:
        if self.is_running:
            self._call()


@pytest.fixture
def timers() -> list[HandTimer]:
    return []


@pytest.fixture
def promise(timers: list[HandTimer]) -> Promise:
    def make(seconds: float, call: Callable[[], None]) -> HandTimer:
        timers.append(HandTimer(seconds, call))
        return timers[-1]

    return Promise(object(), timeout_s=7.0, late=lambda: "nothing came", make_timer=make)


def test_a_promise_that_begins_anew_outlives_its_first_deadline_but_not_its_second(
    promise: Promise, timers: list[HandTimer]
) -> None:
    promise.begin_anew()
    timers[0].run_out()
    assert not promise.is_settled
    assert timers[1].seconds == 7.0
    timers[1].run_out()
    with pytest.raises(TimeoutError, match="nothing came"):
        promise.status.wait(10)


def test_a_promise_without_news_ends_at_its_deadline(promise: Promise, timers: list[HandTimer]) -> None:
    timers[0].run_out()
    with pytest.raises(TimeoutError, match="nothing came"):
        promise.status.wait(10)


def test_a_settled_promise_begins_no_more(promise: Promise, timers: list[HandTimer]) -> None:
    promise.keep()
    promise.begin_anew()
    assert len(timers) == 1
    assert not timers[0].is_running
    promise.status.wait(10)
