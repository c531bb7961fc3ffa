"""The map in front, cut: along the drawn line, through the thickness of the electrode, and over its values."""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

from operando.messages import MapPublished
from viewer.charts import MEAN_COLOUR, N_BINS, map_title, shares
from viewer.checks import Shown
from viewer.pins import Pin, along
from viewer.session import Session, Topic
from viewer.stacks import Grid, grid_of
from viewer.style import FAINT, INK, dress, make_plots
from viewer.thickness import Thickness, through_thickness

BAND_COLOUR = QColor(120, 120, 120, 70)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """One of the maps that are seen: the one in front, solid, and that beside it, dashed."""

    shown: Shown[MapPublished]
    grid: Grid
    pins: list[Pin]
    is_beside: bool

    @property
    def value(self) -> NDArray[np.float32]:
        """Shape (y, x)."""
        value: NDArray[np.float32] = self.shown.arrays["value"]
        return value

    def pen(self, colour: str, *, width: int) -> "pg.QtGui.QPen":
        """Give the pen of its curves."""
        return pg.mkPen(colour, width=width, style=Qt.PenStyle.DashLine if self.is_beside else Qt.PenStyle.SolidLine)


class AcrossPanel(QWidget):
    """Profile, thickness and histogram of the map in front; dashed those of the scan beside it."""

    name = "across"
    topics: tuple[Topic, ...] = ("pins", "maps", "scan", "focus")

    def __init__(self) -> None:
        super().__init__()
        plots = make_plots()
        self._profile = dress(plots.addPlot(row=0, col=0), left="value", bottom="along the line (mm)")
        self._thickness = dress(plots.addPlot(row=0, col=1), left="value", bottom="inner to outer side (mm)")
        self._histogram = dress(plots.addPlot(row=0, col=2), left="voxels (%)", bottom="value")
        for plot in (self._profile, self._thickness, self._histogram):
            plot.getAxis("left").setWidth(60)
        self._drawn_thickness: Thickness | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plots)

    def show_session(self, session: Session) -> None:
        """Draw the three charts of the map in front."""
        for plot in (self._profile, self._thickness, self._histogram):
            plot.clear()
        cuts = _cuts(session)
        if not cuts:
            return
        for plot, side in ((self._profile, "left"), (self._thickness, "left"), (self._histogram, "bottom")):
            plot.setLabel(side, f"<span style='font-size:9pt; color:{INK}'>{map_title(session)}</span>")
        self._say(self._profile, "" if session.pins.line else "Ctrl+drag on the map draws the line")
        self._say(self._thickness, "")
        message = cuts[0].shown.message
        edges = np.linspace(message.low, message.high, N_BINS + 1)
        # Dashed first: the map in front lies over what stands beside it.
        for cut in reversed(cuts):
            if session.pins.line is not None:
                self._draw_profile(cut, *along(session.pins.line))
            self._draw_thickness(cut)
            self._draw_histogram(cut, edges)

    def profile(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Give distance and value along the line as drawn; None if there is none."""
        drawn = self._profile.listDataItems()
        return drawn[-1].getOriginalDataset() if drawn else None

    @property
    def thickness(self) -> Thickness | None:
        """What is drawn through the thickness of the map in front; None where it is no band."""
        return self._drawn_thickness

    @property
    def n_curves(self) -> tuple[int, int, int]:
        """Lines in the three charts, bands not counted."""
        plots = (self._profile, self._thickness, self._histogram)
        profile, thickness, histogram = (
            sum(item.opts["pen"].style() != Qt.PenStyle.NoPen for item in plot.listDataItems()) for plot in plots
        )
        return profile, thickness, histogram

    def _draw_profile(self, cut: _Cut, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        distance = np.hypot(x - x[0], y - y[0])
        voxels = [cut.grid.voxel(x_mm=a, y_mm=b) for a, b in zip(x, y, strict=True)]
        sigmas = cut.shown.arrays.get("sigma", np.full_like(cut.value, np.nan))
        value, sigma = (
            np.array([np.nan if voxel is None else array[voxel] for voxel in voxels], dtype=np.float64)
            for array in (cut.value, sigmas)
        )
        if not cut.is_beside:
            _band(self._profile, distance, value, sigma)
        self._profile.plot(distance, value, pen=cut.pen(INK, width=2), connect="finite")

    def _draw_thickness(self, cut: _Cut) -> None:
        found = through_thickness(cut.value, cut.grid)
        if not cut.is_beside:
            self._drawn_thickness = found
            if found is None:
                self._say(self._thickness, "no wound band")
                return
            self._say(
                self._thickness, f"band of {found.thickness_mm:.2f} mm, mean and scatter of {found.n_crossings} crossings"
            )
            _band(self._thickness, found.depth_mm, found.mean, found.scatter)
        if found is not None:
            self._thickness.plot(found.depth_mm, found.mean, pen=cut.pen(INK, width=2))

    def _draw_histogram(self, cut: _Cut, edges: NDArray[np.float64]) -> None:
        of_pins = [(cut.value[pin.voxels], pin.colour) for pin in cut.pins if pin.grid == cut.grid and pin.n_voxels > 1]
        for values, colour in [(cut.value, MEAN_COLOUR), *of_pins]:
            self._histogram.plot(edges, shares(values, edges), stepMode="center", pen=cut.pen(colour, width=1))

    def _say(self, plot: pg.PlotItem, text: str) -> None:
        plot.setTitle(f"<span style='color:{FAINT}; font-size:8pt'>{text}</span>" if text else None)


def _cuts(session: Session) -> list[_Cut]:
    """Give the map in front, and the one beside it if there is one."""
    name, beside = session.focus or "", session.beside
    shown = session.shown.maps.get(name)
    if shown is None:
        return []
    cuts = [_Cut(shown=shown, grid=grid_of(shown.message, shown.arrays["value"]), pins=session.pins.items, is_beside=False)]
    other = None if beside is None else beside.map_of(name)
    if beside is not None and other is not None:
        grid = grid_of(other.message, other.arrays["value"])
        cuts.append(_Cut(shown=other, grid=grid, pins=beside.pins.items, is_beside=True))
    return cuts


def _band(plot: pg.PlotItem, x: NDArray[np.float64], y: NDArray[np.float64], half: NDArray[np.float64]) -> None:
    edges = [plot.plot(x, y + sign * half, pen=pg.mkPen(None), connect="finite") for sign in (-1, 1)]
    plot.addItem(pg.FillBetweenItem(*edges, brush=BAND_COLOUR))
