"""The acquisition process against a real Channel Access server, a real SIMPLON server and the real cycler file."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.cell.neware import read_neware
from acquisition.channel_access import use_beamline
from acquisition.twin.cable import Pulse
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
from tests.acquisition.plans.conftest import Frame
from tests.streaming.phantom import Disc, Phantom, demo_profile
from tests.whole.rejoining import rejoined

pytestmark = [
    pytest.mark.ioc,
    pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable"),
]

M50T = "NewareNDA/TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax"
SPEED = 60.0
START_S = 10_000.0
N_LINES = 6


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
    profile = beamtime.profile
    scan_of_lines = profile.scan.model_copy(update={"n_lines": N_LINES})
    process = beamtime.serve("acquisition.session", profile.model_copy(update={"scan": scan_of_lines}))
    try:
        messages = beamtime.follow(is_over)
    finally:
        assert end(process) == 0
    return messages


def test_scan_on_the_simulated_beamline_succeeds(scan: list[Message]) -> None:
    assert of(RunStopped, scan)[0].exit_status == "success", of(Notice, scan)
    assert of(LineAborted, scan) == []
    assert [one.line for one in of(LineFlown, scan)] == list(range(N_LINES))
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
def commanded(beamtime: Beamtime, scan: list[Message], other_cell: str) -> tuple[list[Message], dict[str, Any]]:
    """The journal of a process that is told to fly a scan, which is paused and loses the beam, then two more plans, and is
    stopped in a last one; and what was seen."""
    use_beamline(beamtime.profile)
    from epics import caget, caput

    dump = beamtime.profile.control.ring_current.replace("CURRENT", "DUMP")
    shutter = f"{beamtime.profile.control.shutter}:STATUS"
    control = beamtime.profile.control
    changed = {
        "scan": beamtime.profile.scan.model_copy(update={"begin": "on_command", "n_lines": 2}),
        "control": control.model_copy(update={"channels": {"1": control.cell, "2": other_cell}}),
    }
    process = beamtime.serve("acquisition.session", beamtime.profile.model_copy(update=changed))
    seen: dict[str, Any] = {"idle": command(beamtime, "status"), "wrong": command(beamtime, "start", plan="dance")}
    try:
        seen["start"] = command(beamtime, "start", arguments={"n_lines": N_LINES}, plan="xrdct")
        beamtime.follow(lambda found: bool(of(LineAnnounced, found)))
        seen["pause"] = command(beamtime, "pause_now")
        beamtime.follow(lambda found: any(one.state == "paused" for one in of(ScanState, found)))
        deadline = time.monotonic() + 30
        while caget(shutter) != 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        seen["shutter while paused"] = caget(shutter)
        seen["start while paused"] = command(beamtime, "start")
        seen["resume"] = command(beamtime, "resume")
        beamtime.follow(lambda found: bool(of(LineFlown, found)))
        caput(dump, 1, wait=True)
        try:
            beamtime.follow(lambda found: any(one.state == "suspended" for one in of(ScanState, found)))
        finally:
            caput(dump, 0, wait=True)
        beamtime.follow(lambda found: bool(of(PlanEnded, found)))
        seen["dark"] = command(beamtime, "start", plan="dark", arguments={"n_frames": 3})
        beamtime.follow(lambda found: len(of(PlanEnded, found)) == 2)
        seen["cells"] = command(beamtime, "start", plan="multi_cell", arguments={"cells": CELLS})
        beamtime.follow(lambda found: len(of(PlanEnded, found)) == 3)
        seen["x"] = caget(f"{control.hexapod_axes['X']}.RBV")
        n_flown = len(of(LineFlown, journal_of(process)))
        # Long enough that it cannot end before it is stopped.
        seen["stopped"] = command(beamtime, "start", arguments={"n_lines": 400}, plan="xrdct")
        beamtime.follow(lambda found: len(of(LineFlown, found)) > n_flown)
    finally:
        assert end(process) == 0
    seen["shutter at the end"], seen["speed at the end"] = caget(shutter), caget(f"{control.fast.pv}.VELO")
    return journal_of(process), seen


def journal_of(process: Any) -> list[Message]:
    return read_journal(Path(str(process.args[-1])) / "journal.jsonl")


def test_a_scan_begins_on_command_and_a_wrong_one_is_refused_in_words(commanded: tuple[list[Message], Any]) -> None:
    journal, seen = commanded
    assert (seen["idle"].state, seen["idle"].refusals["abort"]) == ("idle", "nothing is running")
    assert "n_frames=" in seen["idle"].plans["dark"]
    assert not seen["wrong"].accepted
    assert "there is no plan 'dance'" in seen["wrong"].text
    assert seen["start"].accepted
    assert "6 lines, 66 frames" in seen["start"].text
    assert [one.plan for one in of(PlanEnded, journal)] == ["xrdct", "dark", "multi_cell", "xrdct"]


def of_first_run(kind: type[Any], journal: list[Message]) -> list[Any]:
    """Give the messages of a kind that belong to the first run of a journal."""
    run = of(RunStarted, journal)[0].run
    return [one for one in of(kind, journal) if one.run == run]


def test_a_pause_over_the_socket_closes_the_shutter_and_costs_one_attempt(commanded: tuple[list[Message], Any]) -> None:
    journal, seen = commanded
    assert seen["pause"].accepted
    assert seen["shutter while paused"] == 0
    assert not seen["start while paused"].accepted
    assert seen["resume"].accepted
    flown, aborted = of_first_run(LineFlown, journal), of_first_run(LineAborted, journal)
    assert [one.line for one in flown] == list(range(N_LINES))
    # A pause or a loss of beam between two lines costs none.
    assert len(aborted) <= 2


def test_lost_beam_suspends_the_scan_and_its_lines_have_beam_and_a_new_series(
    commanded: tuple[list[Message], Any], beamtime: Beamtime
) -> None:
    journal, _ = commanded
    suspended = next(one for one in of(ScanState, journal) if one.state == "suspended")
    assert "no beam" in suspended.reason
    flown, aborted = of_first_run(LineFlown, journal), of_first_run(LineAborted, journal)
    announced = {(one.line, one.attempt): one for one in of_first_run(LineAnnounced, journal)}
    assert all(one.ring_current_ma > 90 for one in flown)
    for one in aborted:
        later = announced[one.line, one.attempt + 1]
        assert later.series > announced[one.line, one.attempt].series
    taken = set(beamtime.taker.images)
    for line in flown:
        stretch = announced[line.line, line.attempt]
        assert {(stretch.series, stretch.first_image_id + i) for i in range(stretch.n_points)} <= taken


LOST = {(1, 4)}
"""(line, grid point) of an image that never reaches the reduction."""
DISCS = (
    Disc(x=0.0, y=0.0, radius=0.4, amounts={"al": 0.15}),
    Disc(x=0.1, y=0.12, radius=0.2, amounts={"graphite": 0.2, "lic12": 0.8}),
    Disc(x=-0.15, y=-0.08, radius=0.2, amounts={"lic12": 0.5, "lic6": 0.7}),
)


def test_the_map_of_a_scan_with_a_pause_a_beam_dump_and_a_lost_frame_is_that_of_the_undisturbed_one(
    scan: list[Message], commanded: tuple[list[Message], Any], beamtime: Beamtime, tmp_path: Path
) -> None:
    gates, phantom = beamtime.source.exposed, Phantom(demo_profile(), discs=DISCS)
    seen = with_frames(commanded[0], gates)
    undisturbed = rejoined(with_frames(scan, gates), phantom, tmp_path / "undisturbed", dropped=set())
    disturbed = rejoined(seen, phantom, tmp_path / "disturbed", dropped=set())
    straight = rejoined(in_one_go(seen), phantom, tmp_path / "straight", dropped=set())
    # To the last bit the map of the same lines, had each flown but once and all in one series.
    np.testing.assert_array_equal(disturbed.x, straight.x)
    np.testing.assert_array_equal(disturbed.mass, straight.mass)
    assert disturbed.is_measured.all()
    # And that of a scan of its own, to what the micrometres do by which two flights of one line stand apart.
    scale = undisturbed.mass.max()
    np.testing.assert_allclose(disturbed.mass / scale, undisturbed.mass / scale, rtol=0, atol=0.01)
    both = np.isfinite(disturbed.x) & np.isfinite(undisturbed.x)
    assert both.sum() > 10
    np.testing.assert_allclose(disturbed.x[both], undisturbed.x[both], rtol=0, atol=0.05)
    # Without this the comparison could not fail: a line that is bound one point further on is seen.
    assert np.abs(np.roll(undisturbed.mass, 1, axis=1) - undisturbed.mass).max() > 0.1 * scale
    lossy = rejoined(seen, phantom, tmp_path / "lossy", dropped=LOST)
    assert {(int(line), int(point)) for line, point in np.argwhere(~lossy.is_measured)} == LOST
    kept = lossy.is_measured
    np.testing.assert_allclose(lossy.mass[kept] / scale, disturbed.mass[kept] / scale, rtol=0, atol=1e-4)


def in_one_go(seen: list[Any]) -> list[Any]:
    """Give the same run as if every line had flown at its first attempt, in one series."""
    flown = {(one.line, one.attempt) for one in of(LineFlown, seen)}
    straight: list[Any] = []
    of_line: LineAnnounced | None = None
    n_images = 0
    for one in seen:
        if isinstance(one, LineAnnounced):
            of_line = one if (one.line, one.attempt) in flown else None
            if of_line is not None:
                straight.append(one.model_copy(update={"attempt": 0, "series": 1, "first_image_id": n_images}))
                n_images += one.n_points
        elif isinstance(one, Frame):
            if of_line is not None:
                moved = n_images - of_line.n_points - of_line.first_image_id
                straight.append(replace(one, series=1, image_id=one.image_id + moved))
        elif isinstance(one, LineFlown):
            straight.append(one.model_copy(update={"attempt": 0}))
        elif not isinstance(one, LineAborted):
            straight.append(one)
    return straight


def with_frames(journal: list[Message], gates: list[tuple[int, Pulse]]) -> list[Any]:
    """Give the first run of a journal, and behind each announcement the frames that were exposed from then to the next."""
    started = of(RunStarted, journal)[0]
    own = [one for one in journal if getattr(one, "run", started.run) == started.run]
    announced = of(LineAnnounced, own)
    ends_s = [*(one.time_s for one in announced[1:]), of(RunStopped, own)[0].time_s]
    until_s = dict(zip(map(id, announced), ends_s, strict=True))
    seen: list[Any] = []
    for message in own:
        seen.append(message)
        if isinstance(message, LineAnnounced):
            seen += [
                Frame(
                    series=message.series,
                    image_id=image_id,
                    fast_mm=pulse.fast_mm,
                    angle_deg=pulse.angle_deg,
                    has_beam=pulse.beam > 0.9,
                )
                for image_id, pulse in gates
                if message.time_s <= pulse.time_s < until_s[id(message)]
            ]
    return seen


def test_stopping_the_process_in_mid_run_closes_the_shutter_and_says_so(
    commanded: tuple[list[Message], Any], beamtime: Beamtime
) -> None:
    journal, seen = commanded
    assert seen["stopped"].accepted
    last = of(RunStopped, journal)[-1]
    assert (last.exit_status, "stopped" in last.reason) == ("abort", True)
    assert seen["shutter at the end"] == 0
    assert seen["speed at the end"] == beamtime.profile.control.fast.speed


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
        deadline = time.monotonic() + 30
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
