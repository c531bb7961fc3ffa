"""A map on matplotlib axes: in its declared colours, in millimetres, y upwards, with a scale bar; for figures and films."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operando.errors import OutputError
from viewer.colormaps import coloured
from viewer.marks import fineness, holes
from viewer.marks import picture as hatched
from viewer.scan_file import MapShown
from viewer.stacks import grid_of
from viewer.two_colours import two_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

Box = tuple[float, float, float, float]
"""Left, right, bottom, top, mm."""

MARGIN_SHARE = 0.06
BAR_SHARE = 0.3
"""A scale bar is at most this part of a panel's width."""


def draw_map(axes: "Axes", shown: MapShown, *, colormap: str, low: float, high: float) -> "AxesImage":
    """Draw a map into axes without ticks, and give its image."""
    return _put(axes, map_picture(shown, colormap=colormap, low=low, high=high), shown)


def draw_mix(axes: "Axes", first: MapShown, second: MapShown) -> "AxesImage":
    """Draw two maps of a scan in two colours, each over its declared range; holes are those of the first.

    Raises
    ------
    OutputError
        If their voxels do not lie at the same places.
    """
    value, other = first.arrays["value"], second.arrays["value"]
    if grid_of(first.message, value) != grid_of(second.message, other):
        names = f"{first.message.name} and {second.message.name}"
        raise OutputError(f"{names} have voxels at other places: only maps of one grid can share a picture")
    limits = tuple((one.message.low, one.message.high) for one in (first, second))
    return _put(axes, _hatched(two_colours(value, other, limits=(limits[0], limits[1])), first), first)


def _put(axes: "Axes", picture: NDArray[np.uint8], shown: MapShown) -> "AxesImage":
    left, right, bottom, top = map_box(shown)
    axes.set_axis_off()
    return axes.imshow(picture, extent=(left, right, bottom, top), origin="lower", interpolation="none")


def map_picture(shown: MapShown, *, colormap: str, low: float, high: float) -> NDArray[np.uint8]:
    """Give a map as a picture, first row at the bottom: holes are hatched, what is empty is transparent.

    Every voxel is enlarged as in the window: programs that smooth pictures then blur no voxel.
    """
    return _hatched(coloured(shown.arrays["value"], low=low, high=high, colormap=colormap), shown)


def _hatched(coarse: NDArray[np.uint8], shown: MapShown) -> NDArray[np.uint8]:
    """Enlarge a picture of a map, shape (y, x, 4), and hatch the map's holes in it."""
    grid = grid_of(shown.message, shown.arrays["value"])
    times = fineness(grid)
    picture = coarse.repeat(times, axis=0).repeat(times, axis=1)
    hatching = hatched(grid, holes(shown, grid.shape))
    is_hatched = hatching[..., 3] > 0
    picture[is_hatched] = hatching[is_hatched]
    return picture


def map_box(shown: MapShown) -> Box:
    """Give the edges of a map's voxels."""
    message, half = shown.message, shown.message.pixel_mm / 2
    n_rows, n_columns = shown.arrays["value"].shape
    left, bottom = message.x_first_mm - half, message.y_first_mm - half
    return left, left + n_columns * message.pixel_mm, bottom, bottom + n_rows * message.pixel_mm


def filled_box(maps: list[MapShown]) -> Box:
    """Give the square, the same for all maps, that holds every voxel with a value and a little margin."""
    boxes = [box for shown in maps if (box := _box_of_values(shown)) is not None] or [map_box(shown) for shown in maps]
    left, right = min(box[0] for box in boxes), max(box[1] for box in boxes)
    bottom, top = min(box[2] for box in boxes), max(box[3] for box in boxes)
    half = (1 + 2 * MARGIN_SHARE) * max(right - left, top - bottom) / 2
    x, y = (left + right) / 2, (bottom + top) / 2
    return x - half, x + half, y - half, y + half


def draw_scale_bar(axes: "Axes", box: Box, *, points: float, ink: str) -> float:
    """Draw a bar of round length below the lower left corner of a box, with its length below it; give its length, mm."""
    left, right, bottom, top = box
    length_mm = round_length(BAR_SHARE * (right - left))
    y = bottom - 0.03 * (top - bottom)
    axes.plot([left, left + length_mm], [y, y], color=ink, linewidth=points / 4, solid_capstyle="butt", clip_on=False)
    words, middle = f"{length_mm:g} mm", (left + length_mm / 2, y)
    below: dict[str, Any] = {"xytext": (0, -2), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(words, middle, fontsize=points, color=ink, ha="center", va="top", **below)
    return length_mm


def round_length(longest: float) -> float:
    """Give the largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest)


def _box_of_values(shown: MapShown) -> Box | None:
    is_number = np.isfinite(shown.arrays["value"])
    if not is_number.any():
        return None
    left, _, bottom, _ = map_box(shown)
    pixel_mm = shown.message.pixel_mm
    rows, columns = np.flatnonzero(is_number.any(axis=1)), np.flatnonzero(is_number.any(axis=0))
    return (
        left + columns[0] * pixel_mm,
        left + (columns[-1] + 1) * pixel_mm,
        bottom + rows[0] * pixel_mm,
        bottom + (rows[-1] + 1) * pixel_mm,
    )
