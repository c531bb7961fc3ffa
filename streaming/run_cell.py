"""The cell during one run, as its readings told it: what the archive keeps beside the maps."""

from operando.messages import CellReading

MOST_READINGS = 20_000
"""In one archive, which is written anew with every line: a shift of eight hours at 0.7 a second."""


class RunCell:
    """Readings of the run that is on; used from one thread."""

    def __init__(self) -> None:
        self._begin_s = float("inf")
        self._readings: dict[float, CellReading] = {}

    def begin(self, time_s: float) -> None:
        """Forget what was: a run begins."""
        self._begin_s = time_s
        self._readings = {}

    def add(self, reading: CellReading) -> None:
        """Keep a reading that was taken since the run began; of very many every second one."""
        if reading.time_s >= self._begin_s:
            self._readings[reading.time_s] = reading
        if len(self._readings) > MOST_READINGS:
            self._readings = dict(list(self._readings.items())[::2])

    @property
    def readings(self) -> list[CellReading]:
        """Give them in order of time."""
        return [self._readings[time_s] for time_s in sorted(self._readings)]
