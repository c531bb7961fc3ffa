"""Serve a store: answer "what is newer than n" at once when there is something, or when the patience of the client ends.

One ROUTER socket, one thread. Nothing is pushed, so a slow or hung client costs one pending question and nothing else;
a fast one has each entry within a few milliseconds of its appending.
"""

import json
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import structlog
import zmq

from operando.bus.entry import frames_from_entry, header_from_frame
from operando.bus.store import Store
from operando.errors import ServiceError, WireError

logger = structlog.get_logger(__name__)

PROTOCOL = 1
MAX_QUESTION_BYTES = 4096
MAX_PATIENCE_S = 10.0
MAX_REPLY_BYTES = 64 * 2**20
MAX_REPLY_ENTRIES = 2000
BIND_PATIENCE_S = 1.0
"""How long an address may be in use before that is an error: a server that has just ended frees it a little later."""
_POLL_MS = 10
"""How often pending questions are looked at: shorter costs idle time, longer delays every update by as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    client: bytes
    tag: int
    number: int
    deadline: float


class FeedServer:
    """Serves one store on one address until closed; the store is appended to by its owner.

    Parameters
    ----------
    store
        What is served.
    address
        A ZeroMQ address; port ``*`` picks a free one, :attr:`address` then tells it.

    Raises
    ------
    ServiceError
        If the address cannot be bound, for instance because the port is in use.
    """

    def __init__(self, store: Store, address: str) -> None:
        self._store = store
        self._socket = bound_router(address, max_bytes=MAX_QUESTION_BYTES)
        self.address = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self.n_refused = 0
        self._pending: dict[bytes, _Question] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"feed {self.address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._stop.set()
        self._thread.join(timeout=5)

    def __enter__(self) -> "FeedServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(_POLL_MS):
                self._hear(self._socket.recv_multipart())
            self._answer_pending()
        self._socket.close()

    def _hear(self, frames: list[bytes]) -> None:
        try:
            question = _question_from_frames(frames, now=time.monotonic())
        except WireError as wrong:
            self.n_refused += 1
            logger.warning("question refused", reason=str(wrong))
            self._reply(frames[0], {"protocol": PROTOCOL, "error": str(wrong)}, [])
            return
        self._pending[question.client] = question

    def _answer_pending(self) -> None:
        now = time.monotonic()
        for question in list(self._pending.values()):
            # A number above the head comes from an earlier life of this server: answer at once, the epoch explains.
            if self._store.head != question.number or now >= question.deadline:
                del self._pending[question.client]
                self._answer(question)

    def _answer(self, question: _Question) -> None:
        body: list[bytes] = []
        counts: list[int] = []
        n_bytes = 0
        last = question.number
        for entry in self._store.since(question.number, limit=MAX_REPLY_ENTRIES):
            last = entry.number
            try:
                frames = frames_from_entry(entry)
            except WireError as wrong:
                # The clients see that a number is skipped; everything else is still served.
                logger.error("entry cannot be served", number=entry.number, reason=str(wrong))
                continue
            body += frames
            counts.append(len(frames))
            n_bytes += sum(map(len, frames))
            if n_bytes > MAX_REPLY_BYTES:
                break
        header = {
            "protocol": PROTOCOL,
            "tag": question.tag,
            "epoch": self._store.epoch,
            "head": self._store.head,
            "last": last,
            "frames": counts,
        }
        self._reply(question.client, header, body)

    def _reply(self, client: bytes, header: dict[str, object], body: list[bytes]) -> None:
        try:
            self._socket.send_multipart([client, json.dumps(header).encode(), *body], flags=zmq.DONTWAIT)
        except zmq.ZMQError as gone:
            logger.info("client gone", reason=str(gone))


def bound_router(address: str, *, max_bytes: int) -> zmq.Socket[bytes]:
    """Give a socket that hears questions of at most this size.

    Raises
    ------
    ServiceError
        If the address cannot be bound.
    """
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.linger = 0
    socket.maxmsgsize = max_bytes
    socket.sndhwm = 64
    deadline = time.monotonic() + BIND_PATIENCE_S
    while True:
        try:
            socket.bind(address)
        except zmq.ZMQError as refused:
            if refused.errno == zmq.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            socket.close()
            raise ServiceError(f"cannot serve on {address}: {refused}. Is another operando running there?") from refused
        return socket


def _question_from_frames(frames: list[bytes], *, now: float) -> _Question:
    if len(frames) != 2:
        raise WireError(f"a question has one frame, {len(frames) - 1} came")
    header = header_from_frame(frames[1], limit_bytes=MAX_QUESTION_BYTES)
    if header.get("protocol") != PROTOCOL:
        raise WireError(f"this server speaks protocol {PROTOCOL}, the client {header.get('protocol')!r}: update one of them")
    tag, number, patience_s = header.get("tag"), header.get("since"), header.get("patience_s")
    if not (isinstance(tag, int) and isinstance(number, int) and isinstance(patience_s, int | float)) or number < 0:
        raise WireError("a question needs the numbers tag, since and patience_s")
    return _Question(client=frames[0], tag=tag, number=number, deadline=now + min(max(patience_s, 0.0), MAX_PATIENCE_S))
