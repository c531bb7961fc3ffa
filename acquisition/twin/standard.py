"""A powder standard in a capillary around the rotation axis: what a geometry is calibrated from."""

import numpy as np

from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import Slice

RADIUS_MM = 0.4
VOXEL_MM = 0.02
PACKING = 0.5
"""Part of the volume that a loose powder fills."""


def make_standard(name: str, *, material: str) -> Slice:
    """Make a disc of loose powder of one crystal."""
    n = round(2 * RADIUS_MM / VOXEL_MM) + 2
    axis = (np.arange(n) - (n - 1) / 2) * VOXEL_MM
    is_inside = np.hypot(axis[:, np.newaxis], axis[np.newaxis, :]) <= RADIUS_MM
    density = (PACKING * CRYSTALS[material].density_g_cm3 * is_inside).astype(np.float32)
    return Slice(name=name, materials=(material,), density_g_cm3=density[..., np.newaxis], voxel_mm=VOXEL_MM)
