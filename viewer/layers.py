"""Maps as napari layers: each made once from what its message declares, then only given new data.

A layer has the axes (scan, y, x) and stands in millimetres, y upwards. Behind each lies a picture of its marks; the two share a
cell of napari's grid. Colour scales and their limits come from the messages and are set once; after that contrast, camera and
visibility belong to the user. This module needs napari's model only, no window.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operando.messages import MapPublished
from viewer.checks import Shown
from viewer.colormaps import napari_colormap
from viewer.marks import Mark, fineness, holes, picture
from viewer.session import Session
from viewer.stacks import Grid, Stack

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

SIGMA_SHARE = 0.25
"""The uncertainty's scale ends at this part of the quantity's: more than that is no measurement."""
_SIGMA = "sigma of "
_BESIDE = "beside "


@dataclass(slots=True, kw_only=True, eq=False)
class _Pair:
    """A map's layer and the one of its marks, neighbours in napari's list."""

    image: "Image"
    marks: "Image"
    grid: Grid | None = None
    shown: object = None
    """What the slot on the screen was drawn from."""
    marked: object = None
    """What the marks were drawn from."""


class MapLayers:
    """Keeps one layer for each map of a session, and one for the uncertainty of each that was looked at.

    A map that is shown alone has its uncertainty beside it, unless the user wants it alone.

    Parameters
    ----------
    viewer
        The napari viewer or its model.
    """

    def __init__(self, viewer: "ViewerModel") -> None:
        self._viewer = viewer
        self._pairs: dict[str, _Pair] = {}
        self._unwanted: set[str] = set()
        self._marks: tuple[Mark, ...] = ()
        self._has_sigma_beside = True
        self.is_moving = False
        """Whether this object is changing layers or the slider now; events meanwhile are not the user's."""
        self.is_stale = False
        """Whether something has come into sight that a sync must draw."""
        self._lay_out_canvas()
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Listen to the viewer no more; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    @property
    def names(self) -> list[str]:
        """Machine names of the maps that have a layer, in order."""
        return [name for name in self._pairs if not name.startswith((_SIGMA, _BESIDE))]

    @property
    def visible_names(self) -> list[str]:
        """Machine names of the maps that are on the screen, in order."""
        return [name for name in self.names if self._pairs[name].image.visible]

    def layer(self, name: str) -> "Image":
        """Give the layer of a map."""
        return self._pairs[name].image

    def marks_layer(self, name: str) -> "Image":
        """Give the layer of a map's marks."""
        return self._pairs[name].marks

    def sync(self, session: Session) -> bool:
        """Bring layers and slider up to a session; true if there was no map before, so that the view must be fitted."""
        is_first = not self._pairs
        self.is_stale = False
        with self._moving():
            for name, stack in session.stacks.items():
                if name not in self._unwanted:
                    self._show(name, stack, session)
            for name in set(self.names) - set(session.stacks):
                self._blank(name)
            self._step_to(session.timeline.index)
        if not is_first or not self._pairs:
            return False
        self._put_sigma_beside()
        self._viewer.layers.selection.active = self._pairs[self.names[0]].image
        return True

    def choose(self, names: list[str], session: Session) -> None:
        """Show these maps and no others, side by side."""
        self._unwanted -= set(names)
        self.sync(session)
        if names == self.visible_names:
            return
        for name in self.names:
            self._pairs[name].image.visible = name in names
        for name in [name for name in self._pairs if name not in self.names]:
            self._pairs[name].image.visible = False
        self.sync(session)
        self._put_sigma_beside()
        if names and names[0] in self._pairs:
            self._viewer.layers.selection.active = self._pairs[names[0]].image
        self._viewer.reset_view()

    def toggle_sigma(self) -> None:
        """Show the uncertainty beside a map that stands alone, or let it stand alone."""
        self._has_sigma_beside = not self._has_sigma_beside
        self._put_sigma_beside()
        self._viewer.reset_view()

    def _put_sigma_beside(self) -> None:
        """Show the uncertainty of the one map that is on the screen, if it is wanted and known."""
        names = self.visible_names
        for name in self.names:
            if _SIGMA + name in self._pairs:
                self._pairs[_SIGMA + name].image.visible = self._has_sigma_beside and names == [name]

    def mark(self, marks: Sequence[Mark]) -> None:
        """Outline voxels in every map."""
        self._marks = tuple(marks)
        self.is_stale = True

    def set_text(self, text: str) -> None:
        """Write a line into every map's cell; an unchanged text costs nothing."""
        overlay = self._viewer.canvas.overlays.text
        if overlay.text != text:
            overlay.text = text

    @contextmanager
    def _moving(self) -> Iterator[None]:
        before, self.is_moving = self.is_moving, True
        try:
            yield
        finally:
            self.is_moving = before

    def _lay_out_canvas(self) -> None:
        canvas = self._viewer.canvas
        canvas.background_color_override = "white"
        canvas.grid.enabled = True
        canvas.grid.stride = 2
        canvas.grid.spacing = 12
        self._viewer.scene.camera.orientation2d = ("up", "right")
        scale_bar, text = canvas.overlays.scale_bar, canvas.overlays.text
        scale_bar.visible, scale_bar.gridded, scale_bar.position, scale_bar.font_size = True, True, "bottom_right", 11
        scale_bar.box = text.box = False
        text.visible, text.gridded, text.position, text.font_size, text.color = True, True, "bottom_left", 11, "#303030"

    def _show(self, name: str, stack: Stack, session: Session) -> None:
        shown = session.shown.maps.get(name)
        newest = shown or next((scan.maps[name] for scan in reversed(session.scans) if name in scan.maps), None)
        if newest is None:
            return
        message = newest.message
        pair = self._pairs.get(name) or self._make(
            name, title(message), stack.value, message.colormap, (message.low, message.high)
        )
        self._give(pair, stack.value, stack.grid, shown)
        if pair.image.visible:
            self._draw_marks(pair, stack.grid, shown)
            self._show_sigma(name, stack, newest, shown)

    def _show_sigma(self, name: str, stack: Stack, newest: Shown[MapPublished], shown: Shown[MapPublished] | None) -> None:
        """Keep a layer of a map's uncertainty, from the moment when the map itself is first looked at."""
        if "sigma" not in newest.arrays or _SIGMA + name in self._unwanted:
            return
        message = newest.message
        limits = (0.0, SIGMA_SHARE * (message.high - message.low))
        pair = self._pairs.get(_SIGMA + name) or self._make(
            _SIGMA + name, f"σ of {title(message)}", stack.sigma, "magma", limits
        )
        self._give(pair, stack.sigma, stack.grid, shown)
        if pair.image.visible:
            self._draw_marks(pair, stack.grid, shown)

    def _give(self, pair: _Pair, value: NDArray[Any], grid: Grid, shown: object) -> None:
        """Let a layer show this history, with the least that is needed."""
        layer = pair.image
        is_same_memory = pair.grid == grid and layer.data.shape == value.shape and _start(layer.data) == _start(value)
        if not is_same_memory:
            layer.data = value
        elif pair.shown is not shown:
            layer.refresh(highlight=False, extent=False)
        pair.shown = shown
        if pair.grid != grid:
            pair.grid = grid
            layer.scale = (1.0, grid.pixel_mm, grid.pixel_mm)
            layer.translate = (0.0, grid.y_first_mm, grid.x_first_mm)

    def _draw_marks(self, pair: _Pair, grid: Grid, shown: Shown[MapPublished] | None) -> None:
        source = (shown, self._marks, grid)
        if pair.marked == source:
            return
        pair.marked = source
        is_hole = np.zeros(grid.shape, np.bool_) if shown is None else holes(shown, grid.shape)
        marks = [mark for mark in self._marks if mark.voxels.shape == grid.shape]
        fine = fineness(grid)
        edge_mm = grid.pixel_mm / fine
        pair.marks.data = picture(grid, is_hole, marks)
        scale = (edge_mm, edge_mm)
        if not np.array_equal(pair.marks.scale, scale):
            pair.marks.scale = scale
        offset = 0.5 * (edge_mm - grid.pixel_mm)
        translate = (grid.y_first_mm + offset, grid.x_first_mm + offset)
        if not np.array_equal(pair.marks.translate, translate):
            pair.marks.translate = translate

    def _step_to(self, index: int) -> None:
        dims = self._viewer.dims
        axis = dims.ndim - 3
        if axis >= 0 and dims.current_step[axis] != index:
            dims.set_current_step(axis, index)

    def _make(self, name: str, shown_name: str, value: NDArray[Any], colormap: str, limits: tuple[float, float]) -> _Pair:
        layer = self._viewer.add_image(
            value,
            name=shown_name,
            colormap=napari_colormap(colormap),
            contrast_limits=limits,
            interpolation2d="nearest",
            blending="translucent",
            units=("pixel", "mm", "mm") if value.ndim > 2 else ("mm", "mm"),
            axis_labels=("scan", "y", "x") if value.ndim > 2 else ("y", "x"),
            visible=not self._pairs,
        )
        layer.contrast_limits_range = limits
        layer.colorbar.visible, layer.colorbar.position, layer.colorbar.box = True, "top_right", False
        layer.colorbar.size, layer.colorbar.font_size = (18, 220), 11
        overlay = layer.name_overlay
        overlay.visible, overlay.font_size, overlay.box, overlay.color = True, 13, False, "#202020"
        marks = self._viewer.add_image(
            np.zeros((1, 1, 4), np.uint8),
            name=f"marks on {shown_name}",
            rgb=True,
            interpolation2d="nearest",
            blending="translucent",
            units=("mm", "mm"),
            axis_labels=("y", "x"),
            visible=layer.visible,
        )
        pair = self._pairs[name] = _Pair(image=layer, marks=marks)
        layer.events.visible.connect(lambda: self._follow_eye(pair))
        return pair

    def _follow_eye(self, pair: _Pair) -> None:
        """Hide and show the marks with their map."""
        pair.marks.visible = pair.image.visible
        self.is_stale = True

    def _blank(self, name: str) -> None:
        """Show nothing where the session has no such map any more; the layer stays for when it comes."""
        for stale in (name, _SIGMA + name):
            pair = self._pairs.get(stale)
            if pair is not None and pair.grid is not None:
                pair.image.data = np.full((1, *pair.grid.shape), np.nan, dtype=np.float32)
                pair.marks.data = np.zeros((1, 1, 4), np.uint8)
                pair.shown = pair.marked = None

    def _on_removed(self, event: Any) -> None:
        """Let a map go that the user has removed; it comes again when it is chosen again."""
        for name, pair in list(self._pairs.items()):
            if event.value in (pair.image, pair.marks):
                del self._pairs[name]
                self._unwanted.add(name)
                other = pair.marks if event.value is pair.image else pair.image
                if other in self._viewer.layers:
                    self._viewer.layers.remove(other)


def title(message: MapPublished) -> str:
    """Write what a map shows and its unit."""
    return f"{message.label} ({message.unit})" if message.unit else message.label


def _start(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
