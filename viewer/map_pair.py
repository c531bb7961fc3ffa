"""A map on the canvas: its layer and, next in napari's list, a finer picture of its marks; the two share a cell of the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operando.messages import MapPublished
from viewer.canvas import FAINT_INK, INK, WORDS_BOX
from viewer.checks import Shown
from viewer.colormaps import napari_colormap
from viewer.marks import Mark, fineness, holes, picture
from viewer.stacks import Grid

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


MARKS = "operando marks"
"""In the metadata of layers that hold marks: what their names say is not for the eye."""
MARKS_ON = "marks on "
"""How the names of those begin that have no words to write."""


@dataclass(slots=True, kw_only=True, eq=False)
class MapPair:
    """A map's layer and the one of its marks, neighbours in napari's list."""

    image: "Image"
    marks: "Image"
    title: str
    """What the map shows, and its unit."""
    grid: Grid | None = None
    shown: object = None
    """What the slot on the screen was drawn from."""
    marked: object = None
    """What the marks were drawn for."""
    drawn: object = None
    """The holes and marks that are drawn."""
    viewer: "ViewerModel"
    words: str = ""
    """What is written into the lower corner of its cell."""

    def give(self, value: NDArray[Any], grid: Grid, shown: object) -> None:
        """Let the layer show a map, shape (y, x), or its history, shape (scan, y, x), with the least that is needed."""
        layer = self.image
        is_same_memory = self.grid == grid and layer.data.shape == value.shape and _start(layer.data) == _start(value)
        if not is_same_memory:
            layer.data = value
        elif self.shown is not shown:
            layer.refresh(thumbnail=False, highlight=False, extent=False)
        self.shown = shown
        if self.grid != grid:
            self.grid = grid
            n_before = value.ndim - 2
            layer.scale = (*[1.0] * n_before, grid.pixel_mm, grid.pixel_mm)
            layer.translate = (*[0.0] * n_before, grid.y_first_mm, grid.x_first_mm)

    def mark(self, grid: Grid, shown: Shown[MapPublished] | None, marks: Sequence[Mark]) -> None:
        """Draw holes and the outlines of some voxels, if they have changed."""
        source = (shown, tuple(marks), grid)
        if self.marked == source:
            return
        self.marked = source
        is_hole = np.zeros(grid.shape, np.bool_) if shown is None else holes(shown, grid.shape)
        fitting = [mark for mark in marks if mark.voxels.shape == grid.shape]
        # A picture is sent to the screen and laid over the map: one that has not changed is not, and an empty one is tiny.
        drawn = (is_hole.tobytes() if is_hole.any() else b"", tuple(marks), grid)
        if self.drawn == drawn:
            return
        self.drawn = drawn
        if not fitting and not drawn[0]:
            self.marks.data = np.zeros((1, 1, 4), np.uint8)
            return
        fine = fineness(grid)
        edge_mm = grid.pixel_mm / fine
        self.marks.data = picture(grid, is_hole, fitting)
        scale = (edge_mm, edge_mm)
        if not np.array_equal(self.marks.scale, scale):
            self.marks.scale = scale
        offset = 0.5 * (edge_mm - grid.pixel_mm)
        translate = (grid.y_first_mm + offset, grid.x_first_mm + offset)
        if not np.array_equal(self.marks.translate, translate):
            self.marks.translate = translate

    def blank(self) -> None:
        """Show nothing."""
        if self.grid is not None:
            n_before = self.image.data.ndim - 2
            self.image.data = np.full((*[1] * n_before, *self.grid.shape), np.nan, dtype=np.float32)
            self.marks.data = np.zeros((1, 1, 4), np.uint8)
            self.shown = self.marked = self.drawn = None

    def show(self, *, is_visible: bool) -> None:
        """Show or hide both layers; what is so already is not drawn again."""
        for layer in (self.image, self.marks):
            if layer.visible != is_visible:
                layer.visible = is_visible

    def rename(self, title: str) -> None:
        """Change what stands in the upper corner; an unchanged title costs nothing."""
        if title != self.title:
            self.title = self.image.name = title

    def caption(self, text: str = "") -> None:
        """Write something into the lower corner of the map's cell; an unchanged text costs nothing.

        It is the name of the marks, which nobody reads elsewhere. Spaces keep names apart: napari would number equal ones.
        """
        if text == self.words:
            return
        self.words = text
        self.marks.name_overlay.visible = bool(text)
        others = {layer.name for layer in self.viewer.layers if layer is not self.marks}
        name = text or f"{MARKS_ON}{self.title}"
        while name in others:
            name += " "
        self.marks.name = name


def make_pair(
    viewer: "ViewerModel",
    value: NDArray[Any],
    *,
    title: str,
    colormap: str,
    limits: tuple[float, float],
    is_visible: bool,
) -> MapPair:
    """Add a map, shape (y, x) or (scan, y, x), and its marks to a viewer."""
    layer = viewer.add_image(
        value,
        name=title,
        colormap=napari_colormap(colormap),
        contrast_limits=limits,
        interpolation2d="nearest",
        blending="translucent",
        units=("pixel", "mm", "mm") if value.ndim > 2 else ("mm", "mm"),
        axis_labels=("scan", "y", "x") if value.ndim > 2 else ("y", "x"),
        visible=is_visible,
    )
    layer.contrast_limits_range = limits
    layer.colorbar.visible, layer.colorbar.position, layer.colorbar.box = True, "top_right", False
    layer.colorbar.font_size = 11
    marks = _make_marks(viewer, title, is_visible=is_visible)
    return MapPair(image=_write_name(layer), marks=marks, title=title, viewer=viewer)


def make_picture_pair(viewer: "ViewerModel", *, title: str) -> MapPair:
    """Add a picture with its own colours, and its marks, to a viewer."""
    layer = viewer.add_image(
        np.zeros((1, 1, 4), np.uint8),
        name=title,
        rgb=True,
        interpolation2d="nearest",
        blending="translucent",
        units=("mm", "mm"),
        axis_labels=("y", "x"),
    )
    return MapPair(image=_write_name(layer), marks=_make_marks(viewer, title, is_visible=True), title=title, viewer=viewer)


def _write_name(layer: "Image") -> "Image":
    """Let a layer's name stand in the upper corner of its cell."""
    overlay = layer.name_overlay
    overlay.visible, overlay.font_size, overlay.box, overlay.color = True, 13, False, INK
    return layer


def _make_marks(viewer: "ViewerModel", title: str, *, is_visible: bool) -> "Image":
    marks = viewer.add_image(
        np.zeros((1, 1, 4), np.uint8),
        name=f"{MARKS_ON}{title}",
        rgb=True,
        interpolation2d="nearest",
        blending="translucent",
        units=("mm", "mm"),
        axis_labels=("y", "x"),
        visible=is_visible,
        metadata={MARKS: True},
    )
    overlay = marks.name_overlay
    overlay.position, overlay.font_size, overlay.color = "bottom_left", 11, FAINT_INK
    overlay.box, overlay.box_color = True, WORDS_BOX
    return marks


def _start(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
