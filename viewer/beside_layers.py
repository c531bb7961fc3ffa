"""The other scan's maps on the canvas: each stands beside its twin, with the same colours, the same limits, the same camera."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from operando.messages import MapPublished
from viewer.beside import Beside
from viewer.checks import Shown
from viewer.colormaps import DIFFERENCE
from viewer.layers import MapLayers
from viewer.map_pair import MapPair, make_pair
from viewer.stacks import Grid, grid_of
from viewer.words import scan_state_words

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

LINKED = ("contrast_limits", "gamma", "colormap")
"""What the two maps of a comparison share; the camera is the same anyhow."""
DIFFERENCE_SHARE = 0.25
"""The scale of a difference ends at this part of the quantity's range, to either side."""
_NOTHING = Grid(shape=(1, 1), pixel_mm=1.0, x_first_mm=0.0, y_first_mm=0.0)


class BesideLayers:
    """Keeps a layer for the other scan's map beside each that is on the screen, and one for their difference if wanted.

    Parameters
    ----------
    viewer
        The napari viewer or its model.
    layers
        Those of the session.
    """

    def __init__(self, viewer: "ViewerModel", layers: MapLayers) -> None:
        self._viewer, self._layers = viewer, layers
        self._pairs: dict[tuple[str, bool], MapPair] = {}
        self._twins: dict[tuple[str, bool], Image] = {}
        self.has_difference = False
        """Whether the difference of the two is shown, too."""

    def pair(self, name: str, *, is_difference: bool = False) -> MapPair:
        """Give the two layers that stand beside a map."""
        return self._pairs[name, is_difference]

    @property
    def visible_names(self) -> list[str]:
        """Machine names of the maps that have another scan's beside them now."""
        return [name for (name, is_difference), pair in self._pairs.items() if pair.image.visible and not is_difference]

    def sync(self, beside: Beside | None) -> None:
        """Bring the layers up to a comparison; None ends it."""
        if beside is None and not self._pairs:
            self._layers.compare(False)
            return
        names = self._layers.visible_names if beside is not None else []
        wanted = {(name, is_difference) for name in names for is_difference in {False, self.has_difference}}
        seen = {key for key, pair in self._pairs.items() if pair.image.visible}
        with self._layers.moving(), nullcontext() if wanted == seen else self._layers.rearranging():
            self._layers.compare(beside is not None)
            self._forget_removed()
            for key, pair in self._pairs.items():
                pair.show(is_visible=key in wanted)
            for name in names:
                if beside is not None:
                    self._show(name, beside)

    def _show(self, name: str, beside: Beside) -> None:
        here = beside.session.shown.maps.get(name)
        there = beside.map_of(name)
        self._layers.pair(name).caption(_called(beside.names[0], scan_state_words(beside.session, beside.session.shown)))
        pair = self._pairs.get((name, False)) or self._make(name, beside)
        words = scan_state_words(beside.other, beside.shown) if there is not None else f"no scan {beside.rule.value}"
        pair.caption(_called(beside.names[1], words))
        value, grid = (np.full((1, 1), np.nan, np.float32), _NOTHING) if there is None else _value_on_grid(there)
        pair.give(value, grid, there)
        pair.mark(grid, there, beside.pins.marks(grid))
        if self.has_difference:
            self._show_difference(name, here, there, beside)

    def _show_difference(
        self, name: str, here: Shown[MapPublished] | None, there: Shown[MapPublished] | None, beside: Beside
    ) -> None:
        pair = self._pairs.get((name, True)) or self._make_difference(name)
        value = None if here is None or there is None else difference(here, there)
        if value is None or here is None:
            pair.caption("no difference: there are no two maps on one grid")
            pair.blank()
            return
        pair.caption(f"{beside.names[0] or 'shown'} − {beside.names[1] or 'beside'}".replace("\n", " "))
        pair.give(value, grid_of(here.message, value), (here, there))

    def _make(self, name: str, beside: Beside) -> MapPair:
        twin = self._layers.pair(name)
        limits = tuple(twin.image.contrast_limits)
        pair = make_pair(
            self._viewer,
            np.full((1, 1), np.nan, np.float32),
            title=f"{twin.title} ",  # With a space it is a name of its own.
            colormap=twin.image.colormap.name,
            limits=(limits[0], limits[1]),
            is_visible=True,
        )
        pair.image.contrast_limits_range = twin.image.contrast_limits_range
        self._viewer.layers.link_layers([twin.image, pair.image], LINKED)
        # Its colours and limits are those of its twin, whose bar is beside it.
        pair.image.colorbar.visible = False
        return self._keep(name, pair, is_difference=False)

    def _make_difference(self, name: str) -> MapPair:
        twin = self._layers.pair(name)
        low, high = twin.image.contrast_limits_range
        half = DIFFERENCE_SHARE * (high - low)
        pair = make_pair(
            self._viewer,
            np.full((1, 1), np.nan, np.float32),
            title=f"difference, {twin.title}",
            colormap=DIFFERENCE,
            limits=(-half, half),
            is_visible=True,
        )
        return self._keep(name, pair, is_difference=True)

    def _keep(self, name: str, pair: MapPair, *, is_difference: bool) -> MapPair:
        """Put a new pair next to its twin, or after the other scan's: the order of layers is that of the grid's cells."""
        self._pairs[name, is_difference] = pair
        self._twins[name, is_difference] = self._layers.layer(name)
        layers = self._viewer.layers
        before = self._pairs[name, False] if is_difference else self._layers.pair(name)
        layers.move_multiple([layers.index(pair.image), layers.index(pair.marks)], layers.index(before.marks) + 1)
        self._viewer.layers.selection.active = self._layers.pair(name).image
        return pair

    def _forget_removed(self) -> None:
        """Let pairs go of which the user has removed a layer, or its twin; they come again while the comparison lasts."""
        for key, pair in list(self._pairs.items()):
            present = [layer for layer in (pair.image, pair.marks) if layer in self._viewer.layers]
            if len(present) < 2 or self._twins[key] not in self._viewer.layers:
                del self._pairs[key]
                with self._layers.rearranging():
                    for layer in present:
                        self._viewer.layers.remove(layer)


def difference(here: Shown[MapPublished], there: Shown[MapPublished]) -> NDArray[np.float32] | None:
    """Give the first map minus the second, shape (y, x); None if their voxels do not lie at the same places."""
    value, other = here.arrays["value"], there.arrays["value"]
    return value - other if grid_of(here.message, value) == grid_of(there.message, other) else None


def _called(name: str, words: str) -> str:
    return f"{name}\n{words}" if name else words


def _value_on_grid(shown: Shown[MapPublished]) -> tuple[NDArray[np.float32], Grid]:
    value = shown.arrays["value"]
    return value, grid_of(shown.message, value)
