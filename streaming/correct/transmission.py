"""Transmission of each ray: from a diode behind the sample, or from the attenuation that maps imply.

Below some 6 degrees of two theta the ways in and out share the ray, so that intensity is emission times transmission
T = exp(-integral of mu) at every place along it (A. Vamvakeros et al., Small Methods 2021, doi 10.1002/smt.202100512): dividing
a ray's pattern by T corrects all phases at once. This is the zero order.
"""

import numpy as np
from numpy.typing import NDArray

from streaming.correct.beam import BeamReadings
from streaming.correct.outside import LEAST_POINTS
from streaming.projection import Rays

Array = NDArray[np.float64]

LEAST_TRANSMISSION = 0.02
"""Rays that let through less are left out, not corrected: what a beam stop lets by and the diode's dark current rule them."""
_OPEN = 0.02
"""Part by which readings beside the sample may lie below the largest."""


def transmission_from_diode(line: BeamReadings) -> Array | None:
    """Give the transmission of each point of a line, shape (n_points,), NaN where it is not known.

    The open beam is the median of the readings within two percent of the largest, at the ends of the line; without at least
    three of them the line never left the sample, nobody knows the open beam, and there is no transmission.
    """
    if line.transmitted is None:
        return None
    behind = line.transmitted
    if line.monitor is not None:
        behind = np.divide(behind, line.monitor, out=np.full(behind.size, np.nan), where=line.monitor > 0)
    order = np.argsort(line.positions_mm, kind="stable")
    open_beam = _open_beam(behind[order])
    if open_beam is None:
        return None
    transmission = behind / open_beam
    return np.where(transmission > LEAST_TRANSMISSION, np.minimum(transmission, 1.0), np.nan)


def transmission_of_map(attenuation_per_mm: Array, rays: Rays) -> Array:
    """Project a map of attenuation: exp(-integral) of every ray, shape (n_lines, n_points).

    Parameters
    ----------
    attenuation_per_mm
        Linear attenuation, shape (y, x), 1/mm; the rotation axis in the middle.
    rays
        The scan.
    """
    depth = rays.project(attenuation_per_mm[..., None])[..., 0]
    transmission: Array = np.exp(-depth)
    return transmission


def _open_beam(readings: Array) -> float | None:
    known = np.flatnonzero(np.isfinite(readings))
    if not known.size or not readings[known].max() > 0:
        return None
    is_open = readings >= (1 - _OPEN) * np.percentile(readings[known], 99)
    from_ends = [_run(is_open[known]), _run(is_open[known[::-1]])]
    if sum(from_ends) < LEAST_POINTS or is_open[known].all():
        return None
    ends = np.r_[known[: from_ends[0]], known[known.size - from_ends[1] :]]
    return float(np.median(readings[ends]))


def _run(is_open: NDArray[np.bool_]) -> int:
    """Count how many stand in a row from the first."""
    return int(is_open.size if is_open.all() else np.argmin(is_open))
