"""The twin scanned as the map asks for it, by commands; then the acquisition dies in mid-scan, and the others say so."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from operando.bus import Asker, FeedClient
from operando.cli.ports import on_free_ports
from operando.journal import read_journal
from operando.messages import (
    CommandAnswered,
    CommandGiven,
    LineFlown,
    Message,
    Notice,
    RunStopped,
    ScanProgress,
    ServicesOffered,
)
from operando.profile import Profile, read_profile
from tests.whole.beamtime import processes

N_LINES, N_POINTS = 12, 13


@dataclass
class Beamtime:
    """What the results feed said, and the journal that was left."""

    results: list[Message] = field(default_factory=list)
    journal: list[Message] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.results if isinstance(one, kind)]

    def follow(self, client: FeedClient, until: Callable[[], bool], *, within_s: float = 150.0) -> None:
        deadline = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < deadline, [one for one in self.results if isinstance(one, Notice | ScanProgress)][-5:]
            self.results += [entry.message for entry in client.poll(0.2)]


def command(address: str, action: Any, **of_start: Any) -> CommandAnswered:
    asker = Asker(address)
    asker.ask(CommandGiven(action=action, origin="Ada", **of_start))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (entry := asker.poll()) is not None:
            asker.close()
            assert isinstance(entry.message, CommandAnswered), entry.message
            return entry.message
        time.sleep(0.01)
    pytest.fail("no answer")


def small_demo() -> Profile:
    demo = read_profile("demo")
    scan = {"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": 0.4, "interlaces": 2, "begin": "on_command"}
    # The full profile has nothing to do with commands, and takes seconds at the end of every run.
    refinement = demo.refinement.model_copy(update={"enabled": False})
    return on_free_ports(demo.model_copy(update={"scan": demo.scan.model_copy(update=scan), "refinement": refinement}))


@pytest.fixture(scope="module")
def beamtime(tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    profile, out, found = small_demo(), tmp_path_factory.mktemp("steered"), Beamtime()
    with processes(profile, out) as started, FeedClient(profile.addresses.results) as results:
        found.follow(results, lambda: any(one.commands for one in found.of(ServicesOffered)))
        address = found.of(ServicesOffered)[-1].commands
        wanted = {"sigma_below": 5.0, "over_lines": 1, "least_lines": 5, "missing_points": 1}
        assert command(address, "start", plan="steered", arguments=wanted).accepted
        found.follow(results, lambda: any(one.state == "finished" for one in found.of(ScanProgress)))
        assert command(address, "start", plan="xrdct", arguments={"n_lines": 40}).accepted
        found.follow(results, lambda: found.of(ScanProgress)[-1].state == "scanning" and found.of(ScanProgress)[-1].lines_done)
        acquire: subprocess.Popen[bytes] = started["acquire"]
        acquire.kill()
        found.follow(results, lambda: any("acquire has been silent" in one.text for one in found.of(Notice)))
        found.journal = read_journal(Path(out) / "journal.jsonl")
    return found


@pytest.mark.slow
@pytest.mark.ioc
@pytest.mark.timeout(400)
def test_the_scan_ends_when_x_is_known_well_enough(beamtime: Beamtime) -> None:
    stopped = next(one for one in beamtime.journal if isinstance(one, RunStopped))
    assert stopped.exit_status == "success"
    assert stopped.reason.startswith("x is known to ")
    finished = next(one for one in beamtime.of(ScanProgress) if one.state == "finished")
    assert 5 <= finished.lines_done < N_LINES
    assert finished.frames_missing == 0


@pytest.mark.slow
@pytest.mark.ioc
@pytest.mark.timeout(400)
def test_an_acquisition_that_was_killed_is_named_and_its_lines_stay(beamtime: Beamtime) -> None:
    run = beamtime.of(ScanProgress)[-1].run
    assert any(isinstance(one, LineFlown) and one.run == run for one in beamtime.journal)
    assert beamtime.of(ScanProgress)[-1].lines_done >= 1
    notice = next(one for one in beamtime.of(Notice) if "acquire has been silent" in one.text)
    assert notice.level == "error"
