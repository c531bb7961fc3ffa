"""The acquisition process against a real Channel Access server, a real SIMPLON server and the real cycler file."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.cell.neware import read_neware
from acquisition.channel_access import use_beamline
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from operando.bus.asking import Asker
from operando.bus.client import FeedClient
from operando.journal import read_journal
from operando.messages import (
    CellReading,
    CommandAnswered,
    CommandGiven,
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
from operando.profile import Profile, read_profile
from tests.acquisition.detecting import PulseFrames, Taker

pytestmark = [
    pytest.mark.ioc,
    pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable"),
]

M50T = "NewareNDA/TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax"
SPEED = 60.0
START_S = 10_000.0


@dataclass
class Beamtime:
    """Everything but the acquisition process, running."""

    profile: Profile
    source: PulseFrames
    taker: Taker
    serve: Callable[[str, Profile], "subprocess.Popen[str]"]

    def follow(self, until: Callable[[list[Message]], bool], *, within_s: float = 60.0) -> list[Message]:
        """Follow the journal until what has come satisfies a condition."""
        found: list[Message] = []
        deadline = time.monotonic() + within_s
        with FeedClient(self.profile.addresses.journal) as client:
            while time.monotonic() < deadline:
                found += [entry.message for entry in client.poll(0.1)]
                if until(found):
                    return found
        pytest.fail(f"not seen within {within_s} s: {[one.kind for one in found if one.kind != 'document']}")  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def beamtime(
    beamline: Profile,
    devices: object,  # first: what pyepics has opened by itself, ophyd cannot use any more in the same process
    ca_port: int,
    serve_process: Callable[..., Any],
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Beamtime]:
    poni = tmp_path_factory.mktemp("geometry") / "geometry.poni"
    demo = read_profile("demo")
    shutil.copy(demo.path(demo.geometry.poni), poni)
    cell = {"source": f"file:{data_folder / M50T}", "speed": SPEED, "start_s": START_S}
    addresses = {"journal": f"tcp://127.0.0.1:{ca_port + 9}", "reduction": f"tcp://127.0.0.1:{ca_port + 10}"}
    addresses["commands"] = f"tcp://127.0.0.1:{ca_port + 11}"
    profile = Profile.model_validate(
        {
            **beamline.model_dump(mode="json", exclude_none=True),
            "geometry": {"poni": str(poni)},
            "scan": {"n_lines": 4, "n_points": 11, "step_mm": 0.1, "exposure_s": 0.02, "on_backlog": "mark"},
            "cell": cell,
            "addresses": addresses,
        }
    )
    bridge = serve_process("acquisition.cell.bridge", profile)
    source = PulseFrames()
    head = DetectorHead(pixel_mask=np.zeros((16, 16), dtype=np.uint32))
    assert profile.twin is not None
    with SimplonServer(
        head=head, source=source, rest=profile.detector.rest, stream=profile.detector.stream, cable=profile.twin.cable
    ) as detector:
        taker = Taker(detector.stream_address)
        thread = threading.Thread(target=taker.run)
        thread.start()
        yield Beamtime(profile=profile, source=source, taker=taker, serve=serve_process)
        taker.stop.set()
        thread.join(5)
    end(bridge)


def command(beamtime: Beamtime, action: Any, **of_start: Any) -> CommandAnswered:
    """Give a command over the socket, and its answer."""
    asker = Asker(beamtime.profile.addresses.commands)
    asker.ask(CommandGiven(action=action, origin="the test", **of_start))
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            entry = asker.poll()
            if entry is not None:
                assert isinstance(entry.message, CommandAnswered), entry.message
                return entry.message
            time.sleep(0.01)
    finally:
        asker.close()
    pytest.fail("no answer")


def end(process: "subprocess.Popen[str]") -> int:
    process.terminate()
    try:
        return process.wait(timeout=20)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()


def of(kind: type[Any], messages: list[Message]) -> list[Any]:
    return [one for one in messages if isinstance(one, kind)]


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


@pytest.fixture(scope="module")
def commanded(beamtime: Beamtime, interrupted: list[Message]) -> tuple[list[Message], dict[str, Any]]:
    """The journal of a process that is told to start, pause and resume a scan, then to take dark frames; and what was seen."""
    use_beamline(beamtime.profile)
    from epics import caget

    shutter = f"{beamtime.profile.control.shutter}:STATUS"
    scan = beamtime.profile.scan.model_copy(update={"begin": "on_command"})
    process = beamtime.serve("acquisition.session", beamtime.profile.model_copy(update={"scan": scan}))
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
    assert [one.plan for one in of(PlanEnded, journal)] == ["xrdct", "dark"]


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
