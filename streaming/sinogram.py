"""The sinogram with its coverage: receives lines in any order, gives for each line of the tomogram the projection that counts.

This is the state of the analysis; everything after it is derived. The newest attempt of a line that was not aborted counts. A
grid point that nothing measured stays NaN here; what fills it for the reconstruction is said in :mod:`streaming.reconstruct`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operando.scan import LineKey, TomogramGrid

Array = NDArray[np.float64]

LARGEST_GAP = 1.5
"""Steps between two measured points that may be interpolated over; from 2 on a point is missing between them."""
_NEAREST = 0.3
"""Steps by which a single point may stand off the grid point that it is taken for; more would shift the sample."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projection:
    """One attempt of one line on the grid of the tomogram."""

    key: LineKey
    angle_deg: float
    channels: Array
    """Shape (n_grid_points, n_channels); NaN where nothing was measured."""
    variance: Array
    """Effective variance (:meth:`streaming.channels.LiveChannels.effective_variance`), shape (n_grid_points,)."""
    unit_variance: Array
    """Variance of each channel where the effective variance is 1, shape (n_channels,)."""
    is_measured: NDArray[np.bool_]
    """Shape (n_grid_points,)."""
    offset_steps: float = 0.0
    """How many steps, at most half of one, its grid lies above that of the tomogram: a line that stands between the grid points
    keeps its own, since interpolation would blur it."""
    pattern_sum: Array
    """Sum of the patterns received, shape (n_radial,)."""
    variance_sum: Array
    """Sum of their variances, shape (n_radial,)."""
    n_received: int
    n_points: int


class Sinogram:
    """All projections of a tomogram, whichever came when."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[int, int], Projection] = {}
        self._aborted: set[tuple[int, int]] = set()

    def add(self, projection: Projection) -> None:
        """Take up an attempt; the same key again replaces it."""
        self._attempts[projection.key.line, projection.key.attempt] = projection

    def remove(self, *, line: int, attempt: int) -> None:
        """Forget an attempt; it may come again."""
        self._attempts.pop((line, attempt), None)

    def abort(self, *, line: int, attempt: int) -> None:
        """Let an attempt count for nothing, whether it has come or will."""
        self._aborted.add((line, attempt))

    def projection(self, line: int) -> Projection | None:
        """Give the projection that counts for a line; None if there is none yet."""
        attempts = [key for key in self._attempts if key[0] == line and key not in self._aborted]
        return self._attempts[max(attempts)] if attempts else None

    def lines(self) -> list[int]:
        """Give the lines that have a projection, ascending."""
        return sorted({line for line, attempt in self._attempts if (line, attempt) not in self._aborted})

    def keys(self) -> list[tuple[int, int]]:
        """Give (line, attempt) of all that was taken up, aborted ones included."""
        return sorted(self._attempts)

    def __iter__(self) -> Iterator[Projection]:
        """Give the projections that count, in the order of their lines."""
        for line in self.lines():
            projection = self.projection(line)
            if projection is not None:
                yield projection

    def __len__(self) -> int:
        return len(self.lines())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampling:
    """How the grid points of a line are interpolated between its measured points."""

    lower: NDArray[np.intp]
    """Index of the point below each grid point, shape (n_grid_points,); any index where nothing was measured."""
    upper: NDArray[np.intp]
    fraction: Array
    """Part of ``upper``, 0 to 1."""
    is_measured: NDArray[np.bool_]

    def values(self, points: Array) -> Array:
        """Interpolate values, shape (n_points, ...) to (n_grid_points, ...); NaN where nothing was measured."""
        fraction = self.fraction.reshape(-1, *[1] * (points.ndim - 1))
        values: Array = (1 - fraction) * points[self.lower] + fraction * points[self.upper]
        values[~self.is_measured] = np.nan
        return values

    def variances(self, points: Array) -> Array:
        """Propagate variances, shape (n_points,) to (n_grid_points,); the correlation of neighbours is left out."""
        variances: Array = (1 - self.fraction) ** 2 * points[self.lower] + self.fraction**2 * points[self.upper]
        variances[~self.is_measured] = np.nan
        return variances


def line_offset(positions_mm: Array, is_received: NDArray[np.bool_], grid: TomogramGrid) -> float:
    """Give how many steps, within half of one, the received points of a line lie above grid points: their circular mean."""
    if not is_received.any():
        return 0.0
    turns = 2j * np.pi * (positions_mm[is_received] - grid.first_position_mm) / grid.step_mm
    offset = float(np.angle(np.mean(np.exp(turns))) / (2 * np.pi))
    # A line that stands where it was planned is not moved by rounding.
    return offset if abs(offset) > 1e-6 else 0.0


def shifted_grid(grid: TomogramGrid, offset_steps: float) -> TomogramGrid:
    """Give the grid that lies so many steps above."""
    return replace(grid, first_position_mm=grid.first_position_mm + offset_steps * grid.step_mm)


def make_resampling(
    positions_mm: Array, is_received: NDArray[np.bool_], grid: TomogramGrid, *, largest_gap: float = LARGEST_GAP
) -> Resampling:
    """Place the received points of a line on the grid by their positions, whatever their order.

    Between two points at most ``largest_gap`` steps apart a grid point is interpolated linearly: right for any offset of the
    whole line, and a regular line keeps its sum. A point without such a neighbour serves the grid point within 0.3 steps.
    Depositing each point on its two neighbours would make up half a value beside a missing point, from the wrong place.
    """
    received = np.flatnonzero(is_received)
    order = received[np.argsort(positions_mm[received], kind="stable")]
    n_grid = grid.n_points
    if order.size == 0:
        nothing = np.zeros(n_grid, dtype=np.intp)
        return Resampling(lower=nothing, upper=nothing, fraction=np.zeros(n_grid), is_measured=np.zeros(n_grid, dtype=np.bool_))
    place = (positions_mm[order] - grid.first_position_mm) / grid.step_mm
    wanted = np.arange(n_grid, dtype=np.float64)
    above = np.clip(np.searchsorted(place, wanted), 1, max(1, order.size - 1)) if order.size > 1 else np.zeros(n_grid, np.intp)
    below = np.maximum(above - 1, 0)
    gap = place[above] - place[below]
    inside = (place[below] <= wanted) & (wanted <= place[above]) & (gap > 0) & (gap <= largest_gap)
    nearest = np.where(np.abs(wanted - place[below]) <= np.abs(place[above] - wanted), below, above)
    is_near = np.abs(place[nearest] - wanted) <= _NEAREST
    return Resampling(
        lower=order[np.where(inside, below, nearest)],
        upper=order[np.where(inside, above, nearest)],
        fraction=np.where(inside, (wanted - place[below]) / np.where(gap > 0, gap, 1.0), 0.0),
        is_measured=inside | is_near,
    )
