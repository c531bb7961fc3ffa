"""Where a feed keeps its entries: the seam between serving them and remembering them."""

import threading
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from operando.bus.entry import Entry
from operando.messages import Message


class Store(Protocol):
    """Numbered entries; appended by one producer thread and read by the server's thread."""

    @property
    def epoch(self) -> str:
        """The identity of this numbering; another epoch means that a client must start again from zero."""
        ...

    @property
    def head(self) -> int:
        """The number of the newest entry; 0 before the first."""
        ...

    def append(self, message: Message, *, key: str | None = None, arrays: Mapping[str, NDArray[Any]] | None = None) -> int:
        """Keep a message and give its number; a keyed one replaces the earlier entry of the same key."""
        ...

    def since(self, number: int, *, limit: int) -> list[Entry]:
        """Give at most ``limit`` entries with numbers above ``number``, oldest first."""
        ...


class MemoryStore:
    """Entries in memory: the newest of each key, and the last ``capacity`` of those without a key.

    A client that falls behind finds fewer entries, never a queue: gaps in the numbers are what it skipped.
    """

    def __init__(self, *, capacity: int = 200_000) -> None:
        self._epoch = uuid.uuid4().hex
        self._capacity = capacity
        self._head = 0
        self._entries: dict[int, Entry] = {}
        self._number_of_key: dict[str, int] = {}
        self._n_unkeyed = 0
        self._lock = threading.Lock()

    @property
    def epoch(self) -> str:
        """The identity of this numbering: new for every store."""
        return self._epoch

    @property
    def head(self) -> int:
        """The number of the newest entry; 0 before the first."""
        return self._head

    def append(self, message: Message, *, key: str | None = None, arrays: Mapping[str, NDArray[Any]] | None = None) -> int:
        """Keep a message and give its number; arrays must not be written to after hand-over."""
        with self._lock:
            number = self._head + 1
            self._entries[number] = Entry(number=number, key=key, message=message, arrays=dict(arrays or {}))
            if key is None:
                self._n_unkeyed += 1
                self._forget_oldest_unkeyed()
            else:
                superseded = self._number_of_key.pop(key, None)
                if superseded is not None:
                    del self._entries[superseded]
                self._number_of_key[key] = number
            self._head = number
            return number

    def since(self, number: int, *, limit: int) -> list[Entry]:
        """Give at most ``limit`` entries with numbers above ``number``, oldest first."""
        with self._lock:
            if number >= self._head:
                return []
            # Most requests want the few newest entries: walk back from the end, where dict order is number order.
            newer = []
            for entry_number in reversed(self._entries):
                if entry_number <= number:
                    break
                newer.append(self._entries[entry_number])
            return newer[::-1][:limit]

    def _forget_oldest_unkeyed(self) -> None:
        if self._n_unkeyed > self._capacity:
            oldest = next(n for n, entry in self._entries.items() if entry.key is None)
            del self._entries[oldest]
            self._n_unkeyed -= 1
