"""What a ``scan.nxs`` holds for pictures and tables: its maps by name, and how the cell was meanwhile. Needs no window."""

from dataclasses import dataclass
from pathlib import Path

from operando.errors import DataError, MissingInputError
from operando.messages import CellReading, MapPublished, RunStarted
from viewer.cell_state import CellState, cell_in_the_middle
from viewer.checks import Shown, checked_map
from viewer.replay import entries_from_archive
from viewer.scan import Scan

MapShown = Shown[MapPublished]


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
        """How the cell was in the middle of the scan, as the window says it: a recording may go on when the scan has ended."""
        scan = Scan(started=self.started, maps={shown.message.name: shown for shown in self.maps})
        return cell_in_the_middle(self.readings, scan.span_s)


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
