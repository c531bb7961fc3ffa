"""Record the state of the cell, about once a second, for as long as the process lives: between runs and during them."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from acquisition.cell.history import CellHistory
from operando.messages import CellReading

logger = structlog.get_logger(__name__)

PERIOD_S = 1.0

STEADY_S = 0.02
"""Values of one reading come as several process variables within a millisecond or so: two looks this far apart that agree are
one reading. Longer than a fifth of a second, and a fast replay would never stand still."""

REPEAT_S = 10.0
"""How often an unchanged reading is written again: often enough to show that the recorder lives while the cycler is silent."""


class ReadsCell(Protocol):
    """What is recorded; asked from the recorder's thread, must not wait long."""

    def reading(self) -> CellReading | None:
        """Give the newest reading with its age, or None if there never was one."""
        ...


class KeepsReadings(Protocol):
    """Where what is new is written; called from the recorder's thread."""

    def append(self, message: CellReading) -> int:
        """Write a reading."""
        ...


class CellRecorder:
    """Reads the cell and writes what is new to the journal and the history.

    Parameters
    ----------
    on_first
        Called with the first reading, for instance to say where the cell state comes from.
    clock, pause
        Seconds, monotonic; and how to wait.
    """

    def __init__(
        self,
        cell: ReadsCell,
        *,
        journal: KeepsReadings,
        history: CellHistory,
        on_first: Callable[[CellReading], None] = lambda reading: None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._cell = cell
        self._journal = journal
        self._history = history
        self._on_first = on_first
        self._clock = clock
        self._pause = pause
        self._written_at = -REPEAT_S
        self._is_first = True
        self._wake = threading.Event()

    def hurry(self) -> None:
        """Let the recorder's thread read now instead of at its next turn; from any thread, waits for nothing."""
        self._wake.set()

    def record(self) -> None:
        """Read once."""
        reading = self._whole_reading()
        if reading is None:
            return
        if self._is_first:
            self._is_first = False
            self._on_first(reading)
        is_new = self._history.append(reading)
        if is_new or self._clock() - self._written_at >= REPEAT_S:
            self._written_at = self._clock()
            self._journal.append(reading)

    def run(self, stop: threading.Event) -> None:
        """Read until stopped; to be the work of a thread."""
        while True:
            try:
                self.record()
            except Exception as failure:  # the scan goes on without a cell state, and its lines say so
                logger.warning("cell not read", reason=str(failure))
            self._wake.wait(PERIOD_S)
            self._wake.clear()
            if stop.is_set():
                return

    def _whole_reading(self) -> CellReading | None:
        """Give a reading whose values belong together; None if there is none, or none stands still."""
        for _ in range(5):
            first = self._cell.reading()
            if first is None:
                return None
            self._pause(STEADY_S)
            second = self._cell.reading()
            if second is not None and first.model_copy(update={"age_s": second.age_s}) == second:
                return second
        return None
