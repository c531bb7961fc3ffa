"""Two maps in one picture, each in a colour of its own, that every eye tells apart. No window.

The four corners are grey for neither, orange, blue, and nearly black for both: orange and blue (M. Okabe, K. Ito, Color
Universal Design, 2008) differ to eyes without red or green cones, and the lightness tells how much of either there is.
"""

import numpy as np
from numpy.typing import NDArray

NEITHER, FIRST, SECOND, BOTH = (232, 232, 232), (213, 94, 0), (0, 114, 178), (25, 18, 40)
"""sRGB."""
COLOUR_WORDS = ("orange", "blue")

Limits = tuple[float, float]


def two_colours(
    first: NDArray[np.floating], second: NDArray[np.floating], *, limits: tuple[Limits, Limits]
) -> NDArray[np.uint8]:
    """Mix two maps of one grid.

    Parameters
    ----------
    first, second
        Shape (y, x), NaN where there is none.
    limits
        For each, where its colour begins and where it is full.

    Returns
    -------
    numpy.ndarray
        Shape (y, x, 4), red green blue alpha; transparent where both are NaN. One alone that is NaN counts as nothing.
    """
    a, b = (_share(value, limit) for value, limit in zip((first, second), limits, strict=True))
    picture = np.zeros((*first.shape, 4), dtype=np.uint8)
    picture[..., :3] = mixed(a, b).round()
    picture[..., 3] = np.where(np.isfinite(first) | np.isfinite(second), 255, 0)
    return picture


def mixed(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the colour of two shares from 0 to 1, shape (..., 3), sRGB 0 to 255: bilinear between the four corners."""
    a, b = first[..., None], second[..., None]
    corners = [np.array(colour, dtype=np.float64) for colour in (NEITHER, FIRST, SECOND, BOTH)]
    return (1 - a) * (1 - b) * corners[0] + a * (1 - b) * corners[1] + (1 - a) * b * corners[2] + a * b * corners[3]


def legend(n: int = 64) -> NDArray[np.uint8]:
    """Give the colours of all mixtures, shape (n, n, 4): the first map grows to the right, the second upwards."""
    share = np.linspace(0, 1, n)
    second, first = np.meshgrid(share, share, indexing="ij")
    picture = np.full((n, n, 4), 255, dtype=np.uint8)
    picture[..., :3] = mixed(first, second).round()
    return picture


def _share(value: NDArray[np.floating], limits: Limits) -> NDArray[np.float64]:
    low, high = limits
    number = np.where(np.isfinite(value), value, low).astype(np.float64)
    return np.clip((number - low) / (high - low), 0.0, 1.0)
