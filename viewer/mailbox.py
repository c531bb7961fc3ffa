"""Receive in a thread, keep the newest, hand over on request: the only thread of the viewer besides the window's.

The thread follows one feed and puts what comes into a mailbox; the window empties it when it has time. Of a keyed entry
only the newest waits, so a slow window costs nobody anything. This module must not touch Qt or napari.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from operando.bus import Entry, FeedClient, FeedState

logger = structlog.get_logger(__name__)

POLL_S = 0.1
"""How long the thread waits for an answer before it looks whether to end: bounds the time that closing takes."""
TAKE_S = 0.25
"""How long the thread waits for the window to take what has come, before it asks for more: what a slow window would never
show is replaced at the source then, and costs nobody anything. Longer, and a slow window would look like a silent server."""
FEW = 200
"""More entries at once are a history being caught up with: it goes on without waiting."""
CAPACITY = 300_000
"""Entries without a key that may wait; more than a server keeps, so that a snapshot always fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is known about the connection at one moment."""

    source: str
    """The address."""
    is_met: bool
    """Whether the server has ever answered."""
    silent_s: float
    """Seconds since the last answer, or since the first question if there was none."""
    n_malformed: int = 0
    complaint: str = ""
    n_skipped: int = 0
    """Entries that newer ones had replaced before they came here: gaps in the numbers of the feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What has come since the mailbox was last emptied."""

    entries: list[Entry]
    """Oldest first; of entries with the same key the newest only."""
    is_void: bool
    """Whether the server started again: what was known before these entries no longer counts."""


class Mailbox:
    """Entries between the receiving thread and the window; every method may be called from either."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keyed: dict[str, Entry] = {}
        self._unkeyed: deque[Entry] = deque(maxlen=CAPACITY)
        self._is_void = False
        self._taken = threading.Event()

    def put(self, entries: list[Entry]) -> None:
        """Add entries; a keyed one replaces the one of the same key that still waits."""
        with self._lock:
            for entry in entries:
                if entry.key is None:
                    self._unkeyed.append(entry)
                else:
                    self._keyed[entry.key] = entry
            if entries:
                self._taken.clear()

    def wait_until_taken(self, timeout_s: float) -> bool:
        """Wait until nothing waits any more; false if that took too long."""
        return self._taken.wait(timeout_s)

    def void(self) -> None:
        """Forget what waits and remember that everything before is void."""
        with self._lock:
            self._keyed.clear()
            self._unkeyed.clear()
            self._is_void = True

    def empty(self) -> Post:
        """Take out everything that waits."""
        with self._lock:
            entries = sorted([*self._keyed.values(), *self._unkeyed], key=lambda entry: entry.number)
            post = Post(entries=entries, is_void=self._is_void)
            self._keyed.clear()
            self._unkeyed.clear()
            self._is_void = False
            self._taken.set()
        return post


class Receiver:
    """Follows one feed in a thread until closed.

    Parameters
    ----------
    address
        Where the results are served; nobody need be there yet.
    clock
        Monotonic seconds.
    """

    def __init__(self, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self.mailbox = Mailbox()
        self._clock = clock
        self._state = FeedState()
        self._noted_s = self._started_s = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"viewer {address}", daemon=True)
        self._thread.start()

    @property
    def link(self) -> Link:
        """The connection as it is now; a thread that hangs looks like a server that is silent."""
        state, now = self._state, self._clock()
        is_met = state.epoch is not None
        silent_s = state.silent_s + now - self._noted_s if is_met else now - self._started_s
        return Link(
            source=self.address,
            is_met=is_met,
            silent_s=silent_s,
            n_malformed=state.n_malformed,
            complaint=state.complaint,
            n_skipped=state.n_skipped,
        )

    def close(self) -> None:
        """End the thread and free its socket."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        with FeedClient(self.address, on_new_epoch=self.mailbox.void, clock=self._clock) as client:
            while not self._stop.is_set():
                entries = client.poll(POLL_S)
                self.mailbox.put(entries)
                was_met = self._state.epoch is not None
                self._state, self._noted_s = client.state, self._clock()
                if self._state.epoch is not None and not was_met:
                    logger.info("source met", address=self.address)
                if 0 < len(entries) < FEW:
                    self.mailbox.wait_until_taken(TAKE_S)
        logger.info("receiver ended", address=self.address)
