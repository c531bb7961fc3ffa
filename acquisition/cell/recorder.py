"""Record the state of the cell, about once a second, for as long as the process lives: between runs and during them."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from acquisition.cell.history import CellHistory
from operando.bus.store import Store
from operando.messages import CellReading

logger = structlog.get_logger(__name__)

PERIOD_S = 1.0

REPEAT_S = 10.0
"""How often an unchanged reading is written again: often enough to show that the recorder lives while the cycler is silent."""


class ReadsCell(Protocol):
    """What is recorded; asked from the recorder's thread, must not wait long."""

    def reading(self) -> CellReading | None:
        """Give the newest reading with its age, or None if there never was one."""
        ...


class CellRecorder:
    """Reads the cell and writes what is new to the journal and the history.

    Parameters
    ----------
    on_first
        Called with the first reading, for instance to say where the cell state comes from.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        cell: ReadsCell,
        *,
        journal: Store,
        history: CellHistory,
        on_first: Callable[[CellReading], None] = lambda reading: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cell = cell
        self._journal = journal
        self._history = history
        self._on_first = on_first
        self._clock = clock
        self._written_at = -REPEAT_S
        self._is_first = True

    def record(self) -> None:
        """Read once."""
        reading = self._cell.reading()
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
        while not stop.wait(PERIOD_S):
            try:
                self.record()
            except Exception as failure:  # the scan goes on without a cell state, and its lines say so
                logger.warning("cell not read", reason=str(failure))
