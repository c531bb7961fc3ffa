"""The canvas under the maps: white, y upwards, a grid of cells with words and bars in a size that suits their number."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel

INK = "#202020"
FAINT_INK = "#303030"
WORDS_BOX = (1.0, 1.0, 1.0, 0.75)
"""Behind the words of a comparison, which are many, so that they can be read where they lie over a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """How large the words and bars of a cell are; points and screen pixels."""

    most_cells: float
    title: int
    words: int
    bar: tuple[int, int]
    margin: float
    """Part of the canvas that is left free around the maps: for the words."""


MOST_SCALE_BARS = 2

_SIZES = (
    _Size(most_cells=1, title=13, words=11, bar=(18, 220), margin=0.05),
    _Size(most_cells=2, title=13, words=11, bar=(14, 150), margin=0.14),
    _Size(most_cells=4, title=11, words=9, bar=(12, 110), margin=0.25),
    _Size(most_cells=float("inf"), title=9, words=8, bar=(10, 80), margin=0.25),
)


def lay_out_canvas(viewer: "ViewerModel") -> None:
    """Set what never changes afterwards, unless the user changes it."""
    canvas = viewer.canvas
    canvas.background_color_override = "white"
    canvas.grid.enabled = True
    canvas.grid.stride = 2
    canvas.grid.spacing = 12
    viewer.scene.camera.orientation2d = ("up", "right")
    scale_bar, text = canvas.overlays.scale_bar, canvas.overlays.text
    scale_bar.visible, scale_bar.gridded, scale_bar.position = True, True, "bottom_right"
    # No box behind the words: with every new word napari would make the box's program anew, as long as drawing all else takes.
    scale_bar.box = text.box = False
    text.visible, text.gridded, text.position, text.color = True, True, "bottom_left", FAINT_INK


@contextmanager
def laid_out_once(viewer: "ViewerModel") -> Iterator[None]:
    """Add, hide and show layers, and let napari lay out its grid once, at the end; not to be nested.

    Otherwise it goes through all layers for each of them with each of them: a second for forty.
    """
    grid = viewer.canvas.grid
    is_gridded = grid.enabled
    with _no_garbage_collected(), viewer.layers.batched_update():
        # In the middle of a batch napari 0.9.2 has fewer words than cells, and looks for words by the number of their cell
        # (IndexError in _get_ordered_visible_canvas_overlays): without a grid there is one cell.
        grid.enabled = False
        try:
            yield
        finally:
            grid.enabled = is_gridded


@contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """Let a full collection find nothing to look through: napari 0.9.2 asks for one, 0.4 s, at the end of every batch."""
    if gc.get_freeze_count():
        yield  # Somebody else has put objects out of sight: they are to stay there.
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def n_cells_of(viewer: "ViewerModel") -> int:
    """Give how many cells of the grid hold a map."""
    from napari.layers import Image

    n_visible = sum(layer.visible and isinstance(layer, Image) for layer in viewer.layers)
    return int(n_visible // viewer.canvas.grid.stride)


def fit(viewer: "ViewerModel") -> None:
    """Fit the camera to the maps, and words and bars to the cells that the grid has now."""
    from napari.layers import Image

    # What the user adds to the window, points or shapes, has no bar and keeps its words.
    visible = [layer for layer in viewer.layers if layer.visible and isinstance(layer, Image)]
    n_cells = n_cells_of(viewer)
    size = next(size for size in _SIZES if n_cells <= size.most_cells)
    overlays = viewer.canvas.overlays
    # One camera looks at all cells: of many, one bar tells the scale, and every frame is drawn faster without the others.
    is_gridded = n_cells <= MOST_SCALE_BARS
    if overlays.scale_bar.gridded != is_gridded:
        overlays.scale_bar.gridded = is_gridded
    overlays.scale_bar.font_size = overlays.text.font_size = size.words
    for layer in visible:
        is_title = str(layer.name_overlay.position) == "top_left"
        layer.name_overlay.font_size = size.title if is_title else size.words
        layer.colorbar.size, layer.colorbar.font_size = size.bar, size.words
    viewer.reset_view(margin=size.margin)
