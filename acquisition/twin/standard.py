"""What a beamline is set up with: a powder standard in a capillary on the rotation axis, and pins beside it."""

import numpy as np

from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import Slice

RADIUS_MM = 0.4
VOXEL_MM = 0.02
PINS_EXTENT_MM = 4.0
PINS = {"al": (1.5, 0.5, 0.6), "cu": (-0.5, 1.2, 0.3)}
"""x, y and diameter, mm."""
PACKING = 0.5
"""Part of the volume that a loose powder fills."""


def make_standard(name: str, *, material: str) -> Slice:
    """Make a disc of loose powder of one crystal."""
    n = round(2 * RADIUS_MM / VOXEL_MM) + 2
    axis = (np.arange(n) - (n - 1) / 2) * VOXEL_MM
    is_inside = np.hypot(axis[:, np.newaxis], axis[np.newaxis, :]) <= RADIUS_MM
    density = (PACKING * CRYSTALS[material].density_g_cm3 * is_inside).astype(np.float32)
    return Slice(name=name, materials=(material,), density_g_cm3=density[..., np.newaxis], voxel_mm=VOXEL_MM)


def make_pins(name: str) -> Slice:
    """Make two metal pins off the axis, unlike in size and place: what shows whether a map is turned or mirrored.

    Aluminium of 0.6 mm at x = 1.5, y = 0.5 mm; copper of 0.3 mm at x = -0.5, y = 1.2 mm.
    """
    n = round(PINS_EXTENT_MM / VOXEL_MM)
    axis = (np.arange(n) - (n - 1) / 2) * VOXEL_MM
    density = np.zeros((n, n, len(PINS)), dtype=np.float32)
    for index, (material, (x_mm, y_mm, diameter_mm)) in enumerate(PINS.items()):
        is_inside = np.hypot(axis[:, np.newaxis] - y_mm, axis[np.newaxis, :] - x_mm) <= diameter_mm / 2
        density[..., index] = CRYSTALS[material].density_g_cm3 * is_inside
    return Slice(name=name, materials=tuple(PINS), density_g_cm3=density, voxel_mm=VOXEL_MM)
