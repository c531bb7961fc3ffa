"""From rows of a scan table to announced and flown lines.

A row that is a line is announced and flown by its state. Rows that are frames are gathered: their line is over when another
line's row comes, when it has all its points, when the table says that the run has ended, or when nothing has come for a while.
Only then is it announced, since only then the number of its points is known; its images have been waiting, integrated.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from acquisition.cell.history import CellHistory
from acquisition.listening.row import ScanRow
from operando.messages import CellReading, LineAborted, LineAnnounced, LineFlown, Message

Key = tuple[int, int]


class LineBook:
    """Knows the lines of one run; used from one thread.

    Parameters
    ----------
    run
        The run's name.
    n_points
        Points that make a line of frames complete.
    quiet_s
        Silence after which a line of frames is over.
    cell_at
        Gives the state of the cell at a time (Unix epoch), for lines whose rows do not tell it.
    clock, wall_clock
        Monotonic seconds, and seconds since the Unix epoch.
    """

    def __init__(
        self,
        run: str,
        *,
        n_points: int,
        quiet_s: float,
        cell_at: Callable[[float], CellReading | None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._run, self._n_points, self._quiet_s = run, n_points, quiet_s
        self._cell_at, self._clock, self._wall_clock = cell_at, clock, wall_clock
        self._told = CellHistory()
        self._frames: dict[int, ScanRow] = {}
        self._gathered: Key | None = None
        self._grown_at = clock()
        self.flown: set[Key] = set()
        """(line, attempt) of lines that have flown."""
        self.left_out = 0
        """Rows of lines that were over already."""

    def add(self, row: ScanRow) -> list[Message]:
        """Take in a row, and give what there is to tell."""
        if row.cell is not None:
            self._told.append(row.cell)
        if row.position_mm is None:
            return [*self.close(), *self._line(row)]
        key = (row.line, row.attempt)
        words = self.close() if self._gathered not in (None, key) else []
        if row.state == "aborted":
            return [*words, *self._abort(row)]
        if key in self.flown:
            self.left_out += 1
            return words
        self._gathered, self._grown_at = key, self._clock()
        self._frames[row.image_id] = row
        return [*words, *self.close()] if len(self._frames) >= self._n_points else words

    def close(self) -> list[Message]:
        """End the line whose frames are being gathered, and give what there is to tell."""
        if self._gathered is None:
            return []
        frames = [self._frames[image_id] for image_id in sorted(self._frames)]
        self._frames, self._gathered = {}, None
        return self._tell(frames)

    def close_if_quiet(self) -> list[Message]:
        """End the line that is being gathered if nothing has come for a while."""
        return self.close() if self._clock() - self._grown_at > self._quiet_s else []

    def _line(self, row: ScanRow) -> list[Message]:
        """Give the words of a row that is a line."""
        if row.ends_mm is None or (row.line, row.attempt) in self.flown:
            self.left_out += 1
            return []
        first_mm, last_mm = row.ends_mm
        positions_mm = np.linspace(first_mm, last_mm, row.n_points).tolist()
        announced = self._announced(row, positions_mm)
        if row.state == "start":
            return [announced]
        if row.state == "aborted":
            return self._abort(row)
        return [announced, self._flown(row, row, positions_mm, "computed")]

    def _tell(self, frames: list[ScanRow]) -> list[Message]:
        """Give the words of a line of frames; a frame without a row lies between its neighbours, and that is said."""
        first, last = frames[0], frames[-1]
        ids = np.array([frame.image_id for frame in frames], dtype=np.float64)
        every = np.arange(first.image_id, last.image_id + 1)
        positions_mm = np.interp(every, ids, [frame.position_mm or 0.0 for frame in frames]).tolist()
        source: Literal["captured", "computed"] = "captured" if len(frames) == len(every) else "computed"
        flown = self._flown(first, last, positions_mm, source)
        readings = {name: _of_every_point(frames, every, name) for name in ("monitor", "transmitted")}
        return [self._announced(first, positions_mm), flown.model_copy(update=readings)]

    def _announced(self, row: ScanRow, positions_mm: list[float]) -> LineAnnounced:
        n_points = len(positions_mm)
        step_mm = (positions_mm[-1] - positions_mm[0]) / max(1, n_points - 1)
        return LineAnnounced(
            run=self._run,
            line=row.line,
            attempt=row.attempt,
            series=row.series,
            first_image_id=row.image_id,
            n_points=n_points,
            angle_deg=row.angle_deg,
            direction=1 if step_mm >= 0 else -1,
            first_position_mm=positions_mm[0],
            step_mm=step_mm,
            time_s=row.start_s if row.start_s is not None else self._wall_clock(),
        )

    def _flown(
        self, first: ScanRow, last: ScanRow, positions_mm: list[float], source: Literal["captured", "computed"]
    ) -> LineFlown:
        now_s = self._wall_clock()
        start_s = first.start_s if first.start_s is not None else now_s
        end_s = last.end_s if last.end_s is not None else now_s
        middle_s = 0.5 * (start_s + end_s)
        self.flown.add((first.line, first.attempt))
        return LineFlown(
            run=self._run,
            line=first.line,
            attempt=first.attempt,
            positions_mm=positions_mm,
            positions_source=source,
            angle_deg=first.angle_deg,
            ring_current_ma=first.ring_current_ma,
            cell=self._told.at(middle_s) or self._cell_at(middle_s),
            start_s=start_s,
            end_s=end_s,
        )

    def _abort(self, row: ScanRow) -> list[Message]:
        self._frames, self._gathered = {}, None
        reason = "the scan table says that it was aborted"
        time_s = row.end_s if row.end_s is not None else self._wall_clock()
        return [LineAborted(run=self._run, line=row.line, attempt=row.attempt, reason=reason, time_s=time_s)]


def _of_every_point(
    frames: list[ScanRow], every: NDArray[np.int64], name: Literal["monitor", "transmitted"]
) -> list[float] | None:
    """Give the readings of a column; None unless every point has one, since the beam between two readings is nobody's guess."""
    readings = {frame.image_id: getattr(frame, name) for frame in frames}
    values = [readings.get(int(image_id)) for image_id in every]
    return None if any(value is None for value in values) else [float(value) for value in values if value is not None]
