"""The shape of a reflection: receives the instrument and the sample's broadening, gives the part of a peak below any offset.

Peaks are pseudo-Voigt functions. From the parts below the edges of the bins the mean over each bin is had exactly, however
narrow the peak is. Where the sample is deep along the beam, a peak is drawn over the distribution of its depths.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]


class PeakShape(Protocol):
    """Gives the cumulative profile of a reflection; called when a model is made, from any thread."""

    def below(self, offset_deg: Array, two_theta_deg: float, *, width: float) -> Array:
        """Give the part of a peak at ``two_theta_deg`` below these offsets from its centre, 0 to 1, of the offsets' shape.

        ``width`` multiplies the full width at half maximum of the shape, 1 leaves it.
        """
        ...

    def fwhm_deg(self, two_theta_deg: float) -> float:
        """Give the full width at half maximum."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantShape:
    """One width and one mixture at every angle."""

    width_deg: float
    lorentz_fraction: float = 0.0

    def fwhm_deg(self, two_theta_deg: float) -> float:
        """Give the width."""
        return self.width_deg

    def below(self, offset_deg: Array, two_theta_deg: float, *, width: float) -> Array:
        """Give the part of a peak below these offsets."""
        return pseudo_voigt_below(offset_deg, fwhm_deg=width * self.width_deg, lorentz_fraction=self.lorentz_fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentShape:
    """The profile function of Thompson, Cox and Hastings (J. Appl. Cryst. 20 (1987) 79), widths in degrees of two theta.

    Gaussian part: fwhm^2 = u tan^2(theta) + v tan(theta) + w (Caglioti). Lorentzian: x tan(theta) + y / cos(theta).
    """

    u: float = 0.0
    v: float = 0.0
    w: float
    x: float = 0.0
    y: float = 0.0

    def fwhm_deg(self, two_theta_deg: float) -> float:
        """Give the width of the mixture, eq. 5 of the paper's appendix."""
        return self._mixture(two_theta_deg)[0]

    def below(self, offset_deg: Array, two_theta_deg: float, *, width: float) -> Array:
        """Give the part of a peak below these offsets."""
        fwhm, fraction = self._mixture(two_theta_deg)
        return pseudo_voigt_below(offset_deg, fwhm_deg=width * fwhm, lorentz_fraction=fraction)

    def _mixture(self, two_theta_deg: float) -> tuple[float, float]:
        theta = np.deg2rad(two_theta_deg / 2)
        gauss = float(np.sqrt(max(self.u * np.tan(theta) ** 2 + self.v * np.tan(theta) + self.w, 1e-12)))
        lorentz = float(max(self.x * np.tan(theta) + self.y / np.cos(theta), 0.0))
        terms = (1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0)
        fwhm = sum(factor * gauss ** (5 - k) * lorentz**k for k, factor in enumerate(terms)) ** 0.2
        ratio = lorentz / fwhm
        return fwhm, 1.36603 * ratio - 0.47719 * ratio**2 + 0.11116 * ratio**3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpreadShape:
    """A shape drawn over a distribution of depths along the beam: what parallax leaves of it in a large sample."""

    shape: PeakShape
    relative_shift: Array
    """Shift of two theta over tan(two theta), shape (n,): -z / L of matter that is z downstream, distance L (PHYSICS 2.1)."""
    weight: Array
    """Part of the matter with each shift, shape (n,), sum 1."""

    def fwhm_deg(self, two_theta_deg: float) -> float:
        """Give a width that the spread peak is not wider than by much: that of shape and spread in squares."""
        mean = float(self.weight @ self.relative_shift)
        spread = float(np.sqrt(self.weight @ (self.relative_shift - mean) ** 2))
        shift_deg = np.rad2deg(np.tan(np.deg2rad(two_theta_deg)) * spread)
        return float(np.hypot(self.shape.fwhm_deg(two_theta_deg), 2.355 * shift_deg))

    def below(self, offset_deg: Array, two_theta_deg: float, *, width: float) -> Array:
        """Give the part of a peak below these offsets."""
        shift_deg = np.rad2deg(np.tan(np.deg2rad(two_theta_deg)) * self.relative_shift)
        parts = [self.shape.below(offset_deg - shift, two_theta_deg, width=width) for shift in shift_deg]
        total: Array = np.tensordot(self.weight, np.array(parts), axes=1)
        return total


def pseudo_voigt_below(offset_deg: Array, *, fwhm_deg: float, lorentz_fraction: float) -> Array:
    """Give the integral of a pseudo-Voigt function of unit area from minus infinity to each offset."""
    gauss = 0.5 * (1 + erf(2 * np.sqrt(np.log(2)) * offset_deg / fwhm_deg))
    lorentz = 0.5 + np.arctan(2 * offset_deg / fwhm_deg) / np.pi
    below: Array = (1 - lorentz_fraction) * gauss + lorentz_fraction * lorentz
    return below
