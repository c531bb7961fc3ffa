import queue
import time
from collections.abc import Iterator

import pytest
import zmq

from streaming.receive import Received, Receiver

PATIENCE_S = 20.0


@pytest.fixture
def push() -> Iterator[zmq.Socket]:
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.sndhwm = 5
    socket.linger = 0
    socket.bind("tcp://127.0.0.1:*")
    yield socket
    socket.close()


def address_of(socket: zmq.Socket) -> str:
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def test_messages_of_one_and_many_parts_come_in_order_with_their_time(push: zmq.Socket) -> None:
    destination: queue.Queue[Received] = queue.Queue(10)
    receiver = Receiver(address_of(push), destination, limit_bytes=10_000, wall_clock=lambda: 42.0)
    push.send(b"one")
    push.send_multipart([b"two", b"parts"])
    assert destination.get(timeout=PATIENCE_S) == Received(parts=(b"one",), received_s=42.0)
    assert destination.get(timeout=PATIENCE_S) == Received(parts=(b"two", b"parts"), received_s=42.0)
    receiver.close()


def test_a_full_queue_stops_the_sender_and_nothing_is_dropped(push: zmq.Socket) -> None:
    destination: queue.Queue[Received] = queue.Queue(3)
    receiver = Receiver(address_of(push), destination, limit_bytes=10**7)
    push.sndtimeo = 300
    n_sent = 0
    while n_sent < 2000 and _could_send(push, n_sent.to_bytes(4, "big") + bytes(10**6)):
        n_sent += 1
    assert n_sent < 2000
    assert destination.qsize() == 3
    found = [int.from_bytes(destination.get(timeout=PATIENCE_S).parts[0][:4], "big") for _ in range(n_sent)]
    assert found == list(range(n_sent))
    receiver.close()


def test_a_receiver_may_come_before_the_detector_and_outlive_it() -> None:
    context = zmq.Context.instance()
    first = context.socket(zmq.PUSH)
    port = first.bind_to_random_port("tcp://127.0.0.1")
    first.close(0)
    destination: queue.Queue[Received] = queue.Queue(10)
    receiver = Receiver(f"tcp://127.0.0.1:{port}", destination, limit_bytes=10_000)
    for word in (b"first life", b"second life"):
        with context.socket(zmq.PUSH) as socket:
            _bind_when_free(socket, port)
            socket.send(word)
            assert destination.get(timeout=PATIENCE_S).parts == (word,)
    receiver.close()


def test_a_message_far_over_the_limit_costs_the_connection_and_no_more(push: zmq.Socket) -> None:
    destination: queue.Queue[Received] = queue.Queue(10)
    refused: list[str] = []
    receiver = Receiver(address_of(push), destination, limit_bytes=1000, on_refused=refused.append)
    push.sndtimeo = 100
    push.send(b"before")
    assert destination.get(timeout=PATIENCE_S).parts == (b"before",)
    push.send(bytes(1_000_000))
    deadline = time.monotonic() + PATIENCE_S
    while destination.empty() and time.monotonic() < deadline:
        _could_send(push, b"after")
        time.sleep(0.05)
    assert destination.get(timeout=PATIENCE_S).parts == (b"after",)
    assert "more than 2000 bytes" in refused[0]
    receiver.close()


def _could_send(push: zmq.Socket, message: bytes) -> bool:
    try:
        push.send(message)
    except zmq.Again:
        return False
    return True


def _bind_when_free(socket: zmq.Socket, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.bind(f"tcp://127.0.0.1:{port}")
            return
        except zmq.ZMQError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
