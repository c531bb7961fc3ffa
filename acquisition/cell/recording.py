"""A recorded cycler file as a table, and its replay on the control system's clock.

Nothing is invented: a reading is a row of the recording, the newest that the cycler had taken by then. After the last row the
last reading stands and its age grows.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operando.errors import ProfileError
from operando.messages import CellReading

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a cycler wrote; every column has shape (n_rows,)."""

    name: str
    """What a person knows the recording by, for instance the file's name."""

    time_s: Column
    """Seconds since the first row, never descending."""

    voltage_v: Column
    """Here and below, NaN in a row that lacks it."""
    current_a: Column
    """Positive while the cell charges."""

    charge_ah: Column
    """Charge passed since the first row, from the cycler's own counter, positive for charging."""

    temperature_c: Column | None
    """None if the cycler recorded none; NaN in a row that lacks it."""

    cycle: NDArray[np.int64]
    """-1 where the cycler does not count."""
    step: tuple[str, ...]
    """The cycler's name of the running step in every row."""

    charge_source: Literal["counter", "integrated"] = "counter"
    """``integrated`` if ``charge_ah`` is not from the cycler's own counter, but its current added up."""

    @property
    def duration_s(self) -> float:
        """Time from the first row to the last, s."""
        return float(self.time_s[-1])

    def row_at(self, recorded_s: float) -> int:
        """Give the newest row at a recorded time; -1 before the first."""
        return int(np.searchsorted(self.time_s, recorded_s, side="right")) - 1


class Replay:
    """Plays a recording as if the cell were cycled now.

    Parameters
    ----------
    recording
        What is played.
    speed
        Recorded seconds per second.
    start_s
        Recorded time at which the replay begins.
    origin_s
        Control system time at which it begins, Unix epoch.

    Raises
    ------
    ProfileError
        If the recording has ended before ``start_s``.
    """

    def __init__(self, recording: Recording, *, speed: float, start_s: float, origin_s: float) -> None:
        if start_s >= recording.duration_s:
            raise ProfileError(
                f"cell.start_s is {start_s:g} s, but {recording.name} ends at {recording.duration_s:.0f} s: begin earlier"
            )
        self.recording = recording
        self.speed = speed
        self.start_s = start_s
        self.origin_s = origin_s

    def row_at(self, time_s: float) -> int:
        """Give the row that is the newest at a control system time."""
        return max(self.recording.row_at(self.start_s + (time_s - self.origin_s) * self.speed), 0)

    def time_of(self, row: int) -> float:
        """Give the control system time at which a row was taken, Unix epoch."""
        return self.origin_s + (float(self.recording.time_s[row]) - self.start_s) / self.speed

    def reading_at(self, time_s: float) -> CellReading:
        """Give the newest reading at a control system time."""
        row = self.row_at(time_s)
        table = self.recording
        charge_ah = _given(table.charge_ah[row])
        taken_s = self.time_of(row)
        return CellReading(
            time_s=taken_s,
            voltage_v=_given(table.voltage_v[row]),
            current_a=_given(table.current_a[row]),
            charge_ah=charge_ah,
            temperature_c=None if table.temperature_c is None else _given(table.temperature_c[row]),
            cycle=int(table.cycle[row]) if table.cycle[row] >= 0 else None,
            step=table.step[row],
            charge_source=table.charge_source if charge_ah is not None else "",
            age_s=max(time_s - taken_s, 0.0),
            source=table.name,
        )


def _given(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
