"""Whether the rings of a pin are where the geometry says: receives lines with sectors of azimuth, gives how far they are off.

A ring that is displaced by d has, in the direction eta, its radius changed by d cos(eta - eta_d), and by as much the other way
on the opposite side. Opposite azimuths share a sector, which sees both, d |cos(eta - eta_d)| to either side: there the variance
of the reflection goes as 1 + cos(2 (eta - eta_d)). One that is only wider than was thought is so in every sector alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.line import Line

WINDOW = 0.09
"""Of q, to either side of the reflection: nearer than any other stands (:data:`streaming.findings.ALONE`)."""

LEAST_SECTORS = 5
LEAST = 0.25
"""Of the variance of the reflection, by which it must swing over the sectors: more than tilts that are not quite right make."""

SURE = 3.0
UNEVEN = 4.0
"""Times the least variance of a sector that the greatest must be: rings far off swing in no simple way."""

FAINT = 0.2
"""A sector whose reflection is weaker than this part of the strongest shows too little of it."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Smear:
    """How far rings are off, in the plane of the detector."""

    displacement_mm: float
    """About, or more where it is not small beside the distance to the next ring."""
    direction_deg: float
    """From the projected rotation axis, 0 to 180."""
    is_displaced: bool
    """Whether that is certain, and more than a calibration leaves."""


def find_smear(lines: Sequence[Line], *, q: float, fwhm_q: float, mm_per_q: float) -> Smear | None:
    """Give how far the rings are off; None where no sectors were kept or too few show the reflection.

    Parameters
    ----------
    q, fwhm_q
        Reflection and its width, 1/angstrom.
    mm_per_q
        How much the radius grows with q at the reflection.
    """
    curves = [curve for line in lines if (curve := _pin_in_sectors(line, q=q)) is not None]
    if not curves:
        return None
    curve = np.sum(curves, axis=0)
    near = lines[0].q[_near(lines[0].q, q)]
    top = curve.max(axis=1)
    is_seen = top > FAINT * top.max()
    if is_seen.sum() < LEAST_SECTORS:
        return None
    kept = np.where(curve > 0.1 * top[:, np.newaxis], curve, 0.0)[is_seen]
    centre = float(kept.sum(axis=0) @ near / kept.sum())
    variance = kept @ (near - centre) ** 2 / kept.sum(axis=1)
    eta = np.deg2rad((np.flatnonzero(is_seen) + 0.5) * 180.0 / len(top))
    design = np.column_stack([np.ones(eta.size), np.cos(2 * eta), np.sin(2 * eta)])
    fitted = np.linalg.lstsq(design, variance)[0]
    residual = variance - design @ fitted
    scatter = float(residual @ residual) / max(1, eta.size - 3)
    sigma = float(np.sqrt(scatter * np.linalg.pinv(design.T @ design).diagonal()[1:].max()))
    swing = float(np.hypot(fitted[1], fitted[2]))
    return Smear(
        displacement_mm=float(np.sqrt(2 * swing)) * mm_per_q,
        direction_deg=float(np.rad2deg(0.5 * np.arctan2(fitted[2], fitted[1])) % 180.0),
        is_displaced=bool(
            swing > LEAST * (fwhm_q / np.sqrt(8 * np.log(2))) ** 2
            and (swing > SURE * sigma or variance.max() > UNEVEN * variance.min())
        ),
    )


def _near(q: Array, centre: float) -> NDArray[np.bool_]:
    return np.abs(q - centre) < WINDOW * centre


def _pin_in_sectors(line: Line, *, q: float) -> Array | None:
    """Give the reflection in each sector, shape (n_sectors, n_near), from the points in the pin; None where none is."""
    if line.cake is None:
        return None
    cake = np.nan_to_num(line.cake[line.is_received][..., _near(line.q, q)].astype(np.float64))
    if len(cake) < 3:
        return None
    excess = cake - np.median(cake, axis=0)
    # Smeared over most sectors, the reflection stands out in those along which it is not displaced.
    strength = excess.max(axis=2).max(axis=1)
    noise = 1.4826 * float(np.median(np.abs(strength - np.median(strength)))) + 1e-12
    is_pin = strength > np.median(strength) + max(8 * noise, 0.2 * float(strength.max() - np.median(strength)))
    if not is_pin.any() or is_pin.all():
        return None
    curve: Array = cake[is_pin].sum(axis=0) - is_pin.sum() * cake[~is_pin].mean(axis=0)
    return curve
