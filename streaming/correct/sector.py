"""The window of azimuth that is analysed: receives a line with its sectors, gives it with the patterns of the window alone."""

from dataclasses import replace

import numpy as np

from operando.errors import DataError
from streaming.integrate.sectors import sectors_in_window
from streaming.line import Line


def line_in_sector(line: Line, sector: tuple[float, float] | None) -> Line:
    """Give the line with its patterns and variances taken from a window, (centre, half width) in degrees from the axis.

    The full ring for None. The variance is the Poisson variance of the sectors' photons.

    Raises
    ------
    DataError
        If the line was integrated without sectors.
    ProfileError
        If the window's edges are no sector edges.
    """
    if sector is None:
        return line
    if line.cake is None or line.cake_norm is None:
        raise DataError(
            f"{line.key.stem} was integrated over the full ring: a sector can be chosen from lines that were taken with "
            "integration.sectors"
        )
    centre_deg, half_width_deg = sector
    chosen = sectors_in_window(centre_deg=centre_deg, half_width_deg=half_width_deg, n_sectors=line.cake.shape[1])
    values, norm = line.cake[:, chosen].astype(np.float64), line.cake_norm[chosen].astype(np.float64)
    weight = np.where(np.isfinite(values), norm, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        photons = np.nansum(weight * values, axis=1)
        mean = np.where(total > 0, photons / total, np.nan).astype(np.float32)
        variance = np.where(total > 0, np.maximum(photons, 1.0) / total**2, np.nan).astype(np.float32)
    return replace(line, mean=mean, trimmed=mean, variance=variance)
