"""Take messages off the wire: gives them in order to a bounded queue and does nothing else; no message waits for arithmetic.

When the queue is full nothing more is read: ZeroMQ's buffers fill, then the sender's, and the detector knows. Nothing is
dropped here.
"""

import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType

import structlog
import zmq
from zmq.utils.monitor import recv_monitor_message

from streaming.arrival import Arrival, Received

logger = structlog.get_logger(__name__)

QUEUE_CAPACITY = 64
"""Messages between receiver and workers: fewer let the wire stall while a START is digested, more only hide slow workers."""
_RECEIVE_HWM = 32
_POLL_MS = 100
_IDLE_POLLS = 5
"""Polls without a message or an attempt to connect after which a lost connection is dead; ZeroMQ tries again within 0.2 s."""
_NEWS = zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_CONNECTED


class Receiver:
    """Reads one PULL socket in its own thread until closed.

    Parameters
    ----------
    address
        Where the detector pushes; it need not exist yet.
    destination
        Bounded queue; when it is full, the receiver waits.
    limit_bytes
        A message twice as large is refused by ZeroMQ at the price of the connection, which is then made again.
    on_refused
        Called from the receiver's thread with a sentence when that has happened.
    wall_clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        address: str,
        destination: "queue.Queue[Arrival]",
        *,
        limit_bytes: int,
        on_refused: Callable[[str], None] = lambda sentence: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._address = address
        self._destination = destination
        self._limit_bytes = 2 * limit_bytes
        self._on_refused = on_refused
        self._wall_clock = wall_clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"receive {address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading; what was read stays in the queue."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            with _Connection(self._address, limit_bytes=self._limit_bytes) as connection:
                self._read(connection)

    def _read(self, connection: "_Connection") -> None:
        """Hand over messages until told to stop, or until the connection is dead."""
        while not self._stop.is_set():
            parts = connection.receive()
            if parts is not None:
                self._hand_over(Received(parts=parts, received_s=self._wall_clock()))
            elif connection.is_dead():
                self._on_refused(f"more than {self._limit_bytes} bytes; connected again, some messages may be lost")
                return

    def _hand_over(self, received: Received) -> None:
        while not self._stop.is_set():
            try:
                self._destination.put(received, timeout=_POLL_MS / 1000)
            except queue.Full:
                continue
            return
        logger.warning("message given up while stopping", n_bytes=received.n_bytes)


class _Connection:
    """One PULL socket, and the news of its peer.

    ZeroMQ ends a connection on which an oversized message comes and, unlike after any other end, does not make it again: one
    such message would silence the detector for ever.
    """

    def __init__(self, address: str, *, limit_bytes: int) -> None:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        socket.rcvhwm = _RECEIVE_HWM
        socket.linger = 0
        socket.maxmsgsize = limit_bytes
        socket.reconnect_ivl_max = 1000
        self._socket = socket
        self._news: zmq.Socket[bytes] = socket.get_monitor_socket(_NEWS)
        self._n_idle_since_lost: int | None = None
        socket.connect(address)

    def receive(self) -> tuple[bytes, ...] | None:
        """Give the parts of the next message, or None when there was none for a while."""
        if not self._socket.poll(_POLL_MS):
            return None
        return tuple(self._socket.recv_multipart())

    def is_dead(self) -> bool:
        """Tell whether the peer is lost and nobody tries to find it again; call it when no message came."""
        while self._news.poll(0):
            event = recv_monitor_message(self._news)["event"]
            self._n_idle_since_lost = 0 if event == zmq.EVENT_DISCONNECTED else None
        if self._n_idle_since_lost is not None:
            self._n_idle_since_lost += 1
        return (self._n_idle_since_lost or 0) > _IDLE_POLLS

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.disable_monitor()
        self._news.close()
        self._socket.close()
