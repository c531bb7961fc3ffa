"""The PUSH socket of the stream and the one thread that owns it.

ZeroMQ keeps at most ``n_queued`` messages for a slow receiver and none while there is no receiver. What then? The detector
waits ``patience_s`` for room; after that it drops image after image and counts them, without waiting again, until one goes
out. So memory is bounded, a short pause of the receiver costs nothing, and a long one costs images that are counted here.
A real detector does the same with its internal buffer.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import structlog
import zmq

from operando.errors import ServiceError

logger = structlog.get_logger(__name__)

_SLICE_MS = 20
"""How often a waiting send looks whether its series was aborted or the detector stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message on its way: its parts may still be in the making."""

    parts: Future[list[bytes]]
    is_image: bool
    is_void: Callable[[], bool]
    """True once the series was aborted: an image that has not left is then forgotten."""
    done: Callable[[], None] = lambda: None
    """Called from the sender's thread when the message has left, was dropped or forgotten."""


class Sender:
    """Sends messages in the order in which they are given.

    Parameters
    ----------
    address
        Where to bind; port ``*`` picks a free one, :attr:`address` then tells it.
    n_queued
        Messages that ZeroMQ may hold for a receiver. More costs memory (1 to 3 MB an image), fewer shortens the pause that a
        receiver may take.
    patience_s
        How long a message waits for room before images are dropped.

    Raises
    ------
    ServiceError
        If the address cannot be bound.
    """

    def __init__(self, address: str, *, n_queued: int = 64, patience_s: float = 2.0) -> None:
        self._socket = _bound(address, n_queued)
        self.address = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._patience_s = patience_s
        self.n_images_sent = 0
        self.n_images_dropped = 0
        self._is_choked = False
        self._waiting: queue.Queue[Outgoing | None] = queue.Queue(maxsize=8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stream {self.address}", daemon=True)
        self._thread.start()

    def put(self, message: Outgoing) -> None:
        """Hand over a message; waits while eight are on their way."""
        self._waiting.put(message)

    def close(self, *, linger_s: float = 1.0) -> None:
        """Send what was handed over if there is a receiver, then free the port."""
        self._waiting.put(None)
        self._thread.join(timeout=linger_s)
        self._stop.set()
        self._thread.join(timeout=5)
        self._socket.close(linger=int(linger_s * 1000))

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._take(message)
            finally:
                message.done()

    def _take(self, message: Outgoing) -> None:
        if message.is_image and message.is_void():
            return
        try:
            parts = message.parts.result()
        except Exception as failed:  # Whatever a frame source raises costs its own image and nothing more.
            logger.error("image not made", reason=repr(failed))
            self.n_images_dropped += 1
            return
        is_sent = self._send(parts, message)
        if message.is_image and not is_sent and message.is_void():
            return
        self.n_images_sent += message.is_image and is_sent
        self.n_images_dropped += message.is_image and not is_sent
        if is_sent == self._is_choked:
            self._is_choked = not is_sent
            logger.warning("stream choked" if self._is_choked else "stream flows again", dropped=self.n_images_dropped)

    def _send(self, parts: list[bytes], message: Outgoing) -> bool:
        deadline = time.monotonic() + (0.0 if self._is_choked else self._patience_s)
        while not (message.is_image and message.is_void()):
            try:
                self._socket.send_multipart(parts, flags=zmq.DONTWAIT, copy=True)
            except zmq.Again:
                if time.monotonic() >= deadline or self._stop.is_set():
                    break
                self._socket.poll(_SLICE_MS, zmq.POLLOUT)
            else:
                return True
        return False


def _bound(address: str, n_queued: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
    socket.sndhwm = n_queued
    try:
        socket.bind(address)
    except zmq.ZMQError as refused:
        socket.close()
        raise ServiceError(f"the detector cannot stream on {address}: {refused}. Is another one running there?") from refused
    return socket
