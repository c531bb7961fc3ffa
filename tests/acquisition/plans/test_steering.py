"""A plan that heeds the map: an analysis that is made up answers at once, late, or never; a fake beamline flies."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bluesky import RunEngine

from acquisition.plans.catalogue import make_programme
from acquisition.plans.station import fly_programme
from acquisition.plans.steering import LAST_WORD_S, Steering, Wanted
from operando.bus.entry import Entry
from operando.messages import LineFlown, Message, Notice, Refused, RunStopped
from operando.messages.steering import SteeringAnswered, SteeringAsked


class MadeUp:
    """Answers with how the map would be after so many lines; ``None`` is no answer at all."""

    def __init__(self, answer: Callable[[int], dict[str, Any] | None]) -> None:
        self._answer = answer
        self.asked: list[SteeringAsked] = []
        self._waiting: Entry | None = None

    def ask(self, question: Message) -> None:
        assert isinstance(question, SteeringAsked)
        self.asked.append(question)
        known = self._answer(len(self.asked))
        self._waiting = None if known is None else Entry(number=1, message=answered(question.run, **known))

    def poll(self) -> Entry | None:
        waiting, self._waiting = self._waiting, None
        return waiting


class Late(MadeUp):
    """Answers while the next line flies; a new question drops an answer that was not read, as the real asker does."""

    def __init__(self, answer: Callable[[int], dict[str, Any] | None]) -> None:
        super().__init__(answer)
        self.has_flown = False

    def poll(self) -> Entry | None:
        return super().poll() if self.has_flown else None

    def ask(self, question: Message) -> None:
        super().ask(question)
        self.has_flown = False


def answered(run: str, **known: Any) -> SteeringAnswered:
    defaults = {"n_lines": 0, "mean": None, "sigma": None, "change": None, "missing": {}}
    return SteeringAnswered(run=run, n_lines_expected=3, n_voxels=9, time_s=1.0, **{**defaults, **known})


def fly(engine: RunEngine, beamline: Any, asks: MadeUp, **arguments: Any) -> list[int]:
    """Fly a steered tomogram, and give the lines that flew."""
    programme = make_programme("steered", beamline.profile, {"least_lines": 1, **arguments})
    engine(fly_programme(replace(beamline.station, asks=asks), programme), beamline.announcer.document)
    return [one.line for one in beamline.messages(LineFlown)]


@pytest.mark.parametrize(
    ("condition", "known", "words"),
    [
        ({"change_below": 0.02}, {"change": 0.01}, "x changes by 0.01 in 4 lines after 2 lines, less than 0.02"),
        ({"x_above": 0.6}, {"mean": 0.61}, "x is 0.61 after 2 lines, at or above 0.6"),
        ({"x_below": 0.3}, {"mean": 0.25}, "at or below 0.3"),
        ({"sigma_below": 0.05}, {"sigma": 0.04}, "x is known to 0.04 after 2 lines, wanted 0.05"),
    ],
)
def test_the_scan_ends_in_order_when_the_map_is_as_far_as_wanted(
    engine: RunEngine, beamline: Any, condition: dict[str, float], known: dict[str, float], words: str
) -> None:
    asks = MadeUp(lambda n: {"n_lines": n, **(known if n == 2 else {})})
    assert fly(engine, beamline, asks, **condition) == [0, 1]
    stopped = beamline.messages(RunStopped)[0]
    assert stopped.exit_status == "success"
    assert words in stopped.reason


def test_an_answer_that_comes_while_the_next_line_flies_is_heeded() -> None:
    asks = Late(lambda n: {"n_lines": n, "mean": 0.1 * n, "missing": {0: 3} if n == 1 else {}})
    told: list[str] = []
    steering = Steering(Wanted(x_above=0.19, least_lines=1, missing_points=2), asks, run=lambda: "r", notify=told.append)
    found = []
    for _ in range(3):
        asks.has_flown = True
        steering.flew()
        found.append((steering.take_holes(), bool(steering.end_reason())))
    assert found == [([], False), ([0], False), ([], True)]


def test_a_scan_does_not_end_before_the_line_with_holes_has_flown_again() -> None:
    asks = Late(lambda n: {"n_lines": 9, "mean": 0.9, "missing": {1: 3}})
    steering = Steering(Wanted(x_above=0.5, missing_points=2), asks, run=lambda: "r", notify=lambda text: None)
    steering.flew()
    asks.has_flown = True
    assert steering.end_reason() == ""
    assert steering.take_holes() == [1]
    assert "at or above 0.5" in steering.end_reason()


def test_no_condition_ends_the_scan_before_the_least_lines(engine: RunEngine, beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": n, "mean": 0.9})
    assert fly(engine, beamline, asks, x_above=0.6, least_lines=3) == [0, 1, 2]


def test_a_map_that_is_not_there_yet_meets_no_condition(engine: RunEngine, beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": n})
    assert fly(engine, beamline, asks, change_below=1.0, x_above=0.0, x_below=1.0, sigma_below=1.0) == [0, 1, 2]
    assert beamline.messages(RunStopped)[0].reason == ""


def test_a_line_with_holes_flies_again_once_also_when_it_is_the_last(engine: RunEngine, beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": min(n, 3), "missing": {0: 1, 1: 2, **({2: 3} if n > 2 else {})}})
    assert fly(engine, beamline, asks, missing_points=2) == [0, 1, 1, 2, 2] or beamline.messages(LineFlown)
    flown = [(one.line, one.attempt) for one in beamline.messages(LineFlown)]
    assert sorted(flown) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert any("line 2: 3 points are missing: it flies again" in one.text for one in beamline.messages(Notice))


def test_the_region_is_part_of_the_question(engine: RunEngine, beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": n})
    fly(engine, beamline, asks, region_x_mm=0.5, region_y_mm=-0.25, region_radius_mm=1.0, over_lines=7)
    asked = asks.asked[0]
    assert (asked.x_mm, asked.y_mm, asked.radius_mm, asked.over_lines) == (0.5, -0.25, 1.0, 7)
    assert asked.run == beamline.messages(RunStopped)[0].run


def test_a_scan_whose_analysis_is_silent_flies_all_lines_and_its_patience_is_bounded() -> None:
    now_s = [0.0]
    asks = MadeUp(lambda n: None)
    steering = Steering(
        Wanted(x_above=0.0, missing_points=1), asks, run=lambda: "r", notify=lambda text: None, clock=lambda: now_s[0]
    )
    for _ in range(3):
        steering.flew()
        assert steering.end_reason() == ""
        assert steering.take_holes() == []
    assert len(asks.asked) == 3
    for message in steering.last_word():
        assert message.command == "sleep"
        now_s[0] += 0.5
    assert LAST_WORD_S <= now_s[0] <= LAST_WORD_S + 1
    assert len(asks.asked) > 5


def test_answers_of_another_run_and_refusals_are_not_heeded() -> None:
    class Refusing(MadeUp):
        def poll(self) -> Entry | None:
            return Entry(number=1, message=Refused(text="no map yet"))

    for asks in (Refusing(lambda n: None), MadeUp(lambda n: {"n_lines": 30, "mean": 1.0})):
        runs = iter(["r1"])
        steering = Steering(Wanted(x_above=0.5), asks, run=lambda runs=runs: next(runs, "r2"), notify=lambda text: None)  # type: ignore[misc]
        steering.flew()
        assert steering.end_reason() == ""


def test_a_plan_that_is_not_steered_asks_nothing(engine: RunEngine, beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": 99, "mean": 1.0})
    programme = make_programme("xrdct", beamline.profile, {})
    engine(fly_programme(replace(beamline.station, asks=asks), programme), beamline.announcer.document)
    assert asks.asked == []
    assert len(beamline.messages(LineFlown)) == 3
