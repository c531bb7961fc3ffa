"""A line while it is filled: announced points on one side, patterns on the other, in any order."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operando.messages import LineAnnounced, LineFlown
from operando.scan import LineKey
from streaming.account import IdSet
from streaming.line import Line
from streaming.measured import Measured


@dataclass(slots=True, kw_only=True, eq=False)
class OpenLine:
    """The points of one announced attempt and what has come for them; used by the join alone."""

    announced: LineAnnounced
    touched_at: float
    """When anything last happened that this line may have waited for, monotonic seconds."""
    flown: LineFlown | None = None
    aborted: str = ""
    is_written: bool = False
    """Whether a file of it is on disk; an image that comes afterwards makes it false again."""
    _measured: dict[int, Measured] = field(default_factory=dict)

    @property
    def key(self) -> LineKey:
        """The line's identity."""
        return LineKey(run=self.announced.run, line=self.announced.line, attempt=self.announced.attempt)

    @property
    def first_id(self) -> int:
        """Image id of the first point in flying order."""
        return self.announced.first_image_id

    @property
    def last_id(self) -> int:
        """Image id of the last point in flying order."""
        return self.announced.first_image_id + self.announced.n_points - 1

    @property
    def n_received(self) -> int:
        """Points whose pattern is there."""
        return len(self._measured)

    @property
    def last_frame_s(self) -> float:
        """When the newest of its images came off the wire, Unix epoch; 0 if none did."""
        return max((measured.received_s for measured in self._measured.values()), default=0.0)

    @property
    def is_complete(self) -> bool:
        """Whether every point has its pattern."""
        return self.n_received == self.announced.n_points

    @property
    def is_over(self) -> bool:
        """Whether the flight is over, one way or the other."""
        return self.flown is not None or bool(self.aborted)

    def missing_ids(self) -> list[tuple[int, int]]:
        """Give the unbroken ranges of image ids that have no pattern."""
        received = IdSet()
        for image_id in self._measured:
            received.add(image_id)
        return list(received.missing_from(self.first_id, self.last_id))

    def add(self, measured: Measured) -> None:
        """Put a pattern at the point that its image id names; one that is there already stays."""
        if measured.frame.image_id not in self._measured:
            self._measured[measured.frame.image_id] = measured
            self.is_written = False

    def cede(self, first: int, last: int) -> list[Measured]:
        """Give up the patterns of image ids that turned out to belong to another line."""
        ceded = [self._measured.pop(image_id) for image_id in sorted(self._measured) if first <= image_id <= last]
        self.is_written = self.is_written and not ceded
        return ceded

    def to_line(self, q: NDArray[np.float64]) -> Line:
        """Give the line as it stands, with ``q`` the centres of its bins, 1/angstrom."""
        flown, announced = self.flown, self.announced
        is_received = np.zeros(announced.n_points, dtype=np.bool_)
        mean, trimmed, variance = np.full((3, announced.n_points, q.size), np.nan, dtype=np.float32)
        for image_id, measured in self._measured.items():
            point = image_id - self.first_id
            is_received[point] = True
            mean[point], trimmed[point] = measured.pattern.mean, measured.pattern.trimmed
            variance[point] = measured.pattern.variance
        cake, cake_norm = self._sectors()
        positions_mm, source = self._positions()
        return Line(
            key=self.key,
            series=announced.series,
            first_image_id=announced.first_image_id,
            angle_deg=flown.angle_deg if flown else announced.angle_deg,
            direction=announced.direction,
            positions_mm=positions_mm,
            positions_source=source,
            is_received=is_received,
            q=q,
            mean=mean,
            trimmed=trimmed,
            variance=variance,
            ring_current_ma=flown.ring_current_ma if flown else None,
            cell=flown.cell if flown else None,
            start_s=flown.start_s if flown else announced.time_s,
            end_s=flown.end_s if flown else max(announced.time_s, self.last_frame_s),
            geometry_sha256=next((measured.geometry_sha256 for measured in self._measured.values()), ""),
            monitor=self._of_each_point(flown.monitor) if flown else None,
            transmitted=self._of_each_point(flown.transmitted) if flown else None,
            angles_deg=self._angles(),
            cake=cake,
            cake_norm=cake_norm,
            aborted=self.aborted,
        )

    @property
    def has_wrong_positions(self) -> bool:
        """Whether positions were captured for another number of points than announced, so that nobody knows which is whose."""
        return self.flown is not None and len(self.flown.positions_mm) != self.announced.n_points

    def _sectors(self) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Give the patterns of sectors of all points and their norm; None where frames were integrated without."""
        cakes = {image_id: measured.pattern.cake for image_id, measured in self._measured.items()}
        whole = {image_id: cake for image_id, cake in cakes.items() if cake is not None}
        if not whole:
            return None, None
        norm = next(iter(whole.values())).norm
        values = np.full((self.announced.n_points, *norm.shape), np.nan, dtype=np.float32)
        for image_id, cake in whole.items():
            if cake.norm.shape == norm.shape:
                values[image_id - self.first_id] = cake.values
        return values, norm

    def _of_each_point(self, values: list[float] | None) -> NDArray[np.float64] | None:
        """Give readings of the flight as an array; None where there are none, or not one for each point."""
        if values is None or len(values) != self.announced.n_points:
            return None
        return np.array(values, dtype=np.float64)

    def _angles(self) -> NDArray[np.float64] | None:
        """Give the angle of each point, where the stage swept: as captured, else as planned."""
        announced = self.announced
        if announced.angle_step_deg == 0:
            return None
        captured = self._of_each_point(self.flown.angles_deg) if self.flown else None
        planned: NDArray[np.float64] = announced.angle_deg + announced.angle_step_deg * np.arange(
            announced.n_points, dtype=np.float64
        )
        return planned if captured is None else captured

    def _positions(self) -> tuple[NDArray[np.float64], str]:
        announced = self.announced
        if self.flown is None or self.has_wrong_positions:
            points = np.arange(announced.n_points, dtype=np.float64)
            return announced.first_position_mm + announced.step_mm * points, "computed"
        return np.array(self.flown.positions_mm, dtype=np.float64), self.flown.positions_source
