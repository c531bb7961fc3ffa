"""Where the powder rings of a calibrant should be, and where an image really has them, to a few hundredths of a pixel.

Receives an image and a geometry that is nearly right, gives a point for every ring and sector that shows a clear peak.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyFAI.calibrant import get_calibrant

from operando.errors import CalibrationError

SECTORS = 60
"""Azimuthal sectors of a ring: 6 degrees hold enough pixels for the weak outer rings, more would blur the shifts of modules."""
ENOUGH = 40
"""Pixels that a sector needs for a fit of five parameters."""
STEPS = 8
"""Gauss-Newton steps of a peak fit; it has converged after five from where the profile's maximum puts it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RingPoints:
    """Points found on rings; all arrays have shape (n_points,)."""

    ring: NDArray[np.int64]
    """Index of the ring in the list that was searched."""
    row: NDArray[np.float64]
    """Row coordinate, pixels; a whole number is the centre of a pixel."""
    column: NDArray[np.float64]
    """Column coordinate, pixels."""
    sector: NDArray[np.int64]
    """Azimuthal sector, 0 to ``SECTORS`` - 1."""
    n_searched: NDArray[np.int64]
    """Sectors of each ring with enough usable pixels to show a peak, shape (n_rings,)."""

    @property
    def size(self) -> int:
        """Number of points."""
        return self.ring.size

    def only(self, chosen: NDArray[np.bool_]) -> "RingPoints":
        """Give some of the points."""
        return replace(
            self, ring=self.ring[chosen], row=self.row[chosen], column=self.column[chosen], sector=self.sector[chosen]
        )

    @property
    def n_found(self) -> NDArray[np.int64]:
        """Sectors of each ring that show a clear peak, shape (n_rings,)."""
        return np.bincount(self.ring, minlength=self.n_searched.size)


def spacings_of(calibrant: str) -> NDArray[np.float64]:
    """Give the lattice spacings of a calibrant that pyFAI knows, falling, angstrom.

    Raises
    ------
    CalibrationError
        If it knows none of that name.
    """
    try:
        spacings = get_calibrant(calibrant).dspacing
    except (KeyError, OSError, ValueError) as wrong:
        raise CalibrationError(f"no calibrant {calibrant!r}: CeO2, LaB6 and Si are among those that pyFAI knows") from wrong
    return np.asarray(spacings, dtype=np.float64)


def two_theta_of(spacings: NDArray[np.float64], *, wavelength_angstrom: float) -> NDArray[np.float64]:
    """Give the scattering angles of lattice spacings by Bragg's law, rad; those that cannot diffract are left out."""
    sine = wavelength_angstrom / (2.0 * spacings)
    return np.asarray(2.0 * np.arcsin(sine[sine < 1.0]))


def radius_of(two_theta: NDArray[np.float64], *, distance_m: float, pixel_m: float) -> NDArray[np.float64]:
    """Give the radius of rings on a detector without tilt, pixels."""
    return np.asarray(distance_m * np.tan(np.minimum(two_theta, 1.5)) / pixel_m)


def isolated(radius_px: NDArray[np.float64], *, clearance_px: float, largest_px: float) -> NDArray[np.int64]:
    """Give the indices of the rings that keep their distance from all neighbours and fit on the detector."""
    gap = np.diff(np.concatenate([[0.0], radius_px, [np.inf]]))
    return np.flatnonzero((np.minimum(gap[:-1], gap[1:]) > clearance_px) & (radius_px < largest_px))


def find_points(
    image: NDArray[Any], is_good: NDArray[np.bool_], geometry: Any, two_theta: NDArray[np.float64], *, window_px: float
) -> RingPoints:
    """Find the rings of an image near where a geometry expects them.

    Parameters
    ----------
    image
        Counts, shape (n_rows, n_columns).
    is_good
        Pixels that can be used, same shape.
    geometry
        A pyFAI geometry.
    two_theta
        Angles of the rings to look for, shape (n_rings,), rad.
    window_px
        How far from the expected radius to look, pixels.
    """
    angle = np.asarray(geometry.center_array(image.shape, unit="2th_rad", scale=False))
    row_0, column_0 = beam_centre_px(geometry)
    found = []
    n_searched = np.zeros(two_theta.size, dtype=np.int64)
    for ring, wanted in enumerate(two_theta):
        slope = radians_per_pixel(geometry, wanted)
        row, column = np.nonzero((np.abs(angle - wanted) < window_px * slope) & is_good)
        offset = (angle[row, column] - wanted) / slope
        azimuth = np.arctan2(row - row_0, column - column_0)
        sector = np.minimum((azimuth / (2 * np.pi) + 0.5) * SECTORS, SECTORS - 1).astype(np.int64)
        n_searched[ring] = np.count_nonzero(np.bincount(sector, minlength=SECTORS) > ENOUGH)
        at = _fit_peaks(offset, image[row, column].astype(np.float64), sector, window_px)
        for here in np.flatnonzero(~np.isnan(at)):
            members = np.flatnonzero(sector == here)
            middle = (here + 0.5) / SECTORS * 2 * np.pi - np.pi
            # From the pixel that is nearest to the peak in the middle of the sector, the last fraction is straight.
            radius = np.hypot(row[members] - row_0, column[members] - column_0)
            distance = np.hypot(offset[members] - at[here], radius * (azimuth[members] - middle))
            nearest = members[np.argmin(distance)]
            step, direction = at[here] - offset[nearest], azimuth[nearest]
            found.append((ring, row[nearest] + step * np.sin(direction), column[nearest] + step * np.cos(direction), here))
    table = np.array(found, dtype=np.float64).reshape(-1, 4)
    index, sector = table[:, 0].astype(np.int64), table[:, 3].astype(np.int64)
    return RingPoints(ring=index, row=table[:, 1], column=table[:, 2], sector=sector, n_searched=n_searched)


def beam_centre_px(geometry: Any) -> tuple[float, float]:
    """Give row and column where the direct beam meets the detector, in coordinates where a whole number is a pixel's centre."""
    fit2d = geometry.getFit2D()
    return float(fit2d["centerY"]) - 0.5, float(fit2d["centerX"]) - 0.5


def radians_per_pixel(geometry: Any, two_theta: float) -> float:
    """Give the change of scattering angle over one pixel along the radius, rad: d(2 theta) = cos^2(2 theta) dr / L."""
    return float(np.cos(two_theta) ** 2 * geometry.pixel1 / geometry.dist)


def _fit_peaks(
    offset: NDArray[np.float64], counts: NDArray[np.float64], sector: NDArray[np.int64], window_px: float
) -> NDArray[np.float64]:
    """Fit a Gaussian on a straight background in every sector; give the centres, shape (SECTORS,), NaN where unclear."""
    height, centre, width, level, tilt = _first_guess(offset, counts, sector, window_px)
    weight = 1.0 / np.maximum(counts, 1.0)
    parameters = np.stack([height, centre, width, level, tilt])
    covariance = np.full((SECTORS, 5, 5), np.nan)
    for _ in range(STEPS):
        height, centre, width, level, tilt = (values[sector] for values in parameters)
        x = (offset - centre) / width
        bell = np.exp(-0.5 * x**2)
        jacobian = np.stack([bell, height * bell * x / width, height * bell * x**2 / width, np.ones_like(x), offset])
        residual = counts - height * bell - level - tilt * offset
        normal = np.empty((SECTORS, 5, 5))
        right = np.empty((SECTORS, 5))
        for i in range(5):
            right[:, i] = np.bincount(sector, weight * jacobian[i] * residual, SECTORS)
            for j in range(i + 1):
                normal[:, i, j] = normal[:, j, i] = np.bincount(sector, weight * jacobian[i] * jacobian[j], SECTORS)
        covariance = np.linalg.pinv(normal, hermitian=True)
        step = np.einsum("sij,sj->is", covariance, right)
        step[1] = np.clip(step[1], -1.0, 1.0)
        parameters = parameters + step
        parameters[2] = np.clip(parameters[2], 0.4, 0.5 * window_px)
    height, centre, width = parameters[:3]
    n_pixels = np.bincount(sector, minlength=SECTORS)
    is_clear = (height > 8.0 * np.sqrt(np.abs(covariance[:, 0, 0]))) & (np.abs(centre) < window_px - 2.0 * width)
    is_clear &= (np.abs(step[1]) < 0.01) & (n_pixels > ENOUGH) & (width < 0.4 * window_px)
    return np.where(is_clear & _has_both_sides(offset, centre, width, sector), centre, np.nan)


def _first_guess(
    offset: NDArray[np.float64], counts: NDArray[np.float64], sector: NDArray[np.int64], window_px: float
) -> tuple[NDArray[np.float64], ...]:
    """Put each sector's peak at the maximum of its profile in steps of half a pixel."""
    n_steps = int(4 * window_px)
    step = np.minimum(((offset + window_px) * 2.0).astype(np.int64), n_steps - 1)
    cell = sector * n_steps + step
    n_pixels = np.bincount(cell, minlength=SECTORS * n_steps).reshape(SECTORS, n_steps)
    total = np.bincount(cell, counts, SECTORS * n_steps).reshape(SECTORS, n_steps)
    profile = total / np.maximum(n_pixels, 1)
    level = np.array(
        [np.median(row[filled > 0]) if filled.any() else 0.0 for row, filled in zip(profile, n_pixels, strict=True)]
    )
    best = profile.argmax(axis=1)
    centre = (best + 0.5) / 2.0 - window_px
    return profile.max(axis=1) - level, centre, np.full(SECTORS, 1.0), level, np.zeros(SECTORS)


def _has_both_sides(
    offset: NDArray[np.float64], centre: NDArray[np.float64], width: NDArray[np.float64], sector: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which sectors have pixels on both flanks: a gap through a peak moves its fitted centre."""
    x = (offset - centre[sector]) / width[sector]
    inner = np.bincount(sector[(x > -2.0) & (x < 0.0)], minlength=SECTORS)
    outer = np.bincount(sector[(x > 0.0) & (x < 2.0)], minlength=SECTORS)
    return np.asarray((np.minimum(inner, outer) > 0.6 * np.maximum(inner, outer)) & (np.minimum(inner, outer) >= 6))
