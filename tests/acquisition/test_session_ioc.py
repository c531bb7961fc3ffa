"""The acquisition process against a real Channel Access server, a real SIMPLON server and the real cycler file."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.cell.neware import read_neware
from acquisition.channel_access import use_beamline
from operando.journal import read_journal
from operando.messages import (
    CellReading,
    Document,
    LineAborted,
    LineAnnounced,
    LineFlown,
    Message,
    Notice,
    PlanEnded,
    RunStarted,
    RunStopped,
    ScanState,
    ServicesOffered,
)
from operando.profile import Cell, Profile
from tests.acquisition.acquiring import Beamtime, acquiring, command, end, of

pytestmark = [
    pytest.mark.ioc,
    pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable"),
]

M50T = "NewareNDA/TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax"
SPEED = 60.0
START_S = 10_000.0


@pytest.fixture(scope="module")
def beamtime(
    beamline: Profile,
    devices: object,  # first: what pyepics has opened by itself, ophyd cannot use any more in the same process
    ca_port: int,
    serve_process: Callable[..., Any],
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Beamtime]:
    cell = {"source": f"file:{data_folder / M50T}", "speed": SPEED, "start_s": START_S}
    folder = tmp_path_factory.mktemp("geometry")
    with acquiring(beamline, port=ca_port, serve=serve_process, folder=folder, cell=cell) as running:
        yield running


def is_over(messages: list[Message]) -> bool:
    return bool(of(RunStopped, messages))


@pytest.fixture(scope="module")
def scan(beamtime: Beamtime) -> list[Message]:
    """The journal of one undisturbed scan."""
    process = beamtime.serve("acquisition.session", beamtime.profile)
    try:
        messages = beamtime.follow(is_over)
    finally:
        assert end(process) == 0
    return messages


def test_scan_on_the_simulated_beamline_succeeds(scan: list[Message]) -> None:
    assert of(RunStopped, scan)[0].exit_status == "success", of(Notice, scan)
    assert of(LineAborted, scan) == []
    assert [one.line for one in of(LineFlown, scan)] == [0, 1, 2, 3]
    assert len(of(RunStarted, scan)[0].geometry_sha256) == 64


def test_every_announced_image_was_streamed_and_was_taken_where_the_journal_says(
    scan: list[Message], beamtime: Beamtime
) -> None:
    announced = of(LineAnnounced, scan)
    wanted = [(one.series, one.first_image_id + i) for one in announced for i in range(one.n_points)]
    assert beamtime.taker.images[: len(wanted)] == wanted
    pulses = iter(beamtime.source.pulses)
    for flown in of(LineFlown, scan):
        assert flown.positions_source == "captured"
        for position_mm in flown.positions_mm:
            pulse = next(pulses)
            assert position_mm == pytest.approx(pulse.fast_mm, abs=1e-4)
            assert flown.angle_deg == pytest.approx(pulse.angle_deg, abs=0.01)
            assert flown.start_s < pulse.time_s < flown.end_s
            assert pulse.beam > 0.9


def test_captured_positions_lie_on_the_grid_in_both_directions(scan: list[Message]) -> None:
    for announced, flown in zip(of(LineAnnounced, scan), of(LineFlown, scan), strict=True):
        planned = announced.first_position_mm + announced.step_mm * np.arange(announced.n_points)
        np.testing.assert_allclose(flown.positions_mm, planned, rtol=0, atol=0.005)


def test_real_cycler_file_ends_in_every_line(scan: list[Message], data_folder: Path) -> None:
    recording = read_neware(data_folder / M50T)
    reading = of(CellReading, scan)[0]
    row = int(np.flatnonzero((recording.charge_ah == reading.charge_ah) & (recording.voltage_v == reading.voltage_v))[0])
    # The replay maps recorded seconds to ours: one reading fixes the origin, every line must then agree.
    zero_s = reading.time_s - recording.time_s[row] / SPEED
    for flown in of(LineFlown, scan):
        recorded_s = (0.5 * (flown.start_s + flown.end_s) - zero_s) * SPEED
        assert flown.cell.time_s == pytest.approx(0.5 * (flown.start_s + flown.end_s))
        assert flown.cell.charge_ah == pytest.approx(np.interp(recorded_s, recording.time_s, recording.charge_ah), abs=1e-3)
        # A reading comes once a second or less often, SPEED recorded seconds apart: the curve bends by millivolts between two.
        assert flown.cell.voltage_v == pytest.approx(np.interp(recorded_s, recording.time_s, recording.voltage_v), abs=5e-3)
        assert flown.cell.step == "CCCV_Chg"
        assert flown.cell.current_a > 2


@pytest.fixture(scope="module")
def interrupted(beamtime: Beamtime, scan: list[Message]) -> list[Message]:
    """The journal of a scan that loses the beam in a line, gets it back, and is stopped in a later line."""
    use_beamline(beamtime.profile)
    from epics import caput

    dump = beamtime.profile.control.ring_current.replace("CURRENT", "DUMP")
    # Long enough that it cannot end before it is stopped.
    scan_of_many_lines = beamtime.profile.scan.model_copy(update={"n_lines": 40})
    process = beamtime.serve("acquisition.session", beamtime.profile.model_copy(update={"scan": scan_of_many_lines}))
    try:
        beamtime.follow(lambda seen: bool(of(LineAnnounced, seen)))
        caput(dump, 1, wait=True)
        beamtime.follow(lambda seen: bool(of(LineAborted, seen)))
        caput(dump, 0, wait=True)
        beamtime.follow(lambda seen: bool(of(LineFlown, seen)))
    finally:
        caput(dump, 0, wait=True)
        assert end(process) == 0
    return read_journal(Path(str(process.args[-1])) / "journal.jsonl")  # type: ignore[index]


def test_lost_beam_costs_an_attempt_and_begins_a_new_series(interrupted: list[Message]) -> None:
    aborted, flown = of(LineAborted, interrupted)[0], of(LineFlown, interrupted)[0]
    announced = {(one.line, one.attempt): one for one in of(LineAnnounced, interrupted)}
    assert "suspended" in aborted.reason
    assert (flown.line, flown.attempt) == (aborted.line, aborted.attempt + 1)
    assert announced[flown.line, flown.attempt].series > announced[aborted.line, aborted.attempt].series
    assert flown.ring_current_ma > 90


def test_stopping_the_process_in_mid_run_closes_the_shutter_and_says_so(interrupted: list[Message], beamtime: Beamtime) -> None:
    from epics import caget

    stopped = of(RunStopped, interrupted)
    assert [one.exit_status for one in stopped] == ["abort"]
    assert "stopped" in stopped[0].reason
    assert caget(f"{beamtime.profile.control.shutter}:STATUS") == 0
    assert caget(f"{beamtime.profile.control.fast.pv}.VELO") == beamtime.profile.control.fast.speed


OTHER_CELL_V = 3.111
CELLS = [
    {"name": "recorded", "pose": {"x": 0.5}, "channel": "1"},
    {"name": "steady", "pose": {"x": -0.5}, "channel": "2"},
    {"name": "nobody reads it", "pose": {"x": 0.0}},
]


@pytest.fixture(scope="module")
def other_cell(beamtime: Beamtime, ca_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second cell bridge beside the first, whose cell stays at one voltage; gives the prefix of its variables."""
    table = tmp_path_factory.mktemp("other") / "steady.csv"
    rows = [f"{1.7e9 + 100 * number:.0f},{OTHER_CELL_V},-0.5" for number in range(1000)]
    table.write_text("\n".join(["epoch,voltage [V],current [A]", *rows, ""]))
    control = beamtime.profile.control.model_copy(update={"channel_access_port": ca_port + 2, "cell": "OPR-OTHER:CELL"})
    described = {"source": f"file:{table}", "speed": 1.0}
    cell = Cell.model_validate(described)
    bridge = beamtime.serve("acquisition.cell.bridge", beamtime.profile.model_copy(update={"control": control, "cell": cell}))
    yield control.cell
    end(bridge)


@pytest.fixture(scope="module")
def commanded(beamtime: Beamtime, interrupted: list[Message], other_cell: str) -> tuple[list[Message], dict[str, Any]]:
    """The journal of a process that is told to fly, pause and resume a scan, then two more plans; and what was seen."""
    use_beamline(beamtime.profile)
    from epics import caget

    shutter = f"{beamtime.profile.control.shutter}:STATUS"
    control = beamtime.profile.control
    changed = {
        "scan": beamtime.profile.scan.model_copy(update={"begin": "on_command", "n_lines": 2}),
        "control": control.model_copy(update={"channels": {"1": control.cell, "2": other_cell}}),
    }
    process = beamtime.serve("acquisition.session", beamtime.profile.model_copy(update=changed))
    seen: dict[str, Any] = {"idle": command(beamtime, "status"), "wrong": command(beamtime, "start", plan="dance")}
    try:
        seen["start"] = command(beamtime, "start", arguments={"n_lines": 6}, plan="xrdct")
        beamtime.follow(lambda found: bool(of(LineAnnounced, found)))
        seen["pause"] = command(beamtime, "pause_now")
        beamtime.follow(lambda found: any(one.state == "paused" for one in of(ScanState, found)))
        deadline = time.monotonic() + 20
        while caget(shutter) != 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        seen["shutter while paused"] = caget(shutter)
        seen["start while paused"] = command(beamtime, "start")
        seen["resume"] = command(beamtime, "resume")
        beamtime.follow(lambda found: bool(of(PlanEnded, found)))
        seen["dark"] = command(beamtime, "start", plan="dark", arguments={"n_frames": 3})
        beamtime.follow(lambda found: len(of(PlanEnded, found)) == 2)
        seen["cells"] = command(beamtime, "start", plan="multi_cell", arguments={"cells": CELLS})
        beamtime.follow(lambda found: len(of(PlanEnded, found)) == 3)
        seen["x"] = caget(f"{control.hexapod_axes['X']}.RBV")
    finally:
        assert end(process) == 0
    return read_journal(Path(str(process.args[-1])) / "journal.jsonl"), seen  # type: ignore[index]


def test_a_scan_begins_on_command_and_a_wrong_one_is_refused_in_words(commanded: tuple[list[Message], Any]) -> None:
    journal, seen = commanded
    assert (seen["idle"].state, seen["idle"].refusals["abort"]) == ("idle", "nothing is running")
    assert "n_frames=" in seen["idle"].plans["dark"]
    assert not seen["wrong"].accepted
    assert "there is no plan 'dance'" in seen["wrong"].text
    assert seen["start"].accepted
    assert "6 lines, 66 frames" in seen["start"].text
    assert [one.plan for one in of(PlanEnded, journal)] == ["xrdct", "dark", "multi_cell"]


def test_a_pause_over_the_socket_closes_the_shutter_and_costs_one_attempt(
    commanded: tuple[list[Message], Any], beamtime: Beamtime
) -> None:
    journal, seen = commanded
    assert seen["pause"].accepted
    assert seen["shutter while paused"] == 0
    assert not seen["start while paused"].accepted
    assert seen["resume"].accepted
    run = of(RunStarted, journal)[0].run
    flown = [one for one in of(LineFlown, journal) if one.run == run]
    assert [one.line for one in flown] == list(range(6))
    assert len([one for one in of(LineAborted, journal) if one.run == run]) <= 1
    announced = {(one.line, one.attempt): one for one in of(LineAnnounced, journal) if one.run == run}
    taken = set(beamtime.taker.images)
    for line in flown:
        stretch = announced[line.line, line.attempt]
        assert {(stretch.series, stretch.first_image_id + i) for i in range(stretch.n_points)} <= taken
    assert of(RunStopped, journal)[0].exit_status == "success"


def test_cells_in_turn_stand_at_their_places_and_carry_the_state_of_their_own_channel(
    commanded: tuple[list[Message], Any],
) -> None:
    journal, seen = commanded
    assert seen["cells"].accepted
    runs = [one for one in of(RunStarted, journal) if one.plan == "multi_cell"]
    assert [one.cell.split()[0] for one in runs] == ["recorded", "steady", "nobody"]
    assert [one.metadata["pose"]["x"] for one in runs] == [0.5, -0.5, 0.0]
    stood = [baseline_x(journal, run.run) for run in runs]
    assert stood == [pytest.approx(x, abs=0.005) for x in (0.5, -0.5, 0.0)]
    assert seen["x"] == pytest.approx(0.0, abs=0.005)
    lines = {run.run: [one for one in of(LineFlown, journal) if one.run == run.run] for run in runs}
    recorded, steady, unread = lines.values()
    assert [len(one) for one in (recorded, steady, unread)] == [2, 2, 2]
    # By now the recorded cell may charge or discharge.
    assert all(one.cell.source and Path(M50T).name.startswith(one.cell.source) for one in recorded)
    assert all(abs(one.cell.voltage_v - OTHER_CELL_V) > 0.01 for one in recorded)
    assert all(one.cell.voltage_v == pytest.approx(OTHER_CELL_V, abs=1e-6) and one.cell.current_a < 0 for one in steady)
    assert all(one.cell is None for one in unread)


def baseline_x(journal: list[Message], run: str) -> float:
    """Give where the hexapod's x stood at the beginning of a run, from the baseline of its documents."""
    documents = [one.document for one in of(Document, journal)]
    names = {one["uid"]: one["name"] for one in documents if one.get("run_start") == run and "data_keys" in one}
    events = [one for one in documents if names.get(one.get("descriptor", "")) == "baseline"]
    return float(next(value for name, value in events[0]["data"].items() if name.endswith("_x")))


def test_the_journal_says_how_the_acquisition_stands_and_where_it_takes_commands(
    commanded: tuple[list[Message], Any], beamtime: Beamtime
) -> None:
    journal, _ = commanded
    states = of(ScanState, journal)
    paused = next(one for one in states if one.state == "paused")
    assert (paused.plan, paused.reason) == ("xrdct", "wished by the test")
    assert states[-1].state == "idle"
    assert [one.commands for one in of(ServicesOffered, journal)] == [beamtime.profile.addresses.commands, ""]


def test_a_cell_beyond_its_limits_closes_the_shutter_and_pauses_the_scan_and_is_left_alone(
    beamtime: Beamtime, commanded: tuple[list[Message], Any]
) -> None:
    use_beamline(beamtime.profile)
    from epics import caget

    # The recorded cell is never below 2 V.
    changed = {
        "cell_limits": beamtime.profile.cell_limits.model_copy(update={"voltage_high_v": 2.0}),
        "scan": beamtime.profile.scan.model_copy(update={"n_lines": 60}),
    }
    process = beamtime.serve("acquisition.session", beamtime.profile.model_copy(update=changed))
    try:
        journal = beamtime.follow(lambda seen: any(one.state == "paused" for one in of(ScanState, seen)))
        paused = next(one for one in of(ScanState, journal) if one.state == "paused")
        deadline = time.monotonic() + 20
        while caget(f"{beamtime.profile.control.shutter}:STATUS") != 0:
            assert time.monotonic() < deadline
        refused = command(beamtime, "resume")
        # The cycler goes on, and is read.
        beamtime.follow(lambda seen: any(one.time_s > paused.time_s + 1 for one in of(CellReading, seen)))
    finally:
        assert end(process) == 0
    assert "above 2 V" in paused.reason
    assert any("the cell is left alone" in one.text and one.level == "error" for one in of(Notice, journal))
    assert not refused.accepted
    assert "above 2 V" in refused.text
