"""What a ``scan.nxs`` holds for pictures and tables: its maps by name, and how the cell was meanwhile. Needs no window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from operando.errors import DataError, MissingInputError
from operando.messages import CellReading, MapPublished, RunStarted
from viewer.checks import Shown, checked_map
from viewer.replay import entries_from_archive

MapShown = Shown[MapPublished]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """The cell in the middle of a scan; what its source does not give is None."""

    voltage_v: float | None = None
    voltage_span_v: tuple[float, float] | None = None
    """Lowest and highest voltage during the scan."""
    charge_ah: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFile:
    """The contents of one file."""

    path: Path
    maps: list[MapShown]
    """The map that the file opens on comes first."""
    readings: list[CellReading]
    started: RunStarted | None

    @property
    def names(self) -> list[str]:
        """Machine names of the maps."""
        return list(dict.fromkeys(shown.message.name for shown in self.maps))

    def maps_named(self, name: str) -> list[MapShown]:
        """Give the maps of a name, oldest first.

        Raises
        ------
        MissingInputError
            If the file holds none: the sentence says which it holds.
        """
        found = [shown for shown in self.maps if shown.message.name == name]
        if not found:
            raise MissingInputError(f"{self.path} holds no map {name!r}; it holds {', '.join(self.names)}")
        return found

    @property
    def cell(self) -> CellState:
        """How the cell was in the middle of the scan."""
        return cell_in_the_middle(self.readings)


def read_scan(path: Path) -> ScanFile:
    """Read a file.

    Raises
    ------
    MissingInputError
        If there is no such file.
    DataError
        If it is no archive of operando, is damaged, or contradicts itself.
    """
    entries = entries_from_archive(path)
    try:
        maps = [checked_map(entry.message, entry.arrays) for entry in entries if isinstance(entry.message, MapPublished)]
    except DataError as wrong:
        raise DataError(f"{path} contradicts itself: {wrong}") from wrong
    readings = [entry.message for entry in entries if isinstance(entry.message, CellReading)]
    started = next((entry.message for entry in entries if isinstance(entry.message, RunStarted)), None)
    return ScanFile(path=path, maps=maps, readings=readings, started=started)


def cell_in_the_middle(readings: Sequence[CellReading]) -> CellState:
    """Interpolate the readings of a scan to its middle; a value that was never read stays None."""
    if not readings:
        return CellState()
    times = [reading.time_s for reading in readings]
    middle_s = (min(times) + max(times)) / 2
    voltages = [reading.voltage_v for reading in readings if reading.voltage_v is not None]
    return CellState(
        voltage_v=_interpolated(middle_s, [(r.time_s, r.voltage_v) for r in readings]),
        voltage_span_v=(min(voltages), max(voltages)) if voltages else None,
        charge_ah=_interpolated(middle_s, [(r.time_s, r.charge_ah) for r in readings]),
    )


def _interpolated(time_s: float, points: Sequence[tuple[float, float | None]]) -> float | None:
    known = sorted((at, value) for at, value in points if value is not None)
    if not known:
        return None
    at, value = zip(*known, strict=True)
    return float(np.interp(time_s, at, value))
