"""Maps side by side as papers print them: a letter on each, voltage on its left, capacity at its lower right, one colour bar.

Two series, such as a pristine and an aged cell, stand in rows of their own on one scale; two maps of a scan can share a panel.
Text stays text in PDF and SVG, and the same maps give the same bytes. Every panel shows the same square of the sample.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operando.errors import OutputError
from viewer.cell_state import CellState
from viewer.colormaps import DISPLAY_NAMES, colour_table, is_known
from viewer.map_axes import Box, draw_map, draw_mix, draw_scale_bar, filled_box
from viewer.out_file import whole_file
from viewer.scan_file import MapShown
from viewer.sheet import SERIES_MM, Layout, Rectangle, Sheet
from viewer.two_colours import COLOUR_WORDS, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".pdf", ".png", ".svg")
INK = "#202020"
MM = 1 / 25.4
"""Inch per millimetre: matplotlib counts in inches."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "operando",
}
"""Letters stay letters (TrueType in PDF, text in SVG), in the font that comes with matplotlib; ids do not change by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One map with the state of the cell for which it stands."""

    shown: MapShown
    cell: CellState
    second: MapShown | None = None
    """Another map of the same scan in the same panel: then the first is orange and this one blue."""
    series: str = ""
    """What its cell is called, where there are several."""


def write_figure(path: Path, panels: Sequence[Panel], layout: Layout | None = None) -> None:
    """Draw maps to a PDF, PNG or SVG, all maps of one quantity together.

    Raises
    ------
    OutputError
        If the suffix is another, or the file cannot be written.
    """
    import matplotlib as mpl

    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"cannot write {path}: a figure is one of {', '.join(SUFFIXES)}; choose one of these suffixes")
    undated: dict[str, dict[str, None]] = {
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
    }
    with mpl.rc_context(_STYLE), whole_file(path) as temporary:
        layout = layout or Layout()
        figure = draw_figure(panels, layout)
        figure.savefig(temporary, dpi=layout.dpi, facecolor="white", metadata=undated[path.suffix.lower()])


def draw_figure(panels: Sequence[Panel], layout: Layout) -> "Figure":
    """Lay out panels in rows and draw them: maps of one quantity share a block and its bar, single maps have a bar each."""
    from matplotlib.figure import Figure

    if any(panel.series for panel in panels):
        layout = replace(layout, left_mm=layout.left_mm + SERIES_MM)
    names = list(dict.fromkeys(_name(panel) for panel in panels))
    blocks = [[panel for panel in panels if _name(panel) == name] for name in names]
    has_own_bars = len(blocks) > 1 and len(blocks) == len(panels)
    n_panels = [len(panels)] if has_own_bars else [len(run) for block in blocks for run in _runs(block)]
    sheet = Sheet.for_panels(n_panels, layout, has_own_bars=has_own_bars)
    figure = Figure(figsize=(sheet.width_mm * MM, sheet.height_mm * MM))
    box = filled_box([panel.shown for panel in panels])
    row = 0
    letters = iter(range(len(panels)))
    for k, block in enumerate(blocks):
        scale = _scale(block, layout)
        places = [divmod(k, sheet.n_columns)] if has_own_bars else list(_places(block, row, sheet.n_columns))
        for panel, place in zip(block, places, strict=True):
            axes = _axes(figure, sheet, sheet.panel(*place))
            _draw_panel(axes, panel, scale, box, layout.points, next(letters))
            if place == places[0]:
                draw_scale_bar(axes, box, points=layout.points, ink=INK)
            if panel.series and (place[1] == 0 or panel.series != block[places.index(place) - 1].series):
                _name_series(axes, panel.series, sheet)
        n_rows = places[-1][0] - row + 1
        bar = sheet.own_bar(*places[0]) if has_own_bars else sheet.block_bar(row, n_rows)
        _draw_bar(figure, sheet, bar, block[0], scale)
        row += n_rows
    return figure


def _runs(block: Sequence[Panel]) -> list[list[Panel]]:
    """Give what begins a row: each series of a block; series of one panel each stand beside each other."""
    runs = [list(run) for _, run in groupby(block, key=lambda panel: panel.series)]
    return [list(block)] if all(len(run) == 1 for run in runs) else runs


def _places(block: Sequence[Panel], row: int, n_columns: int) -> Iterator[tuple[int, int]]:
    """Give row and column of each panel of a block that begins in a row."""
    for run in _runs(block):
        for i in range(len(run)):
            yield row + i // n_columns, i % n_columns
        row += math.ceil(len(run) / n_columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """The range and the colours of one quantity."""

    low: float
    high: float
    colormap: str


def _axes(figure: "Figure", sheet: Sheet, place: Rectangle) -> "Axes":
    left, bottom, width, height = place
    w, h = sheet.width_mm, sheet.height_mm
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def _draw_panel(axes: "Axes", panel: Panel, scale: _Scale, box: Box, points: float, k: int) -> None:
    if panel.second is None:
        draw_map(axes, panel.shown, colormap=scale.colormap, low=scale.low, high=scale.high)
    else:
        draw_mix(axes, panel.shown, panel.second)
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    write = partial(axes.text, transform=axes.transAxes, color=INK)
    write(0.0, 1.0, letter(k), fontsize=points + 2, fontweight="bold", ha="left", va="top")
    if voltage := voltage_words(panel.cell):
        write(-0.02, 0.5, voltage, fontsize=points, rotation=90, ha="right", va="center", multialignment="center")
    if panel.cell.charge_ah is not None:
        write(1.0, -0.01, capacity_words(panel.cell.charge_ah), fontsize=points, ha="right", va="top")


def _name_series(axes: "Axes", name: str, sheet: Sheet) -> None:
    """Write what a row's cell is called at its left end."""
    x = -(sheet.layout.left_mm - 0.5) / sheet.side_mm
    words: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "center", "fontweight": "bold", "color": INK}
    axes.text(x, 0.5, name, transform=axes.transAxes, fontsize=sheet.layout.points, **words)


def voltage_words(cell: CellState) -> str:
    """Say the voltage in the middle of a scan, and its range where it moved."""
    if cell.voltage_v is None:
        return ""
    span = "" if cell.wide_span_v is None else "\n({:.2f}–{:.2f})".format(*cell.wide_span_v)
    return f"{cell.voltage_v:.2f} V{span}"


def capacity_words(charge_ah: float) -> str:
    """Say a charge as papers do, with a minus that is one."""
    return f"{1000 * charge_ah:.0f} mAh".replace("-", "−")


def _draw_bar(figure: "Figure", sheet: Sheet, place: Rectangle, panel: Panel, scale: _Scale) -> None:
    """Draw the bar of a block; the square of all mixtures for two maps in two colours."""
    points, message = sheet.layout.points, panel.shown.message
    left, bottom, _, height = place
    if panel.second is None:
        axes = _axes(figure, sheet, place)
        table = colour_table(scale.colormap)[:, None, :]
        axes.imshow(table, extent=(0, 1, scale.low, scale.high), origin="lower", aspect="auto", interpolation="none")
        axes.set_xticks([])
        label = _title(panel.shown)
    else:
        side = sheet.layout.bar_mm - 10.0
        axes = _axes(figure, sheet, (left, bottom + (height - side) / 2, side, side))
        other = panel.second.message
        extent = (message.low, message.high, other.low, other.high)
        axes.imshow(legend(), extent=extent, origin="lower", aspect="auto", interpolation="none")
        axes.set_xlabel(f"{_title(panel.shown)}\n{COLOUR_WORDS[0]}", fontsize=points, color=INK)
        axes.set_title(f"{_title(panel.second)}\n{COLOUR_WORDS[1]}", fontsize=points, color=INK)
        label = ""
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.tick_params(labelsize=points, width=0.5, length=2, color=INK, labelcolor=INK)
    axes.set_ylabel(label, fontsize=points, color=INK)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)


def _title(shown: MapShown) -> str:
    return f"{shown.message.label} ({shown.message.unit})" if shown.message.unit else shown.message.label


def _scale(block: Sequence[Panel], layout: Layout) -> _Scale:
    """Give one range and one colour map for all panels of a quantity."""
    messages = [panel.shown.message for panel in block]
    low = layout.low if layout.low is not None else min(message.low for message in messages)
    high = layout.high if layout.high is not None else max(message.high for message in messages)
    if not low < high:
        raise OutputError(f"the colour scale would go from {low:g} to {high:g}: --low must be less than --high")
    if layout.colormap is not None and not is_known(layout.colormap):
        raise OutputError(f"no colour map {layout.colormap!r}: use one of napari's, or {', '.join(DISPLAY_NAMES)}")
    return _Scale(low=low, high=high, colormap=layout.colormap or messages[0].colormap)


def _name(panel: Panel) -> tuple[str, str]:
    return panel.shown.message.name, "" if panel.second is None else panel.second.message.name


def letter(k: int) -> str:
    """Give A to Z, then AA, AB and so on."""
    return chr(ord("A") + k) if k < 26 else chr(ord("A") + k // 26 - 1) + chr(ord("A") + k % 26)
