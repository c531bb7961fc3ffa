"""The truth file of a scan that goes on: it grows with every state that the sample takes, so that little is left for the end.

A detector that is told to stop has seconds; a cell that worked through a whole series has a hundred states.
"""

import threading
import time
from pathlib import Path
from types import TracebackType

from acquisition.twin.sample import SampleFrames
from acquisition.twin.slice import Slice
from acquisition.twin.truth import TruthWriter

EVERY_S = 5.0
"""How often new states are written; their slices are kept until then."""
PUBLISH_S = 120.0
"""How often a file that goes on is copied to its name: a series of an 18650 fills hundreds of megabytes."""


class StateLog:
    """Notes each state of a sample at the time at which it was first met; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: tuple[float, Slice] | None = None
        self._noted: list[tuple[float, Slice]] = []

    def note(self, time_s: float, sample: Slice) -> None:
        """Note that a pulse at a time, Unix epoch, met this; what an older pulse met late is no news."""
        newest = self._newest
        if newest is not None and (newest[1] is sample or time_s <= newest[0]):
            return
        with self._lock:
            if self._newest is None or (self._newest[1] is not sample and time_s > self._newest[0]):
                self._newest = (time_s, sample)
                self._noted.append(self._newest)

    def take(self) -> list[tuple[float, Slice]]:
        """Give what was noted since the last call, in the order of time."""
        with self._lock:
            noted, self._noted = self._noted, []
        return noted


class LiveTruth:
    """Keeps a truth file up to date until the end of a ``with`` block."""

    def __init__(
        self, source: SampleFrames, path: Path, *, now_s: float, every_s: float = EVERY_S, publish_s: float = PUBLISH_S
    ) -> None:
        self._source, self._every_s, self._publish_s = source, every_s, publish_s
        self._log = StateLog()
        self._writer = TruthWriter(path, source.truth(()))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="truth")
        self._log.note(now_s, source.sample_at(now_s))
        source.on_state = self._log.note
        self.update()
        self._writer.publish(goes_on=True)

    def update(self) -> None:
        """Write what is new."""
        self._writer.write(self._log.take(), self._source.truth().lines)

    def _keep(self) -> None:
        n_lines, published_s = 0, time.monotonic()
        while not self._stop.wait(self._every_s):
            lines = self._source.truth().lines
            if len(lines) == n_lines:
                continue
            n_lines = len(lines)
            self.update()
            if time.monotonic() - published_s >= self._publish_s:
                self._writer.publish(goes_on=True)
                published_s = time.monotonic()

    def __enter__(self) -> "LiveTruth":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.update()
        self._writer.publish(goes_on=False)
