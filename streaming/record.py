"""What the analysis remembers of a line beside its projection: enough for the archive and for asking for the file again."""

from dataclasses import dataclass

import numpy as np

from operando.messages import CellReading
from operando.scan import LineKey
from streaming.line import Line


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineRecord:
    """A line without its patterns."""

    key: LineKey
    series: int
    angle_deg: float
    direction: int
    n_points: int
    missing_ids: tuple[int, ...]
    """Image ids that never came, ascending."""
    positions_source: str
    ring_current_ma: float | None
    cell: CellReading | None
    start_s: float
    end_s: float
    geometry_sha256: str


def record_from_line(line: Line) -> LineRecord:
    """Give the record of a line."""
    return LineRecord(
        key=line.key,
        series=line.series,
        angle_deg=line.angle_deg,
        direction=line.direction,
        n_points=line.is_received.size,
        missing_ids=tuple(int(line.first_image_id + i) for i in np.flatnonzero(~line.is_received)),
        positions_source=line.positions_source,
        ring_current_ma=line.ring_current_ma,
        cell=line.cell,
        start_s=line.start_s,
        end_s=line.end_s,
        geometry_sha256=line.geometry_sha256,
    )
