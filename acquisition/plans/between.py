"""What a scan heeds between lines: a reduction that follows, and lines that it lost."""

import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

from bluesky import Msg
from bluesky import plan_stubs as bps

from operando.bus.client import FeedClient
from operando.messages import LineWritten
from operando.scan import LineKey

Plan = Generator[Msg, Any, Any]
Notify = Callable[[str], None]

MAX_BEHIND = 2
"""Lines that reduction may be behind: it writes a line about one line time after it flew, so that one is usual."""

HOLD_AT_MOST_S = 30.0
"""Longer than a restart of the reduction takes; a scan that stands still for ever helps nobody."""

LEAST_RECEIVED = 0.9
"""Part of a line's images that reduction must have got. A line with less flies again; the hole of a single image is marked and
costs its own pixel, flying again costs a whole line."""

_POLL_S = 0.05


class Backlog(Protocol):
    """Knows how far the reduction is behind; asked from the RunEngine's thread, must not wait."""

    def flew(self, key: LineKey) -> None:
        """Learn that a line has flown."""
        ...

    def n_behind(self) -> int:
        """Give the number of flown lines after the newest that is written."""
        ...

    def n_unknown(self) -> int:
        """Give the number of flown lines of which nobody has said yet what became of them."""
        ...

    def take_lost(self) -> list[LineWritten]:
        """Give the lines that reduction lost, images and all, since this was asked last."""
        ...


class ReductionBacklog:
    """Follows the reduction feed; nobody waits for a line that reduction lost once a later one is written."""

    def __init__(self, client: FeedClient) -> None:
        self._client = client
        self._flown: list[LineKey] = []
        self._unknown: set[LineKey] = set()
        self._lost: dict[LineKey, LineWritten] = {}

    def flew(self, key: LineKey) -> None:
        """Learn that a line has flown."""
        self._flown.append(key)
        self._unknown.add(key)

    def n_behind(self) -> int:
        """Give the number of flown lines after the newest that is written."""
        self._listen()
        return len(self._flown)

    def n_unknown(self) -> int:
        """Give the number of flown lines of which nobody has said yet what became of them."""
        self._listen()
        return len(self._unknown)

    def take_lost(self) -> list[LineWritten]:
        """Give the lines that reduction lost since this was asked last."""
        self._listen()
        lost, self._lost = list(self._lost.values()), {}
        return lost

    def _listen(self) -> None:
        for entry in self._client.poll(0.0):
            message = entry.message
            if not isinstance(message, LineWritten):
                continue
            key = LineKey(run=message.run, line=message.line, attempt=message.attempt)
            self._forget_until(key)
            is_whole = message.n_received >= LEAST_RECEIVED * message.n_points
            if is_whole:
                # Images may come late and complete a line that was written without them.
                self._lost.pop(key, None)
            elif key in self._unknown:
                self._lost[key] = message
            self._unknown.discard(key)

    def _forget_until(self, key: LineKey) -> None:
        if key in self._flown:
            del self._flown[: self._flown.index(key) + 1]


class NoBacklog:
    """Waits for nobody: holes are marked by the analysis (``on_backlog = "mark"``)."""

    def flew(self, key: LineKey) -> None:
        """Do nothing."""

    def n_behind(self) -> int:
        """Give 0."""
        return 0

    def n_unknown(self) -> int:
        """Give 0."""
        return 0

    def take_lost(self) -> list[LineWritten]:
        """Give none."""
        return []


class Again:
    """Says which lines fly again because reduction lost them: a fifth of the scan at most, for what loses all stays lost."""

    def __init__(self, backlog: Backlog, *, n_lines: int, notify: Notify) -> None:
        self._backlog = backlog
        self._n_left = max(2, n_lines // 5)
        self._notify = notify

    def take(self) -> list[int]:
        """Give the numbers of the lines to fly again, each loss once."""
        lines = []
        for lost in self._backlog.take_lost():
            found = f"line {lost.line}: reduction has {lost.n_received} of {lost.n_points} images"
            self._n_left -= 1
            if self._n_left >= 0:
                lines.append(lost.line)
                self._notify(f"{found}: it flies again")
            elif self._n_left == -1:
                self._notify(f"{found}: too many are lost, no more lines fly again; look at the reduce process")
        return lines


class Holder:
    """Holds a scan between lines while reduction is behind, and gives up when it stays so."""

    def __init__(
        self,
        backlog: Backlog,
        *,
        notify: Notify,
        at_most_s: float = HOLD_AT_MOST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backlog = backlog
        self._notify = notify
        self._at_most_s = at_most_s
        self._clock = clock
        self._gave_up = False

    def must_hold(self) -> bool:
        """Whether reduction is too far behind to fly on; never again after giving up, until it has caught up."""
        is_behind = self._backlog.n_behind() > MAX_BEHIND
        if not is_behind and self._gave_up:
            self._gave_up = False
            self._notify("reduction has caught up: the scan waits for it again where needed")
        return is_behind and not self._gave_up

    def hold(self) -> Plan:
        """Wait until reduction is at most two lines behind, or the patience ends."""
        deadline = self._clock() + self._at_most_s
        while self.must_hold():
            if self._clock() > deadline:
                self._gave_up = True
                self._notify(
                    f"reduction is {self._backlog.n_behind()} lines behind for {self._at_most_s:g} s: the scan goes on, "
                    "frames that it cannot take will be missing; look at the reduce process"
                )
                return
            yield from bps.sleep(_POLL_S)


def wait_for_word(backlog: Backlog, *, at_most_s: float = HOLD_AT_MOST_S, clock: Callable[[], float] = time.monotonic) -> Plan:
    """Wait until it is known what became of every flown line, or the patience ends; before a run may close."""
    deadline = clock() + at_most_s
    while backlog.n_unknown() and clock() < deadline:
        yield from bps.sleep(_POLL_S)
