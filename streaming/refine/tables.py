"""Peaks drawn beforehand: receives crystals and peak shapes, gives tables from which a reflection at any place is read.

A reflection's mean over each bin is tabulated for places within a bin, a sixteenth apart, and for some widths; between them it
is interpolated. Its shape is that of its place at the start: a reflection that moves by a fiftieth of its angle is then too
narrow or wide by less than that part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.phases import GRAM_PER_CM3, two_theta_from_q
from streaming.refine.crystal import N_AXES, Crystal
from streaming.refine.peak_shape import PeakShape

Array = NDArray[np.float64]

N_SUB = 16
"""Places within a bin: halving them quadruples an interpolation error of 2e-5 of a peak 17 bins wide, 2e-4 of one of 5."""
N_PARAMETERS = N_AXES + 1
"""Of a moving phase beside its scale: lengths and width."""
_LEFT_OUT = 1e-4
"""Part of a peak that may be beyond its table, either side."""
_REACH = 10.0
"""Widths to either side at most: what Lorentzian tails have further out is smooth, and goes to the background (a thirtieth of
the Lorentzian part)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Equal bins of q."""

    q_first_edge: float
    """1/angstrom."""
    q_step: float
    n_radial: int
    wavelength_angstrom: float

    @property
    def q(self) -> Array:
        """Bin centres, shape (n_radial,), 1/angstrom."""
        q: Array = self.q_first_edge + self.q_step * np.arange(0.5, self.n_radial)
        return q

    @property
    def edges(self) -> Array:
        """Edges, shape (n_radial + 1,)."""
        edges: Array = self.q_first_edge + self.q_step * np.arange(self.n_radial + 1.0)
        return edges

    @property
    def highest_two_theta_deg(self) -> float:
        """Scattering angle of the last edge."""
        return float(np.rad2deg(two_theta_from_q(self.edges[-1:], wavelength_angstrom=self.wavelength_angstrom)[0]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MovingPhase:
    """A phase whose reflections may move."""

    crystal: Crystal
    shape: PeakShape
    free: tuple[str, ...]
    """What is refined beside the scale: names of axes, and ``width``."""
    width: float = 1.0
    """Factor on the width of ``shape`` at the start."""
    range_part: float = 0.02
    """Part of its start by which a length may change."""

    @property
    def is_free(self) -> NDArray[np.bool_]:
        """Which of the three lengths and the width are refined, shape (4,)."""
        axes = [*self.crystal.axes, *[""] * (N_AXES - len(self.crystal.axes))]
        return np.array([*(axis in self.free for axis in axes), "width" in self.free])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeakTables:
    """The reflections of all moving phases, one after the other; read by the kernel."""

    first: NDArray[np.int64]
    """Where each phase's reflections begin, shape (n_moving + 1,)."""
    metric: Array
    """Shape (n_reflections, 3)."""
    amplitude: Array
    """m |F|^2 over the cell's mass in g/cm3 angstrom^3, shape (n_reflections,)."""
    table: NDArray[np.float32]
    """Mean over each bin of a peak of unit area in two theta, shape (n_reflections, n_widths, N_SUB + 1, n_window), 1/rad."""
    widths: Array
    """Factors on the width, ascending, shape (n_moving, n_widths)."""
    powers: Array
    """Shape (n_moving, 3)."""
    volumes: Array
    """Volume of each cell over the product of its lengths to their powers, shape (n_moving,)."""

    @property
    def n_moving(self) -> int:
        """How many phases move."""
        return self.first.size - 1


def make_tables(phases: Sequence[MovingPhase], grid: Grid, *, widths: Sequence[float]) -> PeakTables:
    """Draw the reflections of all phases that lie in the grid, or could move there.

    Parameters
    ----------
    widths
        Factors on each phase's starting width for which peaks are drawn, ascending and at least two.
    """
    margin = 0.05 * grid.q_step * grid.n_radial
    low, high = grid.edges[0] - margin, grid.edges[-1] + margin
    is_near = [(phase.crystal.q() > low) & (phase.crystal.q() < high) for phase in phases]
    places = [phase.crystal.q()[near] for phase, near in zip(phases, is_near, strict=True)]
    half = max((_half_window(phase, q, grid, max(widths)) for phase, q in zip(phases, places, strict=True)), default=1)
    drawn = [_draw(phase, q, grid, half=half, widths=widths) for phase, q in zip(phases, places, strict=True)]
    n_window = 2 * half + 1
    return PeakTables(
        first=np.concatenate([[0], np.cumsum([q.size for q in places])]).astype(np.int64),
        metric=np.concatenate(
            [np.zeros((0, N_AXES)), *(p.crystal.metric[near] for p, near in zip(phases, is_near, strict=True))]
        ),
        amplitude=np.concatenate(
            [
                np.zeros(0),
                *(
                    phase.crystal.strength[near] / (GRAM_PER_CM3 * phase.crystal.mass_dalton)
                    for phase, near in zip(phases, is_near, strict=True)
                ),
            ]
        ),
        table=np.concatenate([np.zeros((0, len(widths), N_SUB + 1, n_window), np.float32), *drawn]),
        widths=np.array([[phase.width * width for width in widths] for phase in phases]).reshape(len(phases), len(widths)),
        powers=np.array([phase.crystal.powers for phase in phases]).reshape(-1, N_AXES),
        volumes=np.array(
            [phase.crystal.volume_angstrom3 / np.prod(phase.crystal.lengths**phase.crystal.powers) for phase in phases]
        ),
    )


def _half_window(phase: MovingPhase, places: Array, grid: Grid, widest: float) -> int:
    """Give the bins to either side that a peak of this phase needs at its widest."""
    half = 1
    for q in places:
        two_theta = float(two_theta_from_q(np.array(q), wavelength_angstrom=grid.wavelength_angstrom))
        width = widest * phase.width
        reach = phase.shape.fwhm_deg(np.rad2deg(two_theta)) * width * np.arange(1.0, _REACH + 0.5, 0.5)
        beyond = 1 - phase.shape.below(reach, np.rad2deg(two_theta), width=width)
        enough = float(reach[np.argmax(beyond < _LEFT_OUT)]) if (beyond < _LEFT_OUT).any() else float(reach[-1])
        half = max(half, int(np.ceil(np.deg2rad(enough) / _bin_rad(q, grid))) + 1)
    return min(half, grid.n_radial)


def _bin_rad(q: float, grid: Grid) -> float:
    """Give the width of a bin at q in radian of two theta."""
    beside = np.array([q - 0.5 * grid.q_step, q + 0.5 * grid.q_step])
    low, high = two_theta_from_q(beside, wavelength_angstrom=grid.wavelength_angstrom)
    return float(high - low)


def _draw(phase: MovingPhase, places: Array, grid: Grid, *, half: int, widths: Sequence[float]) -> NDArray[np.float32]:
    table = np.zeros((places.size, len(widths), N_SUB + 1, 2 * half + 1), np.float32)
    sub = np.arange(N_SUB + 1) / N_SUB
    # Edges of the window from the place of the peak, which is ``sub`` behind the lower edge of the middle bin.
    edges = (np.arange(2 * half + 2) - half)[None, :] - sub[:, None]
    for r, q in enumerate(places):
        centre = float(two_theta_from_q(np.array(q), wavelength_angstrom=grid.wavelength_angstrom))
        two_theta = two_theta_from_q(np.abs(q + grid.q_step * edges), wavelength_angstrom=grid.wavelength_angstrom)
        offset_deg = np.rad2deg(two_theta - centre)
        for w, width in enumerate(widths):
            below = phase.shape.below(offset_deg, float(np.rad2deg(centre)), width=phase.width * width)
            table[r, w] = np.diff(below, axis=1) / np.diff(two_theta, axis=1)
    return table
