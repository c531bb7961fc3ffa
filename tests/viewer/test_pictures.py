"""Colours, pictures and words, without a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operando.messages import MapPublished
from viewer.colormaps import colour_table, coloured
from viewer.pictures import even_sinogram, log_counts, robust_range
from viewer.session import Session
from viewer.words import cell_words, frames_words, map_words, progress_words, run_words


def test_the_published_scale_goes_linearly_from_black_to_red():
    table = colour_table("lixc6")
    np.testing.assert_allclose(table[:, 0], np.linspace(0, 1, 256))
    assert not table[:, 1:3].any()
    assert (table[:, 3] == 1).all()


def test_a_colour_map_that_nobody_knows_becomes_viridis():
    np.testing.assert_array_equal(colour_table("no such map"), colour_table("viridis"))


def test_nan_is_transparent_and_what_is_out_of_range_has_the_colour_of_the_end():
    picture = coloured(np.array([[np.nan, -5.0, 0.5, 7.0]]), low=0, high=1, colormap="lixc6")[0]
    assert picture[0, 3] == 0
    assert [tuple(p) for p in picture[1:]] == [(0, 0, 0, 255), (128, 0, 0, 255), (255, 0, 0, 255)]


@given(st.permutations(range(12)))
def test_a_sinogram_looks_the_same_in_whatever_order_it_was_flown(order):
    angles = 15.0 * np.arange(12)
    rows = np.random.default_rng(0).random((12, 5)).astype("f4")
    even = even_sinogram(rows[list(order)], angles[list(order)])
    np.testing.assert_array_equal(even.value, rows)
    assert (even.first_deg, even.step_deg) == (0.0, 15.0)


def test_a_missing_angle_leaves_a_gap_in_the_sinogram():
    even = even_sinogram(np.ones((3, 4), "f4"), [0.0, 10.0, 30.0])
    assert even.value.shape == (4, 4)
    assert np.isnan(even.value[2]).all()
    assert even_sinogram(np.ones((1, 4), "f4"), [12.0]).value.shape == (1, 4)


def test_masked_pixels_have_no_counts():
    image = np.array([[0, 99, 2**32 - 1]], np.uint32)
    np.testing.assert_allclose(log_counts(image), [[0.0, 2.0, np.nan]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.full(5, np.nan), np.zeros(5), np.arange(5.0)])
def test_a_range_is_always_ascending(value):
    low, high = robust_range(value)
    assert low < high


def test_words_before_anything_is_known_are_dashes():
    session = Session()
    assert progress_words(session).main == cell_words(session).main == frames_words(session).main == "–"
    assert run_words(session).main == "no run yet"


def test_words_tell_scan_cell_and_frames(entries):
    session = Session()
    for entry in entries:
        session.apply(entry)
    assert progress_words(session) == ("30 / 48 lines", "52 s left")
    assert cell_words(session).main.endswith(" V   +0.00 A")
    assert "CC_Chg · 1.234 Ah · 25.1 °C" in cell_words(session).small
    assert frames_words(session) == ("1827 frames   25/s", "3 missing · 1 doubled · 2 rejected")
    message = next(entry.message for entry in entries if isinstance(entry.message, MapPublished))
    assert map_words(message) == "partial 62 %   3.700 V   1.234 Ah"
    assert map_words(message.model_copy(update={"n_lines": 48, "cell": None})) == "complete"


def test_an_old_reading_of_the_cell_says_its_age(entries):
    last = max(entry.message.time_s for entry in entries if entry.message.kind == "cell_reading")  # type: ignore[attr-defined]
    session = Session(clock=lambda: last + 75)
    for entry in entries:
        session.apply(entry)
    assert "1:15 old" in cell_words(session).small
