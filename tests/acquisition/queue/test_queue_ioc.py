"""A queue of plans against the simulated beamline, from bluesky-queueserver's own command line and from ours."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.channel_access import use_beamline
from acquisition.queue.client import QueueClient
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from operando.bus.asking import Asker
from operando.errors import DataError
from operando.journal import read_journal
from operando.messages import LineAborted, LineFlown, RunStarted, RunStopped, ServicesOffered
from operando.messages.commands import CommandAnswered, CommandGiven, ScanState
from operando.profile import Profile, read_profile
from tests.acquisition.detecting import PulseFrames, Taker

pytestmark = [
    pytest.mark.ioc,
    pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable"),
]
pytest.importorskip("bluesky_queueserver")

PATIENCE_S = 60.0


@dataclass
class Stand:
    """A running queue and what it does to the beamline."""

    profile: Profile
    process: "subprocess.Popen[str]"
    client: QueueClient

    def qserver(self, *words: str) -> str:
        """Run the queue server's own command line, and give what it says."""
        command = [str(Path(sys.executable).with_name("qserver")), *words, "--zmq-control-addr", self.profile.queue.control]
        result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        # It wraps its answers, in quotation marks.
        return " ".join((result.stdout + result.stderr).replace("'", "").replace('"', "").split())

    def tell(self, *words: str) -> None:
        """Give a command that is taken; what it does is waited for, for its own patience of two seconds may be too short."""
        assert "success: False" not in (said := self.qserver(*words)), said

    def refused(self, *words: str) -> str:
        """Run a command that is refused, again when its own patience of two seconds was too short; gives what it says."""
        deadline = time.monotonic() + PATIENCE_S
        while "success: False" not in (said := self.qserver(*words)) and time.monotonic() < deadline:
            pass
        return said

    def wait_for(self, manager: str) -> None:
        self.until(lambda: self.client.status().manager == manager, manager)

    def until(self, condition: Callable[[], bool], what: str = "") -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (what, self.client.status(), self.client.history()[-1:])
            time.sleep(0.05)

    def of(self, kind: type[Any]) -> list[Any]:
        """Give what the journal holds of one kind of message."""
        return [one for one in read_journal(Path(str(self.process.args[-1])) / "journal.jsonl") if isinstance(one, kind)]  # type: ignore[index]

    def fly_into_a_line(self, **arguments: Any) -> None:
        """Submit a scan, start the queue, and wait until a line of it has flown."""
        n_before = len(self.of(LineFlown))
        self.client.submit("xrdct", arguments)
        self.client.start()
        self.until(lambda: len(self.of(LineFlown)) > n_before, "a line")

    def command(self, action: Any, **of_start: Any) -> CommandAnswered:
        asker = Asker(self.profile.addresses.commands)
        asker.ask(CommandGiven(action=action, origin="Ada", **of_start))
        try:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                if (entry := asker.poll()) is not None:
                    assert isinstance(entry.message, CommandAnswered), entry.message
                    return entry.message
                time.sleep(0.01)
        finally:
            asker.close()
        pytest.fail("no answer")

    @property
    def is_shutter_closed(self) -> bool:
        use_beamline(self.profile)
        from epics import caget

        return caget(f"{self.profile.control.shutter}:STATUS") == 0  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def stand(
    beamline: Profile, ca_port: int, serve_process: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    poni = tmp_path_factory.mktemp("geometry") / "geometry.poni"
    demo = read_profile("demo")
    shutil.copy(demo.path(demo.geometry.poni), poni)
    profile = Profile.model_validate(
        {
            **beamline.model_dump(mode="json", exclude_none=True),
            "geometry": {"poni": str(poni)},
            "scan": {"n_lines": 3, "n_points": 11, "step_mm": 0.1, "exposure_s": 0.02, "on_backlog": "mark"},
            "cell": {"source": f"tail:{write_cell(tmp_path_factory.mktemp('cycler') / 'cell.csv', 3.7)}", "timezone": "UTC"},
            "cell_limits": {"voltage_high_v": 4.25},
            "addresses": {"journal": f"tcp://127.0.0.1:{ca_port + 9}", "commands": f"tcp://127.0.0.1:{ca_port + 11}"},
            "queue": {"control": f"tcp://127.0.0.1:{ca_port + 10}"},
        }
    )
    head = DetectorHead(pixel_mask=np.zeros((16, 16), dtype=np.uint32))
    assert profile.twin is not None
    with SimplonServer(
        head=head, source=PulseFrames(), rest=profile.detector.rest, stream=profile.detector.stream, cable=profile.twin.cable
    ) as detector:
        taker = Taker(detector.stream_address)
        thread = threading.Thread(target=taker.run)
        thread.start()
        # First: who looks for variables that nobody serves yet looks again ever more seldom.
        bridge = serve_process("acquisition.cell.bridge", profile)
        process = serve_process("acquisition.queue.session", profile)
        with QueueClient(profile.queue.control) as client:
            yield Stand(profile=profile, process=process, client=client)
        for served in (process, bridge):
            served.kill()
            served.wait(30)
            served.stdout.close()
        taker.stop.set()
        thread.join(5)


def write_cell(path: Path, voltage_v: float) -> Path:
    """Let the cycler write a row."""
    is_new = not path.exists()
    with path.open("a") as file:
        file.write("epoch;Voltage(V);Current(A)\n" if is_new else "")
        file.write(f"{time.time():.3f};{voltage_v};0.1\n")
    return path


@pytest.fixture(autouse=True)
def _empty_queue(stand: Stand) -> None:
    stand.client.ask("queue_clear")


def test_the_plans_are_shown_with_types_units_and_words(stand: Stand) -> None:
    allowed = stand.client.ask("plans_allowed", user_group="primary")["plans_allowed"]
    xrdct = {one["name"]: one for one in allowed["xrdct"]["parameters"]}
    assert "zig-zag" in allowed["xrdct"]["description"]
    assert xrdct["n_lines"]["annotation"]["type"] == "typing.Optional[int]"
    assert "'interlaced'" in xrdct["order"]["annotation"]["type"]
    assert "broken off" in xrdct["start_line"]["description"]
    assert stand.client.plans()["dark"] == "n_frames=, metadata="
    stand.until(lambda: "point_against_time" in stand.qserver("allowed", "plans"), "the plans on the command line")


def test_a_wrong_type_is_refused_when_it_is_submitted_from_the_command_line(stand: Stand) -> None:
    said = stand.refused("queue", "add", "plan", '{"name": "xrdct", "kwargs": {"n_lines": "many"}}')
    assert "success: False" in said
    assert "unable to parse string as an integer" in said
    assert stand.client.waiting() == []


@pytest.mark.parametrize(
    ("plan", "arguments", "complaint"),
    [
        ("xrdct", {"order": "wild"}, "Input should be 'sequential' or 'interlaced'"),
        ("xrdct", {"speed": 3}, "unexpected keyword argument 'speed'"),
        ("slice_stack", {"heights_mm": ["high"]}, "unable to parse string as a number"),
        ("multi_cell", {"cells": [3]}, "valid dictionary"),
        ("dance", {}, "not in the list of allowed plans"),
    ],
)
def test_a_wrong_plan_or_argument_is_refused_when_it_is_submitted(
    stand: Stand, plan: str, arguments: Any, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        stand.client.submit(plan, arguments)
    assert stand.client.waiting() == []


def test_scripts_and_functions_are_refused(stand: Stand, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit\n")
    assert "script_upload is refused" in stand.refused("script", "upload", str(script))
    with pytest.raises(DataError, match="function_execute is refused"):
        stand.client.ask("function_execute", item={"name": "close", "item_type": "function"})


def test_a_scan_that_is_submitted_and_started_from_the_command_line_flies(stand: Stand) -> None:
    stand.tell("queue", "add", "plan", '{"name": "xrdct", "kwargs": {"n_lines": 2}}')
    stand.tell("queue", "start")
    stand.until(lambda: bool(stand.client.history()))
    done = stand.client.history()[-1]
    assert (done.name, done.arguments, done.exit_status) == ("xrdct", {"n_lines": 2}, "completed")
    assert [one.line for one in stand.of(LineFlown)] == [0, 1]
    assert stand.of(RunStopped)[-1].exit_status == "success"
    assert stand.of(ServicesOffered)[-1].commands == stand.profile.addresses.commands


def test_pauses_from_the_command_line_stand_still_with_the_shutter_closed_until_a_resume_or_a_stop(stand: Stand) -> None:
    # So many lines that none of these commands comes too late.
    stand.fly_into_a_line(n_lines=60)
    stand.tell("re", "pause", "immediate")
    stand.wait_for("paused")
    stand.until(lambda: stand.is_shutter_closed, "a closed shutter")
    n_flown = len(stand.of(LineFlown))
    run = stand.of(RunStarted)[-1].run
    stand.until(lambda: stand.of(ScanState)[-1].state == "paused", "the journal's word")
    stand.tell("re", "resume")
    stand.until(lambda: len(stand.of(LineFlown)) > n_flown, "a line")
    stand.tell("re", "pause", "deferred")
    stand.wait_for("paused")
    assert len([one for one in stand.of(LineAborted) if one.run == run]) <= 1, "the line was over"
    stand.tell("re", "stop")
    stand.wait_for("idle")
    flown = [one.line for one in stand.of(LineFlown) if one.run == run]
    assert flown == list(range(len(flown)))
    assert stand.client.history()[-1].exit_status == "stopped"
    assert [one.name for one in stand.client.waiting()] == []


def test_a_scan_aborted_from_the_command_line_is_safe_and_stands_at_the_head_of_the_queue_again(stand: Stand) -> None:
    stand.fly_into_a_line(n_lines=30)
    stand.client.submit("dark", {"n_frames": 2})
    stand.tell("re", "pause", "immediate")
    stand.wait_for("paused")
    stand.tell("re", "abort")
    stand.wait_for("idle")
    assert stand.client.history()[-1].exit_status == "aborted"
    assert [str(one) for one in stand.client.waiting()] == ["xrdct n_lines=30", "dark n_frames=2"]
    stand.until(lambda: stand.is_shutter_closed, "a closed shutter")
    assert stand.of(RunStopped)[-1].exit_status == "abort"


def test_a_scan_that_cannot_be_flown_fails_on_the_command_line_with_its_reason_and_the_queue_waits(stand: Stand) -> None:
    stand.qserver("queue", "add", "plan", '{"name": "xrdct", "kwargs": {"centre_mm": 7.9}}')
    stand.client.submit("dark", {"n_frames": 2})
    stand.qserver("queue", "start")
    stand.until(lambda: stand.client.history()[-1].exit_status == "failed", "a failure")
    stand.wait_for("idle")
    stand.until(lambda: "cannot be flown" in stand.qserver("history", "get"), "the reason on the command line")
    assert "exit_status: failed" in stand.qserver("history", "get")
    assert [one.name for one in stand.client.waiting()] == ["xrdct", "dark"]


def test_the_command_socket_speaks_of_the_queue_as_of_one_plan(stand: Stand) -> None:
    idle = stand.command("status")
    assert (idle.state, idle.refusals["abort"], idle.queue) == ("idle", "nothing is running", [])
    assert "n_frames=" in idle.plans["dark"]
    wrong = stand.command("start", plan="xrdct", arguments={"n_lines": "many"})
    assert not wrong.accepted
    assert stand.command("start", plan="xrdct", arguments={"n_lines": 30}).accepted
    stand.until(lambda: stand.command("status").state == "running", "running")
    assert stand.command("start", plan="dark", arguments={"n_frames": 2}).queue == ["dark n_frames=2"]
    n_flown = len(stand.of(LineFlown))
    stand.until(lambda: len(stand.of(LineFlown)) > n_flown, "a line")
    ending = stand.command("stop_after_line")
    assert (ending.accepted, ending.state) == (True, "ending")
    stand.until(lambda: [one.name for one in stand.client.history()[-2:]] == ["xrdct", "dark"], "the next plan")
    stopped, dark = stand.client.history()[-2:]
    assert (stopped.exit_status, dark.exit_status) == ("stopped", "completed")


def test_a_cell_out_of_its_limits_stops_the_queue_and_whoever_resumes_or_starts(stand: Stand) -> None:
    cycler = Path(stand.profile.cell.source.removeprefix("tail:"))
    stand.fly_into_a_line(n_lines=40)
    write_cell(cycler, 4.4)
    stand.wait_for("paused")
    stand.until(lambda: stand.is_shutter_closed, "a closed shutter")
    stand.until(lambda: "4.4 V, above 4.25 V" in stand.command("status").refusals.get("resume", ""), "a refusal")
    assert not stand.command("resume").accepted
    n_flown, n_paused = len(stand.of(LineFlown)), n_of_state(stand, "paused")
    stand.tell("re", "resume")
    stand.until(lambda: n_of_state(stand, "paused") > n_paused, "another pause")
    stand.wait_for("paused")
    assert stand.is_shutter_closed
    assert stand.command("abort").accepted
    stand.wait_for("idle")
    start = stand.command("start", plan="dark", arguments={"n_frames": 2})
    assert (start.accepted, "above 4.25 V" in start.text) == (False, True)
    stand.client.ask("queue_clear")
    stand.client.submit("xrdct", {"n_lines": 2})
    stand.client.start()
    stand.wait_for("paused")
    assert len(stand.of(LineFlown)) == n_flown
    write_cell(cycler, 3.8)
    stand.until(lambda: "resume" not in stand.command("status").refusals, "a resume")
    assert stand.command("resume").accepted
    stand.wait_for("idle")
    assert len(stand.of(LineFlown)) == n_flown + 2


def n_of_state(stand: Stand, state: str) -> int:
    return sum(one.state == state for one in stand.of(ScanState))


def test_a_queue_that_is_stopped_in_mid_flight_leaves_the_beamline_safe(stand: Stand) -> None:
    stand.fly_into_a_line(n_lines=30)
    stand.process.send_signal(signal.SIGTERM)
    assert stand.process.wait(timeout=PATIENCE_S) == 0
    assert stand.of(RunStopped)[-1].exit_status == "abort"
    assert stand.is_shutter_closed
