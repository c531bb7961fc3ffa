"""The head that the server presents: by default a PILATUS3 X CdTe 2M, 3 x 8 modules of 487 x 195 pixels of 172 um.

Every CdTe module carries two sensors; the three columns where they meet measure nothing, as in real frames of such a detector.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.simplon.frames import MASKED

MODULE_ROWS, MODULE_COLUMNS = 195, 487
GAP_ROWS, GAP_COLUMNS = 17, 7
SENSOR_SEAM = slice(242, 245)
"""Columns of a module between its two sensors."""
GAP, DEAD = 1, 2
"""Bits of the SIMPLON pixel mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorHead:
    """What does not change about a detector."""

    description: str = "PILATUS3 X CdTe 2M bridge"
    serial_number: str = "24-0100"
    sensor_material: str = "CdTe"
    sensor_thickness_m: float = 1e-3
    pixel_m: float = 172e-6
    readout_s: float = 0.95e-3
    """Dead time between two frames."""
    saturation_counts: int = 1_000_000
    pixel_mask: NDArray[np.uint32]
    """Shape (rows, columns): bit 0 gap, bit 1 dead, 0 good."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.pixel_mask.shape
        return rows, columns


def pilatus_mask(*, module_rows: int = 8, module_columns: int = 3, n_dead: int = 1427, seed: int = 1) -> NDArray[np.uint32]:
    """Give the pixel mask of a Pilatus CdTe: gaps, sensor seams and some dead pixels at places that the seed fixes.

    The 2M of the CeO2 frame that ID15A published had 1,427 pixels flagged bad outside its gaps.
    """
    rows = _live(module_rows, MODULE_ROWS, GAP_ROWS)
    columns = _live(module_columns, MODULE_COLUMNS, GAP_COLUMNS)
    for column in range(module_columns):
        first = column * (MODULE_COLUMNS + GAP_COLUMNS)
        columns[first + SENSOR_SEAM.start : first + SENSOR_SEAM.stop] = False
    mask = np.where(rows[:, None] & columns, 0, GAP).astype(np.uint32)
    good = np.flatnonzero(mask == 0)
    mask.reshape(-1)[np.random.default_rng(seed).choice(good, size=n_dead, replace=False)] = DEAD
    return mask


def mask_from_frame(frame: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give the pixel mask that a delivered frame shows: whatever reads the maximum, called dead."""
    return np.where(frame == MASKED, DEAD, 0).astype(np.uint32)


def _live(n_modules: int, size: int, gap: int) -> NDArray[np.bool_]:
    place = np.arange(n_modules * (size + gap) - gap) % (size + gap)
    return np.asarray(place < size)
