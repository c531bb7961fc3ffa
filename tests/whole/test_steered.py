"""One beamtime by commands: scans as the map asks for them, one by turns, one whose acquisition dies and that is resumed."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zmq

from operando.bus import Asker, FeedClient
from operando.cli.ports import free_ports, on_free_ports
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

N_LINES, N_POINTS = 24, 13
"""So many lines that no condition and no command comes too late; few of them fly."""
N_ANGLES, N_POSITIONS = 8, 4
KNOWN_TO = 0.13
"""Standard uncertainty of x that is wanted: four lines leave 0.17, six 0.12."""
OUT_OF_REACH = 1e-6
LOST = (1, 4)
"""Line and point of the image that never reaches the reduction."""

pytestmark = [pytest.mark.slow, pytest.mark.ioc, pytest.mark.timeout(300)]


@dataclass
class Beamtime:
    """What the results feed said, and the journal that was left."""

    results: list[Message] = field(default_factory=list)
    journal: list[Message] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.results if isinstance(one, kind)]

    @property
    def runs(self) -> list[str]:
        """The runs that have begun, in order."""
        return list(dict.fromkeys(one.run for one in self.of(RunStarted)))

    @property
    def progress(self) -> ScanProgress:
        found: ScanProgress = self.of(ScanProgress)[-1]
        return found

    def lines_of(self, run: str) -> int:
        """Give the lines in the newest map, if it is that of a run."""
        return self.progress.lines_done if self.progress.run == run else 0

    def ended(self, number: int) -> bool:
        """Whether so many runs have begun and the analysis has spoken its last word on the newest."""
        if len(self.runs) < number or not self.of(ScanProgress):
            return False
        return (self.progress.run, self.progress.state) == (self.runs[number - 1], "finished")

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
    # Holes are marked and no line flies again for the reduction: what does is steered.
    marks = {"begin": "on_command", "on_backlog": "mark"}
    scan = {"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": 0.38, "interlaces": 4, **marks}
    # The full profile has nothing to do with commands, and takes seconds at the end of every run.
    refinement = demo.refinement.model_copy(update={"enabled": False})
    # Room for the run-up of fast turns.
    control = demo.control.model_copy(update={"rotation": demo.control.rotation.model_copy(update={"low": -30.0})})
    changed = {"scan": demo.scan.model_copy(update=scan), "refinement": refinement, "control": control}
    return on_free_ports(demo.model_copy(update=changed))


@contextmanager
def losing_an_image(*, taken_from: str, given_to: str, number: int) -> Iterator[None]:
    """Pass the detector's stream on, but for one image; they are counted from 0."""
    stop = threading.Event()

    def work() -> None:
        n_images, context = 0, zmq.Context.instance()
        with context.socket(zmq.PULL) as detector, context.socket(zmq.PUSH) as reduction:
            detector.linger = reduction.linger = 0
            reduction.bind(given_to)
            detector.connect(taken_from)
            while not stop.is_set():
                if not detector.poll(50):
                    continue
                message = detector.recv()
                is_image = b"image" in message[:24]
                if not (is_image and n_images == number):
                    reduction.send(message)
                n_images += is_image

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


def start(address: str, plan: str, **arguments: Any) -> None:
    """Start a plan, as soon as the one before is over."""
    deadline = time.monotonic() + 30
    while not (answer := command(address, "start", plan=plan, arguments=arguments)).accepted:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


@pytest.fixture(scope="module")
def beamtime(tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    profile, out, found = small_demo(), tmp_path_factory.mktemp("steered"), Beamtime()
    lossy = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    reduce = profile.model_copy(update={"detector": profile.detector.model_copy(update={"stream": lossy})})
    with (
        losing_an_image(taken_from=profile.detector.stream, given_to=lossy, number=LOST[0] * N_POINTS + LOST[1]),
        processes(profile, out, of_role={"reduce": reduce}) as started,
        FeedClient(profile.addresses.results) as results,
    ):
        found.follow(results, lambda: any(one.commands for one in found.of(ServicesOffered)))
        address = found.of(ServicesOffered)[-1].commands
        wanted = {"sigma_below": KNOWN_TO, "over_lines": 1, "least_lines": 4, "missing_points": 1}
        start(address, "steered", **wanted, densify_radius_mm=0.5, densify_every=4)
        found.follow(results, lambda: found.ended(2))
        start(address, "continuous_rotation", n_angles=N_ANGLES, n_positions=N_POSITIONS, step_mm=1.2, exposure_s=0.27)
        found.follow(results, lambda: found.ended(3))
        start(address, "steered", sigma_below=OUT_OF_REACH, least_lines=2)
        found.follow(results, lambda: len(found.runs) == 4 and found.lines_of(found.runs[3]) > 3)
        acquire: subprocess.Popen[bytes] = started["acquire"]
        acquire.kill()
        acquire.wait()
        journal = read_journal(out / "journal.jsonl")
        n_before = sum(isinstance(one, LineFlown) and one.run == found.runs[3] for one in journal)
        write_profile(rest_of_run(profile, journal), out / "profile.toml")
        start_again(started, "acquire", out)
        found.follow(results, lambda: len(found.runs) == 5 and found.lines_of(found.runs[4]) > n_before)
        assert command(address, "stop_after_line").accepted
        found.follow(results, lambda: found.ended(5))
        found.journal = read_journal(Path(out) / "journal.jsonl")
    return found


def runs(beamtime: Beamtime) -> list[RunStarted]:
    return [one for one in beamtime.journal if isinstance(one, RunStarted)]


def last_word(beamtime: Beamtime, run: str) -> ScanProgress:
    found: ScanProgress = [one for one in beamtime.of(ScanProgress) if one.run == run][-1]
    return found


def flown(beamtime: Beamtime, run: str) -> list[tuple[int, int]]:
    """Give (line, attempt) of what flew in a run."""
    return [(one.line, one.attempt) for one in beamtime.journal if isinstance(one, LineFlown) and one.run == run]


def test_the_scan_ends_when_x_is_known_well_enough(beamtime: Beamtime) -> None:
    stopped = next(one for one in beamtime.journal if isinstance(one, RunStopped))
    assert stopped.exit_status == "success"
    assert stopped.reason.startswith("x is known to ")
    assert stopped.reason.endswith(f"wanted {KNOWN_TO:g}")
    assert 4 < last_word(beamtime, stopped.run).lines_done < N_LINES


def test_a_scan_goes_on_while_x_is_not_known_as_well_as_wanted(beamtime: Beamtime) -> None:
    steered = [one for one in runs(beamtime) if one.plan == "steered"][-1]
    assert len(flown(beamtime, steered.run)) >= 4, "twice as many as it had to fly"
    stopped = next(one for one in beamtime.journal if isinstance(one, RunStopped) and one.run == steered.run)
    assert "x is known" not in stopped.reason


def test_a_line_of_which_an_image_was_lost_flies_again(beamtime: Beamtime) -> None:
    first = runs(beamtime)[0]
    again = {line for line, attempt in flown(beamtime, first.run) if attempt > 0}
    assert again
    told = [
        one.text for one in beamtime.journal if isinstance(one, Notice) and "points are missing: it flies again" in one.text
    ]
    assert {int(text.split()[1].rstrip(":")) for text in told} >= again
    assert last_word(beamtime, first.run).frames_missing == 0


def test_the_disc_that_the_analysis_names_flies_again_at_half_the_step(beamtime: Beamtime) -> None:
    first, second = runs(beamtime)[:2]
    assert second.metadata["densifies"] == first.run
    assert (second.step_mm, second.angles_deg) == (first.step_mm / 2, first.angles_deg)
    again = flown(beamtime, second.run)
    assert len(again) == -(-len({line for line, _ in flown(beamtime, first.run)}) // 4)
    finished = last_word(beamtime, second.run)
    assert (finished.frames_received, finished.frames_missing) == (finished.frames_expected, 0)
    maps = [one for one in beamtime.of(MapPublished) if one.run == second.run and one.name == "x_lithium"]
    assert maps[-1].pixel_mm == pytest.approx(first.step_mm / 2)


def test_a_scan_by_turns_gives_every_frame_and_a_map_of_the_slice(beamtime: Beamtime) -> None:
    run = runs(beamtime)[2]
    assert run.plan == "continuous_rotation"
    turned = [one for one in beamtime.journal if isinstance(one, LineFlown) and one.run == run.run]
    assert len(turned) == N_POSITIONS
    assert all(one.positions_source == "captured" and len(one.angles_deg) == N_ANGLES for one in turned)
    finished = last_word(beamtime, run.run)
    assert (finished.state, finished.frames_missing, finished.frames_received) == ("finished", 0, N_ANGLES * N_POSITIONS)
    assert any(one.run == run.run and one.name == "x_lithium" for one in beamtime.of(MapPublished))


def test_a_scan_whose_acquisition_was_killed_is_gone_on_with(beamtime: Beamtime) -> None:
    broken, rest = runs(beamtime)[3:]
    assert rest.metadata["continues"] == broken.run
    before = [line for line, _ in flown(beamtime, broken.run)]
    assert before, "lines of before the crash"
    after = [line for line, _ in flown(beamtime, rest.run)]
    assert after == list(range(len(before), len(before) + len(after)))
    finished = last_word(beamtime, rest.run)
    assert (finished.lines_done, finished.frames_missing) == (len(before) + len(after), 0)
    assert finished.lines_done > len(before)
