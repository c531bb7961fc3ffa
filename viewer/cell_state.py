"""How the cell was while a scan was made: voltage and charge in the middle of its time, what the maps stand for. No window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.messages import CellReading
from viewer.readings import Readings

SPAN_V = 0.05
"""A voltage that moved by more than this during the scan is given with its range: one number would claim too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """The cell in the middle of a scan; what its source does not give is None."""

    voltage_v: float | None = None
    voltage_span_v: tuple[float, float] | None = None
    """Lowest and highest voltage during the scan."""
    charge_ah: float | None = None
    current_a: float | None = None
    """Median during the scan, positive while the cell charges."""

    @property
    def wide_span_v(self) -> tuple[float, float] | None:
        """The range of the voltage where it is wide enough to be told."""
        span = self.voltage_span_v
        return span if span is not None and span[1] - span[0] > SPAN_V else None


def cell_in_the_middle(readings: Sequence[CellReading], span_s: tuple[float, float] | None = None) -> CellState:
    """Interpolate readings to the middle of a scan, or of their own time if its is not known; what was never read is None."""
    if not readings:
        return CellState()
    kept = Readings()
    for reading in readings:
        kept.add(reading)
    own_s = (float(kept.time_s[0]), float(kept.time_s[-1]))
    within = CellState() if span_s is None else cell_during(kept, span_s)
    return within if within != CellState() else cell_during(kept, own_s)


def cell_during(readings: Readings, span_s: tuple[float, float]) -> CellState:
    """Give the cell in the middle of a span of time.

    Parameters
    ----------
    readings
        Of the whole beamtime.
    span_s
        Begin and end of the scan, seconds since the epoch. A span without a reading between its ends says nothing.
    """
    first, last = np.searchsorted(readings.time_s, span_s[0], "left"), np.searchsorted(readings.time_s, span_s[1], "right")
    if first >= last:
        return CellState()
    within = slice(int(first), int(last))
    middle_s, time_s = (span_s[0] + span_s[1]) / 2, readings.time_s[within]
    voltage = readings.voltage_v[within]
    known = voltage[np.isfinite(voltage)]
    current = readings.current_a[within]
    flowing = current[np.isfinite(current)]
    return CellState(
        voltage_v=_at(middle_s, time_s, voltage),
        voltage_span_v=(float(known.min()), float(known.max())) if known.size else None,
        charge_ah=_at(middle_s, time_s, readings.column("charge_ah")[within]),
        current_a=float(np.median(flowing)) if flowing.size else None,
    )


def cell_of_reading(reading: CellReading | None) -> CellState:
    """Give what one reading says, where it is all that is known of a scan."""
    if reading is None:
        return CellState()
    return CellState(voltage_v=reading.voltage_v, charge_ah=reading.charge_ah, current_a=reading.current_a)


def _at(time_s: float, times_s: NDArray[np.float64], values: NDArray[np.float64]) -> float | None:
    is_known = np.isfinite(values)
    return float(np.interp(time_s, times_s[is_known], values[is_known])) if is_known.any() else None
