"""Voxels on a GPU: wires buffers round the kernel of ``back_project.cu``. Lines go there; the volume comes back when read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.gpu.device import Device, DeviceArray
from streaming.gpu.self_test import check_volumes
from streaming.volume import MakeVolume, VoxelGrid

Array = NDArray[np.float64]

_N_THREADS = 256
_LINES = 64
"""Lines of one launch: a line of 550 points and 24 columns takes 0.1 MB, and all of them should stay in the cache."""


def voxels_on(device: Device | None) -> MakeVolume | None:
    """Give what makes voxels on the device; None for the processor.

    Raises
    ------
    ServiceError
        If the device gives other numbers than the processor.
    """
    if device is None:
        return None

    def make_volume(grid: VoxelGrid) -> GpuVolume:
        return GpuVolume(grid, device)

    check_volumes(make_volume)
    return make_volume


class GpuVolume:
    """Voxels in the memory of a GPU; used from one thread.

    Parameters
    ----------
    grid
        The voxels.
    device
        The GPU.
    """

    def __init__(self, grid: VoxelGrid, device: Device) -> None:
        self._grid, self._device, self._stream = grid, device, device.stream()
        self._kernel = device.kernel("back_project", "back_project", {})
        shape = grid.n_voxels, grid.n_voxels, grid.n_columns
        self._values = device.empty(shape, np.float64)
        self._host: NDArray[Any] | None = None
        self._room: dict[tuple[int, ...], tuple[NDArray[Any], DeviceArray]] = {}
        self.clear()

    def add(self, rows: Array, factors: Array, *, angles_deg: Array, centre_index: Array) -> None:
        """Back project lines, so many at a time."""
        angles, scale = np.deg2rad(angles_deg), self._grid.pixel_mm / self._grid.step_mm
        geometry = np.column_stack([scale * np.cos(angles), scale * np.sin(angles), centre_index])
        for begin in range(0, len(rows), _LINES):
            here = slice(begin, begin + _LINES)
            self._launch(rows[here], factors[here], geometry[here])

    def clear(self) -> None:
        """Set all to zero."""
        self._stream.clear(self._values)

    def to_host(self) -> Array:
        """Copy the values to a buffer that the next call writes again."""
        if self._host is None:
            self._host = self._device.pinned(self._values.shape, np.float64)
        self._stream.copy_out(self._host, self._values)
        self._stream.wait()
        return self._host

    def _launch(self, *lines: Array) -> None:
        n_lines, n_points, n_columns = lines[0].shape
        sent = [self._send(k, values) for k, values in enumerate(lines)]
        numbers = np.int32(n_lines), np.int32(n_points), np.int32(self._grid.n_voxels), np.int32(n_columns)
        grid = -(-self._grid.n_voxels * n_columns // _N_THREADS), self._grid.n_voxels
        self._stream.launch(self._kernel, grid, _N_THREADS, (self._values, *sent, *numbers))
        # The buffers are written again by the next call.
        self._stream.wait()

    def _send(self, which: int, values: Array) -> DeviceArray:
        """Copy an argument to the device, by buffers that are kept for others of its shape."""
        key = which, *values.shape
        if key not in self._room:
            self._room = {kept: room for kept, room in self._room.items() if kept[0] != which}
            self._room[key] = self._device.pinned(values.shape, np.float64), self._device.empty(values.shape, np.float64)
        here, there = self._room[key]
        here[...] = values
        self._stream.copy_in(there, here)
        return there
