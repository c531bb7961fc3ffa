"""Persons hold, resume, end and start plans; a fake beamline flies them, a real RunEngine runs them."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.suspenders import SuspendFloor

from acquisition.commands import CommandDesk
from acquisition.conductor import Conductor, Ending
from acquisition.plans.catalogue import make_programme, series
from acquisition.plans.programme import Programme
from acquisition.plans.station import fly_programme
from operando.errors import DataError
from operando.messages import LineAborted, LineAnnounced, LineFlown, Notice, RunStarted, RunStopped
from operando.messages.commands import Action, CommandAnswered, CommandGiven, ScanState

PATIENCE_S = 30.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Stand:
    """A conductor with a desk over a fake beamline, its plan flown in a thread."""

    def __init__(self, engine: RunEngine, beamline: Any) -> None:
        self.engine, self.beamline = engine, beamline
        self.states: list[ScanState] = []
        self.forbidden = ""
        self.conductor = Conductor(engine, tell=self.states.append, forbids=lambda: self.forbidden)
        self.desk = CommandDesk(self.conductor, prepare=self.prepare, plans={"xrdct": "n_lines="})
        self.ending: Ending | None = None

    def prepare(self, plan: str, arguments: Any) -> Programme:
        return make_programme(plan or "xrdct", self.beamline.profile, arguments)

    def command(self, action: Action, **of_start: Any) -> CommandAnswered:
        answer, _ = self.desk(CommandGiven(action=action, origin="Ada", **of_start), is_wanted=lambda: True)
        assert isinstance(answer, CommandAnswered)
        return answer

    @property
    def words(self) -> list[str]:
        return [one.state for one in self.states]

    @contextmanager
    def flying(self, plan: Any) -> Iterator[None]:
        """Fly a plan meanwhile; what is still paused at the end is a mistake of the test."""
        thread = threading.Thread(target=self._fly, args=(plan,))
        thread.start()
        try:
            yield
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        finally:
            self.let_go()
            self.conductor.abort("the test is over")
            thread.join(PATIENCE_S)

    def _fly(self, plan: Any) -> None:
        self.ending = self.conductor.fly(plan, name="xrdct", on_document=self.beamline.announcer.document)

    def plan(self, **options: Any) -> Any:
        return self.beamline.plan(end_wish=self.conductor.end_wish, **options)

    def hold_in_line(self, n: int) -> None:
        """Let the sweep of the n-th line that flies (1 is the first) go on without an end, until :meth:`let_go`."""
        n_left = [n]

        def hook(message: Any) -> None:
            n_left[0] -= message.command == "complete"
            if n_left[0] == 0:
                self.engine.msg_hook = None
                self.beamline.devices.fast.may_arrive.clear()

        self.engine.msg_hook = hook

    def await_sweep(self) -> None:
        """Wait until the line that is held is being swept."""
        fast = self.beamline.devices.fast
        wait_until(lambda: not fast.may_arrive.is_set() and fast.is_moving)

    def let_go(self) -> None:
        self.beamline.devices.fast.may_arrive.set()

    def pause_in_line(self) -> None:
        """Pause in the middle of the line that is held."""
        self.await_sweep()
        assert self.command("pause_now").accepted
        wait_until(lambda: self.conductor.state == "paused")
        self.let_go()


@pytest.fixture
def stand(engine: RunEngine, beamline: Any) -> Iterator[Stand]:
    yield Stand(engine, beamline)
    engine.msg_hook = None


def assert_every_pixel_once(beamline: Any) -> None:
    flown = {(one.line, one.attempt): one for one in beamline.messages(LineFlown)}
    assert sorted(line for line, _ in flown) == [line.index for line in beamline.layout.lines]
    announced = {(one.line, one.attempt): one for one in beamline.messages(LineAnnounced)}
    for key in flown:
        line = announced[key]
        ids = range(line.first_image_id, line.first_image_id + line.n_points)
        frames = [one for one in beamline.frames if one.series == line.series and one.image_id in ids]
        assert [one.image_id for one in frames] == list(ids)
        assert all(one.has_beam for one in frames)


def is_safe(beamline: Any) -> bool:
    devices = beamline.devices
    return devices.shutter.status.get() == 0 and not devices.detector.is_armed and not devices.trigger.is_armed


def test_a_pause_holds_with_the_shutter_closed_until_somebody_resumes(stand: Stand, beamline: Any) -> None:
    stand.hold_in_line(2)
    with stand.flying(stand.plan()):
        stand.pause_in_line()
        n_announced = len(beamline.messages(LineAnnounced))
        assert is_safe(beamline)
        assert stand.conductor.reason == "wished by Ada"
        answer = stand.command("pause_after_line")
        assert (answer.accepted, answer.text) == (False, "the scan is paused already")
        assert len(beamline.messages(LineAnnounced)) == n_announced
        assert stand.command("resume").accepted
    assert [(one.line, one.attempt) for one in beamline.messages(LineFlown)] == [(0, 0), (1, 1), (2, 0)]
    assert_every_pixel_once(beamline)
    assert is_safe(beamline)
    assert stand.ending == Ending(exit_status="success")
    # Shorter states may pass between two looks; being paused and over is always told.
    assert [word for word in stand.words if word in ("paused", "idle")] == ["paused", "idle"]


def test_a_pause_after_the_line_costs_no_attempt(stand: Stand, beamline: Any) -> None:
    stand.hold_in_line(1)
    with stand.flying(stand.plan()):
        stand.await_sweep()
        assert stand.command("pause_after_line").state == "pausing"
        stand.let_go()
        wait_until(lambda: stand.conductor.state == "paused")
        assert len(beamline.messages(LineFlown)) == 1
        assert is_safe(beamline)
        stand.command("resume")
    assert beamline.messages(LineAborted) == []
    assert_every_pixel_once(beamline)


def test_a_scan_that_is_stopped_after_a_line_ends_in_order_with_the_lines_it_has(stand: Stand, beamline: Any) -> None:
    stand.hold_in_line(2)
    with stand.flying(stand.plan()):
        stand.await_sweep()
        assert stand.command("stop_after_line").state == "ending"
        stand.let_go()
    assert [one.line for one in beamline.messages(LineFlown)] == [0, 1]
    assert beamline.messages(LineAborted) == []
    stopped = beamline.messages(RunStopped)[0]
    assert (stopped.exit_status, stopped.reason) == ("success", "stopped after a line, wished by Ada")
    assert is_safe(beamline)
    assert stand.ending == Ending(exit_status="success", reason=stopped.reason)


def test_a_paused_scan_that_is_stopped_after_a_line_flies_no_further(stand: Stand, beamline: Any) -> None:
    stand.hold_in_line(2)
    with stand.flying(stand.plan()):
        stand.pause_in_line()
        assert stand.command("stop_after_line").accepted
    assert [one.line for one in beamline.messages(LineFlown)] == [0]
    assert beamline.messages(RunStopped)[0].exit_status == "success"


def test_a_series_that_is_stopped_after_a_line_begins_no_further_tomogram(stand: Stand, beamline: Any) -> None:
    stand.hold_in_line(2)
    programme = series(beamline.profile, n_tomograms=3)
    station = replace(beamline.station, end_wish=stand.conductor.end_wish)
    with stand.flying(fly_programme(station, programme)):
        stand.await_sweep()
        stand.command("stop_after_line")
        stand.let_go()
    assert len(beamline.messages(RunStarted)) == 1
    assert any("wished by Ada" in one.text for one in beamline.messages(Notice))


@pytest.mark.parametrize("is_paused", [False, True])
def test_an_aborted_scan_is_safe_and_says_who_wished_it(stand: Stand, beamline: Any, is_paused: bool) -> None:
    stand.hold_in_line(2)
    with stand.flying(stand.plan()):
        stand.await_sweep()
        if is_paused:
            stand.pause_in_line()
        assert stand.command("abort").accepted
    stopped = beamline.messages(RunStopped)[0]
    assert (stopped.exit_status, stopped.reason) == ("abort", "wished by Ada")
    assert [one.line for one in beamline.messages(LineFlown)] == [0]
    assert is_safe(beamline)
    assert stand.ending == Ending(exit_status="abort", reason="wished by Ada")
    assert stand.conductor.state == "idle"


def test_a_plan_that_fails_ends_idle_with_its_reason(stand: Stand, beamline: Any) -> None:
    beamline.devices.detector.misses = 10_000
    with pytest.raises(RuntimeError, match="failed 3 times"):
        stand._fly(stand.plan())
    assert stand.states[-1].state == "idle"
    assert "failed 3 times" in stand.states[-1].reason


def test_beam_that_is_lost_while_paused_is_waited_for_after_the_resume(stand: Stand, beamline: Any) -> None:
    current = beamline.devices.ring.current
    suspender = SuspendFloor(current, 50.0, resume_thresh=60.0)
    stand.hold_in_line(2)
    with stand.flying(stand.plan(suspenders=[suspender])):
        stand.pause_in_line()
        current.put(0.0)
        stand.command("resume")
        wait_until(lambda: stand.conductor.state == "suspended")
        n_announced = len(beamline.messages(LineAnnounced))
        assert "ring_current" in stand.conductor.reason
        assert is_safe(beamline)
        assert stand.command("resume").text == "the scan is not paused"
        assert len(beamline.messages(LineAnnounced)) == n_announced == 2
        current.put(100.0)
    assert_every_pixel_once(beamline)


def test_a_pause_during_a_suspension_does_not_end_it(stand: Stand, beamline: Any) -> None:
    current = beamline.devices.ring.current
    suspender = SuspendFloor(current, 50.0, resume_thresh=60.0)
    stand.hold_in_line(2)
    with stand.flying(stand.plan(suspenders=[suspender])):
        stand.await_sweep()
        current.put(0.0)
        wait_until(lambda: stand.conductor.state == "suspended")
        stand.let_go()
        stand.command("pause_now")
        wait_until(lambda: stand.conductor.state == "paused")
        stand.command("resume")
        wait_until(lambda: stand.conductor.state == "suspended")
        assert len(beamline.messages(LineFlown)) == 1
        current.put(100.0)
    assert_every_pixel_once(beamline)


def test_nothing_is_resumed_or_started_while_it_is_forbidden(stand: Stand, beamline: Any) -> None:
    stand.hold_in_line(1)
    with stand.flying(stand.plan()):
        stand.await_sweep()
        stand.conductor.pause("the cell is at 60 degC")
        wait_until(lambda: stand.conductor.state == "paused")
        stand.let_go()
        assert stand.conductor.reason == "the cell is at 60 degC"
        stand.forbidden = "the cell is at 60 degC, above 45 degC"
        assert stand.command("resume").text == stand.forbidden
        assert stand.conductor.state == "paused"
        stand.forbidden = ""
        assert stand.command("resume").accepted
    stand.forbidden = "the cell is at 60 degC, above 45 degC"
    assert stand.command("start").text == stand.forbidden


def test_a_plan_that_the_cell_holds_is_paused_for_that_reason_and_ends_in_order_on_a_wish(stand: Stand, beamline: Any) -> None:
    stand.forbidden = "the cell is at 60 degC, above 45 degC"
    with stand.flying(stand.plan(cell_complaint=lambda: stand.forbidden)):
        wait_until(lambda: stand.conductor.state == "paused")
        assert stand.conductor.reason == stand.forbidden
        assert stand.command("resume").text == stand.forbidden
        assert stand.command("stop_after_line").accepted
    assert beamline.frames == []
    assert [one.exit_status for one in beamline.messages(RunStopped)] == ["success"]


def test_with_nothing_running_only_a_start_is_taken(stand: Stand) -> None:
    answer = stand.command("status")
    assert (answer.accepted, answer.state, answer.plans) == (True, "idle", {"xrdct": "n_lines="})
    assert set(answer.refusals) == {"pause_now", "pause_after_line", "resume", "stop_after_line", "abort"}
    assert stand.command("abort").text == "nothing is running"


def test_a_started_plan_waits_for_its_flight_and_keeps_its_place(stand: Stand, beamline: Any) -> None:
    answer = stand.command("start", plan="single_line", arguments={"n_repeats": 2})
    assert (answer.accepted, answer.state, answer.plan) == (True, "starting", "single_line")
    assert stand.command("start").text == "single_line is starting"
    programme = stand.desk.await_start(threading.Event())
    assert programme is not None
    assert (programme.plan, programme.n_frames) == ("single_line", 2 * beamline.profile.scan.n_points)
    with stand.flying(fly_programme(beamline.station, programme)):
        pass
    assert len(beamline.messages(LineFlown)) == 2
    assert stand.conductor.state == "idle"


@pytest.mark.parametrize(
    ("plan", "arguments", "complaint"),
    [
        ("dance", {}, "there is no plan 'dance'"),
        ("xrdct", {"n_lines": "many"}, "n_lines"),
        ("xrdct", {"speed": 3}, "speed"),
        ("point_against_time", {}, "n_frames"),
    ],
)
def test_a_wrong_plan_or_argument_is_refused_by_name(stand: Stand, plan: str, arguments: Any, complaint: str) -> None:
    answer = stand.command("start", plan=plan, arguments=arguments)
    assert not answer.accepted
    assert complaint in answer.text
    assert answer.state == "idle"


def test_the_desk_takes_commands_only(stand: Stand) -> None:
    with pytest.raises(DataError, match="RunStopped"):
        stand.desk(RunStopped(run="r", exit_status="success", time_s=0.0), is_wanted=lambda: True)


def test_waiting_for_a_start_ends_when_the_process_is_stopped(stand: Stand) -> None:
    stop = threading.Event()
    stop.set()
    assert stand.desk.await_start(stop) is None


def test_any_number_of_pauses_at_any_time_costs_no_pixel(engine: RunEngine, small_beamline: Callable[[], Any]) -> None:
    dice = random.Random(5)
    for _ in range(6):
        beamline = small_beamline()
        stand = Stand(engine, beamline)
        stand.hold_in_line(1)
        with stand.flying(stand.plan()):
            stand.pause_in_line()
            while stand.ending is None:
                stand.command(dice.choice(["pause_now", "pause_after_line", "resume", "resume"]))
                time.sleep(0.02 * dice.random())
        assert len(beamline.messages(LineAborted)) >= 1
        assert_every_pixel_once(beamline)
        assert is_safe(beamline)
