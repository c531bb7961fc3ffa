"""Phase amounts: receives reconstructed channels, gives the amount of each phase in each voxel with its uncertainty.

Amounts are mass densities in one unknown unit common to all phases, see :mod:`streaming.phases`.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from streaming.channels import LiveChannels
from streaming.least_squares import fit_non_negative

Array = NDArray[np.float64]

_HALF_NORMAL = float(np.sqrt(1 - 2 / np.pi))
"""Standard deviation of the positive half of a normal distribution of standard deviation 1: 0.603."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Amounts:
    """Fitted amounts of some voxels or patterns."""

    values: Array
    """Amount of each template, shape (..., n_templates): phases first, then background."""
    covariance: Array
    """Covariance of the phases' amounts, shape (..., n_phases, n_phases)."""
    is_solved: NDArray[np.bool_]
    """Shape (...)."""
    response: Array
    """Change of each phase's amount with each channel where nothing is held at zero, shape (n_phases, n_templates)."""
    scatter: Array | None = None
    """Covariance of the phases' amounts as data that were taken twice show it, shaped as ``covariance``; None if not known."""

    @property
    def n_phases(self) -> int:
        """Number of phases."""
        return int(self.covariance.shape[-1])

    @property
    def phases(self) -> Array:
        """Amount of each phase, shape (..., n_phases)."""
        return self.values[..., : self.n_phases]

    def sigma(self, gradient: Array) -> Array:
        """Give the standard uncertainty of a quantity from its gradient by the phases' amounts, shape (..., n_phases).

        The larger one counts of what is predicted and what was seen: the prediction lacks streaks, and what was seen is itself
        uncertain by a third.
        """
        variance = np.einsum("...i,...ij,...j->...", gradient, self.covariance, gradient)
        if self.scatter is not None:
            variance = np.maximum(variance, np.einsum("...i,...ij,...j->...", gradient, self.scatter, gradient))
        sigma: Array = np.sqrt(np.maximum(variance, 0.0))
        return sigma


def fit_amounts(channels: Array, noise: Array, *, live: LiveChannels, mean_variance: Array) -> Amounts:
    """Fit non-negative amounts to channels.

    The covariance is that of the unconstrained fit of all phases and of those background functions that the fit uses in most
    voxels: with M = (A^T W A)^-1 of these columns it is M C M, C being the covariance of the channels. A phase that the
    constraint holds at zero is known to be no less: its deviations are scaled by that of a half-normal distribution. Where a
    phase is truly absent, amounts that overlap with it are better known than this says: 68 % intervals then hold some 80 %.

    Parameters
    ----------
    channels
        Shape (..., n_templates); those of patterns, or reconstructed.
    noise
        Effective variance of each, shape (...).
    live
        The channels' definition.
    mean_variance
        Typical variance of each bin, shape (n_radial,): the covariance of channels follows its course.
    """
    shape, n_templates = channels.shape[:-1], channels.shape[-1]
    gram, scale = _normalised(live.gram)
    rows = np.ascontiguousarray(channels.reshape(-1, n_templates) / scale)
    amounts = np.zeros_like(rows)
    is_passive, is_solved = np.zeros(rows.shape, dtype=np.bool_), np.zeros(rows.shape[0], dtype=np.bool_)
    fit_non_negative(gram, rows, amounts, is_passive, is_solved)
    n_phases = live.model.n_phases
    response = _response(live, is_passive[is_solved])
    unit = response @ live.unit_covariance(mean_variance) @ response.T
    deviation = np.where(is_passive[:, :n_phases], 1.0, _HALF_NORMAL).reshape(*shape, n_phases)
    return Amounts(
        values=(amounts / scale).reshape(*shape, n_templates),
        covariance=noise[..., None, None] * unit * deviation[..., :, None] * deviation[..., None, :],
        is_solved=is_solved.reshape(shape),
        response=response,
    )


def add_misfit(amounts: Amounts, *, residual: Array, mean_mass: float, live: LiveChannels) -> Amounts:
    """Add to the covariance what the misfit of the mean pattern says of the templates.

    Where the mean pattern differs from its fit by more than noise, templates or background are wrong, in every voxel in
    proportion to its mass. The residual r is taken for a random error that is correlated over L bins (its autocorrelation,
    summed to the first zero): the covariance is M A^T W diag(L r^2) W A M, as for errors of unknown variance (White,
    Econometrica 48 (1980) 817). It does not see an error that the templates can imitate, such as a wrong structure factor of a
    phase's only reflection.

    Parameters
    ----------
    amounts
        As fitted.
    residual
        Mean pattern minus its fit, shape (n_radial,); NaN where no pixel is.
    mean_mass
        Mean mass along the beam of the patterns that were averaged, in the unit of the amounts times mm.
    live
        The channels' definition.
    """
    if not mean_mass > 0:
        return amounts
    n_phases = amounts.n_phases
    error = np.where(live.weights > 0, residual, 0.0)
    weighted = live.weights[:, None] * live.model.templates
    inverse = np.linalg.pinv(live.gram, hermitian=True)
    spread = weighted.T @ ((_correlated_bins(error * np.sqrt(live.weights)) * error**2)[:, None] * weighted)
    per_mass = (inverse @ spread @ inverse)[:n_phases, :n_phases] / mean_mass**2
    mass = amounts.phases.sum(axis=-1)
    return replace(amounts, covariance=amounts.covariance + (mass**2)[..., None, None] * per_mass)


def _correlated_bins(error: Array) -> float:
    """Give over how many bins an error is correlated."""
    power = float(error @ error)
    if power == 0:
        return 1.0
    length = scipy.fft.next_fast_len(2 * error.size, real=True)
    correlation = scipy.fft.irfft(np.abs(scipy.fft.rfft(error, n=length)) ** 2, n=length)[: error.size] / power
    n_positive = int(np.argmax(correlation < 0)) if (correlation < 0).any() else correlation.size
    return float(2 * correlation[:n_positive].sum() - 1)


def _normalised(gram: Array) -> tuple[Array, Array]:
    diagonal = np.diag(gram)
    # A template without a reflection in range has no channel: its row stays zero apart from the diagonal, its amount 0.
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    normalised = np.ascontiguousarray(gram / np.outer(scale, scale))
    np.fill_diagonal(normalised, 1.0)
    return normalised, scale


def _response(live: LiveChannels, is_passive: NDArray[np.bool_]) -> Array:
    """Give the rows of (A^T W A)^-1 that belong to phases, for the columns that the fit uses in most voxels."""
    n_phases = live.model.n_phases
    used = np.ones(live.gram.shape[0], dtype=np.bool_)
    if is_passive.size:
        used[n_phases:] = is_passive[:, n_phases:].mean(axis=0) > 0.5
    used &= np.diag(live.gram) > 0
    inverse = np.zeros_like(live.gram)
    inverse[np.ix_(used, used)] = np.linalg.pinv(live.gram[np.ix_(used, used)], hermitian=True)
    return inverse[:n_phases]
