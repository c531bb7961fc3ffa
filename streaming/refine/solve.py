"""Small constrained least squares on normal equations, compiled: the linear algebra in every step of a refinement.

Minimises x G x / 2 - c x where some x are free, some may not be negative and some do not take part. The active-set method is
that of Bro and de Jong (J. Chemometrics 11 (1997) 393) begun from a guess of the passive set: between neighbouring steps of a
refinement it hardly changes.
"""

import math

import numba

FREE, BOUNDED, EXCLUDED = 0, 1, 2
"""What may happen to an unknown: anything; not below zero; it does not take part."""

_TOLERANCE = 1e-10
"""Of the largest scaled channel: a gradient below it is rounding."""
_PIVOT = 1e-11
"""Smallest pivot relative to a unit diagonal: below it a column is a sum of others, and there is no number for it."""


@numba.njit("int64(float64[:,::1], int64[::1], int64, float64[:,::1])", cache=True, nogil=True, error_model="numpy")
def factorise(gram, chosen, n_chosen, factor):  # type: ignore[no-untyped-def]
    """Factorise the chosen rows and columns of G by Cholesky, in place of ``factor``; give the place of a bad pivot, or -1."""
    for i in range(n_chosen):
        row = chosen[i]
        for j in range(i + 1):
            total = gram[row, chosen[j]]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if not total > _PIVOT * gram[row, row]:
                    return i
                factor[i, i] = math.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    return -1


@numba.njit("void(float64[:,::1], int64, float64[::1])", cache=True, nogil=True, error_model="numpy")
def substitute(factor, n_chosen, solution):  # type: ignore[no-untyped-def]
    """Solve L L^T x = b in place of b."""
    for i in range(n_chosen):
        total = solution[i]
        for k in range(i):
            total -= factor[i, k] * solution[k]
        solution[i] = total / factor[i, i]
    for i in range(n_chosen - 1, -1, -1):
        total = solution[i]
        for k in range(i + 1, n_chosen):
            total -= factor[k, i] * solution[k]
        solution[i] = total / factor[i, i]


@numba.njit("int64(int64[::1], boolean[::1], int64, int64[::1])", cache=True, nogil=True)
def list_chosen(kind, is_passive, n, chosen):  # type: ignore[no-untyped-def]
    """List the unknowns that are solved for now; give how many."""
    n_chosen = 0
    for i in range(n):
        if kind[i] == FREE or (kind[i] == BOUNDED and is_passive[i]):
            chosen[n_chosen] = i
            n_chosen += 1
    return n_chosen


@numba.njit(
    "int64(float64[:,::1], float64[::1], float64[::1], int64[::1], boolean[::1], int64)",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def _most_wanted(gram, channels, x, kind, is_passive, n):  # type: ignore[no-untyped-def]
    """Give the unknown at zero with the steepest descent, -1 if there is none."""
    largest = 0.0
    for i in range(n):
        if kind[i] != EXCLUDED and gram[i, i] > 0.0:
            largest = max(largest, abs(channels[i]) / math.sqrt(gram[i, i]))
    wanted, steepest = -1, _TOLERANCE * largest
    for i in range(n):
        if kind[i] != BOUNDED or is_passive[i] or not gram[i, i] > 0.0:
            continue
        descent = channels[i]
        for j in range(n):
            if kind[j] != EXCLUDED:
                descent -= gram[i, j] * x[j]
        descent /= math.sqrt(gram[i, i])
        if descent > steepest:
            wanted, steepest = i, descent
    return wanted


@numba.njit(
    "int64(float64[::1], float64[::1], int64[::1], int64, int64[::1], boolean[::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def _step_towards(x, solution, chosen, n_chosen, kind, is_passive):  # type: ignore[no-untyped-def]
    """Go from x towards the solution until a bounded unknown meets zero; give how many left the passive set."""
    length = 1.0
    for k in range(n_chosen):
        i = chosen[k]
        if kind[i] == BOUNDED and solution[k] < 0.0:
            length = min(length, x[i] / (x[i] - solution[k]))
    n_left = 0
    for k in range(n_chosen):
        i = chosen[k]
        x[i] += length * (solution[k] - x[i])
        if kind[i] == BOUNDED and solution[k] < 0.0 and x[i] <= -1e-12 * solution[k]:
            x[i] = 0.0
            is_passive[i] = False
            n_left += 1
    return n_left


@numba.njit(
    "boolean(float64[:,::1], float64[::1], int64[::1], int64, float64[::1], boolean[::1], float64[:,::1], "
    "float64[::1], int64[::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def solve_bounded(gram, channels, kind, n, x, is_passive, factor, solution, chosen):  # type: ignore[no-untyped-def]
    """Minimise over the first ``n`` unknowns, in place of ``x`` and ``is_passive``; False if it cannot be solved.

    What stands in ``is_passive`` is where the search begins; ``factor``, ``solution`` and ``chosen`` are room to work in.
    """
    for i in range(n):
        x[i] = 0.0
    newest = -1
    for _ in range(4 * n + 8):
        n_chosen = list_chosen(kind, is_passive, n, chosen)
        bad = factorise(gram, chosen, n_chosen, factor)
        if bad >= 0:
            i = chosen[bad]
            if kind[i] != BOUNDED:
                return False
            # Two phases that look alike: the one that is in the way now stays at zero.
            kind[i], is_passive[i], x[i] = EXCLUDED, False, 0.0
            continue
        for k in range(n_chosen):
            solution[k] = channels[chosen[k]]
        substitute(factor, n_chosen, solution)
        if _step_towards(x, solution, chosen, n_chosen, kind, is_passive) > 0:
            if newest >= 0 and not is_passive[newest]:
                # It came in by rounding alone.
                return True
            continue
        newest = _most_wanted(gram, channels, x, kind, is_passive, n)
        if newest < 0:
            return True
        is_passive[newest] = True
    return False


@numba.njit(
    "boolean(float64[:,::1], int64[::1], int64, float64[:,::1], float64[:,::1], float64[::1], int64[::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def invert_chosen(gram, kind, n, inverse, factor, solution, chosen):  # type: ignore[no-untyped-def]
    """Invert G over all unknowns that take part, in place of ``inverse``, zero elsewhere; False if it is singular."""
    n_chosen = 0
    for i in range(n):
        if kind[i] != EXCLUDED:
            chosen[n_chosen] = i
            n_chosen += 1
    inverse[:n, :n] = 0.0
    if factorise(gram, chosen, n_chosen, factor) >= 0:
        return False
    for column in range(n_chosen):
        for k in range(n_chosen):
            solution[k] = 0.0
        solution[column] = 1.0
        substitute(factor, n_chosen, solution)
        for k in range(n_chosen):
            inverse[chosen[k], chosen[column]] = solution[k]
    return True
