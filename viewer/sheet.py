"""Where the panels of a figure stand on paper: rows of equal squares, each with room for its words, and their colour bars."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from operando.errors import OutputError

SERIES_MM = 4.5
"""Room for the name of a series, left of the voltage."""


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


Rectangle = tuple[float, float, float, float]
"""Left, bottom, width, height, mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Where panels and bars stand on paper, in millimetres from the lower left corner."""

    n_columns: int
    side_mm: float
    pitch_mm: tuple[float, float]
    """From one panel to the next, to the right and down."""
    width_mm: float
    height_mm: float
    layout: Layout

    @classmethod
    def for_panels(cls, n_panels: Sequence[int], layout: Layout, *, has_own_bars: bool) -> "Sheet":
        """Find the largest panels that fit, for blocks of so many panels; each block begins a row."""
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


def _columns_for(n_panels: int, most: int) -> int:
    return min(most, n_panels if n_panels <= most else math.ceil(math.sqrt(n_panels)))
