"""A row of a scan table with its meaning: which line, which image, where, and in what state the line is."""

from dataclasses import dataclass
from typing import Literal

from acquisition.cell.row import number
from acquisition.listening.table import Record
from operando.errors import DataError
from operando.frame_names import FrameNames
from operando.messages import CellReading
from operando.profile import FrameFolder, Listen, Profile, TableColumn

NAMES: dict[TableColumn, str] = {
    "line": "line",
    "attempt": "attempt",
    "state": "state",
    "angle": "angle_deg",
    "position": "position_mm",
    "first_position": "first_position_mm",
    "last_position": "last_position_mm",
    "n_points": "n_points",
    "series": "series",
    "image": "image",
    "file": "file",
    "time": "time_s",
    "start": "start_s",
    "end": "end_s",
    "ring_current": "ring_current_ma",
    "monitor": "monitor",
    "transmitted": "transmitted",
    "voltage": "voltage_v",
    "current": "current_a",
    "charge": "charge_ah",
    "temperature": "temperature_c",
}
"""How columns are called, unless the profile says otherwise."""

State = Literal["start", "done", "aborted"]
_STATES: dict[str, State] = {"start": "start", "done": "done", "aborted": "aborted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRow:
    """One frame, or one line."""

    line: int
    attempt: int
    angle_deg: float
    series: int
    image_id: int
    """Of the frame, or of the line's first point in flying order."""
    position_mm: float | None
    """Of the frame; None in a row that is a line."""
    ends_mm: tuple[float, float] | None = None
    """Positions of the first and the last point of a line in flying order."""
    n_points: int = 1
    state: State = "done"
    start_s: float | None = None
    end_s: float | None = None
    ring_current_ma: float | None = None
    monitor: float | None = None
    """Beam before the sample, of a row that is a frame."""
    transmitted: float | None = None
    """Beam behind the sample, of a row that is a frame."""
    cell: CellReading | None = None


class RowReader:
    """Makes rows of records.

    Parameters
    ----------
    profile
        Names of columns, units, and names of files.
    source
        What readings of the cell that stand in the table are said to come from.
    """

    def __init__(self, profile: Profile, *, source: str) -> None:
        self._listen = profile.listen or Listen(table="none")
        self._folder = profile.detector.folder or FrameFolder(template="none")
        self._files = FrameNames(self._folder.template, series=self._folder.series)
        self._n_points = profile.scan.n_points
        self._source = source

    def row(self, record: Record) -> ScanRow:
        """Give the row of a record.

        Raises
        ------
        DataError
            If a column is absent, or its word is not what it should be.
        """
        series, image_id = self._identity(record)
        factor = self._listen.position_factor
        position = self._number(record, "position")
        first, last = self._number(record, "first_position"), self._number(record, "last_position")
        if position is None and (first is None or last is None):
            raise DataError(f"no position: wanted {self._name('position')}, or {self._name('first_position')} and its last")
        start_s, time_s = self._number(record, "start"), self._number(record, "time")
        end_s = self._number(record, "end")
        return ScanRow(
            line=self._whole(record, "line"),
            attempt=self._whole(record, "attempt", default=0),
            angle_deg=self._listen.angle_factor * self._given(record, "angle"),
            series=series,
            image_id=image_id,
            position_mm=None if position is None else factor * position,
            ends_mm=None if first is None or last is None or position is not None else (factor * first, factor * last),
            n_points=self._whole(record, "n_points", default=self._n_points) if position is None else 1,
            state=self._state(record),
            start_s=start_s if start_s is not None else time_s,
            end_s=end_s if end_s is not None else time_s,
            ring_current_ma=self._number(record, "ring_current"),
            monitor=self._number(record, "monitor"),
            transmitted=self._number(record, "transmitted"),
            cell=self._cell(record, time_s=end_s if end_s is not None else time_s),
        )

    def _identity(self, record: Record) -> tuple[int, int]:
        """Give series and image id, by the name of a file or by numbers."""
        per_file, first = self._folder.images_per_file, self._folder.first
        file = record.get(self._name("file"))
        image = self._number(record, "image")
        if file:
            name = self._files.name_of(str(file))
            if name is None:
                raise DataError(f"file {file!r} is none of {self._files.template}: correct detector.folder.template")
            # In files of several images the column image tells the place in the file.
            within = int(image) if image is not None and not self._files.has_images else 0
            return name.series, (name.number - first) * per_file + within
        if image is None:
            raise DataError(f"no image: wanted column {self._name('image')} or {self._name('file')}")
        return self._whole(record, "series", default=self._folder.series), int(image) - first

    def _cell(self, record: Record, *, time_s: float | None) -> CellReading | None:
        voltage_v = self._number(record, "voltage")
        if voltage_v is None or time_s is None:
            return None
        return CellReading(
            time_s=time_s,
            voltage_v=voltage_v,
            current_a=self._number(record, "current"),
            charge_ah=self._number(record, "charge"),
            temperature_c=self._number(record, "temperature"),
            source=self._source[:200],
        )

    def _state(self, record: Record) -> State:
        word = str(record.get(self._name("state"), "done")).strip().lower()
        if word not in _STATES:
            raise DataError(f"state {word!r}: wanted start, done or aborted")
        return _STATES[word]

    def _whole(self, record: Record, column: TableColumn, *, default: int | None = None) -> int:
        value = self._number(record, column)
        if value is None and default is not None:
            return default
        if value is None or value != int(value) or value < 0:
            raise DataError(f"{self._name(column)} is {record.get(self._name(column))!r}, wanted a whole number")
        return int(value)

    def _given(self, record: Record, column: TableColumn) -> float:
        value = self._number(record, column)
        if value is None:
            raise DataError(f"no column {self._name(column)}: found {', '.join(record)}; set listen.columns")
        return value

    def _number(self, record: Record, column: TableColumn) -> float | None:
        value = record.get(self._name(column))
        if value is None or value == "":
            return None
        return value if isinstance(value, float) else number(value)

    def _name(self, column: TableColumn) -> str:
        return self._listen.columns.get(column, NAMES[column])
