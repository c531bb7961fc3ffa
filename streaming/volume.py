"""The voxels that lines are added to: the seam between the reconstruction and the device that holds them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.back_projection import add_back_projections

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelGrid:
    """A square of voxels around the rotation axis."""

    n_voxels: int
    """Along either edge."""
    n_columns: int
    """Values of each voxel."""
    pixel_mm: float
    """Edge of a voxel."""
    step_mm: float
    """Distance of two points of a line."""


class Volume(Protocol):
    """Holds voxels on one device; used from one thread."""

    def add(self, rows: Array, factors: Array, *, angles_deg: Array, centre_index: Array) -> None:
        """Back project lines.

        Parameters
        ----------
        rows
            Filtered lines, shape (n_lines, n_points, n_columns).
        factors
            What each column of each line is multiplied by, shape (n_lines, n_columns).
        angles_deg
            Rotation of each line, shape (n_lines,).
        centre_index
            Where the rotation axis projects to in each line, in points from its first one, shape (n_lines,).
        """
        ...

    def clear(self) -> None:
        """Set all to zero."""
        ...

    def to_host(self) -> Array:
        """Give the values, shape (n_voxels, n_voxels, n_columns): y upwards, x, column; to be read before anything is added."""
        ...


MakeVolume = Callable[[VoxelGrid], Volume]
"""Gives empty voxels on the device that was chosen."""


class HostVolume:
    """Voxels in the memory of the processor.

    Parameters
    ----------
    grid
        The voxels.
    n_threads
        Bands of voxel rows that may be worked on at the same time.
    """

    def __init__(self, grid: VoxelGrid, *, n_threads: int = 1) -> None:
        self._grid, self._n_threads = grid, n_threads
        self._values = np.zeros((grid.n_voxels, grid.n_voxels, grid.n_columns))

    def add(self, rows: Array, factors: Array, *, angles_deg: Array, centre_index: Array) -> None:
        """Back project lines."""
        add_back_projections(
            self._values,
            rows * factors[:, None, :],
            angles_deg=angles_deg,
            pixel_mm=self._grid.pixel_mm,
            step_mm=self._grid.step_mm,
            centre_index=centre_index,
            n_threads=self._n_threads,
        )

    def clear(self) -> None:
        """Set all to zero."""
        self._values[:] = 0.0

    def to_host(self) -> Array:
        """Give the values themselves."""
        return self._values
