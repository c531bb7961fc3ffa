"""The refinement of many patterns, compiled: the hot loop of the full profile.

In every pattern amounts and background are linear and are solved for exactly; lengths of cells and widths move by
Levenberg-Marquardt steps with analytic derivatives (variable projection: Golub and Pereyra, Inverse Problems 19 (2003) R1).
Weights are the same for all patterns, so that the part of the normal equations that does not move is made once.
"""

import math

import numba
import numpy as np

from streaming.refine.draw import draw_phase
from streaming.refine.solve import BOUNDED, EXCLUDED, FREE, factorise, invert_chosen, list_chosen, solve_bounded, substitute

SOLVED, NOT_FINITE, SINGULAR, NOT_CONVERGED = range(4)
"""How the refinement of a pattern ended."""

MOST_STEPS = 60
_N_PARAMETERS = 4
_CONVERGED = 1e-4
"""Fall of chi squared, in units of the noise, that the next step still promises: a hundredth of a standard uncertainty."""


@numba.njit("float64(float64[::1], float64[::1])", cache=True, nogil=True, fastmath=True, error_model="numpy")
def _dot(left, right):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(left.size):
        total += left[i] * right[i]
    return total


@numba.njit(
    "void(float32[::1], float64[::1], float64[:,::1], float64[:,:,::1], boolean[:,::1], float64[::1], float64[:,::1], "
    "float64[::1])",
    cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"}, error_model="numpy",
)  # fmt: skip
def _assemble(pattern, weights, static, columns, is_free, weighted, gram, channels):  # type: ignore[no-untyped-def]
    """Put the moving columns into the normal equations: values after the static ones, then four derivatives of each."""
    n_static, n_moving, n_radial = static.shape[0], columns.shape[0], weights.size
    for p in range(n_moving):
        for k in range(_N_PARAMETERS + 1):
            if k > 0 and not is_free[p, k - 1]:
                continue
            row = n_static + p if k == 0 else n_static + n_moving + _N_PARAMETERS * p + k - 1
            total = 0.0
            for i in range(n_radial):
                weighted[i] = weights[i] * columns[p, k, i]
                total += weighted[i] * pattern[i]
            channels[row] = total
            for s in range(n_static):
                gram[row, s] = gram[s, row] = _dot(weighted, static[s])
            for other in range(p + 1):
                for m in range(_N_PARAMETERS + 1):
                    if (m > 0 and not is_free[other, m - 1]) or (other == p and m > k):
                        continue
                    column = n_static + other if m == 0 else n_static + n_moving + _N_PARAMETERS * other + m - 1
                    gram[row, column] = gram[column, row] = _dot(weighted, columns[other, m])


@numba.njit(
    "void(float64[:,::1], float64[::1], int64[::1], boolean[::1], int64, int64, float64, float64, float64[:,::1], "
    "float64[::1], int64[::1], boolean[::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def _find_present(  # type: ignore[no-untyped-def]
    gram, x, kind, is_passive, n_static, n_moving, noise, significance, factor, solution, chosen, is_moved
):
    """Tell which moving phases are there with certainty; only their lengths mean anything."""
    n_chosen = list_chosen(kind, is_passive, n_static + n_moving, chosen)
    bad = factorise(gram, chosen, n_chosen, factor)
    for p in range(n_moving):
        is_moved[p] = False
        if bad >= 0:
            continue
        for place in range(n_chosen):
            if chosen[place] != n_static + p:
                continue
            for k in range(n_chosen):
                solution[k] = 0.0
            solution[place] = 1.0
            substitute(factor, n_chosen, solution)
            is_moved[p] = x[n_static + p] > significance * math.sqrt(noise * solution[place])


@numba.njit(
    "float64(float64[:,::1], float64[::1], float64[::1], int64[::1], boolean[::1], boolean[:,::1], boolean[::1], int64, int64, "
    "float64, float64[:,::1], float64[::1], int64[::1], float64[:,::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def _propose(  # type: ignore[no-untyped-def]
    gram, channels, x, kind, is_passive, is_free, is_moved, n_static, n_moving, damping, factor, solution, chosen, step
):
    """Solve for a ``step`` of lengths and widths, in place; give the fall of chi squared that it promises, or -1."""
    n_linear = n_static + n_moving
    n_chosen = list_chosen(kind, is_passive, n_linear, chosen)
    for p in range(n_moving):
        for k in range(_N_PARAMETERS):
            step[p, k] = 0.0
            row = n_linear + _N_PARAMETERS * p + k
            if is_free[p, k] and is_moved[p] and x[n_static + p] > 0.0:
                chosen[n_chosen] = row
                n_chosen += 1
                gram[row, row] *= 1.0 + damping
    bad = factorise(gram, chosen, n_chosen, factor)
    for place in range(n_chosen):
        if chosen[place] >= n_linear:
            gram[chosen[place], chosen[place]] /= 1.0 + damping
    if bad >= 0:
        return -1.0
    for place in range(n_chosen):
        solution[place] = channels[chosen[place]]
    substitute(factor, n_chosen, solution)
    promise = 0.0
    for place in range(n_chosen):
        row = chosen[place]
        if row < n_linear:
            continue
        slope = channels[row]
        for i in range(n_linear):
            slope -= gram[row, i] * x[i]
        promise += slope * solution[place]
        p, k = (row - n_linear) // _N_PARAMETERS, (row - n_linear) % _N_PARAMETERS
        step[p, k] = solution[place] / x[n_static + p]
    return promise


@numba.njit(
    "void(float64[:,::1], float64[:,::1], float64, float64[:,::1], float64[:,::1], float64[:,::1], float64[:,::1])",
    cache=True, nogil=True,
)  # fmt: skip
def _step(parameters, step, part, largest, low, high, trial):  # type: ignore[no-untyped-def]
    """Take a part of a step, shortened as a whole to the largest that is allowed, and stop at the limits."""
    for p in range(parameters.shape[0]):
        for k in range(_N_PARAMETERS):
            if abs(step[p, k]) * part > largest[p, k]:
                part = largest[p, k] / abs(step[p, k])
    for p in range(parameters.shape[0]):
        for k in range(_N_PARAMETERS):
            trial[p, k] = min(max(parameters[p, k] + part * step[p, k], low[p, k]), high[p, k])


@numba.njit(
    "boolean(float64[:,::1], float64[::1], int64[::1], boolean[::1], boolean[:,::1], boolean[::1], int64, int64, int64, "
    "float64[:,::1], float64[:,::1], float64[::1], int64[::1], float64[:,::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def _covary(  # type: ignore[no-untyped-def]
    gram, x, kind, is_passive, is_free, is_moved, n_fixed, n_static, n_moving, inverse, factor, solution, chosen, covariance
):
    """Give the covariance of all scales and of what moved, for unit noise, in place of ``covariance``; False if singular."""
    n_linear = n_static + n_moving
    for p in range(n_moving):
        for k in range(_N_PARAMETERS):
            takes_part = is_free[p, k] and is_moved[p] and x[n_static + p] > 0.0
            kind[n_linear + _N_PARAMETERS * p + k] = FREE if takes_part else EXCLUDED
    n = n_linear + _N_PARAMETERS * n_moving
    if not invert_chosen(gram, kind, n, inverse, factor, solution, chosen):
        return False
    n_out = n_fixed + n_moving * (1 + _N_PARAMETERS)
    for i in range(n_out):
        row = i if i < n_fixed else i - n_fixed + n_static
        for j in range(n_out):
            column = j if j < n_fixed else j - n_fixed + n_static
            value = inverse[row, column]
            if row >= n_linear:
                value /= max(x[n_static + (row - n_linear) // _N_PARAMETERS], 1e-300)
            if column >= n_linear:
                value /= max(x[n_static + (column - n_linear) // _N_PARAMETERS], 1e-300)
            # What is held at zero is known to be no less: the deviation of a half-normal distribution.
            if row < n_linear and kind[row] == BOUNDED and not is_passive[row]:
                value *= 0.6028
            if column < n_linear and kind[column] == BOUNDED and not is_passive[column]:
                value *= 0.6028
            covariance[i, j] = value
    return True


@numba.njit(
    "void(float32[::1], float64[::1], float64[:,::1], float64[:,:,::1], boolean[:,::1], int64[::1], float64[::1], int64, "
    "float64[:,::1], float64[::1], float64[::1], float64[::1])",
    cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"}, error_model="numpy",
)  # fmt: skip
def _respond(  # type: ignore[no-untyped-def]
    difference, weights, static_weighted, columns, is_free, kind, x, n_fixed, inverse, weighted, channels, change
):
    """Give what an addition to the pattern changes of scales and parameters, in place of ``change``."""
    n_static, n_moving, n_radial = static_weighted.shape[0], columns.shape[0], weights.size
    n_linear, n = n_static + n_moving, n_static + n_moving * (1 + _N_PARAMETERS)
    channels[:n] = 0.0
    for s in range(n_static):
        total = 0.0
        for i in range(n_radial):
            total += static_weighted[s, i] * difference[i]
        channels[s] = total
    for i in range(n_radial):
        weighted[i] = weights[i] * difference[i]
    for p in range(n_moving):
        channels[n_static + p] = _dot(weighted, columns[p, 0])
        for k in range(_N_PARAMETERS):
            row = n_linear + _N_PARAMETERS * p + k
            if is_free[p, k] and kind[row] != EXCLUDED:
                channels[row] = _dot(weighted, columns[p, k + 1])
    for i in range(change.size):
        row = i if i < n_fixed else i - n_fixed + n_static
        change[i] = _dot(inverse[row, :n], channels[:n])
        if row >= n_linear:
            change[i] /= max(x[n_static + (row - n_linear) // _N_PARAMETERS], 1e-300)


@numba.njit(
    "void(float32[:,::1], float64[::1], float64[::1], float64[:,::1], int64[::1], int64, "
    "int64[::1], float64[:,::1], float64[::1], float32[:,:,:,::1], float64[:,::1], float64[:,::1], float64[::1], "
    "float64, float64, float64, boolean[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64, "
    "float64[:,:,::1], float64[:,::1], float64[:,:,::1], float64[:,::1], uint8[::1], boolean[:,::1], float32[:,::1], "
    "float64[:,::1])",
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def refine_patterns(  # type: ignore[no-untyped-def]
    patterns, noise, weights, static, static_kind, n_fixed,
    first, metric, amplitude, table, widths, powers, volumes,
    q_first_edge, q_step, wavelength, is_free, low, high, largest, significance,
    parameters, linear, covariance, residuals, status, is_moved, differences, changes,
):  # fmt: skip
    """Refine every row of ``patterns``, in place of the arrays of the last line.

    ``parameters`` (n, n_moving, 4) come in as starting values. ``linear`` (n, n_static + n_moving) gets the amounts of the
    static columns, the first ``n_fixed`` of which are phases, and of the moving phases; ``covariance`` (n, n_out, n_out) that
    of the phases' amounts and of all parameters; ``residuals`` (n, 2) the weighted sum of squares of misfit and of pattern;
    ``changes`` (n, n_out) what a small addition to the pattern, ``differences`` (n, n_radial), would change of them.
    """
    n_static, n_moving, n_radial = static.shape[0], is_free.shape[0], weights.size
    n_linear, n = n_static + n_moving, n_static + n_moving * (1 + _N_PARAMETERS)
    columns, weighted = np.zeros((n_moving, _N_PARAMETERS + 1, n_radial)), np.zeros(n_radial)
    static_weighted, gram, channels = static * weights, np.zeros((n, n)), np.zeros(n)
    for s in range(n_static):
        for t in range(n_static):
            gram[s, t] = _dot(static_weighted[s], static[t])
    kind, is_passive, x = np.zeros(n, np.int64), np.zeros(n, np.bool_), np.zeros(n)
    factor, inverse, solution, chosen = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n), np.zeros(n, np.int64)
    step, trial = np.zeros((n_moving, _N_PARAMETERS)), np.zeros((n_moving, _N_PARAMETERS))
    for v in range(patterns.shape[0]):
        pattern, now = patterns[v], parameters[v]
        power = 0.0
        for i in range(n_radial):
            power += weights[i] * pattern[i] * pattern[i]
        status[v] = NOT_FINITE
        if not (math.isfinite(power) and noise[v] > 0.0 and math.isfinite(noise[v])):
            continue
        for s in range(n_static):
            total = 0.0
            for i in range(n_radial):
                total += static_weighted[s, i] * pattern[i]
            channels[s] = total
            kind[s] = static_kind[s] if gram[s, s] > 0.0 else EXCLUDED
        is_passive[:] = False
        trial[:] = now
        damping, promise, before, part = 1e-3, math.inf, math.inf, 1.0
        status[v] = NOT_CONVERGED
        for attempt in range(MOST_STEPS + 1):
            for p in range(n_moving):
                draw_phase(
                    first[p], first[p + 1], trial[p, :3], trial[p, 3], metric, amplitude, table, widths[p], powers[p],
                    volumes[p], q_first_edge, q_step, wavelength, is_free[p, 3], columns[p],
                )  # fmt: skip
            _assemble(pattern, weights, static, columns, is_free, weighted, gram, channels)
            for p in range(n_moving):
                kind[n_static + p] = BOUNDED if gram[n_static + p, n_static + p] > 0.0 else EXCLUDED
            if not solve_bounded(gram, channels, kind, n_linear, x, is_passive, factor, solution, chosen):
                status[v] = SINGULAR
                break
            misfit = power
            for i in range(n_linear):
                misfit -= x[i] * channels[i]
            if attempt == 0:
                _find_present(
                    gram, x, kind, is_passive, n_static, n_moving, noise[v], significance, factor, solution, chosen, is_moved[v]
                )
            if misfit > before + _CONVERGED * noise[v]:
                # Too far: from the last good place again, half as far.
                damping, part = 10.0 * damping, 0.5 * part
                _step(now, step, part, largest, low, high, trial)
                continue
            now[:] = trial
            before = misfit
            residuals[v, 0] = misfit
            if promise < _CONVERGED * noise[v]:
                status[v] = SOLVED
                break
            damping *= 0.1
            promise = _propose(
                gram, channels, x, kind, is_passive, is_free, is_moved[v], n_static, n_moving, damping, factor, solution,
                chosen, step,
            )  # fmt: skip
            if promise < 0.0:
                status[v] = SINGULAR
                break
            if promise < 1e-2 * _CONVERGED * noise[v]:
                status[v] = SOLVED
                break
            part = 1.0
            _step(now, step, part, largest, low, high, trial)
        linear[v] = x[:n_linear]
        residuals[v, 1] = power
        if status[v] != SINGULAR and not _covary(
            gram, x, kind, is_passive, is_free, is_moved[v], n_fixed, n_static, n_moving, inverse, factor, solution, chosen,
            covariance[v],
        ):  # fmt: skip
            status[v] = SINGULAR
        covariance[v] *= noise[v]
        if differences.shape[0] > 0 and status[v] != SINGULAR:
            _respond(
                differences[v], weights, static_weighted, columns, is_free, kind, x, n_fixed, inverse, weighted, solution,
                changes[v],
            )  # fmt: skip
