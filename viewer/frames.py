"""The newest detector frame with the rings of the phases, and the same over azimuth and q."""

from collections.abc import Iterable
from html import escape

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF

from operando.messages import CakePreview, PatternPublished
from viewer.colormaps import coloured
from viewer.panels import ImagePanel
from viewer.pictures import log_counts, robust_range
from viewer.rings import columns_with_rings, rings_picture
from viewer.session import Session, Shown, Topic
from viewer.style import SERIES

GAP = (150, 150, 150, 255)
"""Of gaps and masked pixels."""
_TICK_DEG = 9.0
"""Height of a phase's row of ticks below the caked frame."""


class FramePanel(ImagePanel):
    """The newest detector frame on a logarithmic scale; gaps and masked pixels are grey, the phases' rings left of the beam."""

    name = "frame"
    topics: tuple[Topic, ...] = ("frame", "pattern")

    def __init__(self) -> None:
        super().__init__()
        for side in ("left", "bottom"):
            self._plot.hideAxis(side)
        view = self._plot.getViewBox()
        view.setAspectLocked(True)
        view.invertY(True)
        self._rings = pg.ImageItem(axisOrder="row-major")
        self._plot.addItem(self._rings)
        self._ringed: object = None

    @property
    def rings(self) -> "np.ndarray | None":
        """The picture of the rings, shape (rows, columns, 4); None while there are none."""
        return self._rings.image if self._rings.isVisible() else None

    def show_session(self, session: Session) -> None:
        """Draw the newest frame."""
        shown = session.frame
        self._image.setVisible(shown is not None)
        phases = self._draw_rings(session)
        if shown is None:
            self._say(no_frame_words(session))
            return
        value = log_counts(shown.arrays["image"])
        low, high = robust_range(value, low=1.0, high=99.8)
        picture = coloured(value, low=low, high=high, colormap="inferno")
        picture[picture[..., 3] == 0] = GAP
        self._image.setImage(picture, autoLevels=False)
        message = shown.message
        saturated = f", {message.n_saturated} saturated" if message.n_saturated else ""
        self._say(f"image {message.image_id} of series {message.series}, log counts{saturated}", rich=phases)

    def _draw_rings(self, session: Session) -> str:
        """Lay the rings over the frame if their q is known, and give the words that name them."""
        frame, geometry, pattern = session.frame, session.geometry, _pattern(session)
        fits = (
            frame is not None
            and geometry is not None
            and pattern is not None
            and geometry.arrays["q"].shape == frame.arrays["image"].shape
        )
        self._rings.setVisible(fits)
        if not fits or geometry is None or pattern is None:
            return ""
        reflections, q = pattern.message.reflections, geometry.arrays["q"]
        if self._ringed != (reflections, geometry):
            self._ringed = (reflections, geometry)
            self._rings.setImage(rings_picture(q, reflections, SERIES), autoLevels=False)
        side = "left" if columns_with_rings(q) < q.shape[1] else "rings"
        return f"{side}: {_legend(reflections)}"


class CakePanel(ImagePanel):
    """A frame over azimuth and q: rings become straight lines if the beam centre is right; the phases' reflections below."""

    name = "cake"
    topics: tuple[Topic, ...] = ("cake", "pattern")

    def __init__(self) -> None:
        super().__init__(left="azimuth (°)", bottom="q (1/Å)")
        self._plot.getAxis("left").setTickSpacing(90, 30)
        self._ticks: list[pg.PlotDataItem] = []

    def show_session(self, session: Session) -> None:
        """Draw the newest cake and the phases' reflections."""
        shown = session.cake
        self._image.setVisible(shown is not None)
        if shown is None:
            self._say(no_frame_words(session))
            return
        value = np.sqrt(np.maximum(shown.arrays["cake"], 0))
        low, high = robust_range(value, low=1.0, high=99.5)
        picture = coloured(value, low=low, high=high, colormap="inferno")
        picture[picture[..., 3] == 0] = GAP
        self._image.setImage(picture, autoLevels=False)
        left, bottom, width, height = box_of(shown.message, value.shape)
        self._image.setRect(QRectF(left, bottom, width, height))
        pattern = _pattern(session)
        reflections = {} if pattern is None else pattern.message.reflections
        self._draw_ticks(reflections.values(), left=left, right=left + width, below=bottom)
        message = shown.message
        self._say(f"image {message.image_id} of series {message.series}, √ mean counts", rich=_legend(reflections))

    def _draw_ticks(self, reflections: Iterable[list[float]], *, left: float, right: float, below: float) -> None:
        for item in self._ticks:
            self._plot.removeItem(item)
        self._ticks = []
        for row, lines in enumerate(reflections):
            inside = np.repeat([line for line in lines if left <= line <= right], 2)
            y = np.tile([below - _TICK_DEG * row, below - _TICK_DEG * (row + 0.8)], inside.size // 2)
            pen = pg.mkPen(SERIES[row % len(SERIES)], width=2)
            self._ticks.append(self._plot.plot(inside, y, pen=pen, connect="pairs"))


def box_of(message: CakePreview, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Give the edges of a cake of shape (azimuth, q): left and width in 1/angstrom, bottom and height in degrees."""
    left, bottom = message.q_first - message.q_step / 2, message.eta_first_deg - message.eta_step_deg / 2
    return left, bottom, shape[1] * message.q_step, shape[0] * message.eta_step_deg


def _pattern(session: Session) -> Shown[PatternPublished] | None:
    return next(iter(session.shown.patterns.values()), None)


def _legend(phases: Iterable[str]) -> str:
    names = [f"<b style='color:{SERIES[k % len(SERIES)]}'>{escape(phase)}</b>" for k, phase in enumerate(phases)]
    return " ".join(names)


def no_frame_words(session: Session) -> str:
    """Say why there is no frame."""
    return "no frame: archives keep none" if session.status is None and session.is_over else "no frame yet"
