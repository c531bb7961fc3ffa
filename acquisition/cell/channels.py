"""The cells of a beamtime that hang on several channels of a cycler: each recorded by itself, one of them in the beam.

The journal gets the readings of the cell in the beam only: nobody who looks at it could tell two cells apart by their values.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from acquisition.cell.history import CellHistory
from acquisition.cell.recorder import PERIOD_S, CellRecorder, KeepsReadings, ReadsCell
from operando.messages import CellReading

logger = structlog.get_logger(__name__)

OWN = ""
"""The channel that the profile's own cell bridge serves."""


@dataclass(slots=True)
class Gate:
    """Passes readings on to the journal while it is open."""

    journal: KeepsReadings
    is_open: bool = False

    def append(self, message: CellReading) -> int:
        """Write a reading, or drop it."""
        return self.journal.append(message) if self.is_open else 0


class CellChannels:
    """Records every channel; the plan's thread selects, a thread of its own records.

    Parameters
    ----------
    monitors
        What gives the readings of each channel; the profile's own is ``""``.
    on_first
        Called with the first reading of the profile's own channel.
    """

    def __init__(
        self,
        monitors: Mapping[str, ReadsCell],
        *,
        journal: KeepsReadings,
        on_first: Callable[[CellReading], None] = lambda reading: None,
    ) -> None:
        self._gates = {channel: Gate(journal, is_open=channel == OWN) for channel in monitors}
        self.histories = {channel: CellHistory() for channel in monitors}
        """The last readings of each channel."""
        self._recorders = [
            CellRecorder(
                monitor,
                journal=self._gates[channel],
                history=self.histories[channel],
                on_first=on_first if channel == OWN else lambda reading: None,
            )
            for channel, monitor in monitors.items()
        ]
        self._wake = threading.Event()

    def select(self, channel: str | None) -> CellHistory:
        """Say whose cell is in the beam, and give its readings; None is a cell that nobody reads."""
        for name, gate in self._gates.items():
            gate.is_open = name == channel
        return CellHistory() if channel is None else self.histories[channel]

    def hurry(self) -> None:
        """Let the recording thread read now instead of at its next turn; from any thread, waits for nothing."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Read until stopped; to be the work of a thread."""
        while True:
            for recorder in self._recorders:
                try:
                    recorder.record()
                except Exception as failure:  # the scan goes on without a cell state, and its lines say so
                    logger.warning("cell not read", reason=str(failure))
            self._wake.wait(PERIOD_S)
            self._wake.clear()
            if stop.is_set():
                return
