import numpy as np
import pytest
from scipy import stats

from acquisition.twin.noise import GAMMA, N_RUNGS, RUNG, SLOT_BITS, THRESHOLD_BITS, PoissonLadder, make_ladder, mix, stream_key

FULL = 1 << THRESHOLD_BITS


@pytest.fixture(scope="module")
def ladder() -> PoissonLadder:
    return make_ladder()


def probabilities_of(ladder: PoissonLadder, rung: int) -> tuple[int, np.ndarray]:
    """Add up what each slot and each alias of a table give: the distribution that it draws from."""
    packed = int(ladder.rungs[rung])
    start, lowest, n_slots = packed & 0xFFFFFFFF, packed >> 32 & 0xFFFF, 1 << (SLOT_BITS - (packed >> 48))
    entries = ladder.entries[start : start + n_slots].astype(np.int64)
    own = (entries >> SLOT_BITS) / FULL
    alias = entries & (1 << SLOT_BITS) - 1
    return lowest, (own + np.bincount(alias, weights=1 - own, minlength=n_slots)) / n_slots


@pytest.mark.parametrize("rung", [0, 1, 5, 50, 100, 333, 1000, N_RUNGS - 1])
def test_a_table_draws_from_the_poisson_distribution(ladder: PoissonLadder, rung: int) -> None:
    lowest, found = probabilities_of(ladder, rung)
    wanted = stats.poisson.pmf(np.arange(lowest, lowest + found.size), (rung * RUNG) ** 2)

    assert found.sum() == pytest.approx(1)
    assert np.abs(found - wanted).max() < 1e-6


def test_the_ladder_keeps_mean_and_variance(ladder: PoissonLadder) -> None:
    for rung in range(3, N_RUNGS, 97):
        lowest, found = probabilities_of(ladder, rung)
        counts = np.arange(lowest, lowest + found.size)
        mean = found @ counts
        assert mean == pytest.approx((rung * RUNG) ** 2, rel=1e-4, abs=1e-4)
        assert found @ (counts - mean) ** 2 == pytest.approx((rung * RUNG) ** 2, rel=1e-3, abs=1e-3)


def test_the_counter_gives_the_published_stream() -> None:
    """First outputs of SplitMix64 for seed 1234567, from its reference implementation."""
    with np.errstate(over="ignore"):
        found = [int(mix(np.uint64(1234567) + np.uint64(n) * GAMMA)) for n in (1, 2, 3)]

    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_streams_have_keys_of_their_own() -> None:
    keys = {int(stream_key(seed, exposure, draw)) for seed in range(20) for exposure in range(200) for draw in range(3)}

    assert len(keys) == 20 * 200 * 3
