"""Where the rings of the phases should be on a detector frame: lines of equal q, as a picture to lay over it. No window."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

ALPHA = 150
_NEAR_EDGE = 0.1
"""Part of the frame's width: a beam that passes closer to the edge, or beside the frame, leaves no half to compare."""


def ring_pixels(q: NDArray[np.floating], lines: Sequence[float]) -> NDArray[np.bool_]:
    """Give the pixels where q passes one of some values, shape (rows, columns): thin closed lines.

    Parameters
    ----------
    q
        Of each pixel, shape (rows, columns), 1/angstrom.
    lines
        Values of q, 1/angstrom.
    """
    n_below = np.searchsorted(np.sort(np.asarray(lines, dtype=np.float64)), q)
    found = np.zeros(q.shape, dtype=np.bool_)
    found[:, :-1] |= n_below[:, 1:] != n_below[:, :-1]
    found[:-1] |= n_below[1:] != n_below[:-1]
    return found


def rings_picture(
    q: NDArray[np.floating], reflections: Mapping[str, Sequence[float]], colours: Sequence[str]
) -> NDArray[np.uint8]:
    """Draw the rings of every phase on the side left of the beam, so that on the right the frame can be seen without them.

    Parameters
    ----------
    q
        Of each pixel, shape (rows, columns), 1/angstrom.
    reflections
        q of each phase's reflections, 1/angstrom.
    colours
        As ``#rrggbb``, one for each phase in turn.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns, 4), red green blue alpha.
    """
    picture = np.zeros((*q.shape, 4), dtype=np.uint8)
    n_columns = columns_with_rings(q)
    for k, lines in enumerate(reflections.values()):
        colour = colours[k % len(colours)]
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        picture[:, :n_columns][ring_pixels(q[:, :n_columns], lines)] = (*rgb, ALPHA)
    return picture


def columns_with_rings(q: NDArray[np.floating]) -> int:
    """Give how many columns from the left carry rings: those left of the beam, or all if it passes near or beyond an edge."""
    n_columns = q.shape[1]
    centre = int(np.unravel_index(int(np.argmin(q)), q.shape)[1])
    return centre if _NEAR_EDGE * n_columns < centre < (1 - _NEAR_EDGE) * n_columns else n_columns
