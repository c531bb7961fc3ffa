"""Where to begin: the beam's place and the distance from the rings alone, for a detector that may stand centimetres off.

Rings are symmetric about the beam, so an image convolved with itself peaks at twice the beam's place, wherever that is. About
it the azimuthal mean shows the rings as peaks over the radius, and one distance puts the calibrant's rings on them. Both hold
to about a pixel, which is where :func:`streaming.calibrate.rings.find_points` takes over; tilts stay those of the start.
"""

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter

from operando.errors import CalibrationError
from streaming.calibrate.rings import beam_centre_px

Array = NDArray[np.float64]

DISTANCES = (0.6, 1.6)
"""Range of distances that are tried, as parts of the start's."""
_STEP = 5e-4
"""From one distance to the next: 0.4 pixels at a radius of 800."""
_REACH = 0.35
"""How far from the start's the beam is sought, as a part of the detector's longer edge."""
_LEAST_MATCH = 0.25
"""Correlation of the rings expected with those seen; on frames of calibrants it is 0.5 to 0.9, on others below 0.2."""
_RING_PX = 1.5
"""Standard deviation of a ring in the comparison: what a centre that is off by a pixel leaves."""


def find_start(image: NDArray[Any], is_good: NDArray[np.bool_], nominal: Any, two_theta: Array) -> Any:
    """Give a copy of a geometry with beam and distance where an image has its rings.

    Parameters
    ----------
    image
        Counts, shape (n_rows, n_columns).
    is_good
        Pixels that can be used, same shape.
    nominal
        A pyFAI geometry; its tilts and pixels are kept.
    two_theta
        Angles of all rings of the calibrant, ascending, shape (n_rings,), rad.

    Raises
    ------
    CalibrationError
        If no distance makes the calibrant's rings those of the image.
    """
    row, column = find_centre(image, is_good, near=beam_centre_px(nominal))
    moved = _moved(nominal, row=row, column=column, distance_m=float(nominal.dist))
    angle = np.asarray(moved.center_array(image.shape, unit="2th_rad", scale=False))
    radius_px = moved.dist * np.tan(np.minimum(angle, 1.5)) / moved.pixel1
    profile = _rings_over_radius(image, is_good, radius_px)
    scales = np.arange(DISTANCES[0], DISTANCES[1], _STEP)
    matches = np.array(
        [_match(profile, scale * moved.dist * np.tan(np.minimum(two_theta, 1.5)) / moved.pixel1) for scale in scales]
    )
    best = int(matches.argmax())
    if matches[best] < _LEAST_MATCH:
        raise CalibrationError(
            f"no distance from {1e3 * scales[0] * nominal.dist:.0f} to {1e3 * scales[-1] * nominal.dist:.0f} mm puts the "
            f"rings of the calibrant on those of the image (best agreement {matches[best]:.2f}, wanted {_LEAST_MATCH}): check "
            "calibrant, energy and exposure, and that the beam lies on or near the detector"
        )
    return _moved(nominal, row=row, column=column, distance_m=float(scales[best] * nominal.dist))


def find_centre(image: NDArray[Any], is_good: NDArray[np.bool_], *, near: tuple[float, float]) -> tuple[float, float]:
    """Give row and column of the centre of symmetry of an image's sharp features, to about a pixel.

    Parameters
    ----------
    image
        Counts, shape (n_rows, n_columns).
    is_good
        Pixels that can be used, same shape.
    near
        Row and column about which it is sought.
    """
    sharp = _sharp(image, is_good).astype(np.float32)
    shape = [scipy.fft.next_fast_len(2 * n, real=True) for n in sharp.shape]
    spectrum = scipy.fft.rfft2(sharp, s=shape)
    of_pixels = scipy.fft.rfft2((sharp != 0).astype(np.float32), s=shape)
    overlap = scipy.fft.irfft2(of_pixels**2, s=shape)
    # The sum of n products of noise grows as the root of n: so divided, a peak stands as far above it wherever it lies.
    symmetry = scipy.fft.irfft2(spectrum**2, s=shape) / np.sqrt(np.maximum(overlap, 0.05 * overlap.max()))
    rows, columns = (0.5 * np.arange(n)[: 2 * edge - 1] for n, edge in zip(shape, sharp.shape, strict=True))
    symmetry = symmetry[: rows.size, : columns.size]
    reach = _REACH * max(image.shape)
    is_near = np.hypot(rows[:, None] - near[0], columns[None, :] - near[1]) < reach
    best = np.unravel_index(np.where(is_near, symmetry, -np.inf).argmax(), symmetry.shape)
    return float(rows[best[0]]), float(columns[best[1]])


def _sharp(image: NDArray[Any], is_good: NDArray[np.bool_]) -> Array:
    """Give what is narrower than some 15 pixels, in units of its noise and clipped, so that no spot outweighs a ring."""
    counts = np.where(is_good, image, 0).astype(np.float64)
    pixels = uniform_filter(is_good.astype(np.float64), 15)
    level = uniform_filter(counts, 15) / np.maximum(pixels, 1e-3)
    deviation = np.clip((counts - level) / np.sqrt(np.maximum(level, 0.1)), -2.0, 6.0)
    is_used = is_good & (pixels > 0.5)
    return np.where(is_used, deviation - deviation[is_used].mean(), 0.0) if is_used.any() else np.zeros(image.shape)


def _rings_over_radius(image: NDArray[Any], is_good: NDArray[np.bool_], radius_px: Array) -> Array:
    """Give the height of the rings above what lies under them for each pixel of radius, from 0 on, compressed by a root."""
    at = radius_px[is_good].astype(np.int64)
    n_pixels = np.bincount(at)
    mean = np.bincount(at, image[is_good]) / np.maximum(n_pixels, 1)
    is_seen = n_pixels > 0.05 * 2 * np.pi * np.arange(n_pixels.size)
    height = mean - median_filter(mean, 41)
    noise = 1.4826 * np.median(np.abs(height[is_seen])) if is_seen.any() else 1.0
    rings = np.sqrt(np.clip(height / max(noise, 1e-12), 0.0, 1e4))
    return np.where(is_seen, rings, np.nan)


def _match(profile: Array, radius_px: Array) -> float:
    """Give the correlation of a profile with rings of equal height at these radii."""
    radius = np.arange(profile.size) + 0.5
    inside = radius_px[radius_px < profile.size + 5.0]
    if inside.size < 3:
        return 0.0
    nearest = inside[np.clip(np.searchsorted(0.5 * (inside[1:] + inside[:-1]), radius), 0, inside.size - 1)]
    comb = np.exp(-0.5 * ((radius - nearest) / _RING_PX) ** 2)
    seen = np.isfinite(profile)
    found: float = np.corrcoef(profile[seen], comb[seen])[0, 1]
    return found if np.isfinite(found) else 0.0


def _moved(geometry: Any, *, row: float, column: float, distance_m: float) -> Any:
    """Give a copy with the beam at a place of the detector and at another distance."""
    moved = geometry.__copy__()
    for _ in range(2):
        values = np.array(moved.param)
        values[0] = distance_m
        moved.set_param(values)
        row_now, column_now = beam_centre_px(moved)
        values[1] += (row - row_now) * moved.pixel1
        values[2] += (column - column_now) * moved.pixel2
        moved.set_param(values)
    return moved
