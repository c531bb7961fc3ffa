"""Line integrals through a slice: the exact area that a beam of finite width shares with every square voxel.

Receives a slice, an angle and a place along the fast axis; gives the mass that each material has in the beam. Strips that tile
the sample therefore hold its whole mass at any angle. A beam at ``s`` passes the sample where s = x cos(angle) + y sin(angle).
Where the depth along the beam matters, :mod:`acquisition.twin.deep` projects instead.
"""

import numpy as np
from numba import float32, float64, njit
from numpy.typing import NDArray

from acquisition.twin.slice import Slice

MM_PER_CM = 10.0


def areal_masses(sample: Slice, *, angle_deg: float, s_mm: float, width_mm: float) -> NDArray[np.float64]:
    """Give the mass per area of each material in a beam of ``width_mm`` centred at ``s_mm``, shape (material,), g/cm2."""
    angle = np.radians(angle_deg)
    strip = _strip_integrals(
        sample.density_g_cm3, sample.voxel_mm, np.cos(angle), np.sin(angle), s_mm - width_mm / 2, s_mm + width_mm / 2
    )
    return strip / (width_mm * MM_PER_CM)


@njit(float64(float64, float64, float64), cache=True, nogil=True)
def part_below(t: float, outer: float, inner: float) -> float:
    """Part of a rotated unit square's area below ``t``: its shadow is a trapezoid with half-widths ``outer`` and ``inner``."""
    if t <= -outer:
        return 0.0
    if t >= outer:
        return 1.0
    height = 1.0 / (outer + inner)
    slope = outer - inner
    if t < -inner:
        return 0.5 * height * (t + outer) ** 2 / slope
    if t > inner:
        return 1.0 - 0.5 * height * (outer - t) ** 2 / slope
    return 0.5 * height * slope + height * (t + inner)


@njit(
    float64[::1](float32[:, :, ::1], float64, float64, float64, float64, float64), cache=True, nogil=True, error_model="numpy"
)
def _strip_integrals(
    density: NDArray[np.float32], voxel: float, cosine: float, sine: float, low: float, high: float
) -> NDArray[np.float64]:
    """Integrate density over the strip between ``low`` and ``high``, shape (material,); density times mm2."""
    n_y, n_x, n_materials = density.shape
    outer = 0.5 * (abs(cosine) + abs(sine)) * voxel
    inner = 0.5 * abs(abs(cosine) - abs(sine)) * voxel
    total = np.zeros(n_materials)
    for row in range(n_y):
        along_y = (row - 0.5 * (n_y - 1)) * voxel * sine
        for column in range(n_x):
            s = (column - 0.5 * (n_x - 1)) * voxel * cosine + along_y
            if s + outer <= low or s - outer >= high:
                continue
            part = part_below(high - s, outer, inner) - part_below(low - s, outer, inner)
            for material in range(n_materials):
                total[material] += density[row, column, material] * part
    for material in range(n_materials):
        total[material] *= voxel * voxel
    return total
