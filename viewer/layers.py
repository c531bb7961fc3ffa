"""Maps as napari layers: each made once from what its message declares, then only given new data.

Colour scales and their limits come from the messages and are set once; after that contrast, camera and visibility belong to
the user. Layers stand in millimetres, y upwards. This module needs napari's model only, no window.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operando.messages import MapPublished
from viewer.colormaps import colour_table
from viewer.session import Session, Shown

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

SIGMA_SHARE = 0.25
"""The uncertainty's scale ends at this part of the quantity's: more than that is no measurement."""


class MapLayers:
    """Keeps one layer for each map of a session, and a hidden one for the uncertainty of each that was looked at.

    Parameters
    ----------
    viewer
        The napari viewer or its model.
    """

    def __init__(self, viewer: "ViewerModel") -> None:
        self._viewer = viewer
        self._revisions: dict[str, Shown[MapPublished]] = {}
        self._layers: dict[str, Image] = {}
        self._lay_out_canvas()

    @property
    def names(self) -> list[str]:
        """Machine names of the maps that have a layer, in order."""
        return [name for name in self._layers if not name.startswith("sigma of ")]

    def layer(self, name: str) -> "Image":
        """Give the layer of a map."""
        return self._layers[name]

    def sync(self, session: Session) -> bool:
        """Bring the layers up to a session's maps; true if there was none before, so that the view must be fitted."""
        is_first = not self._layers
        for name, shown in session.tomogram.maps.items():
            self._show(name, shown)
        for name in set(self._revisions) - set(session.tomogram.maps):
            self._blank(name)
        if not is_first or not self._layers:
            return False
        self._viewer.layers.selection.active = self._layers[self.names[0]]
        return True

    def choose(self, names: list[str]) -> None:
        """Show these maps and no others, side by side."""
        if names == [name for name, layer in self._layers.items() if layer.visible]:
            return
        for name, layer in self._layers.items():
            layer.visible = name in names
        for name in names:
            self._show_sigma(name)
        if names and names[0] in self._layers:
            self._viewer.layers.selection.active = self._layers[names[0]]
        self._viewer.reset_view()

    def set_text(self, text: str) -> None:
        """Write a line into every map's cell; an unchanged text costs nothing."""
        overlay = self._viewer.canvas.overlays.text
        if overlay.text != text:
            overlay.text = text

    def _lay_out_canvas(self) -> None:
        canvas = self._viewer.canvas
        canvas.background_color_override = "white"
        canvas.grid.enabled = True
        canvas.grid.stride = 1
        canvas.grid.spacing = 12
        self._viewer.scene.camera.orientation2d = ("up", "right")
        scale_bar, text = canvas.overlays.scale_bar, canvas.overlays.text
        scale_bar.visible, scale_bar.gridded, scale_bar.position, scale_bar.font_size = True, True, "bottom_right", 11
        scale_bar.box = text.box = False
        text.visible, text.gridded, text.position, text.font_size, text.color = True, True, "bottom_left", 11, "#303030"

    def _show(self, name: str, shown: Shown[MapPublished]) -> None:
        if self._revisions.get(name) is shown:
            return
        self._revisions[name] = shown
        message = shown.message
        self._set(name, title(message), shown.arrays["value"], message, message.colormap, (message.low, message.high))
        if self._layers[name].visible or f"sigma of {name}" in self._layers:
            self._show_sigma(name)

    def _show_sigma(self, name: str) -> None:
        """Keep a hidden layer of a map's uncertainty, from the moment when the map itself is first looked at."""
        shown = self._revisions.get(name)
        sigma = shown.arrays.get("sigma") if shown is not None else None
        if shown is not None and sigma is not None:
            limits = (0.0, SIGMA_SHARE * (shown.message.high - shown.message.low))
            self._set(f"sigma of {name}", f"σ of {title(shown.message)}", sigma, shown.message, "magma", limits)

    def _set(
        self, name: str, shown_name: str, value: NDArray[Any], message: MapPublished, colormap: str, limits: tuple[float, float]
    ) -> None:
        layer = self._layers.get(name)
        if layer is None:
            layer = self._make(name, shown_name, value, colormap, limits)
        else:
            layer.data = value
        scale, translate = (message.pixel_mm, message.pixel_mm), (message.y_first_mm, message.x_first_mm)
        # Each assignment lets napari measure all layers again, changed or not: four fifths of the time of an update.
        if not np.array_equal(layer.scale, scale):
            layer.scale = scale
        if not np.array_equal(layer.translate, translate):
            layer.translate = translate

    def _make(self, name: str, shown_name: str, value: NDArray[Any], colormap: str, limits: tuple[float, float]) -> "Image":
        from napari.utils.colormaps import Colormap

        layer = self._viewer.add_image(
            value,
            name=shown_name,
            colormap=Colormap(colour_table(colormap), name=colormap, display_name=colormap),
            contrast_limits=limits,
            interpolation2d="nearest",
            blending="translucent",
            units=("mm", "mm"),
            visible=not self._layers,
        )
        layer.contrast_limits_range = limits
        layer.colorbar.visible, layer.colorbar.position, layer.colorbar.box = True, "top_right", False
        layer.colorbar.size, layer.colorbar.font_size = (18, 220), 11
        overlay = layer.name_overlay
        overlay.visible, overlay.font_size, overlay.box, overlay.color = True, 13, False, "#202020"
        self._layers[name] = layer
        return layer

    def _blank(self, name: str) -> None:
        """Show nothing where the present run has no such map; the layer stays for when it comes."""
        del self._revisions[name]
        for stale in (name, f"sigma of {name}"):
            if stale in self._layers:
                self._layers[stale].data = np.full_like(self._layers[stale].data, np.nan)


def title(message: MapPublished) -> str:
    """Write what a map shows and its unit."""
    return f"{message.label} ({message.unit})" if message.unit else message.label
