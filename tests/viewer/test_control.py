"""Commanding the scan, without a window: what is asked, what is answered, and what is said of it."""

import time
from collections.abc import Callable, Iterator

import pytest

from operando.bus import AnswerServer, Entry
from operando.bus.asking import Answer
from operando.errors import DataError
from operando.messages import Action, CommandAnswered, CommandGiven, Message, ScanState, ServicesOffered
from tests.viewer.conftest import run_started, scan_progress
from viewer.control import Control
from viewer.control_words import arguments_from, dose_line, progress_line, queue_line, state_words
from viewer.freshness import Level, freshness
from viewer.mailbox import Link
from viewer.session import Session

LIVE = Link(source="tcp://x:1", is_met=True, silent_s=0.1)


class FakeAcquisition:
    """A scan that can be paused, resumed and ended; it says why it refuses, as the real one does."""

    def __init__(self) -> None:
        self.state = "running"
        self.given: list[CommandGiven] = []
        self.queue: list[str] = []

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        if not isinstance(question, CommandGiven):
            raise DataError("this is where commands are taken")
        refusals = self.refusals()
        accepted = question.action not in refusals
        text = refusals.get(question.action, "")
        if question.action != "status":
            self.given.append(question)
            if accepted:
                text = self.obey(question)
        answer = CommandAnswered(
            accepted=accepted,
            text=text,
            state=self.state,  # type: ignore[arg-type]
            plan="xrdct",
            plans={"xrdct": "n_tomograms: how many", "dark": "n_frames: how many"},
            queue=self.queue,
            refusals={str(action): why for action, why in self.refusals().items()},
            time_s=time.time(),
        )
        return answer, {}

    def refusals(self) -> dict[Action, str]:
        if self.state == "idle":
            return dict.fromkeys(("pause_after_line", "pause_now", "resume", "stop_after_line", "abort"), "nothing is running")
        refused: dict[Action, str] = {"start": f"xrdct is {self.state}: wait for its end, or abort it"}
        if self.state == "running":
            return refused | {"resume": "the scan is not paused"}
        return refused | {"pause_now": "the scan is paused already", "pause_after_line": "the scan is paused already"}

    def obey(self, given: CommandGiven) -> str:
        states = {"pause_now": "paused", "pause_after_line": "paused", "resume": "running", "abort": "idle", "start": "running"}
        self.state = states.get(given.action, self.state)
        return f"{given.action}: done for {given.origin}"


@pytest.fixture
def acquisition() -> FakeAcquisition:
    return FakeAcquisition()


@pytest.fixture
def session(acquisition: FakeAcquisition) -> Iterator[Session]:
    with AnswerServer("tcp://127.0.0.1:*", acquisition) as server:
        session = Session()
        session.apply(Entry(number=1, message=ServicesOffered(commands=server.address, time_s=0.0)))
        yield session


@pytest.fixture
def control(session: Session) -> Iterator[Control]:
    control = Control(session)
    yield control
    control.close()


def tick_until(control: Control, is_true: Callable[[], bool], deadline_s: float = 60.0) -> None:
    end = time.monotonic() + deadline_s
    while not is_true():
        assert time.monotonic() < end, "it never became true"
        control.tick()
        time.sleep(0.01)


def test_how_the_acquisition_stands_is_asked_and_told(control, session):
    tick_until(control, lambda: control.answer is not None)
    assert state_words(control, session).main == "running · xrdct"
    assert control.refusal("resume") == "the scan is not paused"
    assert control.refusal("pause_now") == ""


def test_a_pause_is_passed_on_and_what_comes_of_it_is_told(control, session, acquisition):
    tick_until(control, lambda: control.answer is not None)
    control.give("pause_now")
    assert control.wished == "pause_now"
    tick_until(control, lambda: control.reply is not None)
    assert control.reply.accepted
    assert control.reply.text == "pause_now: done for the window"
    assert state_words(control, session).main == "paused · xrdct"
    assert acquisition.state == "paused"


def test_a_refused_wish_is_passed_on_and_the_reason_is_the_acquisitions_own(control, acquisition):
    tick_until(control, lambda: control.answer is not None)
    control.give("resume")
    tick_until(control, lambda: control.reply is not None)
    assert not control.reply.accepted
    assert control.reply.text == "the scan is not paused"
    assert [given.action for given in acquisition.given] == ["resume"]


def test_looking_how_it_stands_never_displaces_a_wish(control, acquisition):
    tick_until(control, lambda: control.answer is not None)
    for action in ("pause_now", "resume") * 5:
        control.give(action)
        tick_until(control, lambda: control.reply is not None)
        assert control.reply.accepted
    assert len(acquisition.given) == 10


def test_start_carries_the_plan_and_its_arguments(control, acquisition):
    acquisition.state = "idle"
    tick_until(control, lambda: control.answer is not None)
    control.give("start", plan="dark", arguments={"n_frames": 10})
    tick_until(control, lambda: control.reply is not None)
    assert acquisition.given[0].plan == "dark"
    assert acquisition.given[0].arguments == {"n_frames": 10}


def test_what_waits_in_the_queue_is_told(control, acquisition):
    tick_until(control, lambda: control.answer is not None)
    assert queue_line(control) == ""
    acquisition.queue = ["dark n_frames=10", "xrdct", "xrdct n_tomograms=5", "dark"]
    tick_until(control, lambda: queue_line(control) == "then: dark n_frames=10 · xrdct · and 2 more")


def test_where_nobody_takes_commands_each_is_refused_with_that_reason():
    session = Session()
    control = Control(session)
    control.tick()
    control.give("abort")
    assert control.reply.text == "nobody takes commands here"
    assert state_words(control, session).main == "nobody takes commands"


def test_an_acquisition_that_falls_silent_is_called_so_within_three_seconds():
    now, session = [100.0], Session()
    control = Control(session, clock=lambda: now[0])
    session.apply(Entry(number=1, message=ServicesOffered(commands="tcp://127.0.0.1:1", time_s=0.0)))
    control.tick()
    assert state_words(control, session).main == "asking …"
    now[0] += 3.1
    control.tick()
    assert state_words(control, session).main == "no answer"
    control.close()


def test_a_service_that_goes_is_forgotten_and_one_that_comes_is_asked(control, session):
    tick_until(control, lambda: control.answer is not None)
    session.apply(Entry(number=2, message=ServicesOffered(time_s=1.0)))
    control.tick()
    assert not control.is_offered
    assert control.answer is None


def test_an_address_that_is_none_is_a_complaint_and_no_fault():
    session = Session()
    control = Control(session)
    session.apply(Entry(number=1, message=ServicesOffered(commands="http://elsewhere/;rm", time_s=0.0)))
    control.tick()
    assert not control.is_offered
    assert "no address" in session.complaint


def test_whoever_answers_something_else_is_not_believed(session):
    def confused(question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        return ScanState(state="idle", time_s=0.0), {}

    with AnswerServer("tcp://127.0.0.1:*", confused) as server:
        session.apply(Entry(number=2, message=ServicesOffered(commands=server.address, time_s=0.0)))
        control = Control(session)
        tick_until(control, lambda: control.reply is not None)
        assert "answer of another kind: ScanState" in control.reply.text
        assert control.answer is None
        control.close()


def test_a_held_scan_is_amber_however_long_no_frame_comes():
    now, session = [5000.0], Session(clock=lambda: now[0])
    session.apply(Entry(number=1, message=scan_progress().model_copy(update={"state": "paused", "time_s": 5000.0})))
    paused = ScanState(state="paused", plan="xrdct", reason="paused by the window", time_s=5000.0)
    session.apply(Entry(number=2, message=paused))
    now[0] += 187
    verdict = freshness(session, LIVE)
    assert (verdict.level, verdict.text) == (Level.HELD, "scan paused for 3:07")
    session.apply(Entry(number=3, message=paused.model_copy(update={"state": "running"})))
    assert freshness(session, LIVE).level is not Level.HELD


def test_progress_tells_the_end_and_dose_counts_what_flew_in_vain():
    session = Session(clock=lambda: 5000.0)
    started = run_started().model_copy(update={"n_points": 100, "exposure_s": 0.1})
    session.apply(Entry(number=1, message=started))
    progress = scan_progress(lines_done=10).model_copy(update={"attempts": 12, "seconds_left": 95.0})
    session.apply(Entry(number=2, message=progress))
    assert progress_line(session).startswith("10 of 48 lines · 1:35 left · until ")
    assert dose_line(session) == "exposed 2:00 of 8:00 · 100 ms a point · dose not known"
    told = session.tomogram.started.model_copy(update={"estimated_dose_gy": 2.0e6})
    session.apply(Entry(number=9, message=told))
    assert dose_line(session) == "exposed 2:00 of 8:00 · 100 ms a point · about 500 kGy of 2 MGy"


def test_arguments_are_read_as_the_command_line_reads_them():
    assert arguments_from('n=5 until=end angles=[0,90] name="x"') == {"n": 5, "until": "end", "angles": [0, 90], "name": "x"}
    assert arguments_from("  ") == {}
    with pytest.raises(DataError, match="'five' is no argument"):
        arguments_from("five")
