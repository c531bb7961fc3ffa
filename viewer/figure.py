"""Maps side by side as papers print them: a letter on each, voltage on its left, capacity at its lower right, one colour bar.

Text stays text in PDF and SVG, and the same maps give the same bytes. Every panel shows the same square of the sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operando.errors import OutputError
from viewer.cell_state import CellState
from viewer.colormaps import DISPLAY_NAMES, colour_table, is_known
from viewer.map_axes import Box, draw_map, draw_scale_bar, filled_box
from viewer.out_file import whole_file
from viewer.scan_file import MapShown

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes on paper, mm and points, and the choices that a person makes."""

    width_mm: float = 180.0
    """At most; two columns of most journals."""
    n_columns: int | None = None
    """None: as a person would."""
    colormap: str | None = None
    """None: the one that each map declares."""
    low: float | None = None
    high: float | None = None
    points: float = 8.0
    left_mm: float = 9.0
    """Room for the voltage."""
    bar_mm: float = 21.0
    """Room for a colour bar with its numbers and its label."""
    gap_mm: float = 7.0
    """Room below a panel, for the capacity."""
    longest_side_mm: float = 75.0
    shortest_side_mm: float = 8.0
    dpi: int = 300


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

    names = list(dict.fromkeys(_name(panel) for panel in panels))
    blocks = [[panel for panel in panels if _name(panel) == name] for name in names]
    has_own_bars = len(blocks) > 1 and len(blocks) == len(panels)
    sheet = _Sheet.for_panels([len(panels)] if has_own_bars else [len(block) for block in blocks], layout, has_own_bars)
    figure = Figure(figsize=(sheet.width_mm * MM, sheet.height_mm * MM))
    box = filled_box([panel.shown for panel in panels])
    row = 0
    letters = iter(range(len(panels)))
    for k, block in enumerate(blocks):
        scale = _scale(block, layout)
        first = (0, k) if has_own_bars else (row, 0)
        for i, panel in enumerate(block):
            at = divmod(first[1] + i, sheet.n_columns)
            axes = _axes(figure, sheet, sheet.panel(first[0] + at[0], at[1]))
            _draw_panel(axes, panel, scale, box, layout.points, next(letters))
            if i == 0:
                draw_scale_bar(axes, box, points=layout.points, ink=INK)
        n_rows = math.ceil(len(block) / sheet.n_columns)
        place = sheet.own_bar(*divmod(k, sheet.n_columns)) if has_own_bars else sheet.block_bar(row, n_rows)
        _draw_bar(_axes(figure, sheet, place), block[0].shown, scale, layout.points)
        row += n_rows
    return figure


Rectangle = tuple[float, float, float, float]
"""Left, bottom, width, height, mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """Where panels and bars stand on paper, in millimetres from the lower left corner."""

    n_columns: int
    side_mm: float
    pitch_mm: tuple[float, float]
    """From one panel to the next, to the right and down."""
    width_mm: float
    height_mm: float
    layout: Layout

    @classmethod
    def for_panels(cls, n_panels: Sequence[int], layout: Layout, has_own_bars: bool) -> "_Sheet":
        """Find the largest panels that fit, for blocks of so many panels."""
        most = max(n_panels)
        n_columns = min(layout.n_columns or _columns_for(most, 3 if has_own_bars else 5), most)
        beside_mm = layout.left_mm + (layout.bar_mm if has_own_bars else 0.0)
        after_mm = 0.0 if has_own_bars else layout.bar_mm
        side_mm = min((layout.width_mm - after_mm) / n_columns - beside_mm, layout.longest_side_mm)
        if side_mm < layout.shortest_side_mm:
            raise OutputError(
                f"{n_columns} columns do not fit into {layout.width_mm:g} mm: choose fewer --columns, or more --width-mm"
            )
        pitch_mm = (side_mm + beside_mm, side_mm + layout.gap_mm)
        n_rows = sum(math.ceil(n / n_columns) for n in n_panels)
        return cls(
            n_columns=n_columns,
            side_mm=side_mm,
            pitch_mm=pitch_mm,
            width_mm=n_columns * pitch_mm[0] + after_mm,
            height_mm=n_rows * pitch_mm[1] + 2.0,
            layout=layout,
        )

    def panel(self, row: int, column: int) -> Rectangle:
        """Place a panel."""
        left_mm = self.layout.left_mm + column * self.pitch_mm[0]
        return left_mm, self._top(row) - self.side_mm, self.side_mm, self.side_mm

    def own_bar(self, row: int, column: int) -> Rectangle:
        """Place the bar of a single panel."""
        left, bottom, width, height = self.panel(row, column)
        return left + width + 2.0, bottom + 0.1 * height, 3.0, 0.8 * height

    def block_bar(self, row: int, n_rows: int) -> Rectangle:
        """Place the bar of a block of rows, at its right."""
        rows_mm = n_rows * self.pitch_mm[1] - self.layout.gap_mm
        high_mm = min(rows_mm, 60.0)
        middle_mm = self._top(row) - rows_mm / 2
        return self.n_columns * self.pitch_mm[0] + 2.0, middle_mm - high_mm / 2, 3.0, high_mm

    def _top(self, row: int) -> float:
        return self.height_mm - 2.0 - row * self.pitch_mm[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """The range and the colours of one quantity."""

    low: float
    high: float
    colormap: str


def _axes(figure: "Figure", sheet: _Sheet, place: Rectangle) -> "Axes":
    left, bottom, width, height = place
    w, h = sheet.width_mm, sheet.height_mm
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def _draw_panel(axes: "Axes", panel: Panel, scale: _Scale, box: Box, points: float, k: int) -> None:
    draw_map(axes, panel.shown, colormap=scale.colormap, low=scale.low, high=scale.high)
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    write = partial(axes.text, transform=axes.transAxes, color=INK)
    write(0.0, 1.0, letter(k), fontsize=points + 2, fontweight="bold", ha="left", va="top")
    if voltage := voltage_words(panel.cell):
        write(-0.02, 0.5, voltage, fontsize=points, rotation=90, ha="right", va="center", multialignment="center")
    if panel.cell.charge_ah is not None:
        write(1.0, -0.01, capacity_words(panel.cell.charge_ah), fontsize=points, ha="right", va="top")


def voltage_words(cell: CellState) -> str:
    """Say the voltage in the middle of a scan, and its range where it moved."""
    if cell.voltage_v is None:
        return ""
    span = "" if cell.wide_span_v is None else "\n({:.2f}–{:.2f})".format(*cell.wide_span_v)
    return f"{cell.voltage_v:.2f} V{span}"


def capacity_words(charge_ah: float) -> str:
    """Say a charge as papers do, with a minus that is one."""
    return f"{1000 * charge_ah:.0f} mAh".replace("-", "−")


def _draw_bar(axes: "Axes", shown: MapShown, scale: _Scale, points: float) -> None:
    table = colour_table(scale.colormap)[:, None, :]
    axes.imshow(table, extent=(0, 1, scale.low, scale.high), origin="lower", aspect="auto", interpolation="none")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.tick_params(labelsize=points, width=0.5, length=2, color=INK, labelcolor=INK)
    message = shown.message
    axes.set_ylabel(f"{message.label} ({message.unit})" if message.unit else message.label, fontsize=points, color=INK)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)


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


def _name(panel: Panel) -> str:
    return panel.shown.message.name


def _columns_for(n_panels: int, most: int) -> int:
    return min(most, n_panels if n_panels <= most else math.ceil(math.sqrt(n_panels)))


def letter(k: int) -> str:
    """Give A to Z, then AA, AB and so on."""
    return chr(ord("A") + k) if k < 26 else chr(ord("A") + k // 26 - 1) + chr(ord("A") + k % 26)
