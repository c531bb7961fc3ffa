"""The panels beside the maps: the sinogram, and the mean pattern with its fit. Each draws one topic."""

from html import escape
from typing import Protocol

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF
from qtpy.QtGui import QRegion
from qtpy.QtWidgets import QVBoxLayout, QWidget

from operando.messages import PatternPublished
from viewer.colormaps import coloured
from viewer.pictures import even_sinogram, robust_range
from viewer.session import Session, Shown, Topic
from viewer.style import FAINT, INK, RED, SERIES, dress, font, make_plots
from viewer.words import centre_words


class Panel(Protocol):
    """Something that draws a part of the session, from the window's thread, at most a few times a second."""

    name: str
    topics: tuple[Topic, ...]
    """What it draws: it is asked again when one of these has changed."""

    def visibleRegion(self) -> QRegion:  # noqa: N802 - Qt's name
        """Give what of it can be seen: nothing while it is behind a tab."""
        ...

    def show_session(self, session: Session) -> None:
        """Draw the newest state; what it raises is shown in the window and stops no other panel."""
        ...


class PlotPanel(QWidget):
    """A white widget for plots under each other."""

    def __init__(self) -> None:
        super().__init__()
        self._plots = make_plots()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plots)

    def _make_plot(self, row: int, *, left: str, bottom: str = "", grid: bool = True) -> pg.PlotItem:
        return dress(self._plots.addPlot(row=row, col=0), left=left, bottom=bottom, grid=grid)


class ImagePanel(PlotPanel):
    """One image with a title."""

    def __init__(self, *, left: str = "", bottom: str = "") -> None:
        super().__init__()
        self._plot = self._make_plot(0, left=left, bottom=bottom, grid=False)
        self._image = pg.ImageItem(axisOrder="row-major")
        self._plot.addItem(self._image)

    def _say(self, text: str, *, rich: str = "") -> None:
        """Write plain text, and below it, if given, rich text."""
        second = f"<br>{rich}" if rich else ""
        self._plot.setTitle(f"<span style='color:{INK}; font-size:9pt'>{escape(text)}{second}</span>")


class SinogramPanel(ImagePanel):
    """The sinogram filling up, with the rotation centre."""

    name = "sinogram"
    topics: tuple[Topic, ...] = ("sinogram", "scan")

    def __init__(self) -> None:
        super().__init__(left="angle (°)", bottom="position (mm)")
        self._plot.getViewBox().setBackgroundColor("#ececec")
        self._centre = pg.InfiniteLine(angle=90, pen=pg.mkPen("#00a0c0", width=1, style=pg.QtCore.Qt.PenStyle.DashLine))
        self._plot.addItem(self._centre, ignoreBounds=True)
        self._centre.hide()

    def show_session(self, session: Session) -> None:
        """Draw the first sinogram of the scan that is shown."""
        shown = next(iter(session.shown.sinograms.values()), None)
        self._image.setVisible(shown is not None)
        self._centre.setVisible(shown is not None and shown.message.centre_mm is not None)
        if shown is None:
            self._say("nothing measured" if session.timeline.is_following else "no longer at hand: see this scan's archive")
            return
        message = shown.message
        even = even_sinogram(shown.arrays["sinogram"], message.angles_deg)
        low, high = robust_range(even.value)
        self._image.setImage(coloured(even.value, low=low, high=high, colormap="magma"), autoLevels=False)
        left = message.first_position_mm - message.step_mm / 2
        bottom = even.first_deg - even.step_deg / 2
        width, height = message.step_mm * even.value.shape[1], even.step_deg * even.value.shape[0]
        self._image.setRect(QRectF(left, bottom, width, height))
        if message.centre_mm is not None:
            self._centre.setValue(message.centre_mm)
        centre = centre_words(message)
        self._say(message.label, rich=escape(centre))


class PatternPanel(PlotPanel):
    """The mean pattern, its fit, their difference, and a row of ticks for each phase."""

    name = "pattern"
    topics: tuple[Topic, ...] = ("pattern", "scan")

    def __init__(self) -> None:
        super().__init__()
        self._curves_plot = self._make_plot(0, left="intensity")
        self._ticks_plot = self._make_plot(1, left="", bottom="q (1/Å)", grid=False)
        self._curves_plot.getAxis("bottom").setStyle(showValues=False)
        self._ticks_plot.setXLink(self._curves_plot)
        self._ticks_plot.setMouseEnabled(y=False)
        for plot in (self._curves_plot, self._ticks_plot):
            plot.getAxis("left").setWidth(66)
        self._ticks_plot.getAxis("left").setStyle(tickFont=font(7), tickLength=0)
        self._plots.ci.layout.setRowStretchFactor(0, 4)
        self._plots.ci.layout.setRowStretchFactor(1, 3)
        legend = self._curves_plot.addLegend(offset=(-8, 2), labelTextColor=INK, labelTextSize="8pt", verSpacing=-6)
        legend.setColumnCount(3)
        self._measured = self._curves_plot.plot(pen=pg.mkPen(INK, width=1), name="measured")
        self._fit = self._curves_plot.plot(pen=pg.mkPen(RED, width=1), name="fit")
        self._difference = self._curves_plot.plot(pen=pg.mkPen(FAINT, width=1), name="difference")
        self._ticks: dict[str, pg.PlotDataItem] = {}

    def show_session(self, session: Session) -> None:
        """Draw the first pattern of the scan that is shown."""
        shown = next(iter(session.shown.patterns.values()), None)
        if shown is None:
            for curve in (self._measured, self._fit, self._difference, *self._ticks.values()):
                curve.setData([], [])
            return
        q, intensity, fit = shown.arrays["q"], shown.arrays["intensity"], shown.arrays.get("fit")
        self._measured.setData(q, intensity, connect="finite")
        if fit is None:
            self._fit.setData([], [])
            self._difference.setData([], [])
        else:
            low, high = robust_range(intensity, low=0, high=100)
            self._fit.setData(q, fit, connect="finite")
            self._difference.setData(q, intensity - fit + low - 0.12 * (high - low), connect="finite")
        self._curves_plot.setLabel(
            "left", f"<span style='font-size:9pt; color:{INK}'>{shown.message.unit or 'intensity'}</span>"
        )
        self._draw_ticks(shown)

    def _draw_ticks(self, shown: Shown[PatternPublished]) -> None:
        q = shown.arrays["q"]
        reflections = shown.message.reflections
        for row, (phase, lines) in enumerate(reflections.items()):
            if phase not in self._ticks:
                self._ticks[phase] = self._ticks_plot.plot(pen=pg.mkPen(SERIES[row % len(SERIES)], width=2))
            inside = np.asarray([line for line in lines if q[0] <= line <= q[-1]])
            x = np.repeat(inside, 2)
            y = np.tile([-row - 0.38, -row + 0.38], inside.size)
            self._ticks[phase].setData(x, y, connect="pairs")
        for phase in set(self._ticks) - set(reflections):
            self._ticks[phase].setData([], [])
        self._ticks_plot.getAxis("left").setTicks([[(-row, phase) for row, phase in enumerate(reflections)]])
        self._ticks_plot.setYRange(-len(reflections) + 0.4, 0.6, padding=0)
