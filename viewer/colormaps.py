"""Colour scales by the names that messages use, as plain tables: the same colours for layers, tiles, figures and tests.

``lixc6`` is the published scale of lithium in graphite: linear from black, C6, to red, LiC6. Its lightness ends at half, and
to an eye without red cones almost at black. Two scales, both linear in lightness, tell the same story to every eye and printer:
``lixc6-even`` from black over red to amber, for the screen, and ``lixc6-print`` from pale amber over red to nearly black, for
paper. Every other name is one of napari's or matplotlib's; one that nobody knows becomes viridis, which is even, too.
"""

from functools import cache

import matplotlib
import numpy as np
import structlog
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap, ensure_colormap
from numpy.typing import NDArray

logger = structlog.get_logger(__name__)

FALLBACK = "viridis"
N_COLOURS = 256
PUBLISHED = "lixc6"
EVEN = "lixc6-even"
PRINT = "lixc6-print"
DIFFERENCE = "difference"
DISPLAY_NAMES = {PUBLISHED: "LixC6 (published)", EVEN: "LixC6 (even)", PRINT: "LixC6 (print)"}
_ANCHORS = {
    EVEN: [(0, 0, 0), (120, 0, 15), (215, 25, 25), (245, 120, 30), (255, 205, 80)],
    PRINT: [(253, 224, 170), (240, 140, 60), (200, 40, 40), (110, 0, 40), (35, 0, 20)],
}
"""sRGB corners of a path through the colours; chosen so that lightness never turns back on the way."""


_DIFFERENCE = [(20, 70, 150), (110, 160, 215), (222, 222, 222), (230, 160, 80), (165, 80, 0)]
"""From blue over light grey to orange: told apart without red or green cones, and zero is seen on white."""


def is_known(name: str) -> bool:
    """Say whether a colour scale of this name exists."""
    return name in DISPLAY_NAMES or name == DIFFERENCE or name in AVAILABLE_COLORMAPS or name in matplotlib.colormaps


@cache
def colour_table(name: str) -> NDArray[np.float32]:
    """Give a scale from its low to its high end, shape (256, 4), red green blue alpha, 0 to 1."""
    if not is_known(name):
        logger.warning("colour map unknown", name=name, used=FALLBACK)
        name = FALLBACK
    if name == PUBLISHED:
        table = np.zeros((N_COLOURS, 4), dtype=np.float32)
        table[:, 0] = np.linspace(0, 1, N_COLOURS)
        table[:, 3] = 1
    elif name == DIFFERENCE:
        table = _through(np.array(_DIFFERENCE) / 255)
    elif name not in AVAILABLE_COLORMAPS and name in matplotlib.colormaps:
        table = np.asarray(matplotlib.colormaps[name](np.linspace(0, 1, N_COLOURS)), dtype=np.float32)
    elif name in _ANCHORS:
        table = _evenly_light(np.array(_ANCHORS[name]) / 255)
    else:
        table = np.asarray(ensure_colormap(name).map(np.linspace(0, 1, N_COLOURS)), dtype=np.float32)
    table.setflags(write=False)
    return table


def napari_colormap(name: str) -> Colormap:
    """Give a scale as napari takes it."""
    return Colormap(colour_table(name), name=name, display_name=DISPLAY_NAMES.get(name, name))


def next_scale(name: str) -> str:
    """Give the scale that comes after one: those of lithium go in a circle; others are even already and stay."""
    circle = list(DISPLAY_NAMES)
    return circle[(circle.index(name) + 1) % len(circle)] if name in circle else name


def offer_in_napari() -> None:
    """Put operando's own scales among those that napari's layer controls list; again does no harm."""
    for name in DISPLAY_NAMES:
        if name not in AVAILABLE_COLORMAPS:
            AVAILABLE_COLORMAPS[name] = napari_colormap(name)


def coloured(value: NDArray[np.floating], *, low: float, high: float, colormap: str) -> NDArray[np.uint8]:
    """Give a map as a picture, shape (y, x, 4), red green blue alpha; NaN is transparent, the range is clipped."""
    table = (colour_table(colormap) * 255).round().astype(np.uint8)
    is_number = np.isfinite(value)
    scaled = (np.where(is_number, value, low) - low) / (high - low) * (N_COLOURS - 1)
    picture = table[np.clip(scaled, 0, N_COLOURS - 1).round().astype(np.intp)]
    picture[~is_number, 3] = 0
    return picture


def lightness(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give CIE 1976 L*, 0 to 100, of sRGB colours, shape (..., 3), 0 to 1.

    The sRGB curve is that of IEC 61966-2-1, the weights are those of ITU-R BT.709, L* that of CIE 15.
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def _through(anchors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Walk along straight lines between sRGB colours, shape (n, 3), in even steps."""
    at = np.linspace(0, len(anchors) - 1, N_COLOURS)
    table = np.ones((N_COLOURS, 4), dtype=np.float32)
    table[:, :3] = np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], axis=-1)
    return table


def _evenly_light(anchors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Walk along straight lines between sRGB colours, shape (n, 3), in steps of equal lightness."""
    at = np.linspace(0, len(anchors) - 1, 4096)
    path = np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], axis=-1)
    level = lightness(path)
    rises = level[-1] > level[0]
    steps = np.linspace(level[0], level[-1], N_COLOURS)
    place = np.interp(steps, level, at) if rises else np.interp(-steps, -level, at)
    table = np.ones((N_COLOURS, 4), dtype=np.float32)
    table[:, :3] = np.stack([np.interp(place, at, channel) for channel in path.T], axis=-1)
    return table
