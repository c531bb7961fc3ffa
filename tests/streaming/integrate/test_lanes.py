"""Sixty-four places at once agree with one at a time."""

import numpy as np
import pytest
from numba import njit

from streaming.integrate.lanes import N_NUMBERS, n_set, places_at, places_below, planes_of, sum_of_counts, sum_of_planes


@njit
def _all_of_block(counts, planes, block, bound):  # type: ignore[no-untyped-def]
    below, at = places_below(counts, 64 * block, bound), places_at(counts, 64 * block, bound)
    return below, n_set(below), n_set(at), sum_of_counts(counts, 64 * block, below), sum_of_planes(planes, block, below)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_comparisons_and_sums_of_a_block_agree_with_plain_ones(dtype: type) -> None:
    rng = np.random.default_rng()
    most = np.iinfo(dtype).max
    numbers = rng.integers(0, N_NUMBERS, 192, endpoint=True).astype(np.uint16)
    numbers[:64] = N_NUMBERS
    for counts in (
        rng.integers(0, most, 192, dtype, endpoint=True),
        rng.integers(0, 5, 192, dtype),
        np.full(192, most - 1, dtype),
    ):
        for bound in (*counts[::40], dtype(0), dtype(most)):
            for block in range(3):
                here, weight = counts[64 * block : 64 * block + 64], numbers[64 * block : 64 * block + 64].astype(np.int64)
                below, n_below, n_at, signal, total = _all_of_block(counts, planes_of(numbers), block, dtype(bound))
                wanted = here < bound
                assert int(below) == sum(1 << lane for lane in np.flatnonzero(wanted).tolist())
                assert (n_below, n_at) == (wanted.sum(), (here == bound).sum())
                assert (signal, total) == (here[wanted].sum(dtype=np.int64), weight[wanted].sum())
