"""Every plan of the catalogue, aborted at every place that gives a message: the beamline is always left safe.

A place is the line of the plan's code and of all that called it, for either axis that sweeps and with or without beam. Plans
have most of their places in common, and come to some again with every line and run: each is tried once, in the plan that
comes to it first. With ``OPERANDO_EVERY_MESSAGE=1`` in the environment every message of every plan is tried instead,
wherever it comes: some 1,400, which takes minutes.
"""

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from acquisition.cell.history import CellHistory
from acquisition.plans.bound import plans_of
from acquisition.plans.catalogue import CATALOGUE
from acquisition.safety import CellInterlock
from operando.messages import CellReading, LineAborted, LineAnnounced, LineFlown, Notice, RunStarted, RunStopped
from operando.profile import CellLimits
from tests.acquisition.plans.conftest import fly_before, place_in

EVERY_MESSAGE = os.environ.get("OPERANDO_EVERY_MESSAGE") == "1"

SHORT: dict[str, dict[str, Any]] = {
    "xrdct": {},
    "continuous_rotation": {"n_angles": 2, "n_positions": 2, "exposure_s": 1.5},
    "steered": {"missing_points": 1},
    "densify": {"radius_mm": 0.001, "x_mm": 0.0, "y_mm": 0.0},
    "slice_stack": {"heights_mm": [0.5], "axis": "z"},
    "series": {"n_tomograms": 1},
    "sparse_series": {"n_tomograms": 1, "interval_s": 1},
    "single_line": {"n_repeats": 1},
    "point_against_time": {"n_frames": 2},
    "multi_cell": {"cells": [{"name": "a", "pose": {"x": 0.5}}]},
    "align": {"step_mm": 0.01, "width_mm": 0.01, "n_angles": 5},
    "sign_test": {"n_angles": 5},
    "calibrate": {"n_frames": 2},
    "dark": {"n_frames": 2},
    "air_and_transmission": {"air_mm": 1.0, "n_frames": 2},
    "beam_damage": {"fresh_mm": 0.5, "n_repeats": 1, "beam_off_s": 2},
}


@pytest.fixture
def one_line(small_beamline: Callable[[], Any]) -> Callable[[str], Any]:
    """Make beamlines with scans of one line of two points, or two lines where the second is asked for."""

    def make(name: str) -> Any:
        beamline = small_beamline()
        n_lines = 2 if name == "xrdct" else 1
        scan = beamline.profile.scan.model_copy(update={"n_lines": n_lines, "n_points": 2})
        made = type(beamline)(profile=beamline.profile.model_copy(update={"scan": scan}))
        made.devices.trigger.goes_on_by_time = True
        return made

    return make


def fly(
    engine: RunEngine, beamline: Any, name: str, *, abort_at: int | None = None, places: list[Hashable] | None = None
) -> None:
    """Fly a plan; abort it as one of its messages is processed, or note the place of each."""
    fly_before(engine, beamline, name)
    plan = plans_of(beamline.station, beamline.profile)[name](**SHORT[name])
    n_messages = 0

    def hook(message: Any) -> None:
        nonlocal n_messages
        n_messages += 1
        if places is not None:
            places.append((message.command, name == "continuous_rotation", name == "dark", *place_in(plan)))
        if n_messages == abort_at:
            engine.loop.create_task(engine._abort_coro("somebody said so"))

    engine.msg_hook = hook
    try:
        engine(plan, beamline.announcer.document)
    except RunEngineInterrupted:
        pass
    finally:
        engine.msg_hook = None


def assert_safe(beamline: Any) -> None:
    devices = beamline.devices
    assert devices.shutter.status.get() == 0
    assert not devices.detector.is_armed
    assert not devices.trigger.is_armed
    assert not any(axis.is_moving for axis in (devices.fast, devices.rotation, *devices.hexapod.axes.values()))
    assert devices.fast.velocity.get() == beamline.profile.control.fast.speed
    assert devices.rotation.velocity.get() == beamline.profile.control.rotation.speed
    ends = {(one.run, one.line, one.attempt) for kind in (LineFlown, LineAborted) for one in beamline.messages(kind)}
    assert ends == {(one.run, one.line, one.attempt) for one in beamline.messages(LineAnnounced)}
    assert len(beamline.messages(RunStopped)) == len(beamline.messages(RunStarted))


def test_every_plan_is_aborted_here() -> None:
    assert set(SHORT) == set(CATALOGUE)


@pytest.fixture(scope="module")
def tried() -> set[Hashable]:
    """The places at which a plan was aborted so far."""
    return set()


@pytest.mark.parametrize("name", SHORT)
def test_abort_at_any_place_of_any_plan_leaves_the_beamline_safe(
    engine: RunEngine, one_line: Callable[[str], Any], name: str, tried: set[Hashable]
) -> None:
    places: list[Hashable] = []
    fly(engine, one_line(name), name, places=places)
    assert len(places) > 40
    assert len(set(places)) > 40, "the places are told apart"
    for at, place in enumerate(places, start=1):
        if place in tried and not EVERY_MESSAGE:
            continue
        beamline = one_line(name)
        fly(engine, beamline, name, abort_at=at)
        assert_safe(beamline)
        tried.add(place)
    assert set(places) <= tried, "every place of this plan, here or in a plan before it"


def test_interlock_that_trips_in_mid_line_closes_the_shutter_until_a_person_resumes(
    engine: RunEngine, one_line: Callable[[str], Any]
) -> None:
    beamline = one_line("xrdct")
    trips: list[str] = []
    interlock = CellInterlock(
        CellLimits(voltage_high_v=4.2), CellHistory(), trip=lambda reason: trips.append(reason), clock=time.time
    )
    interlock._history.append(CellReading(time_s=time.time(), voltage_v=4.3, current_a=1.0))

    def hook(message: Any) -> None:
        if message.command == "complete" and not trips:
            interlock.look()
            engine.loop.create_task(engine._request_pause_coro(defer=False))

    engine.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        engine(plans_of(beamline.station, beamline.profile)["xrdct"](), beamline.announcer.document)
    engine.msg_hook = None
    assert len(trips) == 1
    assert beamline.devices.shutter.status.get() == 0
    engine.resume()
    assert sorted(one.line for one in beamline.messages(LineFlown)) == [0, 1]
    assert_safe(beamline)


def test_no_line_flies_while_the_cell_forbids_it_even_if_a_person_resumes_too_early(
    engine: RunEngine, one_line: Callable[[str], Any]
) -> None:
    beamline, wrong = one_line("xrdct"), ["the cell is at 4.3 V, above 4.2 V"]
    station = replace(beamline.station, cell_complaint=lambda: wrong[0])
    beamline.devices.shutter.set(1)
    with pytest.raises(RunEngineInterrupted):
        engine(plans_of(station, beamline.profile)["xrdct"](), beamline.announcer.document)
    for n_told in (1, 2):
        assert engine.state == "paused"
        assert (beamline.frames, beamline.messages(LineAnnounced)) == ([], [])
        assert beamline.devices.shutter.status.get() == 0
        told = [one for one in beamline.messages(Notice) if one.level == "error"]
        assert ["above 4.2 V: no line flies" in one.text for one in told] == [True] * n_told
        if n_told == 2:
            wrong[0] = ""
            engine.resume()
        else:
            with pytest.raises(RunEngineInterrupted):
                engine.resume()
    assert [one.line for one in beamline.messages(LineFlown)] == [0, 1]
    assert_safe(beamline)


def test_scan_that_the_cell_holds_can_still_be_aborted(engine: RunEngine, one_line: Callable[[str], Any]) -> None:
    beamline = one_line("xrdct")
    station = replace(beamline.station, cell_complaint=lambda: "the cell is too hot")
    with pytest.raises(RunEngineInterrupted):
        engine(plans_of(station, beamline.profile)["xrdct"](), beamline.announcer.document)
    engine.abort("enough")
    assert [one.exit_status for one in beamline.messages(RunStopped)] == ["abort"]
    assert_safe(beamline)
