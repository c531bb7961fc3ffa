"""A film of maps that grow: the window's maps and its strip, a frame for each step, as an MP4 that plays anywhere.

Frames are drawn without a screen and depend on nothing but the messages, so the same run gives the same film.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operando.bus import Entry
from operando.errors import OutputError
from operando.messages import CellReading, MapPublished
from viewer.colormaps import coloured
from viewer.figure import INK
from viewer.layers import title
from viewer.map_axes import draw_map, draw_scale_bar, map_box, map_picture
from viewer.out_file import whole_file
from viewer.session import Session, Shown
from viewer.words import map_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Frame = NDArray[np.uint8]
"""Shape (rows, columns, 3), red green blue."""

WIDTH, HEIGHT = 1280, 720
DPI = 100
FRAMES_PER_S = 8
HOLD_S = 2.0
"""The last frame stands so long: the end is what people want to look at."""
N_SMALL = 8
"""Maps beside the large one."""
_H264 = ["-crf", "18", "-preset", "fast", "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
"""Visually lossless; the index in front so that it plays while it loads; no encoder version inside, so that bytes repeat."""


def write_movie(path: Path, steps: Iterable[list[Entry]], *, readings: Sequence[CellReading]) -> int:
    """Write a film and give the number of its frames.

    Parameters
    ----------
    path
        An ``.mp4``.
    steps
        What is published between one frame and the next; a step without a first map gives no frame.
    readings
        The cell during the whole run.

    Raises
    ------
    OutputError
        If the suffix is another, the file cannot be written, or no step has a map.
    """
    if path.suffix.lower() != ".mp4":
        raise OutputError(f"cannot write {path}: a film is an .mp4; choose this suffix")
    with whole_file(path) as temporary:
        # Said in one sentence here; later it would come from the encoder in many.
        temporary.touch()
        n_frames = _encode(temporary, held(frames(steps, readings=readings)))
        if not n_frames:
            raise OutputError(f"no film at {path}: the run has no map")
    return n_frames


def frames(steps: Iterable[list[Entry]], *, readings: Sequence[CellReading]) -> Iterator[Frame]:
    """Draw a frame for each step from the first map on."""
    session, scene = Session(), None
    for step in steps:
        for entry in step:
            session.apply(entry)
        if scene is None and session.tomogram.maps:
            scene = Scene(session, readings)
        if scene is not None:
            yield scene.draw(session)


def held(drawn: Iterable[Frame]) -> Iterator[Frame]:
    """Repeat the last frame for :data:`HOLD_S`."""
    last = None
    for last in drawn:
        yield last
    if last is not None:
        yield from [last] * round(HOLD_S * FRAMES_PER_S)


class Scene:
    """The picture: a large map, the others small beside it, and below them the cell against time.

    Parameters
    ----------
    session
        As it is when the first maps have come: it says which maps there are.
    readings
        The cell during the whole run; what has not happened yet is drawn faint.
    """

    def __init__(self, session: Session, readings: Sequence[CellReading]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure: Figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        maps = list(session.tomogram.maps.values())
        places = [(0.03, 0.31, 0.34, 0.34 * WIDTH / HEIGHT), *_small_places(min(len(maps) - 1, N_SMALL))]
        self._images = {
            shown.message.name: _make_map(self._figure, place, shown, is_large=k == 0)
            for k, (shown, place) in enumerate(zip(maps, places, strict=False))
        }
        self._words = self._figure.text(0.03, 0.955, "", fontsize=15, color=INK, va="center")
        self._strip = Strip(self._figure, readings)

    def draw(self, session: Session) -> Frame:
        """Draw the newest maps."""
        maps = session.tomogram.maps
        for name, image in self._images.items():
            if name in maps:
                image.set_data(_picture(maps[name]))
        newest = max((shown.message for shown in maps.values()), key=lambda message: message.revision)
        self._words.set_text(f"{newest.n_lines} of {newest.n_lines_expected} lines   {map_words(newest)}")
        self._strip.move_to(newest.data_time_s)
        # matplotlib's Agg canvas has no types.
        self._canvas.draw()  # type: ignore[no-untyped-call]
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


class Strip:
    """Voltage and current against minutes, and a cursor.

    Parameters
    ----------
    figure
        Where to draw.
    readings
        The cell, in order of time.
    """

    def __init__(self, figure: "Figure", readings: Sequence[CellReading]) -> None:
        self._time_s = np.array([reading.time_s for reading in readings])
        self._first_s = float(self._time_s[0]) if len(readings) else 0.0
        rows: list[tuple[str, str, list[float | None], tuple[float, float, float, float]]] = [
            ("voltage (V)", "#c8242b", [reading.voltage_v for reading in readings], (0.06, 0.165, 0.92, 0.10)),
            ("current (A)", "#1f5fa8", [reading.current_a for reading in readings], (0.06, 0.065, 0.92, 0.08)),
        ]
        self._curves = []
        for label, colour, values, place in rows:
            axes = figure.add_axes(place)
            value = np.array([np.nan if one is None else one for one in values], dtype=np.float64)
            axes.plot(self._minutes(self._time_s), value, color=colour, alpha=0.25, linewidth=1.2)
            (past,) = axes.plot([], [], color=colour, linewidth=2)
            cursor = axes.axvline(0.0, color=INK, linewidth=1)
            _dress(axes, label)
            self._curves.append((past, cursor, value))
        figure.axes[-2].tick_params(labelbottom=False)
        figure.axes[-1].set_xlabel("time (min)", fontsize=9, color=INK, labelpad=1)

    def move_to(self, time_s: float) -> None:
        """Draw what has happened until a time, and the cursor there."""
        is_past = self._time_s <= time_s
        at = float(self._minutes(np.array(time_s))) if len(self._time_s) else 0.0
        for past, cursor, value in self._curves:
            past.set_data(self._minutes(self._time_s[is_past]), value[is_past])
            cursor.set_xdata([at, at])

    def _minutes(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return (time_s - self._first_s) / 60


def _encode(path: Path, drawn: Iterator[Frame]) -> int:
    """Encode frames with H.264; nothing is started before there is a first one."""
    import imageio_ffmpeg

    first = next(drawn, None)
    if first is None:
        return 0
    height, width = first.shape[:2]
    try:
        writer = imageio_ffmpeg.write_frames(
            str(path), (width, height), fps=FRAMES_PER_S, codec="libx264", quality=None, output_params=_H264
        )
        with closing(writer):
            writer.send(None)
            n_frames = 0
            for frame in chain([first], drawn):
                writer.send(np.ascontiguousarray(frame))
                n_frames += 1
    except RuntimeError as wrong:
        raise OutputError(f"no encoder for a film: {str(wrong).splitlines()[0]}; install imageio-ffmpeg again") from wrong
    return n_frames


def _small_places(n: int) -> list[tuple[float, float, float, float]]:
    """Place maps in two rows at the right: left, bottom, width, height in parts of the figure."""
    pitch = 0.53 / max(3, (n + 1) // 2)
    width = pitch - 0.012
    height = width * WIDTH / HEIGHT
    return [(0.455 + pitch * (k // 2), 0.61 - (height + 0.07) * (k % 2), width, height) for k in range(n)]


def _make_map(figure: "Figure", place: tuple[float, float, float, float], shown: Shown[MapPublished], *, is_large: bool) -> Any:
    message = shown.message
    axes = figure.add_axes(place)
    image = draw_map(axes, shown, colormap=message.colormap, low=message.low, high=message.high)
    axes.text(0.0, 1.0, title(message), transform=axes.transAxes, fontsize=13 if is_large else 9, color=INK, va="bottom")
    if is_large:
        left, bottom, width, height = place
        _draw_bar(figure.add_axes((left + width + 0.01, bottom + 0.1 * height, 0.012, 0.8 * height)), message)
        draw_scale_bar(axes, map_box(shown), points=10, ink=INK)
    return image


def _picture(shown: Shown[MapPublished]) -> Frame:
    message = shown.message
    return map_picture(shown, colormap=message.colormap, low=message.low, high=message.high)


def _draw_bar(axes: "Axes", message: MapPublished) -> None:
    steps = np.linspace(message.low, message.high, 256)[:, None]
    picture = coloured(steps, low=message.low, high=message.high, colormap=message.colormap)
    axes.imshow(picture, extent=(0, 1, message.low, message.high), origin="lower", aspect="auto")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=9, labelcolor=INK)


def _dress(axes: "Axes", label: str) -> None:
    axes.set_ylabel(label, fontsize=9, color=INK)
    axes.yaxis.set_label_coords(-0.038, 0.5)
    axes.tick_params(labelsize=8, color="#b0b0b0", labelcolor=INK, length=2)
    axes.margins(x=0.01, y=0.12)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#b0b0b0")
