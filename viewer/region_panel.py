"""What was asked: the pattern of each pinned voxel or region, its fit and residual, and a table of what the fit says."""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QHBoxLayout, QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from operando.messages import RegionAnswered
from viewer.checks import Shown
from viewer.pins import Pin
from viewer.scan import Scan
from viewer.session import Session, Topic
from viewer.style import FAINT, INK, RED, SERIES, dress, font, make_plots
from viewer.words import value_words

HINT = "click a voxel · Shift+click pins another · Shift+drag draws a region · Ctrl+drag a profile · Esc clears"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A pin in one of the scans that are seen."""

    pin: Pin
    scan: Scan
    session: Session
    is_awaited: bool
    name: str = ""
    """What the scan beside the one that is shown is called; empty for that itself."""

    @property
    def label(self) -> str:
        """The pin's letter, and in which scan it is if not in the one that is shown."""
        return f"{self.pin.label} {self.name}".rstrip()

    @property
    def title(self) -> str:
        """The heading of its column."""
        return f"{self.label}\n(dashed)" if self.name else self.pin.title

    @property
    def line(self) -> Qt.PenStyle:
        """How its curve is drawn."""
        return Qt.PenStyle.DashLine if self.name else Qt.PenStyle.SolidLine


class RegionPanel(QWidget):
    """Patterns over a row of differences and ticks; beside them a table with one column for each pin."""

    name = "voxel"
    topics: tuple[Topic, ...] = ("pins", "maps", "scan", "focus")

    def __init__(self) -> None:
        super().__init__()
        plots = make_plots()
        self._plot = dress(plots.addPlot(row=0, col=0), left="intensity")
        self._residual = dress(plots.addPlot(row=1, col=0), left="residual", bottom="q (1/Å)")
        self._residual.setXLink(self._plot)
        self._plot.getAxis("bottom").setStyle(showValues=False)
        plots.ci.layout.setRowStretchFactor(0, 3)
        plots.ci.layout.setRowStretchFactor(1, 2)
        for plot in (self._plot, self._residual):
            plot.getAxis("left").setWidth(66)
        self._curves: list[pg.PlotDataItem] = []
        self._drawn: list[Shown[RegionAnswered]] = []
        self._words = QLabel(HINT)
        self._words.setWordWrap(True)
        self._words.setFont(font(8))
        self._words.setStyleSheet(f"color: {FAINT}; background: white; padding: 2px 6px")
        self._table = QTableWidget()
        self._table.setFont(font(8))
        self._table.setStyleSheet(f"QTableWidget {{ background: white; color: {INK}; border: 0; gridline-color: #eeeeee }}")
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self._table.verticalHeader().setDefaultSectionSize(17)
        self._table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._lay_out(plots)

    def _lay_out(self, plots: QWidget) -> None:
        right = QVBoxLayout()
        right.setSpacing(0)
        right.addWidget(self._words)
        right.addWidget(self._table)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(plots, stretch=3)
        layout.addLayout(right, stretch=2)

    @property
    def words(self) -> str:
        """What is said above the table."""
        return str(self._words.text())

    @property
    def table(self) -> list[list[str]]:
        """The table's rows, each with its heading first."""
        columns = range(self._table.columnCount())
        return [
            [self._table.verticalHeaderItem(row).text(), *(self._cell(row, column) for column in columns)]
            for row in range(self._table.rowCount())
        ]

    def show_session(self, session: Session) -> None:
        """Draw the pins' patterns and write the table."""
        asked = _asked(session)
        complaints = [f"{one.label}: {one.pin.complaint}" for one in asked if one.pin.complaint]
        waited = [one.label for one in asked if one.is_awaited]
        self._words.setText("   ".join([*complaints, *(f"asking for {label} …" for label in waited)]) or HINT)
        answers = [one.pin.answer for one in asked if one.pin.answer is not None]
        if answers != self._drawn:
            self._drawn = answers
            self._draw([one for one in asked if one.pin.answer is not None])
        self._fill(asked)

    def curve_of(self, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Give q and intensity as they are drawn for a pin; None if they are not."""
        for curve in self._curves:
            if curve.name() == label:
                return curve.getOriginalDataset()
        return None

    def _draw(self, asked: list[Asked]) -> None:
        for plot in (self._plot, self._residual):
            plot.clear()
        self._curves = []
        is_alone = len(asked) == 1
        for one in asked:
            if one.pin.answer is not None:
                if is_alone:
                    self._draw_phases(one.pin.answer)
                self._draw_pin(one, one.pin.answer, is_alone=is_alone)

    def _draw_phases(self, answer: Shown[RegionAnswered]) -> None:
        """Fill what each phase adds to the background, so that one sees which reflection is whose."""
        q, base = answer.arrays["q"], answer.arrays["background"]
        floor = self._plot.plot(q, base, pen=pg.mkPen(FAINT, width=1, style=Qt.PenStyle.DotLine), connect="finite")
        for k, part in enumerate(answer.arrays["phases"]):
            if not np.any(part > 0):
                continue
            colour = QColor(SERIES[k % len(SERIES)])
            colour.setAlpha(110)
            curve = self._plot.plot(q, base + part, pen=pg.mkPen(None))
            self._plot.addItem(pg.FillBetweenItem(curve, floor, brush=colour))

    def _draw_pin(self, asked: Asked, answer: Shown[RegionAnswered], *, is_alone: bool) -> None:
        arrays = answer.arrays
        q, difference = arrays["q"], arrays["intensity"] - arrays["fit"]
        pen = pg.mkPen(INK if is_alone else asked.pin.colour, width=1, style=asked.line)
        self._curves.append(self._plot.plot(q, arrays["intensity"], pen=pen, connect="finite", name=asked.label))
        self._plot.plot(q, arrays["fit"], pen=pg.mkPen(RED if is_alone else "#999999", width=1), connect="finite")
        if is_alone:
            sigma = arrays["sigma"]
            band = [self._residual.plot(q, sign * sigma, pen=pg.mkPen(None), connect="finite") for sign in (-1, 1)]
            self._residual.addItem(pg.FillBetweenItem(*band, brush=QColor(120, 120, 120, 70)))
        self._residual.plot(q, difference, pen=pen, connect="finite")
        self._plot.setLabel("left", f"<span style='font-size:9pt; color:{INK}'>{answer.message.unit}</span>")

    def _fill(self, asked: list[Asked]) -> None:
        """Write a column for each pin: what the maps say there, then what the fit of its pattern says."""
        rows: dict[str, list[str]] = {}
        for column, one in enumerate(asked):
            for heading, text in column_of(one).items():
                rows.setdefault(heading, [""] * len(asked))[column] = text
        self._table.setRowCount(len(rows))
        self._table.setColumnCount(len(asked))
        self._table.setVerticalHeaderLabels(list(rows))
        self._table.setHorizontalHeaderLabels([one.title for one in asked])
        for column, one in enumerate(asked):
            self._table.horizontalHeaderItem(column).setForeground(QColor(one.pin.colour))
        for row, texts in enumerate(rows.values()):
            for column, text in enumerate(texts):
                self._table.setItem(row, column, QTableWidgetItem(text))

    def _cell(self, row: int, column: int) -> str:
        item = self._table.item(row, column)
        return "" if item is None else str(item.text())


def _asked(session: Session) -> list[Asked]:
    """Give the pins of the scan that is shown, each followed by its twin in the scan beside it."""
    found = []
    beside = session.beside
    for pin in session.pins.items:
        found.append(Asked(pin=pin, scan=session.shown, session=session, is_awaited=session.pins.asked is pin))
        twin = None if beside is None else beside.mirrored(pin)
        if beside is not None and twin is not None:
            is_awaited = beside.pins.asked is twin
            found.append(
                Asked(
                    pin=twin, scan=beside.shown, session=beside.other, is_awaited=is_awaited, name=beside.names[1] or "beside"
                )
            )
    return found


def column_of(asked: Asked) -> dict[str, str]:
    """Give the rows of a pin: what every map says there, then what the fit of its pattern says."""
    pin, column = asked.pin, {}
    for name, shown in asked.scan.maps.items():
        value, sigma = pin.history(asked.session.stacks[name])
        index = asked.session.scans.index(asked.scan)
        column[shown.message.label] = value_words(float(value[index]), float(sigma[index]), shown.message.unit)
    if pin.answer is None:
        return column
    answer = pin.answer.message
    if answer.x_lithium is not None:
        column["x, fit of the pattern"] = value_words(answer.x_lithium, answer.x_lithium_sigma or np.nan, "")
    for share in answer.phases:
        if share.percent is not None:
            column[f"{share.label}, fit"] = value_words(share.percent, share.percent_sigma or np.nan, "wt%")
    if answer.misfit_percent is not None:
        column["Rwp"] = f"{answer.misfit_percent:.2f} %"
    column["lines"] = f"{answer.n_lines} of {answer.n_lines_expected}"
    column["estimator"] = answer.estimator
    return column
