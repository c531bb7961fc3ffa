"""The two maps that are chosen in one picture of two colours, in a cell beside them, and its legend among the tiles."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF
from qtpy.QtWidgets import QVBoxLayout, QWidget

from viewer.canvas import fit
from viewer.layers import MapLayers
from viewer.map_pair import MapPair, make_picture_pair
from viewer.session import Session
from viewer.stacks import grid_of
from viewer.style import INK, dress, make_plots
from viewer.two_colours import COLOUR_WORDS, Limits, legend, two_colours

if TYPE_CHECKING:
    import napari

ASK_FOR_TWO = "for a picture in two colours choose two maps first: a click, and a click with Ctrl"
_HEIGHT = 190


class Legend(QWidget):
    """A square of all mixtures: one map to the right, the other upwards."""

    def __init__(self) -> None:
        super().__init__()
        plots = make_plots()
        plots.ci.setContentsMargins(4, 12, 14, 2)
        self._plot = dress(plots.addPlot(row=0, col=0), left="second", bottom="first", grid=False)
        self._plot.setMouseEnabled(x=False, y=False)
        self._image = pg.ImageItem(legend(), axisOrder="row-major")
        self._plot.addItem(self._image)
        self.setFixedHeight(_HEIGHT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plots)
        self.hide()

    def write(self, titles: tuple[str, str], limits: tuple[Limits, Limits]) -> None:
        """Write what grows to the right and what upwards."""
        (left, right), (bottom, top) = limits
        self._image.setRect(QRectF(left, bottom, right - left, top - bottom))
        self._plot.setRange(xRange=limits[0], yRange=limits[1], padding=0)
        for side, title in zip(("bottom", "left"), titles, strict=True):
            self._plot.setLabel(side, f"<span style='font-size:8pt; color:{INK}'>{title}</span>")


class Mix:
    """Keeps the picture in two colours; used from the window's thread.

    Parameters
    ----------
    viewer
        A napari viewer.
    session
        What is shown.
    layers
        Its maps.
    """

    def __init__(self, viewer: "napari.Viewer", session: Session, layers: MapLayers) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self.legend = Legend()
        self.is_on = False
        self._pair: MapPair | None = None
        self._drawn: object = None

    @property
    def pair(self) -> MapPair | None:
        """The two layers of the picture; None before the first."""
        return self._pair

    def toggle(self) -> None:
        """Show the picture of the two maps that are chosen, or no longer."""
        if not self.is_on and len(self._names) < 2:
            self._session.say("info", ASK_FOR_TWO)
            return
        self.is_on = not self.is_on
        self.sync()
        fit(self._viewer)

    def sync(self) -> None:
        """Bring picture and legend up to date; with fewer than two maps they wait out of sight."""
        names = self._names if self.is_on else []
        shown = [self._session.shown.maps.get(name) for name in names]
        grids = [None if one is None else grid_of(one.message, one.arrays["value"]) for one in shown]
        is_seen = len(names) == 2 and grids[0] is not None and grids[0] == grids[1]
        if self.legend.isHidden() == is_seen:
            self.legend.setVisible(is_seen)
        if self._pair is not None and self._pair.image not in self._viewer.layers:
            self._pair = None
        was_seen = self._pair is not None and self._pair.image.visible
        with self._layers.moving(), nullcontext() if was_seen == is_seen else self._layers.rearranging():
            if self._pair is not None:
                self._pair.show(is_visible=is_seen)
            if is_seen:
                self._draw(names)

    @property
    def _names(self) -> list[str]:
        return self._layers.visible_names[:2]

    def _draw(self, names: list[str]) -> None:
        first, second = (self._session.shown.maps[name] for name in names)
        limits = _limits(self._layers, names[0]), _limits(self._layers, names[1])
        source = (first, second, limits)
        if self._pair is None:
            self._pair, self._drawn = make_picture_pair(self._viewer, title="two colours"), None
        if source == self._drawn:
            return
        self._drawn = source
        grid, pair = grid_of(first.message, first.arrays["value"]), self._pair
        pair.image.data = two_colours(first.arrays["value"], second.arrays["value"], limits=limits)
        for values, wanted in (("scale", (grid.pixel_mm,) * 2), ("translate", (grid.y_first_mm, grid.x_first_mm))):
            if not np.array_equal(getattr(pair.image, values), wanted):
                setattr(pair.image, values, wanted)
        pair.mark(grid, first, ())
        labels = [one.message.label for one in (first, second)]
        pair.rename(", ".join(f"{label} {colour}" for colour, label in zip(COLOUR_WORDS, labels, strict=True)))
        titles = [self._layers.pair(name).title for name in names]
        self.legend.write((titles[0], titles[1]), limits)


def _limits(layers: MapLayers, name: str) -> Limits:
    low, high = layers.layer(name).contrast_limits
    return float(low), float(high)
