"""The polar grid on which means are computed before they are looked up for each pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.camera import Camera, PixelView

NODES_PER_PIXEL = 4
"""Radial nodes in the width of a pixel; a reflection is sampled by some twenty."""
N_AZIMUTHS = 49
"""From 0 to 180 degrees, 3.75 apart: linear interpolation is 0.5 % low on the top of a maximum 47 degrees wide."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolarGrid:
    """Azimuths and radial nodes."""

    two_theta_rad: NDArray[np.float64]
    """Radial nodes, even in tan(two theta) from 0 on, shape (node,)."""
    azimuths_rad: NDArray[np.float64]
    """From 0 to pi, even, shape (azimuth,); one alone where nothing depends on it."""
    distance_mm: float
    outer_pixels: float
    """Radius of the outermost node, pixels."""


def make_grid(camera: Camera, view: PixelView, *, depends_on_azimuth: bool) -> PolarGrid:
    """Make the grid that holds every pixel of a camera."""
    n_nodes = int(node_places(camera, view).max()) + 3
    tangent = np.arange(n_nodes) / NODES_PER_PIXEL * camera.pixel_m / camera.distance_m
    return PolarGrid(
        two_theta_rad=np.arctan(tangent),
        azimuths_rad=np.linspace(0, np.pi, N_AZIMUTHS) if depends_on_azimuth else np.zeros(1),
        distance_mm=camera.distance_m * 1e3,
        outer_pixels=n_nodes / NODES_PER_PIXEL,
    )


def node_places(camera: Camera, view: PixelView) -> NDArray[np.float64]:
    """Give each pixel's place among the radial nodes, shape (row, column)."""
    return np.asarray(np.tan(view.two_theta_rad) * camera.distance_m / camera.pixel_m * NODES_PER_PIXEL)


def azimuth_places(view: PixelView, grid: PolarGrid) -> NDArray[np.float64]:
    """Give each pixel's place among the azimuths, shape (row, column); up and down are alike."""
    n = grid.azimuths_rad.size
    return np.abs(view.azimuth_rad) / np.pi * (n - 1)
