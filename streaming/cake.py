"""A detector frame over azimuth and q, now and then, for the eye: spots, shadows and a shifted beam show at once.

It shares no bins with the integration, which keeps no azimuth, and must not hold it up: one pass over the pixels a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from operando.messages import CakePreview, FrameGeometry
from operando.profile import Profile
from streaming.due import Due
from streaming.events import Previewed
from streaming.integrate.geometry import DetectorGeometry, load_poni
from streaming.measured import Measured

N_ETA = 90
"""Bins of azimuth, 4 degrees each: narrower ones are noise at a few counts a pixel."""
N_Q = 400
"""Bins of q: as many as a panel has pixels."""
INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CakeGrid:
    """Which pixel belongs to which bin of azimuth and q, without splitting pixels."""

    bin: NDArray[np.uint32]
    """Flat bin of each pixel, shape (frame size,); ``n_eta * n_q`` for those that belong to none."""
    correction: NDArray[np.float32]
    """By which counts are divided, shape (frame size,)."""
    n_eta: int
    n_q: int
    eta_first_deg: float
    eta_step_deg: float
    q_first: float
    q_step: float


def make_cake_grid(
    geometry: DetectorGeometry,
    eta_deg: NDArray[np.floating],
    *,
    q_min: float,
    q_max: float,
    n_eta: int = N_ETA,
    n_q: int = N_Q,
) -> CakeGrid:
    """Sort the pixels of a detector into equal bins of azimuth and q.

    Parameters
    ----------
    geometry
        Where the pixels look.
    eta_deg
        Azimuth of each pixel, shape (rows, columns), from -180 to 180 degrees.
    q_min, q_max
        Range, 1/angstrom.
    n_eta, n_q
        Number of bins.
    """
    eta_step, q_step = 360.0 / n_eta, (q_max - q_min) / n_q
    row = np.clip(np.floor((eta_deg.ravel() + 180.0) / eta_step), 0, n_eta - 1)
    column = np.floor((geometry.q.ravel() - q_min) / q_step)
    correction = np.ascontiguousarray(geometry.correction.ravel(), dtype=np.float32)
    is_used = (column >= 0) & (column < n_q) & ~geometry.mask.ravel() & (correction > 0)
    return CakeGrid(
        bin=np.where(is_used, row * n_q + column, n_eta * n_q).astype(np.uint32),
        correction=correction,
        n_eta=n_eta,
        n_q=n_q,
        eta_first_deg=-180.0 + eta_step / 2,
        eta_step_deg=eta_step,
        q_first=q_min + q_step / 2,
        q_step=q_step,
    )


def cake_grid_of(profile: Profile, geometry: DetectorGeometry) -> CakeGrid:
    """Give the grid for a profile's detector and range of q.

    Azimuth is that of pyFAI around the beam: 0 where the column number grows, 90 degrees where the row number grows.
    """
    poni = load_poni(profile.path(profile.geometry.poni))
    eta_deg = np.rad2deg(np.asarray(poni.array_from_unit(geometry.shape, "center", "chi_rad"), dtype=np.float64))
    return make_cake_grid(geometry, eta_deg, q_min=profile.integration.q_min, q_max=profile.integration.q_max)


def cake_of(frame: NDArray[Any], grid: CakeGrid, *, saturation_counts: int) -> NDArray[np.float32]:
    """Give the mean of each bin, shape (n_eta, n_q), photons per pixel; NaN where no pixel counts.

    Parameters
    ----------
    frame
        Counts, shape (rows, columns), unsigned; the largest value of the type is masked.
    grid
        Of this detector.
    saturation_counts
        Counts above this are left out.
    """
    limit = np.uint32(min(saturation_counts + 1, np.iinfo(frame.dtype).max))
    signal, norm = (np.zeros(grid.n_eta * grid.n_q + 1) for _ in range(2))
    _sum(frame.astype(np.uint32, copy=False).ravel(), grid.bin, grid.correction, limit, signal, norm)
    signal[-1], norm[norm == 0] = np.nan, np.nan
    return (signal / norm)[:-1].reshape(grid.n_eta, grid.n_q).astype(np.float32)


class Caker:
    """Makes a cake when one is due; called from the workers.

    Parameters
    ----------
    grid
        Of the detector.
    saturation_counts
        Counts above this are left out.
    clock
        Monotonic seconds.
    interval_s
        Shortest time between two cakes.
    """

    def __init__(
        self, grid: CakeGrid, *, saturation_counts: int, clock: Callable[[], float], interval_s: float = INTERVAL_S
    ) -> None:
        self._grid, self._saturation_counts = grid, saturation_counts
        self._due = Due(interval_s=interval_s, clock=clock)

    def preview(self, frame: NDArray[Any], measured: Measured) -> Previewed | None:
        """Give the cake of an image of shape (rows, columns), or None if it is too early for another."""
        if not self._due.take():
            return None
        message = CakePreview(
            time_s=measured.received_s,
            series=measured.frame.series.series,
            image_id=measured.frame.image_id,
            eta_first_deg=self._grid.eta_first_deg,
            eta_step_deg=self._grid.eta_step_deg,
            q_first=self._grid.q_first,
            q_step=self._grid.q_step,
        )
        return Previewed(message=message, image=cake_of(frame, self._grid, saturation_counts=self._saturation_counts))


def preview_geometry(
    geometry: DetectorGeometry, *, binning: int, time_s: float
) -> tuple[FrameGeometry, dict[str, NDArray[np.float32]]]:
    """Give the q of preview pixels, the mean of the squares that they stand for, as it is published."""
    rows, columns = (np.arange(0, n, binning) for n in geometry.shape)
    sums = np.add.reduceat(np.add.reduceat(geometry.q, rows, axis=0), columns, axis=1)
    heights, widths = (np.diff([*starts, n]) for starts, n in zip((rows, columns), geometry.shape, strict=True))
    q = sums / (heights[:, None] * widths)
    message = FrameGeometry(binning=binning, geometry_sha256=geometry.sha256, time_s=time_s)
    return message, {"q": q.astype(np.float32)}


@numba.njit(
    "void(Array(uint32, 1, 'C', readonly=True), Array(uint32, 1, 'C', readonly=True), Array(float32, 1, 'C', readonly=True),"
    " uint32, Array(float64, 1, 'C'), Array(float64, 1, 'C'))",
    nogil=True,
    cache=True,
    fastmath=False,
)
def _sum(counts: Any, bins: Any, correction: Any, limit: Any, signal: Any, norm: Any) -> None:
    for k in range(counts.size):
        if counts[k] < limit:
            signal[bins[k]] += counts[k]
            norm[bins[k]] += correction[k]
