"""The refinement of patterns: receives a model and patterns, gives amounts, lengths and widths with their covariance.

The protocol :class:`Kernel` is the seam for another device: one method, arrays in, arrays out.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.refine.crystal import N_AXES
from streaming.refine.kernel import SOLVED, refine_patterns
from streaming.refine.model import ProfileModel
from streaming.refine.solve import BOUNDED, FREE
from streaming.refine.tables import N_PARAMETERS

Array = NDArray[np.float64]

SIGNIFICANCE = 5.0
"""Standard uncertainties that an amount must be above zero for lengths and width to be refined: at five a length is known to
about a fifth of the width of its reflections, and below it steps lose their way."""
_LARGEST_STEP = 0.3
"""Of a width at the highest angle, in one step: beyond half a width the derivative points nowhere."""
WIDTH_LOW, WIDTH_HIGH = 0.7, 2.5
"""Factors on the starting width within which a width is refined."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refined:
    """What the refinement of some patterns gave. Phases in the order of the model, fixed and moving together."""

    model: ProfileModel
    scales: Array
    """Amount of each phase, shape (n, n_phases)."""
    background: Array
    """Amount of each background function, shape (n, n_background)."""
    parameters: Array
    """Three lengths in angstrom and the width factor of every moving phase, shape (n, n_moving, 4)."""
    covariance: Array
    """Of scales, then of all parameters, shape (n, n_phases + 4 n_moving, the same); 0 for what was not refined."""
    chi_squared: Array
    """Weighted misfit over its expectation, shape (n,): 1 where noise is as predicted and the model is right."""
    rwp: Array
    """Weighted profile residual, 0 to 1, shape (n,): R. A. Young, The Rietveld Method (1993), table 1.3."""
    status: NDArray[np.uint8]
    """Shape (n,), see :mod:`streaming.refine.kernel`."""
    is_moved: NDArray[np.bool_]
    """Whether the lengths and width of each moving phase were refined, shape (n, n_moving)."""
    is_at_limit: NDArray[np.bool_]
    """Whether one of them stands at the end of its range, shape (n, n_moving)."""
    changes: Array | None
    """What ``differences`` would change of scales and parameters, shape (n, n_phases + 4 n_moving)."""

    @property
    def is_solved(self) -> NDArray[np.bool_]:
        """Shape (n,)."""
        solved: NDArray[np.bool_] = self.status == SOLVED
        return solved

    def scale_covariance(self) -> Array:
        """Give the covariance of the amounts, shape (n, n_phases, n_phases)."""
        n = self.model.n_phases
        return self.covariance[:, :n, :n]

    def parameter_index(self, phase: str, parameter: str) -> tuple[int, int]:
        """Give a moving phase's place and the place of a length or of ``width`` among its parameters."""
        p = self.model.moving_names.index(phase)
        crystal = self.model.moving[p].crystal
        return p, N_AXES if parameter == "width" else crystal.axes.index(parameter)

    def parameter(self, phase: str, parameter: str) -> tuple[Array, Array]:
        """Give a length or the width factor with its standard uncertainty, shapes (n,); NaN where it was not refined."""
        p, k = self.parameter_index(phase, parameter)
        place = self.model.n_phases + N_PARAMETERS * p + k
        is_known = self.is_moved[:, p] & self.is_solved & ~self.is_at_limit[:, p]
        sigma = np.sqrt(np.maximum(self.covariance[:, place, place], 0.0))
        return np.where(is_known, self.parameters[:, p, k], np.nan), np.where(is_known, sigma, np.nan)

    def pair_covariance(self, phase: str, one: str, other: str) -> Array:
        """Give the covariance of two parameters of a phase, shape (n,)."""
        (p, k), (_, m) = self.parameter_index(phase, one), self.parameter_index(phase, other)
        first = self.model.n_phases + N_PARAMETERS * p
        return self.covariance[:, first + k, first + m]


class Kernel(Protocol):
    """Refines patterns on one device; called from one thread at a time."""

    def __call__(
        self,
        model: ProfileModel,
        patterns: NDArray[np.float32],
        noise: Array,
        weights: Array,
        start: Array | None = None,
        *,
        differences: NDArray[np.float32] | None = None,
        significance: float = SIGNIFICANCE,
        is_bounded: bool = True,
    ) -> Refined:
        """Refine every pattern, as :func:`refine` describes it."""
        ...


def refine(
    model: ProfileModel,
    patterns: NDArray[np.float32],
    noise: Array,
    weights: Array,
    start: Array | None = None,
    *,
    differences: NDArray[np.float32] | None = None,
    n_threads: int = 2,
    significance: float = SIGNIFICANCE,
    is_bounded: bool = True,
) -> Refined:
    """Refine every pattern on the processor.

    Parameters
    ----------
    model
        Phases, background, grid.
    patterns
        Shape (n, n_radial); a pattern with NaN in a bin of weight is not refined, and says so.
    noise
        Variance of each pattern in bins of unit weight, shape (n,): the variance of bin i is noise / weights[i].
    weights
        Shape (n_radial,); 0 leaves a bin out.
    start
        Lengths and widths to begin with, shape (n, n_moving, 4); None takes those of the model.
    differences
        Small additions to the patterns, shape (n, n_radial), whose effect shall be known.
    n_threads
        Stretches of patterns that are worked on at the same time.
    significance
        Standard uncertainties that an amount must be above zero for its phase to move.
    is_bounded
        Whether amounts of phases that are held still may not be negative; those that move never are.
    """
    task = prepare(
        model, patterns, noise, weights, start, differences=differences, significance=significance, is_bounded=is_bounded
    )
    room, tables, n = task.room, model.tables, len(patterns)

    def work(part: slice) -> None:
        refine_patterns(
            task.patterns[part], task.noise[part], weights, model.static, task.kind, model.n_fixed,
            tables.first, tables.metric, tables.amplitude, tables.table, tables.widths, tables.powers, tables.volumes,
            model.grid.q_first_edge, model.grid.q_step, model.grid.wavelength_angstrom,
            model.is_free(), task.low, task.high, task.largest, significance,
            room.parameters[part], room.linear[part], room.covariance[part], room.residuals[part], room.status[part],
            room.is_moved[part], task.differences[part], room.changes[part],
        )  # fmt: skip

    edges = np.linspace(0, n, min(max(1, n_threads), max(1, n // 16)) + 1).astype(int)
    parts = [slice(first, last) for first, last in itertools.pairwise(edges)]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))
    return task.refined()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A refinement as a kernel of any device takes it, and what it writes into."""

    model: ProfileModel
    patterns: NDArray[np.float32]
    """Zero where nothing has weight, shape (n, n_radial)."""
    noise: Array
    weights: Array
    differences: NDArray[np.float32]
    """As the patterns; shape (0, n_radial) where there are none."""
    kind: NDArray[np.int64]
    """What may happen to the amount of each static column, shape (n_static,): :mod:`streaming.refine.solve`."""
    low: Array
    """Limits of the parameters, shape (n_moving, 4)."""
    high: Array
    largest: Array
    """Change of each parameter in one step."""
    significance: float
    room: "Room"

    def refined(self) -> Refined:
        """Give what the kernel found."""
        model, room = self.model, self.room
        n_free = model.n_static + len(model.moving) + room.is_moved @ model.is_free().sum(axis=1)
        noise = np.where(self.noise > 0, self.noise, np.nan)
        expected = np.maximum(np.count_nonzero(self.weights) - n_free, 1) * noise
        is_at_limit = ((room.parameters <= self.low) | (room.parameters >= self.high)) & model.is_free()
        return _refined(model, room, expected, np.any(is_at_limit, axis=-1), has_changes=len(self.differences) > 0)


def prepare(
    model: ProfileModel,
    patterns: NDArray[np.float32],
    noise: Array,
    weights: Array,
    start: Array | None = None,
    *,
    differences: NDArray[np.float32] | None = None,
    significance: float = SIGNIFICANCE,
    is_bounded: bool = True,
) -> Task:
    """Give the arguments of :func:`refine` as kernels take them."""
    usable = np.ascontiguousarray(np.where(weights > 0, patterns, 0.0), dtype=np.float32)
    added = np.zeros((0, usable.shape[1]), np.float32)
    if differences is not None:
        added = np.ascontiguousarray(np.where(weights > 0, differences, 0.0), dtype=np.float32)
    low, high, largest = _limits(model)
    return Task(
        model=model,
        patterns=usable,
        noise=noise,
        weights=weights,
        differences=added,
        kind=np.where((np.arange(model.n_static) < model.n_fixed) & is_bounded, BOUNDED, FREE).astype(np.int64),
        low=low,
        high=high,
        largest=largest,
        significance=significance,
        room=_make_room(model, len(usable), start),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Room:
    """What the kernel writes into: fixed phases and background before moving phases."""

    parameters: Array
    linear: Array
    covariance: Array
    residuals: Array
    status: NDArray[np.uint8]
    is_moved: NDArray[np.bool_]
    changes: Array


def _make_room(model: ProfileModel, n: int, start: Array | None) -> Room:
    n_moving = len(model.moving)
    n_out = model.n_phases + N_PARAMETERS * n_moving
    begin = np.broadcast_to(model.start(), (n, n_moving, N_PARAMETERS)) if start is None else start
    return Room(
        parameters=np.array(begin, np.float64, order="C"),
        linear=np.zeros((n, model.n_static + n_moving)),
        covariance=np.zeros((n, n_out, n_out)),
        residuals=np.zeros((n, 2)),
        status=np.zeros(n, np.uint8),
        is_moved=np.zeros((n, n_moving), np.bool_),
        changes=np.zeros((n, n_out)),
    )


def _limits(model: ProfileModel) -> tuple[Array, Array, Array]:
    shape = (len(model.moving), N_PARAMETERS)
    low, high, largest = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for p, phase in enumerate(model.moving):
        lengths = phase.crystal.lengths
        low[p, :N_AXES], high[p, :N_AXES] = lengths * (1 - phase.range_part), lengths * (1 + phase.range_part)
        low[p, N_AXES], high[p, N_AXES] = WIDTH_LOW * phase.width, WIDTH_HIGH * phase.width
        widest = model.grid.highest_two_theta_deg
        largest[p, :N_AXES] = lengths * _LARGEST_STEP * phase.shape.fwhm_deg(widest) / widest
        largest[p, N_AXES] = _LARGEST_STEP * phase.width
    return low, high, largest


def _refined(model: ProfileModel, room: Room, expected: Array, is_at_limit: NDArray[np.bool_], *, has_changes: bool) -> Refined:
    """Put phases into the order in which they were given."""
    columns = np.r_[np.arange(model.n_fixed), model.n_static + np.arange(len(model.moving))][model.order]
    rows = np.r_[model.order, np.arange(model.n_phases, room.changes.shape[1])]
    with np.errstate(divide="ignore", invalid="ignore"):
        rwp = np.sqrt(np.maximum(room.residuals[:, 0], 0.0) / room.residuals[:, 1])
    return Refined(
        model=model,
        scales=room.linear[:, columns],
        background=room.linear[:, model.n_fixed : model.n_static],
        parameters=room.parameters,
        covariance=room.covariance[:, rows[:, None], rows[None, :]],
        chi_squared=room.residuals[:, 0] / expected,
        rwp=rwp,
        status=room.status,
        is_moved=room.is_moved,
        is_at_limit=is_at_limit,
        changes=room.changes[:, rows] if has_changes else None,
    )
