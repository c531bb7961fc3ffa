"""Counting statistics from a counter: a pixel's random number depends on seed, exposure and pixel, on nothing else.

SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195) computes element n of its stream from n alone. Poisson
numbers come from tables of the alias method (Walker 1977, doi 10.1145/355744.355749), one table for each of a ladder of means.
A mean between two rungs takes the upper or the lower one at random, so that the mean is exact. The rungs are even in the square
root of the mean: that adds at most ``RUNG**2`` (0.04 %) of the mean to the variance.
"""

from dataclasses import dataclass

import numpy as np
from numba import float64, int64, njit, uint32, uint64, void
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

RUNG = 0.02
"""Step of the ladder in the square root of the mean: smaller takes more cache, larger more variance."""
HIGHEST_MEAN = 2000.0
"""Means above this are drawn as sums of several draws."""
N_RUNGS = int(np.sqrt(HIGHEST_MEAN) / RUNG) + 2
TAIL_SIGMAS = 7.5
SLOT_BITS = 10
"""No table has more slots than 2 to this power; an entry holds the alias below and the threshold above."""
THRESHOLD_BITS = 32 - SLOT_BITS

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoissonLadder:
    """Alias tables for the means (k RUNG)^2, k = 0 to N_RUNGS - 1; read-only, shared by all threads."""

    rungs: NDArray[np.uint64]
    """Of each table: place of its first entry (low 32 bits), smallest count (16 bits), by how much SLOT_BITS random bits
    must be shifted right to be a slot (16 bits); shape (rung,)."""
    entries: NDArray[np.uint32]
    """Alias slot (low SLOT_BITS) and threshold (above) of each slot, shape (entry,)."""


def make_ladder() -> PoissonLadder:
    """Compute the tables: a quarter of a second."""
    means = (RUNG * np.arange(N_RUNGS)) ** 2
    lowest = np.maximum(0, np.floor(means - TAIL_SIGMAS * np.sqrt(means)))
    spans = means + TAIL_SIGMAS * np.sqrt(means) + 16 - lowest
    bits = np.minimum(SLOT_BITS, np.ceil(np.log2(spans))).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(1 << bits)])
    entries = np.empty(starts[-1], dtype=np.uint32)
    for mean, low, n_bits, start in zip(means, lowest, bits, starts[:-1], strict=True):
        counts = np.arange(low, low + (1 << n_bits))
        probabilities = np.exp(xlogy(counts, mean) - mean - gammaln(counts + 1))
        _fill_alias_table(probabilities / probabilities.sum(), entries[start : start + counts.size])
    shifts = (SLOT_BITS - bits).astype(np.uint64)
    rungs = starts[:-1].astype(np.uint64) | lowest.astype(np.uint64) << np.uint64(32) | shifts << np.uint64(48)
    return PoissonLadder(rungs=rungs, entries=entries)


@njit(uint64(uint64), cache=True, nogil=True, inline="always")
def mix(state: np.uint64) -> np.uint64:
    """Scramble a counter: the output function of SplitMix64."""
    state = (state ^ (state >> np.uint64(30))) * MIX_1
    state = (state ^ (state >> np.uint64(27))) * MIX_2
    return state ^ (state >> np.uint64(31))


@njit(uint64(int64, int64, int64), cache=True, nogil=True)
def stream_key(seed: int, exposure: int, draw: int) -> np.uint64:
    """Give the key of one exposure's stream; ``draw`` counts the draws that are added for high means."""
    key = mix(np.uint64(seed) + GAMMA)
    key = mix(key ^ np.uint64(exposure) + GAMMA)
    return mix(key ^ np.uint64(draw) + GAMMA)


@njit(void(float64[::1], uint32[::1]), cache=True, nogil=True)
def _fill_alias_table(probabilities: NDArray[np.float64], table: NDArray[np.uint32]) -> None:
    """Write Walker's table (Vose's order of filling) for ``probabilities`` of a power of two of slots."""
    n = probabilities.size
    scaled = probabilities * n
    stack = np.empty(n, dtype=np.int64)
    n_small, n_large = 0, 0
    for slot in range(n):
        if scaled[slot] < 1.0:
            stack[n_small] = slot
            n_small += 1
        else:
            n_large += 1
            stack[n - n_large] = slot
    full = (1 << THRESHOLD_BITS) - 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        small, large = stack[n_small], stack[n - n_large]
        threshold = min(full, int(scaled[small] * (1 << THRESHOLD_BITS) + 0.5))
        table[small] = (threshold << SLOT_BITS) | large
        scaled[large] -= 1.0 - scaled[small]
        if scaled[large] < 1.0:
            n_large -= 1
            stack[n_small] = large
            n_small += 1
    for place in range(n_small):
        table[stack[place]] = (full << SLOT_BITS) | stack[place]
    for place in range(n - n_large, n):
        table[stack[place]] = (full << SLOT_BITS) | stack[place]
