"""Take messages off the wire: gives them in order to a bounded queue and does nothing else; no message waits for arithmetic.

When the queue is full nothing more is read: ZeroMQ's buffers fill, then the sender's, and the detector knows. Nothing is
dropped here.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
import zmq

logger = structlog.get_logger(__name__)

QUEUE_CAPACITY = 64
"""Messages between receiver and workers: fewer let the wire stall while a START is digested, more only hide slow workers."""
_RECEIVE_HWM = 32
_POLL_MS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as it came."""

    parts: tuple[bytes, ...]
    received_s: float
    """Unix epoch."""

    @property
    def n_bytes(self) -> int:
        """Size of all parts."""
        return sum(map(len, self.parts))


class Receiver:
    """Reads one PULL socket in its own thread until closed.

    Parameters
    ----------
    address
        Where the detector pushes; it need not exist yet.
    destination
        Bounded queue; when it is full, the receiver waits.
    limit_bytes
        A message twice as large is refused by ZeroMQ, at the price of the connection, which is then made again.
    wall_clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        address: str,
        destination: "queue.Queue[Received]",
        *,
        limit_bytes: int,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._wall_clock = wall_clock
        self._stop = threading.Event()
        self._socket = _connected(address, limit_bytes=2 * limit_bytes)
        self._thread = threading.Thread(target=self._run, name=f"receive {address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading; what was read stays in the queue."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(_POLL_MS):
                parts = tuple(self._socket.recv_multipart())
                self._hand_over(Received(parts=parts, received_s=self._wall_clock()))
        self._socket.close()

    def _hand_over(self, received: Received) -> None:
        while not self._stop.is_set():
            try:
                self._destination.put(received, timeout=_POLL_MS / 1000)
            except queue.Full:
                continue
            return
        logger.warning("message given up while stopping", n_bytes=received.n_bytes)


def _connected(address: str, *, limit_bytes: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    socket.rcvhwm = _RECEIVE_HWM
    socket.linger = 0
    socket.maxmsgsize = limit_bytes
    socket.reconnect_ivl_max = 1000
    socket.connect(address)
    return socket
