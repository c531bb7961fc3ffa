"""The compiled loops: one frame becomes mean, variance of the mean and trimmed mean of every radial bin.

Two steps. :func:`scatter` runs once over the frame in the order of memory and puts every count in its place, sorted by bin:
reading in that order costs a third of gathering bin by bin, which misses the page tables at almost every pixel.
:func:`reduce_bins` then works on one bin at a time, which fits the first-level cache and the vector units.

The trim is exact. Pixels stand in the order of corrected intensity (counts / correction, equal ones by falling correction); a
pixel counts when it lies wholly between the cuts on the scale of summed corrections, as in pyFAI's ``medfilt1d_ng``. The cut is
found by narrowing a bracket of intensities with vectorised passes over the bin; only the last few pixels are sorted.

Floor for a PILATUS 2M of 32 bits, one frame: reads 10 MB of counts, 10 MB of places and 9 MB of corrections, writes 9 MB once;
2.3 million scattered stores. A bare loop that only adds counts to their bins takes half to two thirds of :func:`scatter`.
"""

from typing import Any

import numpy as np
from numba import njit

FAST = {"reassoc", "nsz", "contract"}
"""Sums may be reordered, which vectorises them; a sum of float32 corrections in float64 is exact in any order."""
OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": FAST, "error_model": "numpy"}

FEW = 8
"""Pixels left in a bracket when it is cheaper to sort them than to narrow it further; 4 and 16 are slower."""


@njit(["void(uint16[::1], uint32[::1], uint16[::1])", "void(uint32[::1], uint32[::1], uint32[::1])"], **OPTIONS)
def scatter(frame, place, sorted_counts):  # type: ignore[no-untyped-def]
    """Put every pixel of a frame in its place.

    Parameters
    ----------
    frame
        Counts, shape (n_pixels,).
    place
        Where each pixel goes, shape (n_pixels,).
    sorted_counts
        Receives the counts, shape (n_used + 1,); the last element takes everything that belongs to no bin.
    """
    for i in range(frame.size):
        sorted_counts[place[i]] = frame[i]


@njit(**OPTIONS)
def _divide(counts, correction, limit, intensity):  # type: ignore[no-untyped-def]
    """Correct the counts of one bin; those at or above the limit become infinite. Give their number."""
    n_excluded = 0
    for i in range(counts.size):
        is_good = counts[i] < limit
        quotient = np.float32(counts[i]) / correction[i]
        intensity[i] = quotient if is_good else np.float32(np.inf)
        n_excluded += 0 if is_good else 1
    return n_excluded


@njit(**OPTIONS)
def _sums(counts, correction, limit, intensity):  # type: ignore[no-untyped-def]
    """Give the sums of counts, corrections and counts times intensity over the good pixels of one bin."""
    signal, norm, square = 0.0, 0.0, 0.0
    for i in range(counts.size):
        is_good = counts[i] < limit
        signal += np.float64(counts[i]) if is_good else 0.0
        norm += np.float64(correction[i]) if is_good else 0.0
        square += np.float64(counts[i]) * np.float64(intensity[i]) if is_good else 0.0
    return signal, norm, square


@njit(**OPTIONS)
def _norm_up_to(intensity, correction, bound):  # type: ignore[no-untyped-def]
    """Sum the corrections of the pixels whose intensity is at most the bound."""
    norm = 0.0
    for i in range(intensity.size):
        norm += np.float64(correction[i]) if intensity[i] <= bound else 0.0
    return norm


@njit(**OPTIONS)
def _counts_up_to(intensity, counts, bound):  # type: ignore[no-untyped-def]
    """Sum the counts of the pixels whose intensity is at most the bound."""
    signal = 0.0
    for i in range(intensity.size):
        signal += np.float64(counts[i]) if intensity[i] <= bound else 0.0
    return signal


@njit(**OPTIONS)
def _narrow(intensity, correction, top, total, target, guess, stride):  # type: ignore[no-untyped-def]
    """Bracket the intensity at which the summed corrections reach the target.

    Give ``low``, ``high`` and the sum up to ``low``: the crossing pixel has an intensity above ``low`` and up to ``high``, and
    no more than ``FEW`` pixels, or only pixels of one intensity, lie there. Regula falsi that oversteps towards the nearer end,
    with a bisection every third time; whole counts leave gaps between intensities, and the bracket never ends inside one.
    """
    smallest, largest = correction[-1], correction[0]
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
        if n_left < FEW + 0.5 or high == 0.0:
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
    return low, high, norm_low


@njit(**OPTIONS)
def _collect(intensity, low, high, found):  # type: ignore[no-untyped-def]
    """List the pixels of a bracket in the order of intensity; equal ones keep the order they stand in. Give their number."""
    n = 0
    for i in range(intensity.size):
        if low < intensity[i] <= high:
            j = n
            while j > 0 and intensity[found[j - 1]] > intensity[i]:
                found[j] = found[j - 1]
                j -= 1
            found[j] = i
            n += 1
    return n


@njit(**OPTIONS)
def _crossing(intensity, correction, counts, bracket, target, found):  # type: ignore[no-untyped-def]
    """Walk to the pixel whose correction carries the sum over the target.

    Give the pixel, and the sums of counts and corrections of all pixels before it.
    """
    low, high, norm = bracket
    signal = _counts_up_to(intensity, counts, low)
    n = _collect(intensity, low, high, found)
    for j in range(n):
        i = found[j]
        if norm + np.float64(correction[i]) >= target:
            return i, signal, norm
        norm += np.float64(correction[i])
        signal += np.float64(counts[i])
    return -1, signal, norm


@njit(**OPTIONS)
def _trimmed(counts, correction, intensity, found, sums, cuts):  # type: ignore[no-untyped-def]
    """Give the mean of the pixels that lie wholly between the cuts; NaN where none does."""
    signal, norm, square = sums
    mean = signal / norm
    sigma = np.sqrt(max(square / norm - mean * mean, 0.0))
    top = np.float32(0.0)
    for i in range(intensity.size):
        top = max(top, intensity[i] if intensity[i] < np.inf else np.float32(0.0))
    unit = intensity.size / norm
    stride = max(1.0, np.round(0.1 * sigma / unit)) * unit
    first, first_signal, first_norm = -1, 0.0, 0.0
    if cuts[0] > 0.0:
        target = cuts[0] * norm
        guess = (np.floor((mean - 1.6 * sigma) / unit) + 0.5) * unit
        bracket = _narrow(intensity, correction, top, norm, target, guess, stride)
        first, first_signal, first_norm = _crossing(intensity, correction, counts, bracket, target, found)
        first_signal += np.float64(counts[first])
        first_norm += np.float64(correction[first])
    last_signal, last_norm = signal, norm
    target = np.nextafter(cuts[1] * norm, np.inf)
    if target <= norm:
        guess = (np.floor((mean + 1.7 * sigma) / unit) + 0.5) * unit
        bracket = _narrow(intensity, correction, top, norm, target, guess, stride)
        last, last_signal, last_norm = _crossing(intensity, correction, counts, bracket, target, found)
        if last == first:
            return intensity[last]
    return (last_signal - first_signal) / (last_norm - first_norm) if last_norm - first_norm > 1e-9 else np.nan


REDUCE = (
    "void({0}[::1], float32[::1], int64[::1], {0}, UniTuple(float64, 2), float64[:, ::1], int64[::1], float32[::1], int64[::1])"
)


@njit([REDUCE.format("uint16"), REDUCE.format("uint32")], **OPTIONS)
def reduce_bins(sorted_counts, correction, offsets, limit, cuts, results, excluded, intensity, found):  # type: ignore[no-untyped-def]
    """Reduce a scattered frame to the values of its bins.

    Parameters
    ----------
    sorted_counts, correction
        Counts and corrections by bin, shape (n_used + 1,) and (n_used,).
    offsets
        Where the bins begin, shape (n_radial + 1,).
    limit
        Counts at or above it are excluded.
    cuts
        Lower and upper cut of the trim, parts of one; (0, 1) leaves the trimmed mean equal to the mean.
    results
        Receives mean, variance of the mean and trimmed mean, shape (3, n_radial), float64; NaN where a bin has no good pixel.
    excluded
        Receives how many counts were excluded, shape (2,): below the maximum of their type, and at it.
    intensity, found
        Room to work in, as long as the fullest bin.
    """
    excluded[:] = 0
    for k in range(offsets.size - 1):
        begin, end = offsets[k], offsets[k + 1]
        counts, weight, value = sorted_counts[begin:end], correction[begin:end], intensity[: end - begin]
        if _divide(counts, weight, limit, value) > 0:
            for count in counts:
                if count >= limit:
                    excluded[1 if count == counts.dtype.type(0xFFFFFFFF) else 0] += 1
        sums = _sums(counts, weight, limit, value)
        if sums[1] <= 0.0:
            results[:, k] = np.nan
            continue
        results[0, k] = sums[0] / sums[1]
        results[1, k] = max(sums[0], 1.0) / (sums[1] * sums[1])
        results[2, k] = _trimmed(counts, weight, value, found, sums, cuts)
