"""The history of one map: value, uncertainty and reason of every scan, in memory that is reserved once and grows by use.

Nothing is ever concatenated, so adding a scan costs the same for the first and the thousandth, and a layer can show a view.
Large histories lie in a scratch file without a name, which the system may write out when memory is short.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operando.messages import MapPublished

CAPACITY = 4096
"""Scans that are kept: two weeks of one every five minutes."""
_IN_MEMORY_BYTES = 64 * 2**20
"""A reserved array that is larger is backed by a scratch file; smaller ones are not worth one."""
_RESERVED_BYTES = 16 * 2**30
"""At most so much is reserved for one array: 14,000 maps of 550 x 550, or fewer of a larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of a map are."""

    shape: tuple[int, int]
    """Voxels along y and along x."""
    pixel_mm: float
    x_first_mm: float
    y_first_mm: float

    def voxel(self, *, x_mm: float, y_mm: float) -> tuple[int, int] | None:
        """Give (row, column) of the voxel at a place; None outside the map."""
        row, column = round((y_mm - self.y_first_mm) / self.pixel_mm), round((x_mm - self.x_first_mm) / self.pixel_mm)
        is_inside = 0 <= row < self.shape[0] and 0 <= column < self.shape[1]
        return (row, column) if is_inside else None

    def place_mm(self, row: float, column: float) -> tuple[float, float]:
        """Give x and y of the centre of a voxel."""
        return self.x_first_mm + column * self.pixel_mm, self.y_first_mm + row * self.pixel_mm


def grid_of(message: MapPublished, value: NDArray[Any]) -> Grid:
    """Give the grid of a map as its message and array tell it."""
    return Grid(
        shape=(int(value.shape[0]), int(value.shape[1])),
        pixel_mm=message.pixel_mm,
        x_first_mm=message.x_first_mm,
        y_first_mm=message.y_first_mm,
    )


class Stack:
    """The scans of one map; slots that nobody filled are NaN with reason 0.

    Parameters
    ----------
    grid
        The same for every scan.
    capacity
        Scans for which room is reserved; fewer if their voxels are very many.
    """

    def __init__(self, grid: Grid, *, capacity: int = CAPACITY) -> None:
        self.grid = grid
        self.capacity = capacity = max(1, min(capacity, _RESERVED_BYTES // (4 * grid.shape[0] * grid.shape[1])))
        self.n = 0
        self._arrays = {
            "value": _reserved((capacity, *grid.shape), np.dtype(np.float32)),
            "sigma": _reserved((capacity, *grid.shape), np.dtype(np.float32)),
            "reason": _reserved((capacity, *grid.shape), np.dtype(np.uint8)),
        }

    @property
    def value(self) -> NDArray[np.float32]:
        """Shape (n_scans, y, x)."""
        return self._arrays["value"][: self.n]

    @property
    def sigma(self) -> NDArray[np.float32]:
        """Shape (n_scans, y, x)."""
        return self._arrays["sigma"][: self.n]

    def grow(self, n: int) -> None:
        """Add empty slots until there are n."""
        for index in range(self.n, n):
            self._arrays["value"][index] = self._arrays["sigma"][index] = np.nan
            self._arrays["reason"][index] = 0
        self.n = max(self.n, n)

    def put(self, index: int, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Keep the arrays of a scan, and give them as read-only views of where they are kept."""
        self.grow(index + 1)
        for name, kept in self._arrays.items():
            if name in arrays:
                kept[index] = arrays[name]
        return self.views(index, arrays)

    def views(self, index: int, names: Mapping[str, object]) -> dict[str, NDArray[Any]]:
        """Give those of a scan's arrays that are named."""
        found = {}
        for name in names:
            if name in self._arrays:
                view = self._arrays[name][index].view()
                view.setflags(write=False)
                found[name] = view
        return found

    def forget(self, n: int) -> None:
        """Let the oldest n scans go; the others move up."""
        n_kept = self.n - n
        for kept in self._arrays.values():
            for index in range(n_kept):
                kept[index] = kept[index + n]
        self.n = n_kept


def _reserved(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Reserve an array without touching its memory."""
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    if n_bytes <= _IN_MEMORY_BYTES:
        return np.empty(shape, dtype=dtype)
    with tempfile.TemporaryFile(prefix="operando-history-") as file:
        return np.asarray(np.memmap(file, dtype=dtype, mode="w+", shape=shape))
