"""The compiled loop over the bins: sorted counts become mean, variance of the mean and trimmed mean, by counting.

Detector counts are small whole numbers, and inside a bin the corrections differ by a percent or two: all pixels of one count
then lie below all pixels of the next on the scale of corrected intensity. The cut falls into one class of equal counts, found
by counting how many pixels are at or below a guess; pixels of that class already stand in order. The trim stays exact. Where
classes overlap (high counts, wide corrections) the bin goes to :func:`streaming.integrate.kernels.trim_by_intensity`.

Sums of corrections are taken from bit planes (:mod:`streaming.integrate.lanes`) in whole steps of 1/65534 of their spread in
the bin. Where such rounding could decide which pixel carries the sum over the cut (one bin in a thousand) it goes there too.

Floor for a PILATUS 2M of 8 bits, one frame in the cache, on one core: 2.3 MB of counts for each pass and 4.6 MB of planes for
each sum of corrections. Measured: counting what is below a bound 0.04 ms, summing counts 0.06 ms, summing corrections 0.12 ms.
A frame needs two sums of counts and, for each cut, some three countings and one and a half sums of corrections: 0.7 ms;
measured were 0.95 ms, and 4.9 ms for the trim by intensity.
"""

import numpy as np
from numba import njit, types

from streaming.integrate.kernels import BLOCK, trim_by_intensity
from streaming.integrate.lanes import N_NUMBERS, n_set, places_at, places_below, sum_of_counts, sum_of_planes
from streaming.integrate.passes import COUNTS, F4, F8, I8, OPTIONS, given

CUTS = types.UniTuple(F8, 2)
WEIGHTS = given(F4), given(types.uint64, 2), given(I8), given(F8)
LAYOUT = given(I8), given(I8)
REDUCE = [types.void(given(count), *WEIGHTS, *LAYOUT, given(F8), count, CUTS, F8[:, ::1], I8[::1], F4[::1]) for count in COUNTS]


@njit(**OPTIONS)
def _add(counts, limit):  # type: ignore[no-untyped-def]
    """Sum the counts below the limit; give the sum and how many places are left out."""
    signal, n = np.int64(0), np.int64(0)
    for begin in range(0, counts.size, BLOCK):
        bits = places_below(counts, begin, limit)
        signal += sum_of_counts(counts, begin, bits)
        n += n_set(bits)
    return signal, counts.size - n


@njit(**OPTIONS)
def _n_at(counts, bound):  # type: ignore[no-untyped-def]
    """Count the places whose count is the bound."""
    n = np.int64(0)
    for begin in range(0, counts.size, BLOCK):
        n += n_set(places_at(counts, begin, bound))
    return n


@njit(**OPTIONS)
def _largest_below(counts, limit):  # type: ignore[no-untyped-def]
    """Give the largest count below the limit."""
    largest = counts.dtype.type(0)
    for i in range(counts.size):
        largest = max(largest, counts[i]) if counts[i] < limit else largest
    return np.int64(largest)


@njit(**OPTIONS)
def _n_up_to(counts, bound):  # type: ignore[no-untyped-def]
    """Count the places whose count is at most the bound, which is below that of empty places."""
    return _below(counts, counts.dtype.type(bound + 1))


@njit(**OPTIONS)
def _below(counts, bound):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    for begin in range(0, counts.size, BLOCK):
        n += n_set(places_below(counts, begin, bound))
    return n


@njit(**OPTIONS)
def _norm_below(counts, planes, base, bound):  # type: ignore[no-untyped-def]
    """Count the places below the bound and sum their corrections, in steps."""
    n, total = np.int64(0), np.int64(0)
    for begin in range(0, counts.size, BLOCK):
        bits = places_below(counts, begin, bound)
        n += n_set(bits)
        total += sum_of_planes(planes, begin // BLOCK, bits)
    return n, base * n + total


@njit(**OPTIONS)
def _signal_of_classes(counts, low, high):  # type: ignore[no-untyped-def]
    """Sum the counts that are at least ``low`` and below ``high``."""
    signal = np.int64(0)
    least, most = counts.dtype.type(low), counts.dtype.type(high)
    for begin in range(0, counts.size, BLOCK):
        bits = places_below(counts, begin, most) & ~places_below(counts, begin, least)
        signal += sum_of_counts(counts, begin, bits)
    return signal


@njit(**OPTIONS)
def _class_of(counts, largest, n_target, guess):  # type: ignore[no-untyped-def]
    """Give the smallest count at or below which lie ``n_target`` pixels: strides from the guess, then bisection."""
    low, high = np.int64(-1), np.int64(largest)
    stride, is_open = np.int64(1), True
    probe = np.int64(min(max(guess, 0.0), largest))
    while high - low > 1:
        if not low < probe < high:
            probe = (low + high) // 2
        is_enough = _n_up_to(counts, counts.dtype.type(probe)) >= n_target
        if is_enough:
            high = probe
        else:
            low = probe
        is_open = bool(is_open and (low < 0 or high == np.int64(largest)))
        probe = probe + (-stride if is_enough else stride) if is_open else (low + high) // 2
        stride *= 2
    return high


@njit(**OPTIONS)
def _bit_of(planes, block, base, bits, n, more, missing):  # type: ignore[no-untyped-def]
    """Find the place in a block whose correction, summed with those before it, reaches what is missing.

    ``n`` bits are set and their corrections add up to ``more``, which is enough. Give the bit of the place, how many are before
    it, and the sums before and with it. Corrections of one block are nearly equal: the first guess is hardly ever wrong.
    """
    n_before = min(missing * n // more, n - 1)
    while True:
        rest = bits
        for _ in range(n_before):
            rest &= rest - np.uint64(1)
        bit = rest & (~rest + np.uint64(1))
        before = base * n_before + sum_of_planes(planes, block, bits ^ rest)
        after = before + base + sum_of_planes(planes, block, bit)
        if before >= missing and n_before > 0:
            n_before -= 1
        elif after < missing and n_before < n - 1:
            n_before += 1
        else:
            return bit, n_before, before, after


@njit(**OPTIONS)
def _crossing(counts, planes, base, most, target, margin, level):  # type: ignore[no-untyped-def]
    """Find the pixel whose correction carries the sum over the target, in the order of count, then of falling correction.

    All sums are in steps. ``level`` is a guess of its count. Give its place, its count, how many pixels of its count stand
    before it, and the sums of all corrections before it and with it; place -1 if rounding hides it.
    """
    way = 0
    while True:
        bound = counts.dtype.type(level)
        _, norm = _norm_below(counts, planes, base, bound)
        # Corrections are not all one, so the count may be a class off. Turning round would mean rounding.
        if norm >= target and level > 0 and way <= 0:
            way = -1
            level -= 1
            continue
        n_before = np.int64(0)
        for block in range(counts.size // BLOCK):
            bits = places_at(counts, block * BLOCK, bound)
            n = n_set(bits)
            more = base * n + sum_of_planes(planes, block, bits)
            if norm + more >= target:
                bit, n_here, before, after = _bit_of(planes, block, base, bits, n, more, target - norm)
                is_sure = norm + before < target - margin and norm + after > target + margin
                place = block * BLOCK + n_set(bit - np.uint64(1)) if is_sure else -1
                return place, level, n_before + n_here, norm + before, norm + after
            norm += more
            n_before += n
        if level >= most or way < 0:
            return -1, level, n_before, norm, norm
        way = 1
        level += 1


@njit(**OPTIONS)
def _trimmed(counts, correction, planes, base, step, sums, cuts, most):  # type: ignore[no-untyped-def]
    """Give the mean of the pixels that lie wholly between the cuts, and whether it could be found by counting."""
    signal, norm, n_good = sums
    mean = signal / n_good
    sigma = np.sqrt(mean)
    # Half a step for each pixel that is summed, and for each in the whole.
    margin = n_good + BLOCK
    first, first_level, first_before, first_norm = -1, np.int64(0), np.int64(0), np.int64(0)
    if cuts[0] > 0.0:
        guess = _class_of(counts, most, cuts[0] * n_good, np.ceil(mean - 1.645 * sigma - 0.3))
        first, first_level, first_before, _, first_norm = _crossing(
            counts, planes, base, most, np.int64(cuts[0] * norm), margin, guess
        )
        if first < 0:
            return np.nan, False
        first_before += 1
    last, last_level, last_before, last_norm = -1, most + 1, np.int64(0), np.int64(norm)
    if cuts[1] < 1.0:
        guess = _class_of(counts, most, cuts[1] * n_good, np.ceil(mean + 1.645 * sigma - 0.3))
        last, last_level, last_before, last_norm, _ = _crossing(
            counts, planes, base, most, np.int64(cuts[1] * norm), margin, guess
        )
        if last < 0:
            return np.nan, False
    largest = max(first_level, last_level if last >= 0 else _largest_below(counts, counts.dtype.type(most + 1)))
    # The classes must lie apart: the widest correction of one count still below the narrowest of the next.
    if largest * N_NUMBERS >= base:
        return np.nan, False
    if last >= 0 and last == first:
        return np.float64(counts[last]) / correction[last], True
    if last_norm <= first_norm:
        return np.nan, True
    between = _signal_of_classes(counts, first_level, last_level) + last_before * last_level - first_before * first_level
    return between / (np.float64(last_norm - first_norm) * step), True


@njit(REDUCE, **OPTIONS)
def reduce_bins(  # type: ignore[no-untyped-def]
    sorted_counts, correction, planes, bases, steps, offsets, n_pixels, norms, limit, cuts, results, excluded, room
):
    """Reduce a sorted frame to the values of its bins.

    Parameters
    ----------
    sorted_counts, correction
        Counts and corrections by place, shape (n_places,) each.
    planes, bases, steps
        The corrections once more (:class:`streaming.integrate.bins.RadialBins`).
    offsets, n_pixels, norms
        Where the places of the bins begin, shape (n_radial + 1,); how many of them are taken and the sum of their corrections,
        shape (n_radial,).
    limit
        Counts at or above it are excluded.
    cuts
        Lower and upper cut of the trim, parts of one; (0, 1) leaves the trimmed mean equal to the mean.
    results
        Receives mean, variance of the mean and trimmed mean, shape (3, n_radial), float64; NaN where a bin has no good pixel.
    excluded
        Receives how many counts were excluded, shape (2,): below the maximum of their type, and at it.
    room
        To work in, as long as the fullest bin.
    """
    excluded[:] = 0
    most = np.int64(limit) - 1
    for k in range(n_pixels.size):
        n, begin, end = n_pixels[k], offsets[k], offsets[k + 1]
        counts, here = sorted_counts[begin:end], planes[begin // BLOCK : end // BLOCK]
        signal, n_out = _add(counts, limit)
        n_good, norm = counts.size - n_out, norms[k]
        if n_good < n:
            n_masked = _n_at(counts, counts.dtype.type(0xFFFFFFFF)) - (counts.size - n)
            excluded[0] += n - n_good - n_masked
            excluded[1] += n_masked
            norm = steps[k] * _norm_below(counts, here, bases[k], limit)[1]
        if n_good == 0:
            results[:, k] = np.nan
            continue
        results[0, k] = signal / norm
        results[1, k] = max(np.float64(signal), 1.0) / (norm * norm)
        if cuts[0] <= 0.0 and cuts[1] >= 1.0:
            results[2, k] = results[0, k]
            continue
        weight, sums = correction[begin:end], (signal, norm / steps[k], n_good)
        value, is_found = _trimmed(counts, weight, here, bases[k], steps[k], sums, cuts, most)
        results[2, k] = value if is_found else trim_by_intensity(counts, weight, n, limit, cuts, room[: end - begin])
