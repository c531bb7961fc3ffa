"""Projection: receives a slice, gives what rays through it add up to; and the exact transpose of that. For iterations.

After P. M. Joseph (IEEE Trans. Med. Imaging 1 (1982) 192): a ray crosses the rows of voxels (or the columns, whichever it
crosses more steeply), is interpolated linearly between two voxels in each, and counts the length between two rows. For
the parallax a voxel counts with its depth z along the ray, downstream positive.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FORWARD = "void(float64[:,:,::1], float64[:,:,::1], float64, float64, float64, float64, float64, int64)"


@numba.njit("Tuple((int64, float64, float64))(int64, float64, float64, float64, float64, float64)", cache=True, nogil=True)
def _crossing(k, s, cosine, sine, pixel, half):  # type: ignore[no-untyped-def]
    """Give where a ray crosses the k-th row (or column): the voxel below, the part of the one above, and the depth."""
    if abs(cosine) >= abs(sine):
        z = ((k - half) * pixel - s * sine) / cosine
        place = (s * cosine - z * sine) / pixel + half
    else:
        z = (s * cosine - (k - half) * pixel) / sine
        place = (s * sine + z * cosine) / pixel + half
    lower = math.floor(place)
    return lower, place - lower, z


@numba.njit(_FORWARD, cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _project(volume, rows, cosine, sine, pixel, first, step, power):  # type: ignore[no-untyped-def]
    n_voxels, n_channels = volume.shape[1], volume.shape[2]
    half = (n_voxels - 1) / 2
    is_steep = abs(cosine) >= abs(sine)
    length = pixel / max(abs(cosine), abs(sine))
    for line in range(rows.shape[0]):
        for point in range(rows.shape[1]):
            s = first + step * point
            total = rows[line, point]
            for k in range(n_voxels):
                lower, part, z = _crossing(k, s, cosine, sine, pixel, half)
                weight = length * z**power
                for corner in range(2):
                    at = lower + corner
                    if at < 0 or at >= n_voxels:
                        continue
                    share = weight * (part if corner == 1 else 1 - part)
                    voxel = volume[k, at] if is_steep else volume[at, k]
                    for channel in range(n_channels):
                        total[channel] += share * voxel[channel]


@numba.njit(_FORWARD, cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _transpose(volume, rows, cosine, sine, pixel, first, step, power):  # type: ignore[no-untyped-def]
    n_voxels, n_channels = volume.shape[1], volume.shape[2]
    half = (n_voxels - 1) / 2
    is_steep = abs(cosine) >= abs(sine)
    length = pixel / max(abs(cosine), abs(sine))
    for line in range(rows.shape[0]):
        for point in range(rows.shape[1]):
            s = first + step * point
            ray = rows[line, point]
            for k in range(n_voxels):
                lower, part, z = _crossing(k, s, cosine, sine, pixel, half)
                weight = length * z**power
                for corner in range(2):
                    at = lower + corner
                    if at < 0 or at >= n_voxels:
                        continue
                    share = weight * (part if corner == 1 else 1 - part)
                    voxel = volume[k, at] if is_steep else volume[at, k]
                    for channel in range(n_channels):
                        voxel[channel] += share * ray[channel]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """The rays of a scan through a square slice whose middle is the rotation axis."""

    angles_deg: Array
    """Shape (n_lines,)."""
    first_s_mm: float
    """Distance of the first point of a line from the rotation axis."""
    step_mm: float
    n_points: int
    pixel_mm: float
    """Edge of a voxel."""
    n_voxels: int
    """Along either edge of the slice."""

    def project(self, volume: Array, *, depth_power: int = 0) -> Array:
        """Integrate along every ray, times mm of path: (y, x, channel) to (n_lines, n_points, n_channels).

        With ``depth_power`` n each voxel counts with the n-th power of its depth z along the beam in mm, downstream positive.
        """
        rows = np.zeros((self.angles_deg.size, self.n_points, volume.shape[2]))
        volume = np.ascontiguousarray(volume, dtype=np.float64)
        for line, angle in enumerate(np.deg2rad(self.angles_deg)):
            _project(
                volume,
                rows[line : line + 1],
                math.cos(angle),
                math.sin(angle),
                self.pixel_mm,
                self.first_s_mm,
                self.step_mm,
                depth_power,
            )
        return rows

    def transpose(self, rows: Array) -> Array:
        """Give every voxel what its rays hold, by the weights of :meth:`project`: shape (y, x, channel)."""
        volume = np.zeros((self.n_voxels, self.n_voxels, rows.shape[2]))
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        for line, angle in enumerate(np.deg2rad(self.angles_deg)):
            _transpose(
                volume,
                rows[line : line + 1],
                math.cos(angle),
                math.sin(angle),
                self.pixel_mm,
                self.first_s_mm,
                self.step_mm,
                0,
            )
        return volume
