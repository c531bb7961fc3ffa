"""Non-negative least squares in many voxels: the hot loop of the phase amounts, on the normal equations.

Minimises x G x / 2 - c x over x >= 0 by the active-set method of Bro and de Jong (J. Chemometrics 11 (1997) 393), which is that
of Lawson and Hanson on G = A^T W A. G has unit diagonal here, so that one tolerance serves all columns.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TOLERANCE = 1e-12
"""Relative to the largest channel: a gradient below it is rounding. Larger leaves phases out that the data want."""

_PIVOT = 1e-13
"""Smallest pivot, relative to the unit diagonal: below it two columns cannot be told apart in double precision."""


@numba.njit("boolean(float64[:,::1], float64[::1], int64[::1], int64, float64[:,::1], float64[::1])", cache=True, nogil=True)
def _solve_passive(gram, channels, passive, n_passive, factor, solution):  # type: ignore[no-untyped-def]
    """Solve G x = c on the passive columns by Cholesky; False if they are linearly dependent."""
    for i in range(n_passive):
        for j in range(i + 1):
            total = gram[passive[i], passive[j]]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if total <= _PIVOT:
                    return False
                factor[i, i] = math.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(n_passive):
        total = channels[passive[i]]
        for k in range(i):
            total -= factor[i, k] * solution[k]
        solution[i] = total / factor[i, i]
    for i in range(n_passive - 1, -1, -1):
        total = solution[i]
        for k in range(i + 1, n_passive):
            total -= factor[k, i] * solution[k]
        solution[i] = total / factor[i, i]
    return True


@numba.njit("int64(float64[:,::1], float64[::1], float64[::1], boolean[::1], float64)", cache=True, nogil=True)
def _most_wanted(gram, channels, amounts, is_passive, tolerance):  # type: ignore[no-untyped-def]
    """Give the column outside the passive set with the steepest descent; -1 at the minimum."""
    wanted, steepest = -1, tolerance
    for i in range(channels.size):
        if is_passive[i]:
            continue
        descent = channels[i]
        for j in range(channels.size):
            descent -= gram[i, j] * amounts[j]
        if descent > steepest:
            wanted, steepest = i, descent
    return wanted


@numba.njit("int64(boolean[::1], int64[::1])", cache=True, nogil=True)
def _list_passive(is_passive, passive):  # type: ignore[no-untyped-def]
    n_passive = 0
    for i in range(is_passive.size):
        if is_passive[i]:
            passive[n_passive] = i
            n_passive += 1
    return n_passive


@numba.njit("int64(float64[::1], float64[::1], int64[::1], int64, boolean[::1])", cache=True, nogil=True)
def _step_towards(amounts, solution, passive, n_passive, is_passive):  # type: ignore[no-untyped-def]
    """Go from the amounts towards the solution until one meets zero; give how many left the passive set."""
    length = 1.0
    for k in range(n_passive):
        if solution[k] <= 0.0:
            length = min(length, amounts[passive[k]] / (amounts[passive[k]] - solution[k] + 1e-300))
    n_left = 0
    for k in range(n_passive):
        i = passive[k]
        amounts[i] += length * (solution[k] - amounts[i])
        if solution[k] <= 0.0 and amounts[i] <= 1e-15 * abs(solution[k]) + 1e-300:
            amounts[i] = 0.0
            is_passive[i] = False
            n_left += 1
    return n_left


@numba.njit("void(float64[:,::1], float64[:,::1], float64[:,::1], boolean[:,::1], boolean[::1])", cache=True, nogil=True)
def fit_non_negative(gram, channels, amounts, is_passive, is_solved):  # type: ignore[no-untyped-def]
    """Fit every row of ``channels``, shape (n_voxels, n_columns), in place of ``amounts``, ``is_passive`` and ``is_solved``.

    ``gram`` (n_columns, n_columns) has unit diagonal. What stands in ``is_passive`` is ignored. A voxel with NaN, or one that
    has not converged after 5 n_columns steps, is not solved.
    """
    n_columns = gram.shape[0]
    factor, solution = np.zeros((n_columns, n_columns)), np.zeros(n_columns)
    passive = np.zeros(n_columns, np.int64)
    for voxel in range(channels.shape[0]):
        x, c, inside = amounts[voxel], channels[voxel], is_passive[voxel]
        x[:] = 0.0
        inside[:] = False
        is_solved[voxel] = False
        largest = 0.0
        for i in range(n_columns):
            largest = max(largest, abs(c[i]))
        if not math.isfinite(c.sum()):
            continue
        for _ in range(5 * n_columns):
            wanted = _most_wanted(gram, c, x, inside, _TOLERANCE * largest)
            if wanted < 0:
                is_solved[voxel] = True
                break
            inside[wanted] = True
            n_passive = _list_passive(inside, passive)
            if not _solve_passive(gram, c, passive, n_passive, factor, solution):
                inside[wanted] = False
                break
            while _step_towards(x, solution, passive, n_passive, inside) > 0:
                n_passive = _list_passive(inside, passive)
                if n_passive == 0 or not _solve_passive(gram, c, passive, n_passive, factor, solution):
                    break
