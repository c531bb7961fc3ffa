"""Two maps in one picture: each colour tells its map, to every eye."""

import numpy as np
import pytest

from viewer.colormaps import lightness
from viewer.two_colours import BOTH, FIRST, NEITHER, SECOND, legend, mixed, two_colours

UNIT = ((0.0, 1.0), (0.0, 1.0))
NAN = np.nan


@pytest.mark.parametrize(
    ("first", "second", "colour"),
    [(0, 0, NEITHER), (1, 0, FIRST), (0, 1, SECOND), (1, 1, BOTH), (2, -1, FIRST), (1, NAN, FIRST), (NAN, 1, SECOND)],
)
def test_the_corners_are_grey_orange_blue_and_dark_and_one_alone_counts(first, second, colour):
    picture = two_colours(np.array([[first]], "f4"), np.array([[second]], "f4"), limits=UNIT)
    assert tuple(picture[0, 0]) == (*colour, 255)


def test_where_neither_is_known_the_canvas_shows():
    assert two_colours(np.full((2, 2), NAN), np.full((2, 2), NAN), limits=UNIT)[..., 3].max() == 0


def test_each_map_has_its_own_limits():
    one = two_colours(np.array([[30.0]]), np.array([[0.3]]), limits=((0.0, 60.0), (0.2, 0.4)))
    np.testing.assert_array_equal(one[0, 0, :3], mixed(np.array(0.5), np.array(0.5)).round())


def test_the_legend_has_the_first_map_to_the_right_and_the_second_upwards():
    picture = legend(5)
    corners = [tuple(picture[row, column, :3]) for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1))]
    assert corners == [NEITHER, FIRST, SECOND, BOTH]


# What an eye without cones of one kind sees: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, A physiologically-based model
# for simulation of color vision deficiency, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291, severity 1.0, on linear RGB.
EYES = {
    "all cones": np.eye(3),
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]),
}


def seen(colour: tuple[int, int, int], eye: str) -> np.ndarray:
    """sRGB, 0 to 1, as an eye sees it."""
    srgb = np.array(colour) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    found = np.clip(EYES[eye] @ linear, 0, 1)
    return np.where(found <= 0.0031308, 12.92 * found, 1.055 * found ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("eye", EYES)
def test_no_two_corners_look_alike_to_any_eye(eye):
    colours = [seen(colour, eye) for colour in (NEITHER, FIRST, SECOND, BOTH)]
    for k, one in enumerate(colours):
        for other in colours[:k]:
            assert np.abs(one - other).max() > 0.25
    grey, orange, blue, dark = (lightness(colour) for colour in colours)
    assert dark + 25 < min(orange, blue)
    assert max(orange, blue) + 25 < grey
