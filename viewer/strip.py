"""The strip chart: voltage and current of the cell against time, with the scan as a band and the map's time as a cursor."""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

from viewer.session import Session, Topic
from viewer.style import BLUE, FAINT, INK, RED, dress, make_plots

BAND_COLOUR = QColor(217, 130, 0, 38)


class StripChart(QWidget):
    """Two curves over one axis of time; zoom and pan belong to the user, who goes back with a double click."""

    name = "strip chart"
    topics: tuple[Topic, ...] = ("cell", "maps", "run", "progress")

    def __init__(self) -> None:
        super().__init__()
        plots = make_plots()
        self._voltage = dress(plots.addPlot(row=0, col=0), left="voltage (V)")
        axis = pg.DateAxisItem(orientation="bottom")
        self._current = dress(plots.addPlot(row=1, col=0, axisItems={"bottom": axis}), left="current (A)")
        self._current.setXLink(self._voltage)
        self._voltage.getAxis("bottom").setStyle(showValues=False)
        plots.ci.layout.setRowStretchFactor(0, 3)
        plots.ci.layout.setRowStretchFactor(1, 2)
        self._curves = {
            "voltage": _curve(self._voltage, RED),
            "current": _curve(self._current, BLUE),
        }
        self._bands = [_band(plot) for plot in (self._voltage, self._current)]
        self._cursors = [_cursor(plot) for plot in (self._voltage, self._current)]
        for plot in (self._voltage, self._current):
            plot.scene().sigMouseClicked.connect(self._on_click)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plots)

    @property
    def cursor_s(self) -> float | None:
        """Where the cursor stands, seconds since the epoch; None while there is no map."""
        return float(self._cursors[0].value()) if self._cursors[0].isVisible() else None

    @property
    def band_s(self) -> tuple[float, float] | None:
        """From when to when the scan is marked; None without a scan."""
        first, last = self._bands[0].getRegion()
        return (first, last) if self._bands[0].isVisible() else None

    def show_session(self, session: Session) -> None:
        """Draw the readings, the scan's band and the map's time."""
        readings = session.readings
        empty = f"<span style='color:{FAINT}; font-size:9pt'>no reading of the cell</span>"
        self._voltage.setTitle(None if len(readings) else empty)
        self._curves["voltage"].setData(readings.time_s, readings.voltage_v)
        self._curves["current"].setData(readings.time_s, readings.current_a)
        data_s = max((shown.message.data_time_s for shown in session.tomogram.maps.values()), default=None)
        for cursor in self._cursors:
            cursor.setVisible(data_s is not None)
            if data_s is not None:
                cursor.setValue(data_s)
        self._mark_scan(session, data_s)

    def curve(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the times and values that a curve shows."""
        x, y = self._curves[name].getOriginalDataset()
        return x, y

    def _mark_scan(self, session: Session, data_s: float | None) -> None:
        started, progress = session.tomogram.started, session.tomogram.progress
        for band in self._bands:
            band.setVisible(started is not None)
            if started is not None:
                last_s = max(data_s or started.time_s, progress.time_s if progress and not session.is_over else started.time_s)
                band.setRegion((started.time_s, last_s))

    def _on_click(self, event: "pg.GraphicsScene.MouseClickEvent") -> None:
        if event.double():
            for plot in (self._voltage, self._current):
                plot.enableAutoRange()


def _curve(plot: pg.PlotItem, colour: str) -> pg.PlotDataItem:
    curve = plot.plot(pen=pg.mkPen(colour, width=2), connect="finite")
    curve.setDownsampling(auto=True, method="peak")
    curve.setClipToView(True)
    return curve


def _band(plot: pg.PlotItem) -> pg.LinearRegionItem:
    band = pg.LinearRegionItem(movable=False, brush=BAND_COLOUR, pen=pg.mkPen(None))
    band.setZValue(-10)
    band.hide()
    plot.addItem(band, ignoreBounds=True)
    return band


def _cursor(plot: pg.PlotItem) -> pg.InfiniteLine:
    cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen(INK, width=1))
    cursor.hide()
    plot.addItem(cursor, ignoreBounds=True)
    return cursor
