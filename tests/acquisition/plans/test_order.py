import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.plans.order import angles_in_flying_order, bit_reversed, interlaced_order, turns_deg
from operando.profile import read_profile


@given(n_lines=st.integers(1, 500), n_passes=st.integers(1, 40))
def test_interlaced_order_flies_every_angle_once(n_lines: int, n_passes: int) -> None:
    assert sorted(interlaced_order(n_lines, n_passes)) == list(range(n_lines))


@given(n_lines=st.integers(16, 400), n_passes=st.sampled_from([2, 4, 8]))
def test_every_pass_covers_the_whole_range(n_lines: int, n_passes: int) -> None:
    first_pass = interlaced_order(n_lines, n_passes)[: n_lines // n_passes]
    assert np.diff(np.sort(first_pass)).max() == n_passes
    assert first_pass.min() < n_passes
    assert first_pass.max() >= n_lines - 2 * n_passes


@given(n_lines=st.integers(8, 400))
def test_one_pass_is_sequential(n_lines: int) -> None:
    np.testing.assert_array_equal(interlaced_order(n_lines, 1), np.arange(n_lines))


@given(n_passes=st.integers(1, 64))
def test_offsets_of_passes_are_a_permutation_whose_first_two_halve_the_step(n_passes: int) -> None:
    offsets = bit_reversed(n_passes)
    assert sorted(offsets) == list(range(n_passes))
    if n_passes in (2, 4, 8, 16, 32, 64):
        assert offsets[:2] == [0, n_passes // 2]


@given(n_lines=st.integers(8, 400), n_passes=st.integers(1, 8))
def test_interlacing_turns_the_stage_at_most_once_over_the_range_for_each_pass(n_lines: int, n_passes: int) -> None:
    order = interlaced_order(n_lines, n_passes).astype(float)
    assert turns_deg(order).sum() <= n_passes * n_lines


@pytest.mark.parametrize("order", ["sequential", "interlaced"])
@pytest.mark.parametrize("angle_range_deg", [180, 360])
def test_angles_fill_the_half_open_range_evenly(order: str, angle_range_deg: int) -> None:
    scan = read_profile("demo").scan.model_copy(update={"order": order, "angle_range_deg": angle_range_deg})
    angles_deg = np.sort(angles_in_flying_order(scan))
    np.testing.assert_allclose(angles_deg, np.arange(scan.n_lines) * angle_range_deg / scan.n_lines, atol=1e-12)
