"""Sectors of azimuth: which pixel looks where around the beam, and what the patterns of all sectors say of the full ring.

Eta counts from the projected rotation axis. Opposite azimuths (Friedel mates) belong together, so sectors share half a turn
evenly; sector j of n goes from j 180/n to (j + 1) 180/n degrees, and a window of +-15 degrees about the axis is the first and
the last of twelve. What is kept of a frame is one pattern for each sector: from these any window whose edges are sector edges
can be chosen after the scan (docs/decisions/0031).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.errors import ProfileError

Array = NDArray[np.float64]

_EDGE_DEG = 0.01
"""How far a wanted edge may lie from a sector's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cake:
    """The patterns of the sectors of a frame."""

    values: NDArray[np.float32]
    """Shape (n_sectors, n_radial), photons per pixel; NaN where a sector has no good pixel."""
    norm: NDArray[np.float32]
    """Sum of the corrections of all pixels that belong there, same shape: the weight of a sector in a window, and what its
    Poisson variance comes from; the same for all frames."""


def sector_of_pixels(eta_deg: Array, n_sectors: int) -> NDArray[np.int64]:
    """Give the sector of each azimuth, counted from the projected rotation axis, of any shape."""
    sector = np.floor(np.mod(eta_deg, 180.0) * n_sectors / 180.0).astype(np.int64)
    # 180 is 0, but rounding may leave it 180.
    return np.minimum(sector, n_sectors - 1)


def sectors_in_window(*, centre_deg: float, half_width_deg: float, n_sectors: int) -> list[int]:
    """Give the sectors of a window about ``centre_deg`` and about the opposite of it.

    Raises
    ------
    ProfileError
        If the window's edges are no sector edges.
    """
    width = 180.0 / n_sectors
    low, high = (centre_deg - half_width_deg) / width, (centre_deg + half_width_deg) / width
    if max(abs(low - round(low)), abs(high - round(high))) * width > _EDGE_DEG or high - low < 0.5:
        raise ProfileError(
            f"integration.sector: {centre_deg} +- {half_width_deg} degrees does not end at edges of sectors; with "
            f"{n_sectors} sectors they stand every {width:g} degrees: choose such edges"
        )
    return sorted({sector % n_sectors for sector in range(round(low), round(high))})


def ring_from_sectors(results: Array) -> Array:
    """Give the values of the full ring, shape (3, n_radial), from those of its sectors, shape (3, n_sectors, n_radial).

    The kernels give mean, variance of the mean and robust mean. With N photons in pixels whose corrections add up to C the mean
    is N / C and its variance max(N, 1) / C^2, so that both N and C are known again.
    """
    mean, variance, robust = results
    known = np.isfinite(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Where nothing was counted the variance stands for one photon.
        norm = np.where(known, np.where(mean * mean > variance, mean / variance, 1 / np.sqrt(variance)), 0.0)
        photons = np.where(known, mean * norm, 0.0).sum(axis=0)
        total = norm.sum(axis=0)
        kept = np.isfinite(robust)
        weight = np.where(kept, norm, 0.0)
        return np.stack(
            [
                np.where(total > 0, photons / total, np.nan),
                np.where(total > 0, np.maximum(photons, 1.0) / total**2, np.nan),
                np.where(kept, weight * np.where(kept, robust, 0.0), 0.0).sum(axis=0) / weight.sum(axis=0),
            ]
        )


def shortened(values: Array) -> NDArray[np.float32]:
    """Round to 13 bits of mantissa, 1.2e-4 of the value: below any counting noise, and packed twice as small."""
    mantissa, exponent = np.frexp(values.astype(np.float32))
    return np.ldexp(np.round(mantissa * 8192.0) / 8192.0, exponent).astype(np.float32)
