"""A promise has its time again when something of it has come, and never once it is settled."""

import threading
from collections.abc import Callable

import pytest
from ophyd.status import Status

from acquisition.devices.promise import Promise, together


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


def test_what_is_done_together_is_done_with_its_last_part_whichever_that_is() -> None:
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        parts = [Status(None) for _ in order]
        both = together(None, parts)
        for number in order:
            assert not both.done
            parts[number].set_finished()
        both.wait(10)


def test_what_is_done_together_fails_as_the_first_part_that_does_and_once() -> None:
    parts = [Status(None) for _ in range(3)]
    both = together(None, parts)
    parts[1].set_exception(ValueError("first"))
    parts[0].set_exception(RuntimeError("second"))
    parts[2].set_finished()
    with pytest.raises(ValueError, match="first"):
        both.wait(10)


def test_parts_that_are_done_at_the_same_time_do_not_wait_for_each_other() -> None:
    for _ in range(50):
        parts = [Status(None) for _ in range(4)]
        both, go = together(None, parts), threading.Barrier(len(parts))

        def end(part: Status, go: threading.Barrier = go) -> None:
            go.wait(10)
            part.set_finished()

        for part in parts:
            threading.Thread(target=end, args=(part,), daemon=True).start()
        both.wait(30)
