"""Parallax: receives maps of phases and the angles of a scan, gives at what depth along the beam a voxel seems to scatter.

A voxel that stands z nearer to the detector than the rotation axis makes rings of radius (L - z) tan(2 theta): spacings seem
larger by z / L. What filtered back projection makes of it is linear in the sinogram: the first moment of a reflection along a
ray is that of the axis plus the projection of amount times z / L. So the depth at which a voxel seems to stand is the
reconstruction of the z-weighted projection of the phase's own map, over that of its plain projection. Over a whole turn the
opposite views cancel and nothing is left; over half a turn a phase that is spread round the sample keeps about 1 mA in c, and
an isolated spot at radius r seems 2 r / pi too deep or too near: 14, 28, 41 mA in c of NMC at 1.5, 3, 4.5 mm and L = 1 m.
Dividing by it is the z-weighted re-projection correction; one step is enough, since lattices differ by 1 % and z / L by half a
percent.

What it leaves: what the correction would change in the maps that it is made from, and the part of the depths about their mean,
which widens reflections (``spread_mm``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.back_projection import add_back_projections
from streaming.projection import Rays
from streaming.reconstruct import Filter, convolved, filter_kernel

Array = NDArray[np.float64]

LEAST_PART = 0.02
"""Of a phase's strongest voxels: where there is less of it, its depth is that of streaks, and no depth is given."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Depths:
    """At what depth along the beam the phases of each voxel seem to scatter, from the rotation axis, downstream positive."""

    mean_mm: Array
    """Shape (y, x, phase); 0 where there is too little of a phase."""
    spread_mm: Array
    """Standard deviation about the mean, same shape."""

    def lengthening(self, distance_mm: float) -> Array:
        """Give the factor by which lattice parameters seem too long, shape (y, x, phase), for a detector at that distance."""
        factor: Array = 1 + self.mean_mm / distance_mm
        return factor


def apparent_depths(
    amounts: Array, *, angles_deg: Array, weights_rad: Array, pixel_mm: float, step_mm: float, n_points: int, window: Filter
) -> Depths:
    """Give the depths that a scan's reconstruction mixes in each voxel.

    Parameters
    ----------
    amounts
        Maps of the phases, shape (y, x, phase), any unit; negative values and NaN count as nothing.
    angles_deg
        Rotation of each line, shape (n_lines,).
    weights_rad
        The angle that each line stands for in the reconstruction, shape (n_lines,).
    pixel_mm
        Edge of a voxel.
    step_mm, n_points
        Points of a line.
    window
        Window on the ramp filter of the reconstruction.
    """
    held = np.maximum(np.nan_to_num(amounts), 0.0)
    # Rays beyond the corners too: a line that ends inside the map would leave the filter a step there.
    n_rays = max(n_points, int(np.ceil(np.sqrt(2) * held.shape[0] * pixel_mm / step_mm)) + 3)
    rays = Rays(
        angles_deg=angles_deg,
        first_s_mm=-0.5 * (n_rays - 1) * step_mm,
        step_mm=step_mm,
        n_points=n_rays,
        pixel_mm=pixel_mm,
        n_voxels=held.shape[0],
    )
    kernel = filter_kernel(n_rays, window=window)
    plain, first, second = (_reconstructed(rays, held, power, kernel, weights_rad) for power in range(3))
    strongest = held.max(axis=(0, 1))
    is_there = (held > LEAST_PART * strongest) & (plain > LEAST_PART * strongest)
    divisor = np.where(is_there, plain, 1.0)
    largest_mm = 0.5 * np.sqrt(2) * held.shape[0] * pixel_mm
    mean = np.where(is_there, np.clip(first / divisor, -largest_mm, largest_mm), 0.0)
    variance = np.where(is_there, second / divisor - mean**2, 0.0)
    return Depths(mean_mm=mean, spread_mm=np.sqrt(np.clip(variance, 0.0, largest_mm**2)))


def depth_distribution(depth_mm: float, spread_mm: float, *, distance_mm: float) -> tuple[Array, Array]:
    """Give relative shifts of two theta over tan(two theta), -z / L, and their weights, for the kernel of a profile fit.

    Three places that have the mean and the variance of the depths, and the third and fourth moment of a normal distribution
    (Gauss-Hermite): mean and mean +- sqrt(3) standard deviations.
    """
    places = depth_mm + np.sqrt(3.0) * spread_mm * np.array([-1.0, 0.0, 1.0])
    return -places / distance_mm, np.array([1.0, 4.0, 1.0]) / 6.0


def _reconstructed(rays: Rays, held: Array, power: int, kernel: Array, weights_rad: Array) -> Array:
    rows = rays.project(held, depth_power=power)
    filtered = np.stack([convolved(row, kernel) for row in rows]) / rays.step_mm * weights_rad[:, None, None]
    volume = np.zeros(held.shape)
    add_back_projections(
        volume,
        np.ascontiguousarray(filtered),
        angles_deg=rays.angles_deg,
        pixel_mm=rays.pixel_mm,
        step_mm=rays.step_mm,
        centre_index=-rays.first_s_mm / rays.step_mm,
    )
    return volume
