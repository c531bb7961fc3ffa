"""What the user has asked about: pinned voxels and regions, and a line across the map. No window, no socket.

A pin is asked for again when its scan has grown or another is shown; one question at a time, oldest answer first, so that many
pins cost the analysis no more than one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operando.messages import RegionAnswered, RegionAsked
from viewer.checks import Shown
from viewer.marks import Mark
from viewer.scan import Scan
from viewer.stacks import Grid, Stack

COLOURS = ("#0077bb", "#ee7733", "#009988", "#cc3311", "#33bbee", "#aa3377")
"""Of pins, distinct also without colour vision: P. Tol, Colour Schemes (2021), 'vibrant', with the purple of 'bright'."""
LINE_COLOUR = "#444444"
MAX_VOXELS = 20_000
"""Of a region: the bound of the question; larger ones are thinned out evenly."""
N_ALONG = 200
"""Points of a profile."""

Key = tuple[str | None, int, int]
Place = tuple[float, float]
"""x and y, mm."""


@dataclass(slots=True, kw_only=True, eq=False)
class Pin:
    """A voxel or region that is followed."""

    label: str
    colour: str
    grid: Grid
    voxels: NDArray[np.bool_]
    """Shape (y, x)."""
    answer: Shown[RegionAnswered] | None = None
    complaint: str = ""
    """Why there is no answer; empty while there is one or it is awaited."""
    answered_for: Key | None = None

    @property
    def n_voxels(self) -> int:
        """How many voxels it has."""
        return int(self.voxels.sum())

    @property
    def title(self) -> str:
        """Its letter and where it is."""
        rows, columns = np.nonzero(self.voxels)
        x_mm, y_mm = self.grid.place_mm(float(rows.mean()), float(columns.mean()))
        size = "" if self.n_voxels == 1 else f", {self.n_voxels} voxels"
        return f"{self.label}{size}\n({x_mm:+.2f}, {y_mm:+.2f}) mm"

    def question(self, scan: Scan) -> RegionAsked:
        """Give the question for this region in a scan that has a run."""
        rows, columns = np.nonzero(self.voxels)
        taken = np.linspace(0, rows.size - 1, min(rows.size, MAX_VOXELS)).round().astype(np.intp)
        places = [self.grid.place_mm(int(row), int(column)) for row, column in zip(rows[taken], columns[taken], strict=True)]
        return RegionAsked(run=scan.run or "", tomogram=scan.tomogram, x_mm=[x for x, _ in places], y_mm=[y for _, y in places])

    def history(self, stack: Stack) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the mean of a map over the region in every scan, with its uncertainty; each shape (n_scans,), NaN where none.

        Voxels count as independent: the filter makes neighbours correlate, so that a large region's uncertainty is too small.
        """
        if stack.grid != self.grid:
            nothing = np.full(stack.n, np.nan)
            return nothing, nothing
        value, sigma = (array[:, self.voxels].astype(np.float64) for array in (stack.value, stack.sigma))
        is_number = np.isfinite(value)
        n = is_number.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(is_number, value, 0.0).sum(axis=1) / n
            doubt = np.sqrt(np.where(is_number, sigma**2, 0.0).sum(axis=1)) / n
        return mean, doubt


@dataclass(slots=True, kw_only=True, eq=False)
class Pins:
    """The pins in their order, and the line of the profile."""

    items: list[Pin] = field(default_factory=list)
    line: tuple[Place, Place] | None = None
    """From where to where a profile is wanted."""
    asked: Pin | None = None
    """Whose answer is awaited."""
    _asked_key: Key | None = None

    def pin(self, grid: Grid, voxels: NDArray[np.bool_], *, keep: bool) -> Pin:
        """Pin some voxels; the other pins go unless they are kept, the oldest when there is no colour left."""
        if not keep:
            self.items.clear()
        while len(self.items) >= len(COLOURS):
            del self.items[0]
        used = {pin.colour for pin in self.items}
        number = next(k for k, colour in enumerate(COLOURS) if colour not in used)
        made = Pin(label="ABCDEF"[number], colour=COLOURS[number], grid=grid, voxels=voxels)
        self.items.append(made)
        return made

    def clear(self) -> None:
        """Forget all pins and the line."""
        self.items.clear()
        self.line = None

    def forget_answers(self) -> None:
        """Ask anew for everything."""
        for pin in self.items:
            pin.answer, pin.answered_for, pin.complaint = None, None, ""

    def next_question(self, scan: Scan) -> RegionAsked | None:
        """Give the next question about the scan that is shown; None if all is known or nothing can be."""
        key = key_of(scan)
        if key is None:
            return None
        open_pins = [pin for pin in self.items if pin.answered_for != key]
        if not open_pins:
            return None
        self.asked = min(open_pins, key=lambda pin: pin.answered_for is not None)
        self._asked_key = key
        return self.asked.question(scan)

    def answered(self, answer: Shown[RegionAnswered] | None, complaint: str = "") -> None:
        """Take up the answer to the last question, or why there is none."""
        pin, self.asked = self.asked, None
        if pin is not None:
            pin.answer, pin.complaint, pin.answered_for = answer, complaint, self._asked_key

    def marks(self, grid: Grid) -> list[Mark]:
        """Give what to draw on the maps of a grid."""
        marks = [Mark(voxels=pin.voxels, colour=pin.colour) for pin in self.items if pin.grid == grid]
        return marks if self.line is None else [*marks, self._line_mark(self.line, grid)]

    def _line_mark(self, line: tuple[Place, Place], grid: Grid) -> Mark:
        x, y = along(line)
        voxels = np.zeros(grid.shape, dtype=np.bool_)
        for x_mm, y_mm in zip(x, y, strict=True):
            voxel = grid.voxel(x_mm=x_mm, y_mm=y_mm)
            if voxel is not None:
                voxels[voxel] = True
        return Mark(voxels=voxels, colour=LINE_COLOUR, is_filled=True)


def key_of(scan: Scan) -> Key | None:
    """Give what identifies the state of a scan; None before its first map."""
    newest = scan.newest
    return None if newest is None or scan.run is None else (scan.run, scan.tomogram, newest.revision)


def along(line: tuple[Place, Place]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give x and y of the points of a profile, each shape (N_ALONG,), mm."""
    (x0, y0), (x1, y1) = line
    return np.linspace(x0, x1, N_ALONG), np.linspace(y0, y1, N_ALONG)


def voxels_inside(grid: Grid, path: Sequence[Place]) -> NDArray[np.bool_]:
    """Give which voxels have their centre inside a closed path (even-odd rule), shape (y, x); at least the one at its start.

    M. Shimrat, Algorithm 112, Communications of the ACM 5 (1962) 434.
    """
    rows, columns = np.mgrid[: grid.shape[0], : grid.shape[1]]
    x, y = grid.x_first_mm + columns * grid.pixel_mm, grid.y_first_mm + rows * grid.pixel_mm
    inside = np.zeros(grid.shape, dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(path, [*path[1:], path[0]], strict=True):
        if y0 != y1:
            # Far from a side that is nearly level the crossing overflows; there the first condition is false.
            with np.errstate(over="ignore", invalid="ignore"):
                crossing = (x1 - x0) * (y - y0) / (y1 - y0) + x0
            inside ^= ((y0 > y) != (y1 > y)) & (x < crossing)
    start = grid.voxel(x_mm=path[0][0], y_mm=path[0][1])
    if not inside.any() and start is not None:
        inside[start] = True
    return inside
