"""A status that several threads may settle: the first word counts, and a deadline speaks when nobody else does."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ophyd import Signal
from ophyd.status import Status

from operando.errors import ServiceError


class Promise:
    """Something that a device will do within a time, or say why not.

    Parameters
    ----------
    device
        Whose promise it is.
    timeout_s
        Seconds until it fails by itself.
    late
        Gives the sentence of that failure: what was found, what was wanted.
    make_timer
        Calls back after so many seconds, once it is started and unless it is cancelled.
    """

    def __init__(
        self,
        device: object,
        *,
        timeout_s: float,
        late: Callable[[], str],
        make_timer: Callable[[float, Callable[[], None]], threading.Timer] = threading.Timer,
    ) -> None:
        self.status = Status(device)
        self._make_timer = make_timer
        self._late, self._timeout_s = late, timeout_s
        self._lock = threading.Lock()
        self._is_settled = False
        self._undo: list[Callable[[], None]] = []
        self._timer = self._started_timer()

    @property
    def is_settled(self) -> bool:
        """Whether it was kept or broken."""
        return self._is_settled

    def keep(self) -> None:
        """Settle it as kept; without effect when it is settled."""
        if self._settle():
            self.status.set_finished()

    def fail(self, error: Exception) -> None:
        """Settle it as broken, with the reason; without effect when it is settled."""
        if self._settle():
            self.status.set_exception(error)

    def begin_anew(self) -> None:
        """Give it its whole time again: something of what was promised has come."""
        with self._lock:
            if self._is_settled:
                return
            self._timer.cancel()
            self._timer = self._started_timer()

    def watch(self, signal: Signal, look: Callable[[Any], None]) -> None:
        """Call ``look`` with the signal's value now and at each change, from ophyd's monitor thread, until settled."""
        self._subscribe(signal, lambda value, **_: look(value), signal.SUB_VALUE)

    def need(self, signal: Signal) -> None:
        """Fail as soon as the signal's channel is lost: nothing more would ever be heard of it."""

        def look(connected: bool = True, **_: object) -> None:
            if not connected:
                self.fail(ServiceError(f"lost {signal.pvname} while waiting: is its Channel Access server alive?"))

        self._subscribe(signal, look, signal.SUB_META)

    def _started_timer(self) -> threading.Timer:
        timer = self._make_timer(self._timeout_s, self._expire)
        timer.daemon = True
        timer.start()
        return timer

    def _subscribe(self, signal: Signal, callback: Callable[..., None], event: str) -> None:
        number = signal.subscribe(callback, event_type=event, run=True)
        with self._lock:
            if not self._is_settled:
                self._undo.append(lambda: signal.unsubscribe(number))
                return
        signal.unsubscribe(number)

    def _settle(self) -> bool:
        with self._lock:
            if self._is_settled:
                return False
            self._is_settled = True
        self._timer.cancel()
        for undo in self._undo:
            undo()
        return True

    def _expire(self) -> None:
        self.fail(TimeoutError(self._late()))


def together(device: object, parts: Sequence[Status]) -> Status:
    """Give a status that is done when all parts are, and fails as the first that does.

    ophyd's own ``&`` takes the locks of its parts in one order and those of what it is part of in the other (1.11.2): of three
    joined by it, two that are done at once may wait for each other without end, and so does the line.
    """
    status, lock, waiting = Status(device), threading.Lock(), set(range(len(parts)))

    def settle(number: int, part: Status) -> None:
        with lock:
            if not waiting:
                return
            waiting.discard(number)
            if (failure := part.exception(timeout=0)) is not None:
                waiting.clear()
            is_over = not waiting
        if failure is not None:
            status.set_exception(failure)
        elif is_over:
            status.set_finished()

    for number, part in enumerate(parts):
        part.add_callback(partial(settle, number))
    return status


def kept(device: object) -> Status:
    """Give a status that is done: there was nothing to wait for."""
    status = Status(device)
    status.set_finished()
    return status
