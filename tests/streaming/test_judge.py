"""What the analysis says of its map to a plan that steers by it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operando.bus.asking import Answer
from operando.errors import DataError
from operando.messages import Message, Refused, RegionAsked
from operando.messages.steering import SteeringAnswered, SteeringAsked
from streaming.judge import MOST_KEPT, Judge, most_detailed
from streaming.line import Line
from streaming.tomogram import Result, Tomogram
from tests.streaming.phantom import N_LINES, RUN, Phantom, a_run, demo_profile

PROFILE = demo_profile()


def others(question: Message, *, is_wanted: object) -> Answer:
    return Refused(text=type(question).__name__), {}


def ask(judge: Judge, **options: Any) -> SteeringAnswered:
    answer, _ = judge(SteeringAsked(run=options.pop("run", RUN), **options), is_wanted=lambda: True)
    assert isinstance(answer, SteeringAnswered)
    return answer


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """The result after every third line of a scan that is interlaced by three; line 4 has three holes."""
    phantom = Phantom(PROFILE, photons=3000)
    lines: dict[Any, Line] = {}
    tomogram = Tomogram(profile=PROFILE, model=phantom.model, run=a_run(), read_again=lambda key: lines[key])
    found = []
    for number, index in enumerate([k for start in range(3) for k in range(start, N_LINES, 3)]):
        line = phantom.line(index, missing=(3, 5, 6) if index == 4 else ())
        lines[line.key] = line
        tomogram.add(line)
        if number % 3 == 2:
            result = tomogram.result()
            assert result is not None
            found.append(result)
    return found


@pytest.fixture
def judge(results: list[Result]) -> Judge:
    judge = Judge(others, wall_clock=lambda: 7.0)
    for result in results:
        judge.note(RUN, result, n_lines_expected=N_LINES)
    return judge


def test_mean_and_uncertainty_are_those_of_the_region_that_was_asked_for(judge: Judge, results: list[Result]) -> None:
    region = ask(judge, x_mm=0.45, y_mm=0.35, radius_mm=0.25)
    whole = ask(judge)
    # A disc of 0.2 graphite and 0.8 LiC12: x is 0.4; the other disc has more lithium.
    assert region.mean == pytest.approx(0.4, abs=0.05)
    assert whole.mean is not None
    assert whole.mean > region.mean + 0.02
    assert 0 < region.n_voxels < whole.n_voxels
    x = next(one for one in results[-1].maps if one.name == "x_lithium")
    assert whole.sigma == pytest.approx(float(np.nanmedian(x.sigma)))
    assert (whole.n_lines, whole.n_lines_expected) == (N_LINES, N_LINES)


def test_the_change_is_small_at_the_end_and_unknown_without_a_map_so_far_back(results: list[Result]) -> None:
    judge, changes = Judge(others), []
    for result in results:
        judge.note(RUN, result, n_lines_expected=N_LINES)
        changes.append(ask(judge, over_lines=6).change)
    assert changes[0] is changes[1] is None
    known = [change for change in changes if change is not None]
    assert known[-1] < 0.5 * max(known)
    assert ask(judge, over_lines=1000).change is None


def test_holes_are_counted_by_line(judge: Judge) -> None:
    assert ask(judge).missing == {4: 3}


def test_another_run_or_map_is_refused_and_other_questions_are_passed_on(judge: Judge) -> None:
    with pytest.raises(DataError, match="no map of run other"):
        ask(judge, run="other")
    with pytest.raises(DataError, match="there is no map gold"):
        ask(judge, map="gold")
    answer, _ = judge(RegionAsked(run=RUN, x_mm=[0.0], y_mm=[0.0]), is_wanted=lambda: True)
    assert answer == Refused(text="RegionAsked")


def test_a_new_run_begins_with_nothing_to_compare_with(judge: Judge, results: list[Result]) -> None:
    judge.note("next", results[-1], n_lines_expected=N_LINES)
    assert ask(judge, run="next").change is None


def test_earlier_maps_are_bounded(results: list[Result]) -> None:
    from dataclasses import replace

    judge = Judge(others)
    for n in range(1, 4 * MOST_KEPT):
        record = results[-1].records[0]
        judge.note(RUN, replace(results[0], records=[record] * n), n_lines_expected=4 * MOST_KEPT)
    assert len(judge._states) <= MOST_KEPT
    assert ask(judge, over_lines=100).change == 0.0


def test_the_disc_with_most_detail_is_named_and_noise_is_none(results: list[Result]) -> None:
    shown, axis_mm = next(one for one in results[-1].maps if one.name == "x_lithium"), results[-1].axis_mm
    x, y = np.meshgrid(axis_mm, axis_mm)
    noise = np.random.default_rng(3).normal(0.0, 0.02, x.shape)
    stripes = np.where(np.hypot(x - 0.5, y + 0.4) < 0.25, 0.1 * (-1.0) ** np.arange(axis_mm.size), 0.0)
    sigma = np.full(x.shape, 0.03, dtype=np.float32)
    smooth = replace(shown, value=(0.5 + noise).astype(np.float32), sigma=sigma)
    assert most_detailed(smooth, axis_mm, radius_mm=0.3) is None
    found = most_detailed(replace(smooth, value=(0.5 + noise + stripes).astype(np.float32)), axis_mm, radius_mm=0.3)
    assert found == pytest.approx((0.5, -0.4), abs=0.15)


def test_a_place_is_named_to_who_asks_for_one(judge: Judge) -> None:
    assert (ask(judge).detail_x_mm, ask(judge).detail_y_mm) == (None, None)
    named = ask(judge, detail_radius_mm=0.3)
    assert named.detail_x_mm is not None
    assert named.detail_y_mm is not None
    assert np.hypot(named.detail_x_mm, named.detail_y_mm) < 1.5
