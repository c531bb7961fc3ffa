"""One line of integrated patterns: what passes from the join to the line file and from there to the analysis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.messages import CellReading
from operando.scan import LineKey


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """The projection of one (run, line, attempt), with everything that is needed to place it.

    Points stand in flying order; point i is image ``first_image_id + i`` of ``series``. A point whose frame is missing has NaN
    patterns and a position all the same.
    """

    key: LineKey
    series: int
    first_image_id: int
    angle_deg: float
    direction: int
    """+1 or -1, the sense of flight along the fast axis."""
    positions_mm: NDArray[np.float64]
    """Centre of each point, shape (n_points,), mm."""
    positions_source: str
    """``captured`` or ``computed``."""
    is_received: NDArray[np.bool_]
    """Whether the frame of each point arrived and could be decoded, shape (n_points,)."""
    q: NDArray[np.float64]
    """Bin centres, shape (n_radial,), 1/angstrom."""
    mean: NDArray[np.float32]
    """Mean intensity, shape (n_points, n_radial), photons per pixel, corrected for solid angle and polarisation."""
    trimmed: NDArray[np.float32]
    """The robust pattern, trimmed or with rejection as the integration was told, as ``mean``."""
    variance: NDArray[np.float32]
    """Poisson variance of ``mean``, same shape, (photons per pixel) squared."""
    ring_current_ma: float | None
    cell: CellReading | None
    start_s: float
    end_s: float
    geometry_sha256: str
    """Hash of the geometry that the patterns were integrated with."""
    monitor: NDArray[np.float64] | None = None
    """Beam before the sample at each point, shape (n_points,), any unit; None where nothing measured it."""
    transmitted: NDArray[np.float64] | None = None
    """Beam behind the sample at each point, as ``monitor``."""
    cake: NDArray[np.float32] | None = None
    """Patterns of the sectors of azimuth, shape (n_points, n_sectors, n_radial), photons per pixel, by the estimator that is
    analysed; None where they were not kept."""
    cake_norm: NDArray[np.float32] | None = None
    """Sum of the corrections of each sector's pixels, shape (n_sectors, n_radial)."""
    angles_deg: NDArray[np.float64] | None = None
    """Rotation at each point, shape (n_points,), degree, where the stage swept; None where it stood at ``angle_deg``."""
    aborted: str = ""
    """Why the attempt ended early, in words; empty for a line that counts. Kept for the record, never analysed."""

    def pattern_of(self, estimator: str) -> NDArray[np.float32]:
        """Give the patterns of an estimator, ``mean`` or a robust one, shape (n_points, n_radial)."""
        return self.mean if estimator == "mean" else self.trimmed
