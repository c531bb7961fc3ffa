"""Only what is named passes the door of the queue; a server that is silent or gone does not keep anyone waiting for ever."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from acquisition.queue.client import QueueClient
from acquisition.queue.door import Door, refusal
from operando.errors import DataError, ServiceError


class Inner:
    """Answers every question with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.socket = zmq.Context.instance().socket(zmq.REP)
        self.socket.linger = 0
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.stop.is_set():
            if self.socket.poll(20):
                self.asked.append(self.socket.recv_json())
                self.socket.send_json({"success": True, "msg": "", "asked": self.asked[-1]["method"]})
        self.socket.close()


@pytest.fixture
def inner() -> Iterator[Inner]:
    answering = Inner()
    yield answering
    answering.stop.set()
    answering.thread.join(5)


def test_what_is_named_passes_and_is_answered(inner: Inner) -> None:
    with Door("tcp://127.0.0.1:*", inner.address) as door, QueueClient(door.address) as client:
        assert client.ask("queue_get")["asked"] == "queue_get"
    assert inner.asked == [{"method": "queue_get", "params": {}}]


@pytest.mark.parametrize("method", ["script_upload", "function_execute", "permissions_set", "manager_kill", "no_such_thing"])
def test_what_is_not_named_never_reaches_the_server(inner: Inner, method: str) -> None:
    with Door("tcp://127.0.0.1:*", inner.address) as door, QueueClient(door.address) as client:
        with pytest.raises(DataError, match=f"{method} is refused"):
            client.ask(method, script="print()")
        assert client.ask("ping")
    assert [one["method"] for one in inner.asked] == ["ping"]


@pytest.mark.parametrize(
    "question", [b"", b"\x80\x03", b"[]", b"{}", b'{"method": ["ping"]}', b'{"method": {}}', b"nul", b"[" * 1000]
)
def test_nonsense_is_refused(question: bytes) -> None:
    refused = refusal(question)
    assert refused is not None
    assert refused["success"] is False
    json.dumps(refused)


def test_a_taken_address_is_refused(inner: Inner) -> None:
    with Door("tcp://127.0.0.1:*", inner.address) as door, pytest.raises(ServiceError, match=r"queue\.control"):
        Door(door.address, inner.address)


def test_a_client_of_nobody_is_told_so_and_can_ask_again(inner: Inner) -> None:
    with QueueClient("tcp://127.0.0.1:1", answer_s=0.1) as client:
        for _ in range(2):
            with pytest.raises(ServiceError, match="does not answer"):
                client.status()
