"""What the rings say of the photon energy: nearly nothing that the distance could not say as well, and how much that is.

A ring of spacing d has the radius L tan(2 arcsin(lambda / 2 d)): to first order L and lambda enter as their product. Only the
curvature of tan and arcsin at large angles tells them apart, so a fit of both has a correlation of nearly one and an
uncertainty of the energy that says what an error of the energy must exceed to be seen here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from streaming.calibrate.fit import STEP_SCALE
from streaming.calibrate.rings import RingPoints
from streaming.integrate.geometry import HC_KEV_ANGSTROM

Array = NDArray[np.float64]

_SCALE = np.append(STEP_SCALE, 1e-2)
"""Typical changes of the five parameters and of the wavelength as a part of itself."""
LEAST_SIGMA = 5e-4
"""Part of the energy below which no uncertainty is believed: a detector's flatness and spacings are not known better."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnergyFit:
    """Energy and geometry fitted together."""

    energy_kev: float
    sigma_kev: float
    """Standard uncertainty, from the scatter between rings."""
    correlation: float
    """Of distance and energy, -1 to 1."""
    distance_sigma_mm: float
    """What the uncertainty of the energy makes of the distance's."""
    geometry: Any
    """The pyFAI geometry with the fitted wavelength."""
    sigmas: Array
    """Standard uncertainties of distance, poni1, poni2 (m), rot1 and rot2 (rad), shape (5,)."""


def fit_energy(start: Any, points: RingPoints, spacings: Array) -> EnergyFit:
    """Fit the energy together with distance, poni1, poni2, rot1 and rot2.

    Parameters
    ----------
    start
        A pyFAI geometry that fits at its own wavelength; it is not changed.
    points
        Points on rings.
    spacings
        Lattice spacing of each ring, shape (n_rings,), angstrom.
    """
    held, wavelength = np.array(start.param, dtype=np.float64), float(start.wavelength) * 1e10

    def misfit(change: Array) -> Array:
        parameters = held.copy()
        parameters[:5] += change[:5] * _SCALE[:5]
        two_theta = 2.0 * np.arcsin(0.5 * wavelength * (1.0 + change[5] * _SCALE[5]) / spacings)
        # Pixels at the distance that is tried: at a fixed one, all residuals would shrink as energy and distance grow together.
        slope = np.cos(two_theta) ** 2 * start.pixel1 / parameters[0]
        angle = start.tth(points.row, points.column, param=parameters)
        residual: Array = (angle - two_theta[points.ring]) / slope[points.ring]
        return residual

    found = least_squares(misfit, np.zeros(6), loss="soft_l1", f_scale=0.5, x_scale="jac")
    covariance = _covariance_between_rings(found.jac, found.fun, points.ring) * np.outer(_SCALE, _SCALE)
    fitted = start.__copy__()
    values = held.copy()
    values[:5] += found.x[:5] * _SCALE[:5]
    fitted.set_param(values)
    fitted.wavelength = start.wavelength * (1.0 + found.x[5] * _SCALE[5])
    energy_kev = HC_KEV_ANGSTROM / (float(fitted.wavelength) * 1e10)
    relative = max(float(np.sqrt(covariance[5, 5])), LEAST_SIGMA)
    # Where nothing but their product is known, energy and distance grow together.
    plain = np.linalg.pinv(found.jac.T @ found.jac)
    return EnergyFit(
        energy_kev=energy_kev,
        sigma_kev=relative * energy_kev,
        correlation=float(-plain[0, 5] / np.sqrt(plain[0, 0] * plain[5, 5])),
        distance_sigma_mm=1e3 * float(np.sqrt(covariance[0, 0])),
        geometry=fitted,
        sigmas=np.sqrt(np.diag(covariance)[:5]),
    )


def _covariance_between_rings(jacobian: Array, residual: Array, ring: NDArray[np.int64]) -> Array:
    """Give the covariance of a fit whose residuals are alike along a ring: the sandwich of White, clustered by ring.

    H. White, Econometrica 48 (1980) 817; points of one ring share its deviation, so that they do not count as many.
    """
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    scores = np.array([jacobian[ring == one].T @ residual[ring == one] for one in np.unique(ring)])
    n_rings = scores.shape[0]
    covariance: Array = bread @ (scores.T @ scores) @ bread * n_rings / max(n_rings - 6, 1)
    return covariance
