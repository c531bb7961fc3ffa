"""A disc of a tomogram again with finer steps: where its lines lie, and what of it a plan does, on the fake beamline."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.plans.catalogue import make_programme
from acquisition.plans.densify import Densify, Disc, dense_grid, dense_layout, n_frames_of_map
from acquisition.plans.dry_run import programme_complaints
from acquisition.plans.layout import layout_of, sweep_ends
from acquisition.plans.station import fly_programme
from operando.messages import LineAnnounced, LineFlown, Notice, RunStarted, RunStopped
from operando.profile import Profile, read_profile
from tests.acquisition.plans.conftest import TEST_STEP_MM
from tests.acquisition.plans.test_steering import MadeUp

DEMO = read_profile("demo")
PLACE = {"detail_x_mm": 0.01, "detail_y_mm": -0.005}


@settings(max_examples=40, deadline=None)
@given(
    x_mm=st.floats(-1.5, 1.5),
    y_mm=st.floats(-1.5, 1.5),
    radius_mm=st.floats(0.01, 4.0),
    every=st.integers(1, 5),
)
def test_every_line_sees_the_disc_at_half_the_step_and_goes_no_farther_than_the_tomogram(
    x_mm: float, y_mm: float, radius_mm: float, every: int
) -> None:
    whole = layout_of(DEMO)
    grid, fine, disc = whole.grid, dense_grid(whole.grid), Disc(x_mm=x_mm, y_mm=y_mm, radius_mm=radius_mm)
    lines = Densify(radius_mm=radius_mm, every=every).lines(grid, range(grid.angles_deg.size))
    layout = dense_layout(DEMO, grid, disc, lines)
    assert [line.index for line in layout.lines] == lines
    assert len(lines) == -(-grid.angles_deg.size // every)
    assert [line.direction for line in layout.lines] == [whole.lines[number].direction for number in lines]
    assert layout.flight.speed_mm_s == pytest.approx(whole.flight.speed_mm_s / 2)
    (low, high), (lowest, highest) = sweep_ends(layout), sweep_ends(whole)
    assert low >= lowest
    assert high <= highest
    for line in layout.lines:
        points = line.planned_mm(layout.flight.n_points)
        places = (points - fine.first_position_mm) / fine.step_mm
        np.testing.assert_allclose(places, np.round(places), atol=1e-6)
        middle = DEMO.scan.centre_mm + disc.middle_mm(line.angle_deg)
        wanted = np.clip([middle - radius_mm, middle + radius_mm], fine.positions_mm[0], fine.positions_mm[-1])
        assert points.min() <= wanted[0] + 1e-9
        assert points.max() >= wanted[1] - 1e-9


def test_the_frames_of_the_map_are_counted_once_each() -> None:
    grid = layout_of(DEMO).grid
    everywhere = dense_layout(DEMO, grid, Disc(x_mm=0, y_mm=0, radius_mm=100), [0, 1, 2])
    assert n_frames_of_map(grid, everywhere, [0, 1, 2, 3]) == 3 * (2 * grid.n_points - 1) + grid.n_points
    small = dense_layout(DEMO, grid, Disc(x_mm=0, y_mm=0, radius_mm=grid.step_mm), [0])
    assert small.flight.n_points == 9
    # Nine fine points stand on five or four coarse ones.
    assert n_frames_of_map(grid, small, [0]) in (9 + grid.n_points - 5, 9 + grid.n_points - 4)


@pytest.fixture
def steered(engine: RunEngine, beamline: Any) -> Callable[..., list[RunStarted]]:
    """Fly a tomogram that ends in a denser disc, and give its runs."""

    def fly(asks: MadeUp | None, plan: str = "steered", **arguments: Any) -> list[RunStarted]:
        programme = make_programme(plan, beamline.profile, arguments)
        assert programme_complaints(programme) == []
        engine(fly_programme(replace(beamline.station, asks=asks), programme), beamline.announcer.document)
        return list(beamline.messages(RunStarted))

    return fly


def test_a_steered_scan_makes_the_disc_denser_that_the_analysis_names(steered: Callable[..., Any], beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": 3, **PLACE})
    first, second = steered(asks, densify_radius_mm=0.005)
    assert asks.asked[-1].detail_radius_mm == 0.005
    assert (second.metadata["densifies"], second.metadata["purpose"]) == (first.run, "tomogram")
    assert second.metadata["region"] == {"x_mm": 0.01, "y_mm": -0.005, "radius_mm": 0.005}
    assert second.angles_deg == first.angles_deg
    assert (second.step_mm, second.n_points) == (TEST_STEP_MM / 2, 2 * first.n_points - 1)
    dense = [one for one in beamline.messages(LineFlown) if one.run == second.run]
    assert [(one.line, one.attempt) for one in dense] == [(0, 1), (1, 1), (2, 1)], "attempts of the lines that are there"
    for one in dense:
        angle = np.deg2rad(first.angles_deg[one.line])
        middle = 0.01 * np.cos(angle) - 0.005 * np.sin(angle)
        assert min(one.positions_mm) <= middle - 0.005 or min(one.positions_mm) == pytest.approx(first.first_position_mm)
        assert np.diff(sorted(one.positions_mm)) == pytest.approx(TEST_STEP_MM / 2)
    assert [one.exit_status for one in beamline.messages(RunStopped)] == ["success", "success"]
    assert any("3 lines fly again within 0.005 mm of (0.01, -0.005) mm" in one.text for one in beamline.messages(Notice))


def test_only_lines_that_have_flown_fly_again_and_of_them_one_of_so_many(steered: Callable[..., Any], beamline: Any) -> None:
    asks = MadeUp(lambda n: {"n_lines": n, **({"mean": 0.9} if n == 2 else {}), **PLACE})
    first, second = steered(asks, x_above=0.8, least_lines=1, densify_radius_mm=0.005, densify_every=2)
    flown = {run.run: [one.line for one in beamline.messages(LineFlown) if one.run == run.run] for run in (first, second)}
    assert flown == {first.run: [0, 1], second.run: [0]}


def test_a_disc_that_a_person_names_flies_again_later_and_once_more(steered: Callable[..., Any], beamline: Any) -> None:
    steered(None, plan="xrdct")
    arguments = {"radius_mm": 0.005, "x_mm": 0.0, "y_mm": 0.01}
    steered(None, plan="densify", **arguments)
    first, second, third = steered(None, plan="densify", **arguments)
    assert [one.metadata.get("densifies") for one in (first, second, third)] == [None, first.run, second.run]
    assert (third.step_mm, third.n_points) == (second.step_mm, second.n_points)
    assert [one.attempt for one in beamline.messages(LineAnnounced) if one.run == third.run] == [2, 2, 2]


@pytest.mark.parametrize("asks", [MadeUp(lambda n: {"n_lines": 3}), None], ids=["no detail", "nobody to ask"])
def test_without_a_place_nothing_flies_again_and_the_plan_says_so(
    steered: Callable[..., Any], beamline: Any, asks: MadeUp | None
) -> None:
    assert len(steered(asks, densify_radius_mm=0.005)) == 1
    assert any("nothing is made denser" in one.text for one in beamline.messages(Notice))
    assert beamline.devices.shutter.status.get() == 0


def test_without_a_tomogram_there_is_nothing_to_make_denser(steered: Callable[..., Any], beamline: Any) -> None:
    assert steered(None, plan="densify", radius_mm=0.005, x_mm=0.0, y_mm=0.0) == []
    assert any("no run of a tomogram with lines is in the journal" in one.text for one in beamline.messages(Notice))


def test_a_dense_disc_keeps_within_the_dose_limit(small_profile: Profile) -> None:
    assert DEMO.dose is None or make_programme("steered", DEMO, {"densify_radius_mm": 0.5}).n_frames > layout_of(DEMO).n_frames
    twice = make_programme("steered", small_profile, {"densify_radius_mm": 0.005})
    assert twice.beam_s > make_programme("steered", small_profile, {}).beam_s
