"""The geometry that puts found ring points on their rings: five parameters by robust least squares."""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from streaming.calibrate.rings import RingPoints, radians_per_pixel

STEP_SCALE = np.array([1e-2, 1e-3, 1e-3, 1e-2, 1e-2])
"""Typical changes of distance, poni1, poni2 (m) and rot1, rot2 (rad), which condition the least squares."""


def residuals_px(geometry: Any, points: RingPoints, two_theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how far outside its ring every point lies along the radius, shape (n_points,), pixels.

    Parameters
    ----------
    geometry
        A pyFAI geometry.
    points
        Points on rings.
    two_theta
        Angles of the rings, shape (n_rings,), rad.
    """
    return _residuals_px(geometry, np.asarray(geometry.param), points, two_theta)


def fit_geometry(
    start: Any, points: RingPoints, two_theta: NDArray[np.float64], *, free: int = 5
) -> tuple[Any, NDArray[np.float64]]:
    """Fit distance, poni1, poni2, rot1 and rot2; rot3 turns rings into themselves and stays, and so does the wavelength.

    Parameters
    ----------
    start
        A pyFAI geometry; it is not changed.
    points
        Points on rings.
    two_theta
        Angles of the rings, shape (n_rings,), rad.
    free
        How many of the five, in this order, to free: three leave the tilt alone.

    Returns
    -------
    tuple
        The fitted geometry, and the standard uncertainties of the free parameters, shape (free,), m and rad.
    """
    held = np.array(start.param, dtype=np.float64)

    def misfit(change: NDArray[np.float64]) -> NDArray[np.float64]:
        parameters = held.copy()
        parameters[:free] += change * STEP_SCALE[:free]
        return _residuals_px(start, parameters, points, two_theta)

    # Module shifts of a few tenths of a pixel are noise; what lies beyond half a pixel pulls linearly, not quadratically.
    found = least_squares(misfit, np.zeros(free), loss="soft_l1", f_scale=0.5, x_scale="jac")
    fitted = deepcopy(start)
    values = held.copy()
    values[:free] += found.x * STEP_SCALE[:free]
    fitted.set_param(values)
    scatter = 2.0 * found.cost / max(points.size - free, 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * scatter
    return fitted, np.sqrt(np.diag(covariance)) * STEP_SCALE[:free]


def _residuals_px(
    geometry: Any, parameters: NDArray[np.float64], points: RingPoints, two_theta: NDArray[np.float64]
) -> NDArray[np.float64]:
    # pyFAI counts from a pixel's corner here: its centre is at one half, which tth adds by itself.
    angle = geometry.tth(points.row, points.column, param=parameters)
    slope = np.array([radians_per_pixel(geometry, wanted) for wanted in two_theta])
    return np.asarray((angle - two_theta[points.ring]) / slope[points.ring])
