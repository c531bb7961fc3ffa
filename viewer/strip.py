"""The strip chart: the cell against time, its steps shaded, every scan a band, and the scan that is shown under a cursor.

The strip and the slider are one clock: a click shows the scan of that time, and the slider moves the cursor.
"""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

from viewer.readings import Readings, Step
from viewer.session import Session, Topic
from viewer.style import AMBER, BLUE, FAINT, GREEN, INK, RED, dress, make_plots

BAND_COLOUR = QColor(217, 130, 0, 24)
SHOWN_COLOUR = QColor(217, 130, 0, 44)
STEP_COLOUR = {1: QColor(200, 36, 43, 26), 0: QColor(120, 120, 120, 18), -1: QColor(31, 95, 168, 30)}
"""Of a step in which the cell charges, rests, discharges."""
_TALL = 1e4
"""Half the height of a band, in V or A: taller than any axis."""
_REST = 0.02
"""Of the largest current: a step with less is a rest."""
_LEAST_NAMED = 0.08
"""Of the record: the name of a shorter step would run into the next."""
N_LABELS = 8
"""Steps at the end of the record that are named; more would overlap."""


LEAST_SPAN = {"voltage": 0.01, "current": 0.01, "charge": 0.01, "temperature": 0.5}
"""Of the axes, V, A, Ah, °C: closer, the cycler's noise would fill the chart, and long numbers would lie over the titles."""
AXIS_WIDTH = 60
"""Screen pixels for a title and a number of five characters."""


class StripChart(QWidget):
    """Four curves over one axis of time; zoom and pan belong to the user, who goes back with a double click."""

    name = "strip chart"
    topics: tuple[Topic, ...] = ("cell", "maps", "run", "progress", "scan")
    chosen = Signal(float)
    """A time that the user has clicked on, seconds since the epoch."""

    def __init__(self) -> None:
        super().__init__()
        plots = make_plots()
        self._voltage = dress(plots.addPlot(row=0, col=0), left="voltage (V)")
        axis = pg.DateAxisItem(orientation="bottom")
        self._current = dress(plots.addPlot(row=1, col=0, axisItems={"bottom": axis}), left="current (A)")
        self._current.setXLink(self._voltage)
        self._voltage.getAxis("bottom").setStyle(showValues=False)
        for plot in (self._voltage, self._current):
            plot.getAxis("left").setWidth(AXIS_WIDTH)
        plots.ci.layout.setRowStretchFactor(0, 3)
        plots.ci.layout.setRowStretchFactor(1, 2)
        self._right = {"charge": _right_axis(self._voltage, "charge (Ah)", GREEN)}
        self._right["temperature"] = _right_axis(self._current, "T (°C)", AMBER)
        views = {"voltage": self._voltage, "current": self._current, **self._right}
        for name, span in LEAST_SPAN.items():
            views[name].setLimits(minYRange=span)
        self._curves = {
            "voltage": _curve(self._voltage, RED),
            "current": _curve(self._current, BLUE),
            "charge": _curve(self._right["charge"], GREEN, width=1),
            "temperature": _curve(self._right["temperature"], AMBER, width=1),
        }
        self._bands = [_bars(plot, BAND_COLOUR, z=-20) for plot in (self._voltage, self._current)]
        self._steps = {sign: _bars(self._current, colour, z=-30) for sign, colour in STEP_COLOUR.items()}
        self._labels = [_label(self._current) for _ in range(N_LABELS)]
        self._marks = [_region(plot) for plot in (self._voltage, self._current)]
        self._cursors = [_cursor(plot) for plot in (self._voltage, self._current)]
        self._drawn_bands: list[tuple[float, float]] = []
        self._drawn_steps: list[Step] = []
        plots.scene().sigMouseClicked.connect(self._on_click)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plots)

    @property
    def cursor_s(self) -> float | None:
        """Where the cursor stands, seconds since the epoch; None while there is no map."""
        return float(self._cursors[0].value()) if self._cursors[0].isVisible() else None

    @property
    def band_s(self) -> tuple[float, float] | None:
        """From when to when the scan lasted that is shown; None without one."""
        first, last = self._marks[0].getRegion()
        return (first, last) if self._marks[0].isVisible() else None

    @property
    def bands_s(self) -> list[tuple[float, float]]:
        """From when to when every scan lasted."""
        return self._drawn_bands

    @property
    def step_names(self) -> list[str]:
        """The steps that are shaded, oldest first."""
        return [step.name for step in self._drawn_steps]

    def show_session(self, session: Session) -> None:
        """Draw the readings, the scans' bands and the time of the scan that is shown."""
        readings = session.readings
        empty = f"<span style='color:{FAINT}; font-size:9pt'>no reading of the cell</span>"
        self._voltage.setTitle(None if len(readings) else empty)
        for name, column in (
            ("voltage", "voltage_v"),
            ("current", "current_a"),
            ("charge", "charge_ah"),
            ("temperature", "temperature_c"),
        ):
            values = readings.column(column)
            self._curves[name].setData(readings.time_s, values)
            if name in self._right:
                axis = (self._voltage if name == "charge" else self._current).getAxis("right")
                axis.setVisible(bool(np.isfinite(values).any()))
        self._draw_steps(readings)
        self._draw_bands(session)
        self._draw_cursor(session)

    def curve(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the times and values that a curve shows."""
        x, y = self._curves[name].getOriginalDataset()
        return x, y

    def click_at(self, time_s: float) -> None:
        """Choose a time as if the user had clicked on it."""
        self.chosen.emit(time_s)

    def _draw_bands(self, session: Session) -> None:
        spans = [span for scan in session.scans[:-1] if (span := scan.span_s) is not None]
        newest = session.tomogram.span_s
        if newest is not None:
            progress = session.tomogram.progress
            is_growing = progress is not None and not session.is_over
            spans.append((newest[0], max(newest[1], progress.time_s) if progress is not None and is_growing else newest[1]))
        if spans != self._drawn_bands:
            self._drawn_bands = spans
            for bars in self._bands:
                _set_bars(bars, spans)

    def _draw_steps(self, readings: Readings) -> None:
        steps = readings.steps
        if steps == self._drawn_steps:
            return
        self._drawn_steps = steps
        largest = max((abs(step.current_a) for step in steps if np.isfinite(step.current_a)), default=0.0)
        for sign, bars in self._steps.items():
            _set_bars(bars, [(step.first_s, step.last_s) for step in steps if _sign(step, largest) == sign])
        least_s = _LEAST_NAMED * (steps[-1].last_s - steps[0].first_s) if steps else 0.0
        named = [step for step in reversed(steps) if step.last_s - step.first_s > least_s]
        for label, step in zip(self._labels, [*named, *[None] * N_LABELS], strict=False):
            label.setVisible(step is not None)
            if step is not None:
                label.setText(step.name, color=FAINT)
                label.setPos(step.first_s, 0.0)

    def _draw_cursor(self, session: Session) -> None:
        scan = session.shown
        span, is_map = scan.span_s, bool(scan.maps)
        for mark, cursor in zip(self._marks, self._cursors, strict=True):
            mark.setVisible(span is not None)
            cursor.setVisible(span is not None and is_map)
            if span is not None:
                mark.setRegion(span)
                cursor.setValue(span[1])

    def _on_click(self, event: "pg.GraphicsScene.MouseClickEvent") -> None:
        if event.double():
            for plot in (self._voltage, self._current):
                plot.enableAutoRange()
        elif event.button() == Qt.MouseButton.LeftButton:
            for plot in (self._voltage, self._current):
                if plot.sceneBoundingRect().contains(event.scenePos()):
                    self.chosen.emit(plot.getViewBox().mapSceneToView(event.scenePos()).x())


def _sign(step: Step, largest_a: float) -> int:
    if not np.isfinite(step.current_a) or abs(step.current_a) <= _REST * largest_a:
        return 0
    return 1 if step.current_a > 0 else -1


def _curve(parent: "pg.PlotItem | pg.ViewBox", colour: str, *, width: int = 2) -> pg.PlotDataItem:
    curve = pg.PlotDataItem(pen=pg.mkPen(colour, width=width), connect="finite")
    parent.addItem(curve)
    curve.setDownsampling(auto=True, method="peak")
    curve.setClipToView(True)
    return curve


def _right_axis(plot: pg.PlotItem, label: str, colour: str) -> pg.ViewBox:
    """Give a second axis of values at the right of a plot."""
    view = pg.ViewBox(enableMenu=False)
    plot.scene().addItem(view)
    axis = plot.getAxis("right")
    axis.linkToView(view)
    axis.setPen(QColor("#b0b0b0"))
    axis.setTextPen(QColor(colour))
    axis.enableAutoSIPrefix(False)
    axis.setWidth(AXIS_WIDTH)
    axis.setLabel(f"<span style='font-size:9pt; color:{colour}'>{label}</span>")
    axis.hide()
    view.setXLink(plot)
    # Clicks and drags are for the plot beneath.
    view.setMouseEnabled(x=False, y=False)
    view.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
    view.setZValue(-5)
    plot.getViewBox().sigResized.connect(lambda: view.setGeometry(plot.getViewBox().sceneBoundingRect()))
    return view


def _bars(plot: pg.PlotItem, colour: QColor, *, z: int) -> pg.BarGraphItem:
    bars = pg.BarGraphItem(x0=[], x1=[], y0=[], y1=[], brush=colour, pen=pg.mkPen(None))
    bars.setZValue(z)
    plot.addItem(bars, ignoreBounds=True)
    return bars


def _set_bars(bars: pg.BarGraphItem, spans: list[tuple[float, float]]) -> None:
    first, last = (np.array([span[k] for span in spans]) for k in (0, 1))
    bars.setOpts(x0=first, x1=last, y0=np.full(first.size, -_TALL), y1=np.full(first.size, _TALL))


def _label(plot: pg.PlotItem) -> pg.TextItem:
    label = pg.TextItem(anchor=(0, 1))
    label.hide()
    plot.addItem(label, ignoreBounds=True)
    return label


def _region(plot: pg.PlotItem) -> pg.LinearRegionItem:
    region = pg.LinearRegionItem(movable=False, brush=SHOWN_COLOUR, pen=pg.mkPen(None))
    region.setZValue(-10)
    region.hide()
    plot.addItem(region, ignoreBounds=True)
    return region


def _cursor(plot: pg.PlotItem) -> pg.InfiniteLine:
    cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen(INK, width=1))
    cursor.hide()
    plot.addItem(cursor, ignoreBounds=True)
    return cursor
