"""Every plan of the catalogue, flown on the fakes: what it does, and that it is what the dry run says."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator

from acquisition.cell.channels import CellChannels
from acquisition.plans.bound import plans_of
from acquisition.plans.catalogue import CATALOGUE, make_programme
from acquisition.plans.dose import KEV_J, layout_dose_gy
from acquisition.plans.dry_run import programme_complaints
from acquisition.plans.station import check_steps
from acquisition.plans.timing import OVERHEAD_S
from operando.bus.store import MemoryStore
from operando.errors import ProfileError
from operando.messages import CellReading, LineAnnounced, LineFlown, Notice, RunStarted, RunStopped
from tests.acquisition.plans.conftest import fly_before

ARGUMENTS: dict[str, dict[str, Any]] = {
    "xrdct": {"start_line": 1},
    "continuous_rotation": {"n_angles": 4, "n_positions": 3, "exposure_s": 0.6},
    "steered": {"x_above": 0.9, "missing_points": 2},
    "densify": {"radius_mm": 0.005, "x_mm": 0.0, "y_mm": 0.0},
    "slice_stack": {"heights_mm": [0.5, 1.0]},
    "series": {"n_tomograms": 2},
    "sparse_series": {"n_tomograms": 2, "interval_s": 30},
    "single_line": {"angle_deg": 30, "n_repeats": 2},
    "point_against_time": {"n_frames": 3, "position_mm": 0.1},
    "multi_cell": {
        "cells": [{"name": "a", "pose": {"x": 1.0}, "channel": "1"}, {"name": "b", "pose": {"x": 2.0}, "channel": "2"}]
    },
    "align": {"step_mm": 0.01, "width_mm": 0.02, "n_angles": 5},
    "sign_test": {"n_angles": 5},
    "calibrate": {"n_frames": 3},
    "dark": {"n_frames": 3},
    "air_and_transmission": {"air_mm": 5.0, "n_frames": 3},
    "beam_damage": {"fresh_mm": 2.0, "n_repeats": 1, "beam_off_s": 5},
}
POINTS = ("point_against_time", "calibrate", "dark", "air_and_transmission")


@pytest.fixture
def fly(engine: RunEngine, small_beamline: Callable[[], Any]) -> Callable[..., Any]:
    """Fly a plan by name on a new beamline, and give the beamline."""

    def flown(name: str, *, prepare: Callable[[Any], None] = lambda beamline: None, **arguments: Any) -> Any:
        beamline = small_beamline()
        beamline.devices.trigger.goes_on_by_time = name in POINTS
        fly_before(engine, beamline, name)
        prepare(beamline)
        plan = plans_of(beamline.station, beamline.profile)[name]
        engine(plan(**(arguments or ARGUMENTS[name])), beamline.announcer.document)
        return beamline

    return flown


def test_every_plan_has_an_example_here() -> None:
    assert set(ARGUMENTS) == set(CATALOGUE)


class Stopwatch:
    """Adds up how long the ways of a plan would take the real axes: a wait lasts as long as the longest way of its group.

    Ways are those of a motor record: a ramp of fixed time whatever the speed. What servers need to
    answer is taken as the dry run takes it, for each line.
    """

    def __init__(self, beamline: Any) -> None:
        control, devices = beamline.profile.control, beamline.devices
        self._trigger, self._beamline = devices.trigger, beamline
        self._ramp_s = {id(devices.rotation): control.rotation.acceleration_s}
        for axis in (devices.fast, *devices.hexapod.axes.values()):
            self._ramp_s[id(axis)] = control.fast.acceleration_s
        self._of_group: dict[Any, float] = {}
        self.elapsed_s = 0.0

    def __call__(self, message: Any) -> None:
        group = message.kwargs.get("group")
        if message.command == "complete":
            self._pass(OVERHEAD_S)
        if message.command == "set" and id(message.obj) in self._ramp_s:
            axis, ramp_s = message.obj, self._ramp_s[id(message.obj)]
            way, speed = abs(message.args[0] - axis.user_readback.get()), axis.velocity.get()
            takes_s = way / speed + ramp_s if way > speed * ramp_s else 2 * ramp_s * (way / speed / ramp_s) ** 0.5
            train = self._trigger.train
            if self._trigger.is_armed and self._trigger.goes_on_by_time:
                # The axis comes to rest where it is to stay, and the gates go on.
                to_gate_s = abs(train.start - axis.user_readback.get()) / speed + 0.5 * ramp_s
                takes_s = max(takes_s, to_gate_s + (train.n_pulses - 1) * train.period_s + train.exposure_s)
            self._of_group[group] = max(self._of_group.get(group, 0.0), takes_s)
        elif message.command == "wait":
            self._pass(self._of_group.pop(group, 0.0))

    def _pass(self, seconds: float) -> None:
        self.elapsed_s += seconds
        # What waits for a time of day sees that it has passed.
        self._beamline.now_s += seconds


def dose_gy(beamline: Any, run: str) -> float:
    """Give the dose of a run by what its lines did: gates open over the area that the captured positions span."""
    dose, flight = beamline.profile.dose, next(one for one in beamline.messages(RunStarted) if one.run == run)
    total = 0.0
    for line in beamline.messages(LineFlown):
        if line.run == run:
            open_s = (len(line.positions_mm) - 1) * flight.period_s + flight.exposure_s
            area_cm2 = (np.ptp(line.positions_mm) + dose.beam_width_mm) * dose.beam_height_mm / 100
            total += dose.flux_photons_s * open_s / area_cm2 * dose.energy_kev * KEV_J * dose.absorption_cm2_g * 1000
    return total


TIME_TOLERANCE, TINY_S = 0.02, 0.02
"""Part of the dry run's time by which the wet run's may differ, and seconds for each line: a dense line begins a little beside
the end of the one before."""


@pytest.mark.parametrize("name", CATALOGUE)
def test_plan_flies_the_runs_lines_frames_time_and_dose_of_its_programme(
    engine: RunEngine, fly: Callable[..., Any], name: str
) -> None:
    watches: list[Stopwatch] = []

    def watch(beamline: Any) -> None:
        watches.append(Stopwatch(beamline))
        engine.msg_hook = lambda message: watches[0](message)

    try:
        beamline = fly(name, prepare=watch)
    finally:
        engine.msg_hook = None
    programme = make_programme(name, beamline.profile, ARGUMENTS[name])
    started, stopped = beamline.messages(RunStarted), beamline.messages(RunStopped)
    assert [one.plan for one in started] == [name] * len(programme.runs)
    assert [one.exit_status for one in stopped] == ["success"] * len(programme.runs)
    assert len(beamline.messages(LineFlown)) == sum(len(run.layout.lines) for run in programme.runs)
    assert len(beamline.frames) == programme.n_frames
    assert [one.metadata["purpose"] for one in started] == [run.purpose for run in programme.runs]
    assert len({one.metadata["programme"]["group"] for one in started}) == 1
    assert [one.metadata["programme"]["number"] for one in started] == list(range(len(started)))
    assert not any(frame.has_beam for frame in beamline.frames) if name == "dark" else all(f.has_beam for f in beamline.frames)
    assert beamline.devices.shutter.status.get() == 0
    n_lines = len(beamline.messages(LineFlown))
    wet_s = watches[0].elapsed_s + sum(seconds for seconds, _ in beamline.slept)
    assert wet_s == pytest.approx(programme.duration_s, rel=TIME_TOLERANCE, abs=TINY_S * n_lines)
    for run, planned in zip(started, programme.runs, strict=True):
        if planned.has_beam:
            assert layout_dose_gy(planned.layout, beamline.profile.dose) == pytest.approx(dose_gy(beamline, run.run), rel=0.02)
        assert run.estimated_dose_gy == pytest.approx(layout_dose_gy(planned.layout, beamline.profile.dose))


@pytest.mark.parametrize("name", CATALOGUE)
def test_plan_shows_a_queue_server_types_units_and_metadata_last(beamline: Any, name: str) -> None:
    plan = plans_of(beamline.station, beamline.profile)[name]
    parameters = list(inspect.signature(plan).parameters.values())
    assert plan.__name__ == name
    assert parameters[-1].name == "metadata"
    assert parameters[-1].default is None
    assert all(one.annotation is not one.empty for one in parameters)
    assert inspect.signature(plan).return_annotation == MsgGenerator[None]
    assert plan.__doc__ == CATALOGUE[name].__doc__


@pytest.mark.parametrize("name", CATALOGUE)
def test_rehearsal_and_check_at_the_beamline_find_no_fault_and_put_nothing(beamline: Any, name: str) -> None:
    devices, puts = beamline.devices, []
    axes = (devices.fast, devices.rotation, *devices.hexapod.axes.values())
    signals = [signal for axis in axes for signal in (axis.user_readback, axis.velocity)]
    for signal in [*signals, devices.shutter.status, devices.trigger.count, devices.detector.series]:
        signal.subscribe(lambda **event: puts.append(event), run=False)
    programme = make_programme(name, beamline.profile, ARGUMENTS[name])
    assert programme_complaints(programme) == []
    check_steps(devices, programme)
    assert puts == []
    assert not any(axis.is_moving for axis in axes)
    assert beamline.seen == []
    devices.shutter.set(0)
    assert len(puts) == 1


def test_start_line_flies_the_rest_with_the_numbers_of_the_whole(fly: Callable[..., Any]) -> None:
    beamline = fly("xrdct", start_line=1, continues="abc")
    assert [(one.line, one.direction, one.angle_deg) for one in beamline.messages(LineAnnounced)] == [(1, -1, 90.0)]
    started = beamline.messages(RunStarted)[0]
    assert started.angles_deg == [0.0, 90.0]
    assert started.metadata["continues"] == "abc"


def test_tomogram_over_a_whole_turn_spreads_its_angles_over_it(fly: Callable[..., Any]) -> None:
    beamline = fly("xrdct", angle_range_deg=360, n_lines=4, order="sequential")
    assert [one.angle_deg for one in beamline.messages(LineFlown)] == [0.0, 90.0, 180.0, 270.0]


def test_slices_are_flown_at_their_heights(fly: Callable[..., Any]) -> None:
    heights: list[float] = []
    beamline = fly("slice_stack", heights_mm=[0.5, 1.0], prepare=lambda one: note_at_start(one, heights, axis="z"))
    assert heights == [0.5, 1.0]
    assert [one.metadata["height_mm"] for one in beamline.messages(RunStarted)] == heights


def test_each_cell_is_flown_at_its_place_under_its_name(fly: Callable[..., Any]) -> None:
    places: list[float] = []
    cells = [{"name": name, "pose": {"x": x}, "channel": channel} for name, x, channel in (("a", 1.0, "1"), ("b", 2.0, "2"))]
    beamline = fly("multi_cell", cells=cells, n_rounds=2, prepare=lambda one: note_at_start(one, places, axis="x"))
    assert places == [1.0, 2.0, 1.0, 2.0]
    started = beamline.messages(RunStarted)
    assert [one.metadata["channel"] for one in started] == ["1", "2"] * 2
    assert [one.metadata["cell"]["pvs"] for one in started] == ["X:1", "X:2"] * 2
    assert [one.cell.split()[0] for one in started] == ["a", "b"] * 2


def test_lines_of_each_cell_carry_the_readings_of_its_own_channel(engine: RunEngine, small_beamline: Callable[[], Any]) -> None:
    beamline = small_beamline()
    volts = {"": 3.0, "1": 3.1, "2": 3.2}
    cells = CellChannels({channel: SteadyCell(v) for channel, v in volts.items()}, journal=beamline)
    for recorder in cells._recorders:
        recorder.record()
    station = replace(beamline.station, history=cells.histories[""], select_cell=cells.select)
    places = [*ARGUMENTS["multi_cell"]["cells"], {"name": "c", "pose": {"x": 3.0}}]
    engine(plans_of(station, beamline.profile)["multi_cell"](cells=places), beamline.announcer.document)
    found = [one.cell and one.cell.voltage_v for one in beamline.messages(LineFlown)]
    assert found == [3.1, 3.1, 3.2, 3.2, None, None]
    rates = [one.metadata["cell"].get("c_rate") for one in beamline.messages(RunStarted)]
    assert rates == [0.31, 0.32, None], "each cell's own C-rate; nobody knows that of a cell without a channel"
    assert {one.voltage_v for one in beamline.messages(CellReading)} == {3.0}, "recorded before the plan"


def test_journal_shows_the_cell_in_the_beam_alone_and_the_own_one_again_after_the_plan() -> None:
    journal = MemoryStore()
    volts = {"": 3.0, "1": 3.1}
    cells = CellChannels({channel: SteadyCell(v) for channel, v in volts.items()}, journal=journal)
    for channel in ("1", None, ""):
        cells.select(channel)
        for recorder in cells._recorders:
            recorder._written_at = -1e9
            recorder.record()
    assert [entry.message.voltage_v for entry in journal.since(0, limit=9)] == [3.1, 3.0]


class SteadyCell:
    def __init__(self, voltage_v: float) -> None:
        self.voltage_v = voltage_v

    def reading(self) -> CellReading:
        return CellReading(time_s=1.7e9, voltage_v=self.voltage_v, current_a=0.0, c_rate=round(self.voltage_v / 10, 2))


def note_at_start(beamline: Any, places: list[float], *, axis: str) -> None:
    append = beamline.announcer._journal.journal.append

    def look(message: Any) -> int:
        if isinstance(message, RunStarted):
            places.append(beamline.devices.hexapod.axes[axis].user_readback.get())
        return append(message)

    beamline.journal.append = look


def test_series_ends_when_the_cell_is_charged(fly: Callable[..., Any]) -> None:
    def charging(beamline: Any) -> None:
        voltages = iter([3.9, 4.0, 4.15, 4.21, 4.3])
        append = beamline.journal.append

        def charge(message: Any) -> int:
            if isinstance(message, RunStarted):
                beamline.now_s += 10
                beamline.history.append(CellReading(time_s=beamline.now_s, voltage_v=next(voltages), current_a=1.0))
            return append(message)

        beamline.read_cell = lambda: None
        beamline.history = type(beamline.history)()
        beamline.journal.append = charge

    beamline = fly("series", n_tomograms=5, voltage_above_v=4.2, prepare=charging)
    assert len(beamline.messages(RunStarted)) == 4
    assert "ends after 4 runs: the voltage is 4.21 V" in beamline.messages(Notice)[-1].text


def test_series_ends_after_its_hours(fly: Callable[..., Any]) -> None:
    def hasten(beamline: Any) -> None:
        append = beamline.journal.append

        def hour(message: Any) -> int:
            beamline.now_s += 3600 * isinstance(message, RunStopped)
            return append(message)

        beamline.journal.append = hour

    beamline = fly("series", n_tomograms=9, hours=2, prepare=hasten)
    assert len(beamline.messages(RunStarted)) == 2


def test_sparse_series_keeps_its_intervals_with_the_shutter_closed(fly: Callable[..., Any]) -> None:
    beamline = fly("sparse_series", n_tomograms=3, interval_s=30)
    assert sum(seconds for seconds, _ in beamline.slept) == pytest.approx(60)
    assert {status for _, status in beamline.slept} == {0}


def test_point_stays_at_its_place(fly: Callable[..., Any]) -> None:
    beamline = fly("point_against_time", n_frames=4, position_mm=0.1, angle_deg=20)
    assert {(frame.fast_mm, frame.angle_deg) for frame in beamline.frames} == {(0.1, 20.0)}
    assert beamline.messages(LineAnnounced)[0].step_mm == 0


def test_beam_damage_rests_then_compares_a_fresh_slice(fly: Callable[..., Any]) -> None:
    beamline = fly("beam_damage")
    purposes = [one.metadata["purpose"] for one in beamline.messages(RunStarted)]
    assert purposes == ["beam damage: repeated", "beam damage: after beam off", "beam damage: fresh slice"]
    assert sum(seconds for seconds, _ in beamline.slept) == 5
    assert beamline.devices.hexapod.axes["z"].user_readback.get() == 2.0


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("nothing", {}, "there is no plan 'nothing': choose one of xrdct, continuous_rotation, steered, densify, slice_stack"),
        ("series", {}, "n_tomograms: Missing required"),
        ("series", {"n_tomograms": "many"}, "n_tomograms: Input should be a valid integer"),
        ("dark", {"frames": 3}, "frames: Unexpected keyword argument; it takes n_frames="),
        ("xrdct", {"start_line": 99}, "start_line is 99, the scan has lines 0 to 2"),
        ("multi_cell", {"cells": [{"name": "a", "pose": {"x": 1}, "channel": "9"}]}, "channel '9' is not in control.channels"),
        ("slice_stack", {"heights_mm": [1], "axis": "y"}, "axis y is the fast axis"),
        ("slice_stack", {"heights_mm": [1], "axis": "q"}, "no hexapod axis q"),
    ],
)
def test_wrong_plan_or_argument_is_refused_in_words(
    small_profile: Any, name: str, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ProfileError, match=complaint):
        make_programme(name, small_profile, arguments)


def test_move_out_of_reach_is_refused_before_any_run(fly: Callable[..., Any]) -> None:
    seen: list[Any] = []
    with pytest.raises(ProfileError, match="cannot be flown"):
        fly("slice_stack", heights_mm=[0.0, 9.0], prepare=lambda one: seen.append(one))
    assert seen[0].seen == []


def test_alignment_flies_wide_lines_around_the_whole_turn_or_half_of_it(small_profile: Any) -> None:
    whole = make_programme("align", small_profile, {"width_mm": 4.0}).runs[0]
    assert whole.layout.grid.angles_deg.tolist() == [0, 45, 90, 135, 180, 225, 270, 315]
    assert whole.layout.grid.positions_mm[[0, -1]] == pytest.approx([-2.0, 2.0], abs=0.05)
    wrapped = small_profile.model_copy(update={"control": small_profile.control.model_copy(update={"cable_wrap_deg": 200.0})})
    half = make_programme("align", wrapped, {}).runs[0]
    assert half.layout.grid.angles_deg.max() == 157.5


def test_sign_test_without_a_pin_in_the_profile_is_refused(small_profile: Any) -> None:
    with pytest.raises(ProfileError, match="needs the section sign_pin"):
        make_programme("sign_test", small_profile.model_copy(update={"sign_pin": None}), {})


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_wait_of_every_plan_has_a_deadline(engine: RunEngine, small_beamline: Callable[[], Any], name: str) -> None:
    beamline, timeouts = small_beamline(), []
    beamline.devices.trigger.goes_on_by_time = name in POINTS
    fly_before(engine, beamline, name)
    hook = engine.msg_hook
    engine.msg_hook = lambda message: timeouts.append(message.kwargs["timeout"]) if message.command == "wait" else None
    try:
        engine(plans_of(beamline.station, beamline.profile)[name](**ARGUMENTS[name]), beamline.announcer.document)
    finally:
        engine.msg_hook = hook
    assert len(timeouts) > 8
    assert all(timeout is not None and 0 < timeout < 3600 for timeout in timeouts)


def test_turns_step_the_translation_and_sweep_the_rotation_to_and_fro(fly: Callable[..., Any]) -> None:
    beamline = fly("continuous_rotation", n_angles=4, n_positions=3, exposure_s=0.6, order="sequential")
    announced, flown = beamline.messages(LineAnnounced), beamline.messages(LineFlown)
    assert [one.first_position_mm for one in announced] == pytest.approx([-0.01, 0.0, 0.01])
    assert [(one.angle_deg, one.angle_step_deg) for one in announced] == [(0, 45), (135, -45), (0, 45)]
    for one in flown:
        assert sorted(one.angles_deg) == pytest.approx([0, 45, 90, 135])
        assert len(set(one.positions_mm)) == 1
    by_line = {(frame.fast_mm, round(frame.angle_deg)) for frame in beamline.frames}
    assert len(by_line) == 12
    started = beamline.messages(RunStarted)[0]
    assert (started.angles_deg, started.n_points) == ([0, 45, 90, 135], 3)
    assert started.metadata["sweep"] == "rotation"


def test_interlaced_turns_spread_each_pass_over_the_slice(small_profile: Any) -> None:
    run = make_programme("continuous_rotation", small_profile, {"n_positions": 8, "order": "interlaced"}).runs[0]
    positions = [round(line.first_position_mm / 0.01 + 3.5) for line in run.layout.lines]
    assert sorted(positions) == list(range(8))
    assert sorted(positions[:4]) == [0, 2, 4, 6]


def test_stage_that_cannot_turn_so_fast_is_named_before_anything_moves(small_profile: Any) -> None:
    programme = make_programme("continuous_rotation", small_profile, {"n_angles": 2, "exposure_s": 0.001})
    assert "the stage would turn at 4.615e+04 deg/s, above its 90 deg/s" in programme_complaints(programme)[0]


def test_turns_that_need_more_run_up_than_the_stage_has_say_how_to_need_less(small_profile: Any) -> None:
    programme = make_programme("continuous_rotation", small_profile, {"n_angles": 2, "exposure_s": 1.1})
    rotation = small_profile.control.rotation.model_copy(update={"low": 0.0})
    tight = small_profile.model_copy(update={"control": small_profile.control.model_copy(update={"rotation": rotation})})
    assert programme_complaints(programme) == []
    programme = make_programme("continuous_rotation", tight, {"n_angles": 2, "exposure_s": 1.1})
    assert "lengthen scan.exposure_s: slower turns need less run-up" in programme_complaints(programme)[0]
