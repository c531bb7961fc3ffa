"""Passes on what viewers want to know and the analysis does not make: from the other feeds to the results feed."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from numpy.typing import NDArray

from operando.bus import Store
from operando.messages import (
    CakePreview,
    CellReading,
    FrameGeometry,
    FramePreview,
    Message,
    Notice,
    RunStarted,
    ScanState,
    ServicesOffered,
    StreamStatus,
)
from streaming.run_cell import RunCell

_KEYS = {
    StreamStatus: "status",
    FramePreview: "frame",
    FrameGeometry: "geometry",
    CakePreview: "cake",
    ScanState: "scan_state",
}


class Forwarder:
    """Knows the cell as it was last read; used from one thread.

    Parameters
    ----------
    store
        The results feed.
    wall_clock
        Seconds since the epoch.
    """

    def __init__(self, store: Store, *, wall_clock: Callable[[], float]) -> None:
        self._store, self._wall_clock = store, wall_clock
        self._services = ServicesOffered(time_s=0.0)
        self._cell_name = ""
        self.latest_cell: CellReading | None = None
        """The newest reading of the cell in the beam."""
        self.cell = RunCell()
        """The readings of the run that is on."""

    def begin(self, run: RunStarted) -> None:
        """Pass on that a run begins; readings of another cell are none of this one's."""
        if run.cell != self._cell_name:
            self._cell_name, self.latest_cell = run.cell, None
        self.cell.begin(run.time_s)
        self._store.append(run, key=f"run/{run.run}")

    def pass_on(self, message: Message, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Pass on a message of another feed; what viewers do not want is left out."""
        match message:
            case CellReading():
                # The order of the journal counts, not the reading's time: a clock that was set back must not stop the display.
                if message != self.latest_cell:
                    self.latest_cell = message
                    self.cell.add(message)
                    self._store.append(message)
            case ServicesOffered():
                self.offer(commands=message.commands)
            case Notice():
                self._store.append(message)
            case StreamStatus() | FramePreview() | FrameGeometry() | CakePreview() | ScanState():
                self._store.append(message, key=_KEYS[type(message)], arrays=arrays)

    def offer(self, **addresses: str) -> None:
        """Say where questions are answered and commands are taken, in one message."""
        self._services = self._services.model_copy(update={**addresses, "time_s": self._wall_clock()})
        self._store.append(self._services, key="services")

    def notice(self, text: str, *, level: Literal["info", "warning", "error"] = "warning") -> None:
        """Tell the person at the beamline."""
        self._store.append(Notice(level=level, origin="analyse", text=text[:4000], time_s=self._wall_clock()))
