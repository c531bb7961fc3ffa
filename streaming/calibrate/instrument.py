"""The instrument's profile from the standard: receives its frame and the calibrated geometry, gives widths against angle.

Each ring that is seen nearly whole is drawn as a profile over two theta, in bins of a tenth of a pixel, and fitted by
a pseudo-Voigt function on a straight line. Width and mixture give a Gaussian and a Lorentzian part (P. Thompson, D. E. Cox and
J. B. Hastings, J. Appl. Cryst. 20 (1987) 79, eqs. 4 and 5 of the appendix), and these the coefficients that the full profile
begins with. The standard's own crystallites and the size of its capillary are in them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit, nnls

from operando.errors import CalibrationError
from streaming.calibrate.result import CalibrationResult

Array = NDArray[np.float64]

HALF_WINDOW = 4.0
"""Pixels to either side of a ring that are fitted."""
BIN = 0.1
"""Of a pixel: the bins of a ring's profile; a hundredth of a typical width in squares."""
LEAST_RINGS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstrumentProfile:
    """Widths of the rings and what they follow, degrees of two theta."""

    two_theta_deg: Array
    fwhm_deg: Array
    lorentz_fraction: Array
    u: float
    v: float
    w: float
    x: float
    y: float

    def words(self) -> str:
        """Give the section of a profile that the full profile reads."""
        rows = [f"{name} = {getattr(self, name):.4g}" for name in ("u", "v", "w", "x", "y")]
        widths = ", ".join(
            f"{width:.4f} at {angle:.1f}" for angle, width in zip(self.two_theta_deg, self.fwhm_deg, strict=True)
        )
        return "\n".join(["[refinement.instrument]", f"# full widths of the rings, degrees: {widths}", *rows])


def instrument_profile(image: NDArray[Any], result: CalibrationResult, *, mask: NDArray[np.bool_]) -> InstrumentProfile:
    """Fit the rings of a calibrated frame.

    Raises
    ------
    CalibrationError
        If too few rings are nearly whole, or their widths follow no such profile.
    """
    geometry = result.geometry
    two_theta = np.asarray(geometry.array_from_unit(image.shape, "center", "2th_rad"), dtype=np.float64)
    usable = ~mask & np.isfinite(image) & (image >= 0)
    if np.issubdtype(image.dtype, np.integer):
        usable &= image < np.iinfo(image.dtype).max
    angles = [np.deg2rad(ring.two_theta_deg) for ring in result.rings if ring.role != "partial"]
    found = [fit for angle in angles if (fit := _fit_ring(image, usable, two_theta, angle, geometry)) is not None]
    if len(found) < LEAST_RINGS:
        raise CalibrationError(f"{len(found)} rings have a profile that can be fitted, wanted {LEAST_RINGS}: expose longer")
    table = np.array(found)
    return _coefficients(table[:, 0], table[:, 1], np.clip(table[:, 2], 0, 1))


def pseudo_voigt(offset: Array, area: float, centre: float, fwhm: float, eta: float, level: float, slope: float) -> Array:
    """Give a pseudo-Voigt function of unit area on a straight line."""
    away = (offset - centre) / fwhm
    gauss = np.sqrt(4 * np.log(2) / np.pi) / fwhm * np.exp(-4 * np.log(2) * away**2)
    lorentz = 2 / (np.pi * fwhm) / (1 + 4 * away**2)
    return np.asarray(area * ((1 - eta) * gauss + eta * lorentz) + level + slope * offset)


def _fit_ring(
    image: NDArray[Any], usable: NDArray[np.bool_], two_theta: Array, angle: float, geometry: Any
) -> tuple[float, float, float] | None:
    """Give angle, full width (degrees) and mixture of a ring; None where it cannot be fitted."""
    pixel_rad = geometry.pixel1 / geometry.dist * np.cos(angle) ** 2
    near = usable & (np.abs(two_theta - angle) < HALF_WINDOW * pixel_rad)
    offset = (two_theta[near] - angle) / pixel_rad
    place = np.floor((offset + HALF_WINDOW) / BIN).astype(np.intp)
    n_bins = round(2 * HALF_WINDOW / BIN)
    place = np.clip(place, 0, n_bins - 1)
    pixels = np.bincount(place, minlength=n_bins)
    counts = np.bincount(place, weights=image[near].astype(np.float64), minlength=n_bins)
    seen = pixels > 0
    if seen.sum() < 0.8 * n_bins:
        return None
    middle = -HALF_WINDOW + BIN * (np.arange(n_bins)[seen] + 0.5)
    height = counts[seen] / pixels[seen]
    sigma = np.sqrt(np.maximum(counts[seen], 1.0)) / pixels[seen]
    base = float(np.percentile(height, 10))
    start = (max(float((height - base).sum()) * BIN, 1e-9), 0.0, 2.0, 0.3, base, 0.0)
    bounds = ([0, -2, 0.3, 0, 0, -np.inf], [np.inf, 2, 2 * HALF_WINDOW, 1, np.inf, np.inf])
    try:
        values, _ = curve_fit(pseudo_voigt, middle, height, p0=start, sigma=sigma, bounds=bounds)
    except RuntimeError:
        return None
    return float(np.rad2deg(angle)), float(np.rad2deg(values[2] * pixel_rad)), float(values[3])


def _coefficients(angle_deg: Array, fwhm_deg: Array, eta: Array) -> InstrumentProfile:
    theta = np.deg2rad(angle_deg) / 2
    gauss = fwhm_deg * np.sqrt(np.maximum(1 - 0.74417 * eta - 0.24781 * eta**2 - 0.00810 * eta**3, 0.0))
    lorentz = fwhm_deg * (0.72928 * eta + 0.19289 * eta**2 + 0.07783 * eta**3)
    tangent = np.tan(theta)
    u, v, w = np.linalg.lstsq(np.column_stack([tangent**2, tangent, np.ones_like(theta)]), gauss**2)[0]
    (x, y), _ = nnls(np.column_stack([tangent, 1 / np.cos(theta)]), lorentz)
    lowest = np.min(u * tangent**2 + v * tangent + w)
    if not (lowest > 0 and w > 0):
        raise CalibrationError(
            f"the rings' widths, {fwhm_deg.min():.4f} to {fwhm_deg.max():.4f} degrees, follow no Caglioti function: give "
            "refinement.instrument by hand"
        )
    return InstrumentProfile(
        two_theta_deg=angle_deg,
        fwhm_deg=fwhm_deg,
        lorentz_fraction=eta,
        u=float(u),
        v=float(v),
        w=float(w),
        x=float(x),
        y=float(y),
    )
