"""Questions and answers over one socket."""

import json
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import zmq

from operando.bus import AnswerServer, Asker, Entry, SupersededError
from operando.bus.asking import Answer
from operando.errors import DataError
from operando.messages import CommandGiven, Message, Notice, Refused


class Echo:
    """Answers with what it was asked; commands to abort are refused, to pause now take until they are not wanted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        assert isinstance(question, CommandGiven)
        self.asked.append(question.action)
        if question.action == "abort":
            raise DataError("there is nothing to abort")
        if question.action == "resume":
            raise ZeroDivisionError
        if question.action == "pause_now":
            while is_wanted() and not self.go.wait(0.01):
                pass
            if not is_wanted():
                raise SupersededError("late")
        return Notice(level="info", origin="echo", text=question.action, time_s=1.0), {"n": np.arange(3.0)}


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def server(echo):
    with AnswerServer("tcp://127.0.0.1:*", echo) as serving:
        yield serving


def answer_of(asker: Asker, deadline_s: float = 10.0) -> Entry:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        entry = asker.poll()
        if entry is not None:
            return entry
        time.sleep(0.005)
    raise AssertionError("no answer")


def test_a_question_is_answered_once_with_its_arrays(server):
    asker = Asker(server.address)
    asker.ask(CommandGiven(action="status"))
    assert asker.is_waiting
    entry = answer_of(asker)
    assert isinstance(entry.message, Notice)
    assert entry.message.text == "status"
    np.testing.assert_array_equal(entry.arrays["n"], [0, 1, 2])
    assert not asker.is_waiting
    assert asker.poll() is None
    asker.close()


@pytest.mark.parametrize(("action", "sentence"), [("abort", "nothing to abort"), ("resume", "ZeroDivisionError")])
def test_what_cannot_be_answered_is_refused_in_words_and_the_next_question_is_answered(server, action, sentence):
    asker = Asker(server.address)
    asker.ask(CommandGiven(action=action))
    refusal = answer_of(asker).message
    assert isinstance(refusal, Refused)
    assert sentence in refusal.text
    asker.ask(CommandGiven(action="status"))
    assert isinstance(answer_of(asker).message, Notice)
    asker.close()


def test_the_newest_question_of_a_client_wins(server, echo):
    asker = Asker(server.address)
    asker.ask(CommandGiven(action="pause_now"))
    while not echo.asked:
        time.sleep(0.005)
    asker.ask(CommandGiven(action="pause_after_line"))
    asker.ask(CommandGiven(action="status"))
    message = answer_of(asker).message
    assert isinstance(message, Notice)
    assert message.text == "status"
    asker.close()


def test_a_slow_answer_to_one_does_not_silence_the_socket_for_others(server, echo):
    slow, quick = Asker(server.address), Asker(server.address)
    slow.ask(CommandGiven(action="pause_now"))
    while not echo.asked:
        time.sleep(0.005)
    quick.ask(CommandGiven(action="status"))
    time.sleep(0.1)
    assert quick.poll() is None
    echo.go.set()
    assert isinstance(answer_of(slow).message, Notice)
    assert isinstance(answer_of(quick).message, Notice)
    slow.close()
    quick.close()


def test_a_server_that_is_not_there_is_given_up_without_waiting():
    now = [0.0]
    asker = Asker("tcp://127.0.0.1:1", clock=lambda: now[0])
    for _ in range(40):
        asker.ask(CommandGiven(action="status"))
    assert asker.poll() is None
    now[0] = 60.0
    entry = asker.poll()
    assert entry is not None
    assert isinstance(entry.message, Refused)
    assert "does not answer" in entry.message.text
    asker.close()


@pytest.mark.parametrize(
    "frames",
    [
        [b"\x00"],
        [b"{}"],
        [b"[]"],
        [json.dumps({"protocol": 7, "tag": 1, "message": {}}).encode()],
        [json.dumps({"protocol": 1, "tag": 0, "message": {}}).encode()],
        [json.dumps({"protocol": 1, "tag": 1, "message": {"kind": "exec"}}).encode()],
        [json.dumps({"protocol": 1, "tag": 1}).encode(), b"more"],
        [b"[" * 100_000],
    ],
)
def test_a_hostile_question_is_refused_and_the_next_one_answered(server, frames):
    with zmq.Context.instance().socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(server.address)
        socket.send_multipart(frames)
        assert socket.poll(5000)
        assert b"refused" in socket.recv_multipart()[0]
    asker = Asker(server.address)
    asker.ask(CommandGiven(action="status"))
    assert isinstance(answer_of(asker).message, Notice)
    asker.close()
