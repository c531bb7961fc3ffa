"""The compiled trim of one bin on the scale of corrected intensity, for bins where counting does not decide.

A bin fits the first-level cache, and its loops the vector units. The trim is exact. Pixels stand in the order of corrected
intensity (counts / correction, equal ones by falling correction); a pixel counts when it lies wholly between the cuts on the
scale of summed corrections, as in pyFAI's ``medfilt1d_ng``. The cut is found by narrowing a bracket of intensities with
vectorised passes over the bin, until only pixels of one count are left, which already stand in order, or so few that sorting
them is cheaper. :mod:`streaming.integrate.counting` does the same several times as fast where all pixels of one count lie below
all of the next.

Floor for a PILATUS 2M, one frame, if all bins came here: a pass over all bins in the cache costs about 0.2 ms, the first one
with its division 0.5 ms, and a trim needs some ten.
"""

import numpy as np
from numba import njit

from streaming.integrate.passes import OPTIONS

BLOCK = 64
"""Every bin begins at a multiple of this, so that the vector loops have no remainder; 2 % of the places stay empty."""
FEW = 4
"""Pixels left in a bracket when it is cheaper to sort them than to narrow it further; 8 is as good, 16 a tenth slower."""


@njit(**OPTIONS)
def correct_bin(counts, correction, limit, intensity):  # type: ignore[no-untyped-def]
    """Divide the counts of one bin by the corrections; those at or above the limit become infinite.

    Give the sums of counts, corrections and counts times intensity, the largest count and the number of places left out. The
    third sum only serves to guess a width: it is float32.
    """
    signal, norm, square = 0.0, 0.0, np.float32(0.0)
    largest, n_out = np.uint32(0), np.uint32(0)
    for i in range(counts.size):
        is_good = counts[i] < limit
        count = np.uint32(counts[i]) if is_good else np.uint32(0)
        quotient = np.float32(count) / correction[i]
        intensity[i] = quotient if is_good else np.float32(np.inf)
        signal += np.float64(count)
        norm += np.float64(correction[i]) if is_good else 0.0
        square += np.float32(count) * quotient if is_good else np.float32(0.0)
        largest = max(largest, count)
        n_out += np.uint32(0) if is_good else np.uint32(1)
    return signal, norm, square, largest, n_out


@njit(**OPTIONS)
def _norm_up_to(intensity, correction, bound):  # type: ignore[no-untyped-def]
    """Sum the corrections of the places whose intensity is at most the bound."""
    norm = 0.0
    for i in range(intensity.size):
        norm += np.float64(correction[i]) if intensity[i] <= bound else 0.0
    return norm


@njit(**OPTIONS)
def _signal_between(intensity, counts, low, high):  # type: ignore[no-untyped-def]
    """Sum the counts of the places whose intensity is above ``low`` and at most ``high``."""
    signal = 0.0
    for i in range(intensity.size):
        signal += np.float64(counts[i]) if low < intensity[i] <= high else 0.0
    return signal


@njit(**OPTIONS)
def _norm_between(intensity, correction, low, high):  # type: ignore[no-untyped-def]
    """Sum the corrections of the places whose intensity is above ``low`` and at most ``high``."""
    norm = 0.0
    for i in range(intensity.size):
        norm += np.float64(correction[i]) if low < intensity[i] <= high else 0.0
    return norm


@njit(**OPTIONS)
def _narrow(intensity, correction, extremes, top, total, target, guess, stride):  # type: ignore[no-untyped-def]
    """Bracket the intensity at which the summed corrections reach the target.

    Give ``low``, ``high`` and the sums up to them: the crossing pixel has an intensity above ``low`` and up to ``high``, where
    no more than ``FEW`` pixels lie, or only pixels of one count. Strides from the guess until the target is between, then
    regula falsi that oversteps towards the nearer end, with a bisection every third time. Whole counts leave gaps between
    intensities; the bracket never ends inside one.
    """
    smallest, largest = extremes
    low, high, norm_low, norm_high = np.float32(-1.0), np.float32(top), 0.0, total
    probe = np.float32(guess)
    is_open = True
    for step in range(200):
        if not low < probe < high:
            probe = np.float32(0.5) * (max(low, np.float32(0.0)) + high)
        if not low < probe < high:
            break
        norm = _norm_up_to(intensity, correction, probe)
        if norm >= target:
            high, norm_high = probe, norm
        else:
            low, norm_low = probe, norm
        least = np.ceil(max(low, np.float32(0.0)) * smallest * np.float32(0.9999999))
        most = np.floor(high * largest * np.float32(1.0000001))
        low = max(low, least / largest * np.float32(0.9999998) - np.float32(1e-30))
        high = min(high, most / smallest * np.float32(1.0000001))
        n_left = (norm_high - norm_low) / smallest
        if n_left < FEW + 0.5 or least >= most:
            break
        is_open = is_open and (low < 0.0 or high >= top) and step < 12
        if is_open:
            probe += np.float32(stride) if norm < target else np.float32(-stride)
            stride *= 2.0
        elif step % 3 == 2:
            probe = np.float32(0.5) * (low + high)
        else:
            part = (target - norm_low) / (norm_high - norm_low)
            part += 3.0 / n_left if part < 0.5 else -3.0 / n_left
            probe = np.float32(low + part * (high - low))
    return low, high, norm_low, norm_high


@njit(**OPTIONS)
def _walk(intensity, correction, counts, low, high, norm, target):  # type: ignore[no-untyped-def]
    """Walk through pixels of one count, which stand in the order of intensity, to the one that carries the sum over the target.

    Give its place, and the sums of counts and corrections over the pixels before it.
    """
    signal = 0.0
    for begin in range(0, intensity.size, BLOCK):
        here = slice(begin, begin + BLOCK)
        more = _norm_between(intensity[here], correction[here], low, high)
        if norm + more >= target:
            for i in range(begin, begin + BLOCK):
                if low < intensity[i] <= high:
                    if norm + np.float64(correction[i]) >= target:
                        return i, signal, norm
                    norm += np.float64(correction[i])
                    signal += np.float64(counts[i])
        norm += more
        signal += _signal_between(intensity[here], counts[here], low, high)
    return -1, signal, norm


@njit(**OPTIONS)
def _sort(intensity, correction, counts, low, high, norm, target):  # type: ignore[no-untyped-def]
    """Do what :func:`_walk` does where a few pixels of several counts are left, which must be sorted first."""
    found = np.empty(4 * FEW, np.int64)
    n = 0
    for begin in range(0, intensity.size, BLOCK):
        here = slice(begin, begin + BLOCK)
        if _norm_between(intensity[here], correction[here], low, high) == 0.0:
            continue
        for i in range(begin, begin + BLOCK):
            if low < intensity[i] <= high:
                j = n
                while j > 0 and intensity[found[j - 1]] > intensity[i]:
                    found[j] = found[j - 1]
                    j -= 1
                found[j] = i
                n += 1
    signal = 0.0
    for j in range(n):
        i = found[j]
        if norm + np.float64(correction[i]) >= target:
            return i, signal, norm
        norm += np.float64(correction[i])
        signal += np.float64(counts[i])
    return -1, signal, norm


@njit(**OPTIONS)
def _crossing(intensity, correction, counts, extremes, sums, target, z):  # type: ignore[no-untyped-def]
    """Find the pixel whose correction carries the sum over the target; ``z`` guesses where, in standard deviations.

    Give the pixel's place, a bound of intensity below it, the sum of counts from there and of all corrections before it.
    """
    signal, norm, square, largest_count, n_good = sums
    mean, unit = signal / norm, n_good / norm
    sigma = np.sqrt(max(square / norm - mean * mean, 0.0))
    guess = (np.floor((mean + z * sigma) / unit) + 0.5) * unit
    stride = max(1.0, np.round(0.1 * sigma / unit)) * unit
    top = np.float32(largest_count) / extremes[0]
    low, high, norm_low, norm_high = _narrow(intensity, correction, extremes, top, norm, target, guess, stride)
    if (norm_high - norm_low) / extremes[0] < FEW + 0.5:
        place, before, norm_before = _sort(intensity, correction, counts, low, high, norm_low, target)
    else:
        place, before, norm_before = _walk(intensity, correction, counts, low, high, norm_low, target)
    return place, low, before, norm_before


@njit(**OPTIONS)
def _trimmed(counts, correction, intensity, extremes, sums, cuts):  # type: ignore[no-untyped-def]
    """Give the mean of the pixels that lie wholly between the cuts; NaN where none does."""
    norm = sums[1]
    first, first_low, first_signal, first_norm = -1, np.float32(-1.0), 0.0, 0.0
    if cuts[0] > 0.0:
        first, first_low, first_signal, first_norm = _crossing(
            intensity, correction, counts, extremes, sums, cuts[0] * norm, -1.6
        )
        first_signal += np.float64(counts[first])
        first_norm += np.float64(correction[first])
    last_low, last_signal, last_norm = np.float32(3e38), 0.0, norm
    target = np.nextafter(cuts[1] * norm, np.inf)
    if target <= norm:
        last, last_low, last_signal, last_norm = _crossing(intensity, correction, counts, extremes, sums, target, 1.7)
        if last == first:
            return intensity[last]
    if last_norm - first_norm <= 1e-9:
        return np.nan
    # The brackets of cuts that lie close together may stand in either order.
    between = _signal_between(intensity, counts, first_low, last_low) - _signal_between(intensity, counts, last_low, first_low)
    return (between + last_signal - first_signal) / (last_norm - first_norm)


@njit(**OPTIONS)
def trim_by_intensity(counts, correction, n, limit, cuts, intensity):  # type: ignore[no-untyped-def]
    """Give the mean of the pixels of one bin that lie wholly between the cuts on the scale of summed corrections.

    Parameters
    ----------
    counts, correction
        Of the places of the bin, in the order of falling correction, shape (n_places,).
    n
        How many places hold a pixel.
    limit
        Counts at or above it are left out.
    cuts
        Parts of one.
    intensity
        Room to work in, shape (n_places,).
    """
    signal, norm, square, largest_count, n_out = correct_bin(counts, correction, limit, intensity)
    sums = signal, norm, square, largest_count, counts.size - np.int64(n_out)
    return _trimmed(counts, correction, intensity, (correction[n - 1], correction[0]), sums, cuts)
