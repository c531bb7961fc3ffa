"""Lithiation: receives phase amounts, gives weight fractions and x in LixC6, each with its uncertainty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.amounts import Amounts

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantity:
    """Values with their standard uncertainty, of one shape; NaN where undefined."""

    value: Array
    sigma: Array


def total_amount(amounts: Amounts) -> Quantity:
    """Give the sum of all phases, shape (...)."""
    ones = np.ones(amounts.n_phases)
    return Quantity(value=amounts.phases.sum(axis=-1), sigma=amounts.sigma(ones))


def weight_fractions(amounts: Amounts) -> Quantity:
    """Give the part of each phase in the mass of all, 0 to 1, shape (..., n_phases).

    Linear propagation of the amounts' covariance: df_k / da_j = (delta_kj - f_k) / sum(a).
    """
    total = _nan_where_zero(amounts.phases.sum(axis=-1))[..., None]
    fraction = amounts.phases / total
    gradient = (np.eye(amounts.n_phases) - fraction[..., :, None]) / total[..., None]
    sigma = np.stack([amounts.sigma(gradient[..., k, :]) for k in range(amounts.n_phases)], axis=-1)
    return Quantity(value=fraction, sigma=sigma)


def carbon_amount(amounts: Amounts, *, mass_per_c6_dalton: Array) -> Quantity:
    """Give the amount of C6 units of the graphite phases, shape (...).

    ``mass_per_c6_dalton`` has one value per phase, NaN for those that are not graphite.
    """
    per_mass = np.where(np.isnan(mass_per_c6_dalton), 0.0, 1.0 / mass_per_c6_dalton)
    return Quantity(value=amounts.phases @ per_mass, sigma=amounts.sigma(per_mass))


def lithium_in_graphite(
    amounts: Amounts, *, lithium_x: Array, mass_per_c6_dalton: Array, lithium_x_variance: Array | None = None
) -> Quantity:
    """Give x in LixC6: the mean of the phases' x, weighted by their C6 units, shape (...).

    x = sum(n_i x_i) / sum(n_i), n_i = a_i / M_i; linear propagation with dx / da_i = (x_i - x) / (M_i sum(n)).

    Parameters
    ----------
    amounts
        As fitted.
    lithium_x
        x of each phase, shape (n_phases,) or (..., n_phases); NaN for those that are not graphite.
    mass_per_c6_dalton
        Shape (n_phases,), NaN for those that are not graphite.
    lithium_x_variance
        Variance of ``lithium_x`` where it was measured, same shape.
    """
    is_graphite = ~np.isnan(mass_per_c6_dalton)
    per_mass = np.where(is_graphite, 1.0 / mass_per_c6_dalton, 0.0)
    x_of_phase = np.where(is_graphite, lithium_x, 0.0)
    carbon = _nan_where_zero(amounts.phases @ per_mass)
    value: Array = (amounts.phases * (per_mass * x_of_phase)).sum(axis=-1) / carbon
    gradient = per_mass * (x_of_phase - value[..., None]) / carbon[..., None]
    sigma = amounts.sigma(gradient)
    if lithium_x_variance is not None:
        share = amounts.phases * per_mass / carbon[..., None]
        sigma = np.sqrt(sigma**2 + (share**2 * np.where(is_graphite, lithium_x_variance, 0.0)).sum(axis=-1))
    return Quantity(value=value, sigma=sigma)


def _nan_where_zero(values: Array) -> Array:
    return np.where(values > 0, values, np.nan)
