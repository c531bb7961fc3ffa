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


MAX_BYTES = 4 * 2**30
"""Of arrays, in one store: the maps of some hundred scans of 550 x 550. Less, and a viewer that comes late lacks history; more,
and the history of a week takes the memory that the analysis needs."""


class MemoryStore:
    """Entries in memory: the newest of each key, and the last ``capacity`` of those without a key.

    A client that falls behind finds fewer entries, never a queue: gaps in the numbers are what it skipped.

    Parameters
    ----------
    capacity
        Entries without a key that are kept, and keys that are.
    capacity_bytes
        Of the arrays of all entries: of more, the longest unchanged go, never the newest entry.
    """

    def __init__(self, *, capacity: int = 200_000, capacity_bytes: int = MAX_BYTES) -> None:
        self._epoch = uuid.uuid4().hex
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._n_bytes = 0
        self._head = 0
        self._entries: dict[int, Entry] = {}
        self._number_of_key: dict[str, int] = {}
        self._with_arrays: dict[int, None] = {}
        """Numbers of the entries with arrays, oldest first."""
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
            if key is not None and key in self._number_of_key:
                self._forget(self._entries[self._number_of_key[key]])
            number = self._head + 1
            entry = self._entries[number] = Entry(number=number, key=key, message=message, arrays=dict(arrays or {}))
            if entry.arrays:
                self._with_arrays[number] = None
                self._n_bytes += _n_bytes(entry)
            if key is None:
                self._n_unkeyed += 1
            else:
                self._number_of_key[key] = number
            self._make_room(newest=number)
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

    def _make_room(self, *, newest: int) -> None:
        if self._n_unkeyed > self._capacity:
            self._forget(next(entry for entry in self._entries.values() if entry.key is None))
        if len(self._number_of_key) > self._capacity:
            self._forget(self._entries[next(iter(self._number_of_key.values()))])
        while self._n_bytes > self._capacity_bytes and (oldest := next(iter(self._with_arrays))) != newest:
            self._forget(self._entries[oldest])

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.number]
        self._with_arrays.pop(entry.number, None)
        self._n_bytes -= _n_bytes(entry)
        if entry.key is None:
            self._n_unkeyed -= 1
        else:
            del self._number_of_key[entry.key]


def _n_bytes(entry: Entry) -> int:
    return sum(array.nbytes for array in entry.arrays.values())
