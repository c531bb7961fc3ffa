"""What is drawn over a map: hatching where there is a hole, the edges of pins and regions. A picture finer than the map.

A hole is a voxel that should have a value and has none: not measured yet, not fitted, within the noise. Where there is nothing
to know, outside the sample, the canvas stays empty, so that the two can be told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewer.checks import Shown
from viewer.stacks import Grid

Picture = NDArray[np.uint8]

HATCH = (110, 110, 110, 150)
TINT = 150
_SMALL = 4
"""Voxels of a region that is drawn around."""
_FINEST = 8
_MOST_PIXELS = 1_000_000
"""Of one picture: it is sent to the screen anew with every map."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """The outline of some voxels in a colour."""

    voxels: NDArray[np.bool_]
    """Shape (y, x)."""
    colour: str
    """As ``#rrggbb``."""
    is_filled: bool = False
    """Whether all of it is tinted rather than its rim drawn."""


def fineness(grid: Grid) -> int:
    """Give into how many parts the edge of a voxel is divided."""
    n_voxels = grid.shape[0] * grid.shape[1]
    return max(1, min(_FINEST, int(np.sqrt(_MOST_PIXELS / n_voxels))))


def holes(shown: Shown, shape: tuple[int, int]) -> NDArray[np.bool_]:  # type: ignore[type-arg]  # of any map
    """Give which voxels of a map are holes, shape (y, x)."""
    reason = shown.arrays.get("reason")
    if reason is None:
        return np.zeros(shape, dtype=np.bool_)
    is_hole = np.arange(256) != 0
    is_hole[[code for code in shown.message.empty_reasons if 0 <= code < 256]] = False
    found: NDArray[np.bool_] = is_hole[reason.astype(np.uint8)]
    return found


def picture(grid: Grid, is_hole: NDArray[np.bool_], marks: Sequence[Mark] = ()) -> Picture:
    """Draw the marks of a map, shape (fineness y, fineness x, 4), red green blue alpha."""
    fine = fineness(grid)
    drawn = np.zeros((grid.shape[0] * fine, grid.shape[1] * fine, 4), dtype=np.uint8)
    if is_hole.any():
        rows, columns = np.ogrid[: drawn.shape[0], : drawn.shape[1]]
        is_stripe = (rows + columns) % max(3, fine) == 0
        drawn[_finer(is_hole, fine) & is_stripe] = HATCH
    for mark in marks:
        inside = _finer(mark.voxels, fine)
        if mark.is_filled:
            drawn[inside] = (*_rgb(mark.colour), TINT)
            continue
        if mark.voxels.sum() <= _SMALL:
            # The rim of a single voxel would hide in it: it is drawn around.
            inside = grown(inside, width=max(2, fine // 2))
        drawn[inside & ~shrunk(inside, width=max(1, fine // 3))] = (*_rgb(mark.colour), 255)
    return drawn


def grown(inside: NDArray[np.bool_], *, width: int) -> NDArray[np.bool_]:
    """Give a region with ``width`` pixels more all around."""
    larger = np.pad(inside, width)
    return ~shrunk(~np.pad(larger, 1), width=width)[width + 1 : -width - 1, width + 1 : -width - 1]


def shrunk(inside: NDArray[np.bool_], *, width: int) -> NDArray[np.bool_]:
    """Give a region without its rim of ``width`` pixels; the picture's border counts as outside."""
    core = inside
    for _ in range(width):
        padded = np.pad(core, 1)
        core = core & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return core


def _finer(voxels: NDArray[np.bool_], fine: int) -> NDArray[np.bool_]:
    return np.repeat(np.repeat(voxels, fine, axis=0), fine, axis=1)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
