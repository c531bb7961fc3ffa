"""Follow a feed: everything from number n, then what is new, across restarts of either side."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import structlog
import zmq

from operando.bus.entry import MAX_ARRAY_BYTES, MAX_HEADER_BYTES, Entry, entry_from_frames, header_from_frame
from operando.bus.server import PROTOCOL
from operando.errors import WireError

logger = structlog.get_logger(__name__)

PATIENCE_S = 0.5
"""How long the server may hold a question: also the rhythm by which a client knows that the server lives."""

SILENCE_S = 2.0
"""Silence after which the question is asked again on a fresh socket; shorter would give up on a busy server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """What a client knows about its server."""

    epoch: str | None = None
    """The server's numbering; None before the first answer."""
    n_skipped: int = 0
    """Entries that were superseded before this client saw them."""
    n_malformed: int = 0
    """Answers that could not be read; the last complaint says why."""
    complaint: str = ""
    silent_s: float = field(default=float("inf"))
    """Seconds since the last answer."""


class FeedClient:
    """Asks one server again and again for what is newer; used from one thread.

    Parameters
    ----------
    address
        A ZeroMQ address of a :class:`~operando.bus.server.FeedServer`; it need not exist yet.
    since
        Number of the last entry that is already known.
    epoch
        The numbering to which ``since`` belongs; None takes whatever the server has.
    on_new_epoch
        Called before the first entry of another numbering: everything learned before is void.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        address: str,
        *,
        since: int = 0,
        epoch: str | None = None,
        on_new_epoch: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._number = since
        self._epoch = epoch
        self._on_new_epoch = on_new_epoch
        self._clock = clock
        self._tag = 0
        self._asked_at: float | None = None
        self._answered_at: float | None = None
        self._n_skipped = 0
        self._n_malformed = 0
        self._complaint = ""
        self._socket = self._connect()

    @property
    def number(self) -> int:
        """Number of the newest entry that was given out."""
        return self._number

    @property
    def state(self) -> FeedState:
        """What is known about the server now."""
        silent_s = float("inf") if self._answered_at is None else self._clock() - self._answered_at
        return FeedState(
            epoch=self._epoch,
            n_skipped=self._n_skipped,
            n_malformed=self._n_malformed,
            complaint=self._complaint,
            silent_s=silent_s,
        )

    def poll(self, timeout_s: float = 0.1) -> list[Entry]:
        """Give the entries that came within the timeout, oldest first; an empty list when there are none.

        A malformed answer is counted in :attr:`state` and skipped; a dead server is asked again until it is back.
        """
        if self._asked_at is not None and self._clock() - self._asked_at > SILENCE_S:
            self._socket.close()
            self._socket = self._connect()
            self._asked_at = None
        if self._asked_at is None:
            self._ask()
        if not self._socket.poll(round(timeout_s * 1000)):
            return []
        frames = self._socket.recv_multipart()
        self._asked_at = None
        try:
            return self._accept(frames)
        except WireError as wrong:
            self._note_malformed(wrong)
            return []

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()

    def __enter__(self) -> "FeedClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.maxmsgsize = MAX_ARRAY_BYTES
        # The default first retry of 100 ms, then slower: a server that comes back is found within half a second.
        socket.reconnect_ivl_max = 500
        socket.connect(self.address)
        return socket

    def _ask(self) -> None:
        self._tag += 1
        question = {"protocol": PROTOCOL, "tag": self._tag, "since": self._number, "patience_s": PATIENCE_S}
        self._socket.send(json.dumps(question).encode())
        self._asked_at = self._clock()

    def _accept(self, frames: list[bytes]) -> list[Entry]:
        header = header_from_frame(frames[0], limit_bytes=MAX_HEADER_BYTES)
        if "error" in header or header.get("protocol") != PROTOCOL:
            other = f"the server speaks protocol {header.get('protocol')!r}, this client {PROTOCOL}: update one of them"
            raise WireError(str(header.get("error", other))[:500])
        if header.get("tag") != self._tag:
            return []
        epoch, last = header.get("epoch"), header.get("last")
        if not isinstance(epoch, str) or not isinstance(last, int):
            raise WireError("answer lacks epoch or last")
        self._answered_at = self._clock()
        if epoch != self._epoch and self._is_void(epoch):
            return []
        entries = self._entries(frames[1:], header.get("frames"))
        if last > self._number:
            self._n_skipped += last - self._number - len(entries)
            self._number = last
        return entries

    def _is_void(self, epoch: str) -> bool:
        """Take up another numbering; true if the answer belongs to a question about the old one."""
        is_restart = self._epoch is not None
        self._epoch = epoch
        if is_restart and self._on_new_epoch is not None:
            self._on_new_epoch()
        asked_from_zero = self._number == 0
        self._number = 0
        return not asked_from_zero

    def _entries(self, frames: list[bytes], counts: object) -> list[Entry]:
        """Read each entry on its own, so that a malformed one costs itself and not its neighbours."""
        if not isinstance(counts, list) or not all(isinstance(n, int) and n > 0 for n in counts):
            raise WireError("answer lacks the number of frames of each entry")
        if sum(counts) != len(frames):
            raise WireError(f"answer announces {sum(counts)} frames, {len(frames)} came")
        entries: list[Entry] = []
        start = 0
        for count in counts:
            try:
                entries.append(entry_from_frames(frames[start : start + count]))
            except WireError as wrong:
                self._note_malformed(wrong)
            start += count
        return entries

    def _note_malformed(self, wrong: WireError) -> None:
        self._n_malformed += 1
        self._complaint = str(wrong)
        logger.warning("answer refused", address=self.address, reason=str(wrong))
