"""Ask one process and be answered: questions with a bounded size, the newest of each client wins, nobody waits for anybody.

Beside the feeds, which tell everyone the same, this is for what only one person wants to know or to have done. The server's
thread only carries; a second one answers, so that a long answer holds up neither its owner nor the others' questions.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import structlog
import zmq
from numpy.typing import NDArray
from pydantic import ValidationError

from operando.bus.entry import Entry, entry_from_frames, first_complaint, frames_from_entry, header_from_frame
from operando.bus.server import PROTOCOL, bound_router
from operando.errors import OperandoError, WireError
from operando.messages import Message, Refused, message_from_json

logger = structlog.get_logger(__name__)

MAX_QUESTION_BYTES = 2 * 2**20
MAX_CLIENTS = 64
"""Whose questions may wait at the same time."""
DEADLINE_S = 10.0
"""Nobody looks at an answer that comes later; whoever still wants to know asks again."""
SILENCE_S = 12.0
"""Silence after which a client gives a question up: a little more than the server gives itself."""
_POLL_MS = 20

Answer = tuple[Message, Mapping[str, NDArray[Any]]]


class SupersededError(OperandoError):
    """A question that nobody wants answered any more; caught by the server, which drops it."""


class Answerer(Protocol):
    """Answers questions; called from the server's answering thread, one question at a time."""

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        """Give the answer; an :class:`~operando.errors.OperandoError` is sent as a refusal with its sentence.

        Parameters
        ----------
        question
            One that its reader found whole; it may be of any kind.
        is_wanted
            False once the asker has asked anew or its patience is over: then raise :class:`SupersededError`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    client: bytes
    tag: int
    message: Message
    deadline: float


class AnswerServer:
    """Answers on one address until closed.

    Parameters
    ----------
    address
        A ZeroMQ address; port ``*`` picks a free one, :attr:`address` then tells it.
    answer
        Knows the answers.
    clock
        Monotonic seconds.

    Raises
    ------
    ServiceError
        If the address cannot be bound.
    """

    def __init__(self, address: str, answer: Answerer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._answer = answer
        self._clock = clock
        self._socket = bound_router(address, max_bytes=MAX_QUESTION_BYTES)
        self.address = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._waiting: dict[bytes, _Waiting] = {}
        self._newest: dict[bytes, int] = {}
        self._outgoing: deque[tuple[bytes, list[bytes]]] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._carry, name=f"questions {self.address}", daemon=True),
            threading.Thread(target=self._answer_all, name=f"answers {self.address}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)

    def __enter__(self) -> "AnswerServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _carry(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(_POLL_MS):
                self._hear(self._socket.recv_multipart())
            while self._outgoing:
                client, frames = self._outgoing.popleft()
                self._send(client, frames)
        self._socket.close()

    def _hear(self, frames: list[bytes]) -> None:
        client = frames[0]
        try:
            tag, message = _question_from_frames(frames[1:])
        except WireError as wrong:
            logger.warning("question refused", reason=str(wrong))
            self._send(client, _reply(0, Refused(text=str(wrong)[:4000]), {}))
            return
        with self._changed:
            if client not in self._waiting and len(self._waiting) >= MAX_CLIENTS:
                self._send(client, _reply(tag, Refused(text="too many are asking at once: ask again in a moment"), {}))
                return
            self._waiting[client] = _Waiting(client=client, tag=tag, message=message, deadline=self._clock() + DEADLINE_S)
            self._newest.pop(client, None)
            self._newest[client] = tag
            while len(self._newest) > MAX_CLIENTS:
                del self._newest[next(iter(self._newest))]
            self._changed.notify()

    def _answer_all(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                while not self._waiting and not self._stop.is_set():
                    self._changed.wait(timeout=1.0)
                if self._stop.is_set():
                    return
                question = self._waiting.pop(next(iter(self._waiting)))
            frames = self._answered(question)
            if frames is not None:
                self._outgoing.append((question.client, frames))

    def _answered(self, question: _Waiting) -> list[bytes] | None:
        def is_wanted() -> bool:
            is_newest = self._newest.get(question.client) == question.tag
            return is_newest and self._clock() < question.deadline and not self._stop.is_set()

        try:
            message, arrays = self._answer(question.message, is_wanted=is_wanted)
        except SupersededError:
            if self._newest.get(question.client) != question.tag:
                return None
            message, arrays = Refused(text=f"no answer within {DEADLINE_S:.0f} s: ask for fewer voxels"), {}
        except OperandoError as refusal:
            message, arrays = Refused(text=str(refusal)[:4000]), {}
        except Exception as fault:  # a question must not end the thread that answers the others
            logger.exception("question not answered", kind=type(question.message).__name__)
            message, arrays = Refused(text=f"this cannot be answered: {type(fault).__name__}"), {}
        return _reply(question.tag, message, arrays)

    def _send(self, client: bytes, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart([client, *frames], flags=zmq.DONTWAIT)
        except zmq.ZMQError as gone:
            logger.info("client gone", reason=str(gone))


class Asker:
    """Asks one server; used from one thread, never waits.

    Parameters
    ----------
    address
        Of an :class:`AnswerServer`; it need not exist yet.
    clock
        Monotonic seconds.
    """

    def __init__(self, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self._clock = clock
        self._tag = 0
        self._asked_at: float | None = None
        self._socket = self._connect()

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self._asked_at is not None

    def ask(self, question: Message) -> None:
        """Ask; a question that still waits is given up for this one."""
        self._tag += 1
        self._asked_at = self._clock()
        header = {"protocol": PROTOCOL, "tag": self._tag, "message": question.model_dump(mode="json")}
        try:
            self._socket.send(json.dumps(header, separators=(",", ":")).encode(), flags=zmq.DONTWAIT)
        except zmq.Again:
            # Nobody has been there for so long that even the waiting room is full.
            self._socket.close()
            self._socket = self._connect()

    def poll(self) -> Entry | None:
        """Give the answer to the newest question if it has come; a :class:`Refused` if it is refused or none comes."""
        while self._socket.poll(0):
            try:
                entry = entry_from_frames(self._socket.recv_multipart())
            except WireError as wrong:
                entry = Entry(number=self._tag, message=Refused(text=f"the answer cannot be read: {wrong}"[:4000]))
            if entry.number in (0, self._tag) and self._asked_at is not None:
                self._asked_at = None
                return entry
        if self._asked_at is not None and self._clock() - self._asked_at > SILENCE_S:
            self._asked_at = None
            self._socket.close()
            self._socket = self._connect()
            return Entry(number=self._tag, message=Refused(text=f"{self.address} does not answer"))
        return None

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.sndhwm = 16
        socket.reconnect_ivl_max = 500
        socket.connect(self.address)
        return socket


def _question_from_frames(frames: list[bytes]) -> tuple[int, Message]:
    if len(frames) != 1:
        raise WireError(f"a question has one frame, {len(frames)} came")
    header = header_from_frame(frames[0], limit_bytes=MAX_QUESTION_BYTES)
    if header.get("protocol") != PROTOCOL:
        raise WireError(f"this server speaks protocol {PROTOCOL}, the client {header.get('protocol')!r}: update one of them")
    tag = header.get("tag")
    if not isinstance(tag, int) or tag < 1:
        raise WireError("a question needs a tag from 1")
    try:
        return tag, message_from_json(header.get("message"))
    except ValidationError as wrong:
        raise WireError(f"this version does not know the question: {first_complaint(wrong)}") from wrong


def _reply(tag: int, message: Message, arrays: Mapping[str, NDArray[Any]]) -> list[bytes]:
    return frames_from_entry(Entry(number=tag, message=message, arrays=arrays))
