"""One beamtime by commands: a scan as the map asks for it, one by turns, and one whose acquisition dies and that is resumed."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from operando.bus import Asker, FeedClient
from operando.cli.ports import on_free_ports
from operando.cli.resume import rest_of_run
from operando.journal import read_journal
from operando.messages import (
    CommandAnswered,
    CommandGiven,
    LineFlown,
    MapPublished,
    Message,
    Notice,
    RunStarted,
    RunStopped,
    ScanProgress,
    ServicesOffered,
)
from operando.profile import Profile, read_profile, write_profile
from tests.whole.beamtime import processes, start_again

N_LINES, N_POINTS = 12, 13
N_LINES_RESUMED = 6
N_ANGLES, N_POSITIONS = 12, 6

pytestmark = [pytest.mark.slow, pytest.mark.ioc, pytest.mark.timeout(400)]


@dataclass
class Beamtime:
    """What the results feed said, and the journal that was left."""

    results: list[Message] = field(default_factory=list)
    journal: list[Message] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.results if isinstance(one, kind)]

    def ended(self, run: int) -> bool:
        """Whether the analysis has spoken its last word on so many runs."""
        return len({one.run for one in self.of(ScanProgress) if one.state == "finished"}) >= run

    def follow(self, client: FeedClient, until: Callable[[], object], *, within_s: float = 150.0) -> None:
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
    scan = {"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": 0.38, "interlaces": 2, "begin": "on_command"}
    # The full profile has nothing to do with commands, and takes seconds at the end of every run.
    refinement = demo.refinement.model_copy(update={"enabled": False})
    # Room for the run-up of fast turns.
    control = demo.control.model_copy(update={"rotation": demo.control.rotation.model_copy(update={"low": -30.0})})
    changed = {"scan": demo.scan.model_copy(update=scan), "refinement": refinement, "control": control}
    return on_free_ports(demo.model_copy(update=changed))


@pytest.fixture(scope="module")
def beamtime(tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    profile, out, found = small_demo(), tmp_path_factory.mktemp("steered"), Beamtime()
    with processes(profile, out) as started, FeedClient(profile.addresses.results) as results:
        found.follow(results, lambda: any(one.commands for one in found.of(ServicesOffered)))
        address = found.of(ServicesOffered)[-1].commands
        wanted = {"sigma_below": 50.0, "over_lines": 1, "least_lines": 4, "missing_points": 1}
        assert command(address, "start", plan="steered", arguments=wanted).accepted
        found.follow(results, lambda: found.ended(1))
        turns = {"n_angles": N_ANGLES, "n_positions": N_POSITIONS, "step_mm": 0.8, "exposure_s": 0.18}
        assert command(address, "start", plan="continuous_rotation", arguments=turns).accepted
        found.follow(results, lambda: found.ended(2))
        assert command(address, "start", plan="xrdct", arguments={"n_lines": N_LINES_RESUMED}).accepted
        found.follow(results, lambda: found.of(ScanProgress)[-1].state == "scanning" and found.of(ScanProgress)[-1].lines_done)
        acquire: subprocess.Popen[bytes] = started["acquire"]
        acquire.kill()
        acquire.wait()
        found.follow(results, lambda: any("acquire has been silent" in one.text for one in found.of(Notice)))
        write_profile(rest_of_run(profile, read_journal(out / "journal.jsonl")), out / "profile.toml")
        start_again(started, "acquire", out)
        found.follow(results, lambda: found.ended(3))
        found.journal = read_journal(Path(out) / "journal.jsonl")
    return found


def runs(beamtime: Beamtime) -> list[RunStarted]:
    return [one for one in beamtime.journal if isinstance(one, RunStarted)]


def last_word(beamtime: Beamtime, run: str) -> ScanProgress:
    found: ScanProgress = [one for one in beamtime.of(ScanProgress) if one.run == run][-1]
    return found


def test_the_scan_ends_when_x_is_known_well_enough(beamtime: Beamtime) -> None:
    stopped = next(one for one in beamtime.journal if isinstance(one, RunStopped))
    assert stopped.exit_status == "success"
    assert stopped.reason.startswith("x is known to ")
    finished = last_word(beamtime, stopped.run)
    assert 4 <= finished.lines_done < N_LINES
    assert finished.frames_missing == 0


def test_a_scan_by_turns_gives_every_frame_and_a_map_of_the_slice(beamtime: Beamtime) -> None:
    run = runs(beamtime)[1]
    assert run.plan == "continuous_rotation"
    flown = [one for one in beamtime.journal if isinstance(one, LineFlown) and one.run == run.run]
    assert len(flown) == N_POSITIONS
    assert all(one.positions_source == "captured" and len(one.angles_deg) == N_ANGLES for one in flown)
    finished = last_word(beamtime, run.run)
    assert (finished.state, finished.frames_missing, finished.frames_received) == ("finished", 0, N_ANGLES * N_POSITIONS)
    assert any(one.run == run.run and one.name == "x_lithium" for one in beamtime.of(MapPublished))


def test_an_acquisition_that_was_killed_is_named_and_its_scan_is_gone_on_with(beamtime: Beamtime) -> None:
    broken, rest = runs(beamtime)[2:]
    assert rest.metadata["continues"] == broken.run
    flown = {
        run.run: [one.line for one in beamtime.journal if isinstance(one, LineFlown) and one.run == run.run]
        for run in (broken, rest)
    }
    assert flown[broken.run], "lines of before the crash"
    assert flown[rest.run] == list(range(len(flown[broken.run]), N_LINES_RESUMED))
    finished = last_word(beamtime, rest.run)
    assert (finished.lines_done, finished.frames_missing) == (N_LINES_RESUMED, 0)
    notice = next(one for one in beamtime.of(Notice) if "acquire has been silent" in one.text)
    assert notice.level == "error"
