"""A spiral in voxels: how much of each layer every voxel holds, and of each coating at which depth.

The layers are looked up at points finer than the thinnest foil, a few rows of voxels at a time; what moves on is sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.spiral import Layer, Layers, Spiral, lay_out, normals

POINT_MM = 0.005
"""Distance of the points at which layers are looked up: under half the thinnest foil."""
ROWS_AT_ONCE = 16
ANODE = (Layer.ANODE_IN, Layer.ANODE_OUT)
CATHODE = (Layer.CATHODE_IN, Layer.CATHODE_OUT)

Field = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coating:
    """One electrode's coating over the voxels. What is faced comes as entries, one for each depth that a voxel holds."""

    voxel: NDArray[np.intp]
    """Flat index of the entry's voxel, shape (n_entries,)."""
    node: NDArray[np.intp]
    """Depth of the entry: 0 at the separator, counted in equal parts of the thickness."""
    part: Field
    """Part of the voxel's area that the entry covers."""
    idle: Field
    """Part of each voxel's area that is coating without a partner, shape (y, x)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voxels:
    """A wound cell on a square grid around the axis."""

    voxel_mm: float
    parts: dict[Layer, Field]
    """Part of each voxel's area that is of a layer, shape (y, x)."""
    anode: Coating
    cathode: Coating
    normal_rad: Field
    """Direction of the layers' normal, shape (y, x)."""

    @property
    def n(self) -> int:
        """Voxels along an edge."""
        return self.normal_rad.shape[0]

    @property
    def polar(self) -> tuple[Field, Field]:
        """Radius, mm, and angle, rad, of the middles of the voxels, each of shape (y, x)."""
        return polar_grid(self.n, self.voxel_mm)


def polar_grid(n: int, voxel_mm: float) -> tuple[Field, Field]:
    """Give radius, mm, and angle, rad, of the middles of ``n`` by ``n`` voxels, each of shape (y, x)."""
    axis = (np.arange(n) - (n - 1) / 2) * voxel_mm
    x_mm, y_mm = np.meshgrid(axis, axis)
    return np.hypot(x_mm, y_mm), np.arctan2(y_mm, x_mm)


def fill_voxels(spiral: Spiral, *, extent_mm: float, voxel_mm: float, n_nodes: int) -> Voxels:
    """Look up what a square of voxels, ``extent_mm`` wide and centred on the axis, holds of a spiral."""
    n = round(extent_mm / voxel_mm)
    fine = max(1, round(voxel_mm / POINT_MM))
    parts = {layer: np.zeros((n, n)) for layer in Layer}
    faced: dict[tuple[Layer, ...], list[tuple[NDArray[np.intp], NDArray[np.intp], Field]]] = {ANODE: [], CATHODE: []}
    idle = {coating: np.zeros((n, n)) for coating in faced}
    for first, layers in _rows(spiral, n=n, voxel_mm=voxel_mm, fine=fine):
        for layer, part in parts.items():
            block = _means(layers.code == layer, fine)
            part[first : first + len(block)] = block
        for coating, entries in faced.items():
            is_coating = np.isin(layers.code, coating)
            entries.append(_entries(is_coating & layers.is_faced, layers.depth, fine=fine, n_nodes=n_nodes, first=first * n))
            block = _means(is_coating & ~layers.is_faced, fine)
            idle[coating][first : first + len(block)] = block
    coatings = [_coating(faced[coating], idle[coating]) for coating in (ANODE, CATHODE)]
    radius, angle = polar_grid(n, voxel_mm)
    normal = normals(spiral, radius * np.cos(angle), radius * np.sin(angle))
    return Voxels(voxel_mm=voxel_mm, parts=parts, anode=coatings[0], cathode=coatings[1], normal_rad=normal)


def _rows(spiral: Spiral, *, n: int, voxel_mm: float, fine: int) -> Iterator[tuple[int, Layers]]:
    axis = (np.arange(n * fine) - (n * fine - 1) / 2) * voxel_mm / fine
    for first in range(0, n, ROWS_AT_ONCE):
        x_mm, y_mm = np.meshgrid(axis, axis[first * fine : (first + ROWS_AT_ONCE) * fine])
        yield first, lay_out(spiral, x_mm, y_mm)


def _means(points: NDArray[np.bool_], fine: int) -> Field:
    rows, columns = points.shape
    return points.reshape(rows // fine, fine, columns // fine, fine).mean(axis=(1, 3))


def _entries(
    is_faced: NDArray[np.bool_], depth: Field, *, fine: int, n_nodes: int, first: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Field]:
    row, column = np.nonzero(is_faced)
    node = np.minimum((depth[row, column] * n_nodes).astype(np.intp), n_nodes - 1)
    voxel = (row // fine) * (is_faced.shape[1] // fine) + column // fine
    key, count = np.unique(voxel * n_nodes + node, return_counts=True)
    return first + key // n_nodes, key % n_nodes, count / fine**2


def _coating(entries: list[tuple[NDArray[np.intp], NDArray[np.intp], Field]], idle: Field) -> Coating:
    voxel, node, part = (np.concatenate(column) for column in zip(*entries, strict=True))
    return Coating(voxel=voxel, node=node, part=part, idle=idle)
