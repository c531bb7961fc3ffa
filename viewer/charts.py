"""Charts of the map that is in front over all scans, against time and charge; and of the patterns of all scans."""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from viewer.colormaps import coloured
from viewer.layers import title
from viewer.pictures import robust_range
from viewer.session import Session, Topic
from viewer.style import FAINT, INK, RED, dress, font, make_plots

N_BINS = 50
"""Of a histogram, over the map's declared range."""
MEAN_COLOUR = INK
_SINCE = "time (h since the first scan)"


class HistoryPanel(QWidget):
    """The map's mean and each pin over the scans, against time, charge or voltage."""

    name = "history"
    topics: tuple[Topic, ...] = ("pins", "maps", "scan", "focus")
    _AXES = ("time", "charge (Ah)", "voltage (V)", "scan")

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self._means: dict[int, tuple[object, float]] = {}
        plots = make_plots()
        self._plot = dress(plots.addPlot(row=0, col=0), left="value", bottom=_SINCE)
        self._plot.getAxis("left").setWidth(66)
        self._choice = QComboBox()
        self._choice.addItems(self._AXES)
        self._choice.setFont(font(8))
        self._choice.currentTextChanged.connect(self._on_choice)
        label = QLabel("against")
        label.setFont(font(8))
        label.setStyleSheet(f"color: {FAINT}")
        self.setStyleSheet("HistoryPanel { background: white }")
        top = QHBoxLayout()
        top.setContentsMargins(6, 2, 6, 0)
        top.addWidget(label)
        top.addWidget(self._choice)
        top.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(plots)
        self._cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen(FAINT, width=1, style=Qt.PenStyle.DashLine))

    @property
    def against(self) -> str:
        """What the horizontal axis is."""
        return str(self._choice.currentText())

    def choose(self, against: str) -> None:
        """Choose the horizontal axis."""
        self._choice.setCurrentText(against)

    def show_session(self, session: Session) -> None:
        """Draw the history of the map in front."""
        self._session = session
        self._plot.clear()
        stack = session.stacks.get(session.focus or "")
        if stack is None:
            return
        x = self._abscissa(session)
        mean = np.array([self._mean(k, scan.maps.get(session.focus or "")) for k, scan in enumerate(session.scans)])
        self._curve(x, mean, np.full(mean.size, np.nan), MEAN_COLOUR, "whole map")
        for pin in session.pins.items:
            value, sigma = pin.history(stack)
            self._curve(x, value, sigma, pin.colour, pin.label)
        self._draw_beside(session)
        self._plot.setLabel("left", f"<span style='font-size:9pt; color:{INK}'>{map_title(session)}</span>")
        bottom = _SINCE if self.against == "time" else self.against
        self._plot.setLabel("bottom", f"<span style='font-size:9pt; color:{INK}'>{bottom}</span>")
        at = x[session.timeline.index] if x.size else np.nan
        if np.isfinite(at):
            self._cursor.setValue(at)
            self._plot.addItem(self._cursor, ignoreBounds=True)

    def _draw_beside(self, session: Session) -> None:
        """Draw the history of another session, dashed, if one stands beside."""
        beside, focus = session.beside, session.focus or ""
        stack = None if beside is None else beside.other.stacks.get(focus)
        if beside is None or stack is None or beside.is_of_itself:
            return
        x, name, dashed = self._abscissa(beside.other), beside.names[1], Qt.PenStyle.DashLine
        maps = [scan.maps.get(focus) for scan in beside.other.scans]
        mean = np.array([np.nan if shown is None else _finite_mean(shown.arrays["value"]) for shown in maps])
        self._curve(x, mean, np.full(mean.size, np.nan), MEAN_COLOUR, f"whole map, {name}", line=dashed)
        for pin in beside.pins.items:
            value, sigma = pin.history(stack)
            self._curve(x, value, sigma, pin.colour, f"{pin.label}, {name}", line=dashed)

    def curves(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Give what is drawn, by name."""
        return {item.name(): item.getOriginalDataset() for item in self._plot.listDataItems()}

    def _curve(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        sigma: NDArray[np.float64],
        colour: str,
        name: str,
        *,
        line: Qt.PenStyle = Qt.PenStyle.SolidLine,
    ) -> None:
        known = np.isfinite(x) & np.isfinite(y)
        x, y, sigma = x[known], y[known], sigma[known]
        if np.isfinite(sigma).any():
            self._plot.addItem(pg.ErrorBarItem(x=x, y=y, height=2 * np.nan_to_num(sigma), pen=pg.mkPen(colour, width=1)))
        pen = pg.mkPen(colour, width=1, style=line)
        self._plot.plot(x, y, pen=pen, symbol="o", symbolSize=5, symbolBrush=colour, symbolPen=None, name=name)

    def _mean(self, index: int, shown: object) -> float:
        """Give the mean of a scan's map; made once for each revision."""
        kept = self._means.get(index)
        if kept is None or kept[0] is not shown:
            value = getattr(shown, "arrays", {}).get("value", np.empty(0, np.float32))
            kept = self._means[index] = (shown, _finite_mean(value))
        return kept[1]

    def _abscissa(self, session: Session) -> NDArray[np.float64]:
        if self.against == "scan":
            return np.arange(1.0, len(session.scans) + 1)
        if self.against == "time":
            middles = np.array([np.nan if scan.middle_s is None else scan.middle_s for scan in session.scans])
            return (middles - np.nanmin(middles)) / 3600 if np.isfinite(middles).any() else middles
        cells = [scan.cell for scan in session.scans]
        field = "charge_ah" if self.against.startswith("charge") else "voltage_v"
        values = [None if cell is None else getattr(cell, field) for cell in cells]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def _on_choice(self) -> None:
        if self._session is not None:
            self.show_session(self._session)


class StagesPanel(QWidget):
    """All scans at once: the mean patterns over q, and the distribution of the map in front, one row for each scan."""

    name = "stages"
    topics: tuple[Topic, ...] = ("pattern", "maps", "scan", "focus")

    def __init__(self) -> None:
        super().__init__()
        plots = make_plots()
        self._patterns, self._patterns_image = _image_plot(plots, 0, bottom="q (1/Å)")
        self._values, self._values_image = _image_plot(plots, 1, bottom="value")
        self._rows: dict[int, tuple[object, NDArray[np.float64]]] = {}
        self._cursors = [pg.InfiniteLine(angle=0, pen=pg.mkPen(RED, width=1)) for _ in range(2)]
        for plot, cursor in zip((self._patterns, self._values), self._cursors, strict=True):
            plot.addItem(cursor, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plots)

    def show_session(self, session: Session) -> None:
        """Draw both pictures."""
        for cursor in self._cursors:
            cursor.setValue(session.timeline.index + 1)
        self._draw_patterns(session)
        self._draw_values(session)

    @property
    def n_rows(self) -> tuple[int, int]:
        """Scans in the picture of patterns and in that of values."""
        images = (self._patterns_image.image, self._values_image.image)
        patterns, values = (0 if image is None else len(image) for image in images)
        return patterns, values

    def _draw_patterns(self, session: Session) -> None:
        patterns = [next(iter(scan.patterns.values()), None) for scan in session.scans]
        known = [shown for shown in patterns if shown is not None]
        self._patterns_image.setVisible(bool(known))
        if not known:
            return
        q = known[-1].arrays["q"]
        rows = np.full((len(patterns), q.size), np.nan, dtype=np.float32)
        for k, shown in enumerate(patterns):
            if shown is not None and shown.arrays["intensity"].size == q.size:
                rows[k] = shown.arrays["intensity"]
        low, high = robust_range(rows, low=1, high=99.5)
        self._patterns_image.setImage(coloured(rows, low=low, high=high, colormap="magma"), autoLevels=False)
        self._patterns_image.setRect(QRectF(float(q[0]), 0.5, float(q[-1] - q[0]), len(rows)))

    def _draw_values(self, session: Session) -> None:
        stack = session.stacks.get(session.focus or "")
        shown = session.shown.maps.get(session.focus or "")
        self._values_image.setVisible(stack is not None and shown is not None)
        if stack is None or shown is None:
            return
        low, high = shown.message.low, shown.message.high
        edges = np.linspace(low, high, N_BINS + 1)
        rows = np.array([self._row(k, scan.maps.get(session.focus or ""), edges) for k, scan in enumerate(session.scans)])
        self._values.setLabel("bottom", f"<span style='font-size:9pt; color:{INK}'>{map_title(session)}</span>")
        top = float(np.nanmax(rows, initial=1.0))
        self._values_image.setImage(coloured(rows, low=0.0, high=top, colormap="viridis"), autoLevels=False)
        self._values_image.setRect(QRectF(low, 0.5, high - low, len(rows)))

    def _row(self, index: int, shown: object, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the histogram of a scan; made once for each revision."""
        kept = self._rows.get(index)
        if kept is None or kept[0] is not shown:
            value = getattr(shown, "arrays", {}).get("value", np.empty(0, np.float32))
            kept = self._rows[index] = (shown, shares(value, edges))
        return kept[1]


def _image_plot(plots: pg.GraphicsLayoutWidget, column: int, *, bottom: str) -> tuple[pg.PlotItem, pg.ImageItem]:
    plot = dress(plots.addPlot(row=0, col=column), left="scan", bottom=bottom, grid=False)
    image = pg.ImageItem(axisOrder="row-major")
    plot.addItem(image)
    return plot, image


def _finite_mean(value: NDArray[np.floating]) -> float:
    finite = value[np.isfinite(value)]
    return float(finite.mean(dtype=np.float64)) if finite.size else np.nan


def shares(values: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the percentage of the finite values in each bin; what is beyond the edges counts in the last bins."""
    finite = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    counts = np.histogram(finite, edges)[0].astype(np.float64)
    return 100 * counts / max(finite.size, 1)


def map_title(session: Session) -> str:
    """Give the title of the map in front; empty without one."""
    shown = next((scan.maps[session.focus] for scan in reversed(session.scans) if session.focus in scan.maps), None)
    return "" if shown is None else title(shown.message)
