"""What is left to fly of a tomogram that broke off, from what its journal says."""

from typing import Any

import pytest

from acquisition.metadata import run_metadata
from acquisition.plans.catalogue import make_programme, programme_of
from operando.cli.resume import rest_of_run
from operando.errors import DataError
from operando.messages import LineFlown, Message, RunStarted
from operando.profile import Profile, read_profile


def started(
    run: str, profile: Profile, *, plan: str = "xrdct", arguments: dict[str, Any] | None = None, **more: Any
) -> RunStarted:
    planned = make_programme(plan, profile, arguments or {}).runs[0]
    grid, flight = planned.layout.grid, planned.layout.flight
    return RunStarted(
        run=run,
        time_s=1.0,
        profile=profile.name,
        plan=plan,
        angles_deg=grid.angles_deg.tolist(),
        first_position_mm=grid.first_position_mm,
        step_mm=grid.step_mm,
        n_points=grid.n_points,
        exposure_s=flight.exposure_s,
        period_s=flight.period_s,
        speed_mm_s=flight.speed_mm_s,
        metadata={**run_metadata(planned.profile, planned.layout), "purpose": planned.purpose, **more},
    )


def flown(run: str, *lines: int) -> list[Message]:
    return [
        LineFlown(
            run=run,
            line=line,
            attempt=0,
            positions_mm=[0.0],
            positions_source="captured",
            angle_deg=0.0,
            ring_current_ma=None,
            start_s=1.0,
            end_s=2.0,
        )
        for line in lines
    ]


@pytest.fixture(scope="module")
def demo() -> Profile:
    return read_profile("demo")


def test_rest_begins_at_the_first_line_that_is_missing_and_stands_at_the_same_angles(demo: Profile) -> None:
    arguments = {"n_lines": 12, "n_points": 21, "exposure_s": 0.02}
    journal = [started("a", demo, arguments=arguments), *flown("a", 0, 1, 2, 4)]
    rest = rest_of_run(demo, journal)
    assert rest.scan.plan_arguments == {"start_line": 3, "continues": "a"}
    planned = programme_of(rest).runs[0].layout
    assert [line.index for line in planned.lines] == list(range(3, 12))
    assert planned.grid.angles_deg.tolist() == journal[0].angles_deg  # type: ignore[union-attr]
    assert (planned.flight.n_points, planned.flight.exposure_s) == (21, 0.02)


def test_lines_of_a_run_that_was_gone_on_with_already_count(demo: Profile) -> None:
    journal = [started("a", demo), *flown("a", 0, 1), started("b", demo, continues="a"), *flown("b", 2, 3)]
    assert rest_of_run(demo, journal).scan.plan_arguments == {"start_line": 4, "continues": "b"}


def test_dark_frames_after_the_tomogram_are_not_what_broke_off(demo: Profile) -> None:
    journal = [started("a", demo), *flown("a", 0), started("d", demo, plan="dark")]
    assert rest_of_run(demo, journal).scan.plan_arguments["continues"] == "a"


def test_tomogram_that_is_whole_or_of_another_plan_is_refused_in_words(demo: Profile) -> None:
    whole = started("a", demo)
    with pytest.raises(DataError, match="nothing to go on with"):
        rest_of_run(demo, [whole, *flown("a", *range(len(whole.angles_deg)))])
    with pytest.raises(DataError, match="found continuous_rotation, wanted a tomogram flown by xrdct or steered"):
        rest_of_run(demo, [started("a", demo, plan="continuous_rotation", arguments={"exposure_s": 0.2})])
    with pytest.raises(DataError, match="found no tomogram"):
        rest_of_run(demo, [])


def test_profile_that_gives_other_angles_is_refused(demo: Profile) -> None:
    other = demo.model_copy(update={"scan": demo.scan.model_copy(update={"interlaces": demo.scan.interlaces + 1})})
    with pytest.raises(DataError, match="stand at other angles"):
        rest_of_run(other, [started("a", demo)])
