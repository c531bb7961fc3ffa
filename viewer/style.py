"""The look of everything beside the maps: one light palette, plots without clutter."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtGui import QColor, QFont, QImage

from viewer.freshness import Level

INK = "#2b2b2b"
FAINT = "#7a7a7a"
GRID_ALPHA = 0.12
BLUE, RED, GREEN, AMBER = "#1f5fa8", "#c8242b", "#2e8b57", "#d98200"
LEVEL_COLOUR = {
    Level.WAITING: "#77808c",
    Level.FRESH: GREEN,
    Level.DOUBTFUL: AMBER,
    Level.STALE: RED,
    Level.HELD: AMBER,
    Level.ENDED: BLUE,
    Level.CUT_SHORT: AMBER,
}
NOTICE_COLOUR = {"info": FAINT, "warning": AMBER, "error": RED}
SERIES = ("#c8242b", "#e07b1a", "#2b2b2b", "#1f5fa8", "#a0522d", "#6a7f8f", "#7a5195", "#2e8b57")
"""Colours of phases in the order in which a message names them; told apart without colour vision by their rows."""


def make_plots() -> pg.GraphicsLayoutWidget:
    """Make an empty white widget for plots."""
    widget = pg.GraphicsLayoutWidget()
    widget.setBackground("w")
    widget.ci.setContentsMargins(4, 2, 8, 2)
    widget.ci.setSpacing(2)
    return widget


def dress(plot: pg.PlotItem, *, left: str = "", bottom: str = "", grid: bool = True) -> pg.PlotItem:
    """Give a plot the house's axes: ink on white, units in the label and no rescaled prefixes."""
    for name, label in (("left", left), ("bottom", bottom)):
        axis = plot.getAxis(name)
        axis.setPen(QColor("#b0b0b0"))
        axis.setTextPen(QColor(INK))
        axis.enableAutoSIPrefix(False)
        axis.setStyle(tickFont=font(8))
        if label:
            axis.setLabel(f"<span style='font-size:9pt; color:{INK}'>{label}</span>")
    plot.getAxis("left").setWidth(52)
    plot.showGrid(x=grid, y=grid, alpha=GRID_ALPHA)
    plot.hideButtons()
    plot.setMenuEnabled(False)
    return plot


def font(points: int, *, bold: bool = False) -> QFont:
    """Give the window's font in a size."""
    made = QFont()
    made.setPointSize(points)
    made.setBold(bold)
    return made


def image_from_rgba(picture: NDArray[np.uint8]) -> Any:
    """Give a picture of shape (rows, columns, 4) as a Qt image with its own memory."""
    rows, columns, _ = picture.shape
    data = np.ascontiguousarray(picture)
    return QImage(data.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()
