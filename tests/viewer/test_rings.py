"""Rings over a frame: where q is what the phase says, on one side of the beam."""

import numpy as np
import pytest

from viewer.rings import columns_with_rings, ring_pixels, rings_picture


def frame_q(*, centre: tuple[int, int] = (100, 100), shape: tuple[int, int] = (201, 201)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) / 20


def test_a_ring_lies_where_q_is_that_of_the_reflection():
    q = frame_q()
    found = ring_pixels(q, [2.0, 3.5])
    distance = np.abs(q[found][:, None] - [2.0, 3.5]).min(axis=1)
    assert found.sum() > 2 * np.pi * 40
    assert distance.max() < 1.5 / 20
    assert not ring_pixels(q, [50.0]).any()


@pytest.mark.parametrize(("centre", "n_columns"), [((100, 100), 100), ((100, 5), 201), ((100, 190), 201)])
def test_the_half_right_of_the_beam_is_left_free_unless_the_beam_passes_at_the_edge(centre, n_columns):
    q = frame_q(centre=centre)
    assert columns_with_rings(q) == n_columns
    drawn = rings_picture(q, {"a": [2.0], "b": [3.0]}, ["#ff0000", "#0000ff"])
    assert drawn[:, :n_columns, 3].any()
    assert not drawn[:, n_columns:, 3].any()


def test_each_phase_has_its_colour():
    q = frame_q()
    drawn = rings_picture(q, {"a": [2.0], "b": [3.0]}, ["#ff0000", "#0000ff"])
    for colour, at in (((255, 0, 0), 2.0), ((0, 0, 255), 3.0)):
        is_colour = (drawn[..., :3] == colour).all(axis=-1) & (drawn[..., 3] > 0)
        assert is_colour.any()
        assert np.abs(q[is_colour] - at).max() < 1.5 / 20
