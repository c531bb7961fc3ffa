"""The kernel of the back projection, its own source run on the processor: against plain float64 and in the reconstruction."""

from typing import Any

import numpy as np
import pytest

from streaming.gpu.volume import GpuVolume
from streaming.reconstruct import Reconstruction
from streaming.volume import HostVolume, VoxelGrid
from tests.streaming.test_reconstruct import a_grid, a_projection

N_POINTS, N_VOXELS, N_COLUMNS = 31, 27, 5
GRID = VoxelGrid(n_voxels=N_VOXELS, n_columns=N_COLUMNS, pixel_mm=0.11, step_mm=0.1)


def plainly(rows: Any, factors: Any, angles_deg: Any, centre_index: Any) -> Any:
    """Interpolate by NumPy, voxel by voxel of a column."""
    axis = 1.1 * (np.arange(N_VOXELS) - (N_VOXELS - 1) / 2)
    volume = np.zeros((N_VOXELS, N_VOXELS, N_COLUMNS))
    for row, factor, angle, centre in zip(rows, factors, np.deg2rad(angles_deg), centre_index, strict=True):
        place = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle) + centre
        for column in range(N_COLUMNS):
            values = np.interp(place, np.arange(N_POINTS), row[:, column], left=0.0, right=0.0)
            volume[..., column] += factor[column] * values
    return volume


@pytest.mark.parametrize("n_lines", [1, 3, 70])
def test_lines_are_added_as_plain_float64_and_the_processor_add_them(device: Any, n_lines: int) -> None:
    rng = np.random.default_rng()
    rows, factors = rng.normal(size=(n_lines, N_POINTS, N_COLUMNS)), rng.normal(size=(n_lines, N_COLUMNS))
    where = {"angles_deg": rng.uniform(-200, 200, n_lines), "centre_index": rng.uniform(8, 22, n_lines)}
    volumes = GpuVolume(GRID, device), HostVolume(GRID)
    for volume in volumes:
        volume.add(rows, factors, **where)
        np.testing.assert_allclose(volume.to_host(), plainly(rows, factors, **where), atol=1e-10)
    for volume in volumes:
        volume.clear()
        volume.add(2.0 * rows, factors, **where)
        np.testing.assert_allclose(volume.to_host(), 2.0 * plainly(rows, factors, **where), atol=1e-10)


def test_a_slice_on_the_gpu_is_the_slice_on_the_processor(device: Any) -> None:
    rng, grid = np.random.default_rng(), a_grid()
    settings = {"grid": grid, "n_channels": 3, "centre_mm": 0.033}
    there = Reconstruction(**settings, make_volume=lambda voxels: GpuVolume(voxels, device))
    here = Reconstruction(**settings)
    for line in rng.permutation(grid.angles_deg.size):
        channels = rng.normal(size=(grid.n_points, 3))
        projection = a_projection(channels, angle_deg=float(grid.angles_deg[line]) + 0.123, line=int(line))
        for reconstruction in (there, here):
            reconstruction.update({int(line): projection})
    for reconstruction in (there, here):
        reconstruction.move_centre(-0.0217)
    found, wanted = there.slice(), here.slice()
    for name in ("channels", "noise", "coverage"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-10, err_msg=name)
    weights, mixing = rng.normal(size=12), rng.normal(size=(2, 3))
    np.testing.assert_allclose(there.combined(weights, mixing), here.combined(weights, mixing), atol=1e-10)
