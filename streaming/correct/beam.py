"""Normalisation: receives a line, gives the factor that brings each of its points to the beam of the reference line."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_BEAM = 0.02
"""Part of a line's median beam below which a point has none: what is divided by less is noise, and no measurement."""


class BeamReadings(Protocol):
    """What is known of the beam at the points of a line; a :class:`~streaming.line.Line` has it."""

    @property
    def positions_mm(self) -> Array:
        """Shape (n_points,)."""
        ...

    @property
    def monitor(self) -> Array | None:
        """Beam before the sample, shape (n_points,)."""
        ...

    @property
    def transmitted(self) -> Array | None:
        """Beam behind the sample, shape (n_points,)."""
        ...

    @property
    def ring_current_ma(self) -> float | None:
        """Of the whole line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The beam that all lines of a tomogram are brought to: that of its reference line."""

    monitor: float | None = None
    """Mean of its monitor, in the monitor's unit."""
    ring_current_ma: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamScale:
    """What the patterns of a line are multiplied by."""

    factor: Array
    """Shape (n_points,); NaN where a point had no beam."""
    source: Literal["monitor", "ring current", "nothing"]
    """What it was found from."""


def reference_from_line(line: BeamReadings) -> Reference:
    """Give the beam of a line."""
    readings = _usable(line.monitor)
    return Reference(
        monitor=None if readings is None else float(np.nanmean(readings)), ring_current_ma=line.ring_current_ma or None
    )


def beam_scale(line: BeamReadings, reference: Reference, *, source: Literal["auto", "ring", "none"]) -> BeamScale:
    """Give the factor of each point.

    The monitor knows more than the ring: what the optics do, and within a line. A line without it falls back to the ring
    current, and one without either is taken as it is. The counting noise of the monitor is neglected: with 1e5 counts a point
    it is a third of a percent.
    """
    n_points = line.positions_mm.size
    readings = _usable(line.monitor) if source == "auto" else None
    if readings is not None and reference.monitor:
        return BeamScale(factor=reference.monitor / readings, source="monitor")
    if source != "none" and reference.ring_current_ma and line.ring_current_ma:
        return BeamScale(factor=np.full(n_points, reference.ring_current_ma / line.ring_current_ma), source="ring current")
    return BeamScale(factor=np.ones(n_points), source="nothing")


def _usable(readings: Array | None) -> Array | None:
    """Give the readings with NaN where there was no beam; None where there was none at all."""
    if readings is None or not (np.isfinite(readings) & (readings > 0)).any():
        return None
    middle = np.median(readings[np.isfinite(readings) & (readings > 0)])
    usable: Array = np.where(np.isfinite(readings) & (readings > LEAST_BEAM * middle), readings, np.nan)
    return usable
