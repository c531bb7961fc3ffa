"""What a run took longer than planned is named by what it waited for."""

from collections.abc import Iterator
from typing import Any

from bluesky import Msg

from acquisition.plans.waits import Waits


def test_run_that_keeps_to_its_plan_is_not_worth_a_word() -> None:
    waits = Waits(clock=lambda: 0.0)
    waits.add("the detector's images", 3.0)
    assert waits.words(flown_s=104.0, planned_s=100.0) == ""


def test_longer_run_names_its_waits_the_longest_first_and_no_trifles() -> None:
    waits = Waits(clock=lambda: 0.0)
    for what, seconds in (("top-ups", 4.0), ("the detector's images", 6.0), ("the detector's images", 6.0), ("trifles", 0.2)):
        waits.add(what, seconds)
    assert waits.words(flown_s=116.0, planned_s=100.0) == (
        "flown in 116 s, 100 s were planned; waited 12 s for the detector's images, 4 s for top-ups"
    )


def test_wait_is_counted_also_when_it_ends_in_a_failure() -> None:
    now_s = [0.0]
    waits = Waits(clock=lambda: now_s[0])

    def plan() -> Iterator[Any]:
        yield Msg("null")
        now_s[0] += 2.0
        raise RuntimeError("lost")

    running = waits.during("the reduction", plan())  # type: ignore[arg-type]
    next(running)
    try:
        next(running)
    except RuntimeError:
        pass
    assert waits.seconds == {"the reduction": 2.0}
