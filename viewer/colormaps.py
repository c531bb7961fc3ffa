"""Colour scales by the names that messages use, as plain tables: the same colours for layers, tiles and tests.

``lixc6`` is the published scale of lithium in graphite: linear from black, C6, to red, LiC6. Every other name is one of
napari's; a name that nobody knows becomes viridis, which is even and readable without colour vision.
"""

from functools import cache

import numpy as np
import structlog
from napari.utils.colormaps import AVAILABLE_COLORMAPS, ensure_colormap
from numpy.typing import NDArray

logger = structlog.get_logger(__name__)

FALLBACK = "viridis"
N_COLOURS = 256


@cache
def colour_table(name: str) -> NDArray[np.float32]:
    """Give a scale from its low to its high end, shape (256, 4), red green blue alpha, 0 to 1."""
    if name == "lixc6":
        table = np.zeros((N_COLOURS, 4), dtype=np.float32)
        table[:, 0] = np.linspace(0, 1, N_COLOURS)
        table[:, 3] = 1
    else:
        if name not in AVAILABLE_COLORMAPS:
            logger.warning("colour map unknown", name=name, used=FALLBACK)
            name = FALLBACK
        table = np.asarray(ensure_colormap(name).map(np.linspace(0, 1, N_COLOURS)), dtype=np.float32)
    table.setflags(write=False)
    return table


def coloured(value: NDArray[np.floating], *, low: float, high: float, colormap: str) -> NDArray[np.uint8]:
    """Give a map as a picture, shape (y, x, 4), red green blue alpha; NaN is transparent, the range is clipped."""
    table = (colour_table(colormap) * 255).round().astype(np.uint8)
    is_number = np.isfinite(value)
    scaled = (np.where(is_number, value, low) - low) / (high - low) * (N_COLOURS - 1)
    picture = table[np.clip(scaled, 0, N_COLOURS - 1).round().astype(np.intp)]
    picture[~is_number, 3] = 0
    return picture
