"""The model of a profile: receives crystals, shapes and a grid, gives what the refinement holds still and what it moves."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streaming.channels import background_functions
from streaming.phases import two_theta_from_q
from streaming.refine.crystal import N_AXES, intensity_per_mass
from streaming.refine.draw import draw_phase
from streaming.refine.peak_shape import SpreadShape
from streaming.refine.tables import N_PARAMETERS, Grid, MovingPhase, PeakTables, make_tables

if TYPE_CHECKING:
    from streaming.refine.fit import Refined

Array = NDArray[np.float64]

_ONE_WIDTH = (1.0, 1.25)
_SEVERAL_WIDTHS = (0.7, 0.8, 0.9, 1.0, 1.12, 1.26, 1.42, 1.6, 1.85, 2.15, 2.5)
"""Factors for which peaks are drawn where a width is refined: linear between two, 0.4 % of a peak's height at most."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfileModel:
    """What patterns are made of."""

    grid: Grid
    names: tuple[str, ...]
    """All phases in the order in which they were given."""
    phases: tuple[MovingPhase, ...]
    """The same; those with nothing free are held still."""
    static: Array
    """Held phases, then background functions, shape (n_static, n_radial)."""
    tables: PeakTables
    """Of the moving phases."""
    moving: tuple[MovingPhase, ...]
    order: NDArray[np.intp] = field(repr=False)
    """Place of each phase among the held ones followed by the moving ones, shape (n_phases,)."""

    @property
    def n_phases(self) -> int:
        """All phases."""
        return len(self.names)

    @property
    def n_fixed(self) -> int:
        """Phases that are held still."""
        return self.n_phases - len(self.moving)

    @property
    def n_static(self) -> int:
        """Columns that do not move."""
        return self.static.shape[0]

    @property
    def n_background(self) -> int:
        """Background functions."""
        return self.n_static - self.n_fixed

    @property
    def moving_names(self) -> list[str]:
        """Names of the moving phases."""
        return [phase.crystal.name for phase in self.moving]

    def is_free(self) -> NDArray[np.bool_]:
        """Which parameters of the moving phases are refined, shape (n_moving, 4)."""
        return np.array([phase.is_free for phase in self.moving], np.bool_).reshape(-1, N_PARAMETERS)

    def start(self) -> Array:
        """Give the starting parameters, shape (n_moving, 4)."""
        rows = [[*phase.crystal.lengths, phase.width] for phase in self.moving]
        return np.array(rows, np.float64).reshape(-1, N_PARAMETERS)


def make_model(phases: Sequence[MovingPhase], *, grid: Grid, n_background: int) -> ProfileModel:
    """Make the model of some phases over cubic B-splines of equal knots."""
    held = [k for k, phase in enumerate(phases) if not phase.is_free.any()]
    moving = [k for k, phase in enumerate(phases) if phase.is_free.any()]
    has_width = any(phases[k].is_free[N_AXES] for k in moving)
    background = background_functions(grid.q, n_functions=n_background).T
    templates = [draw_template(phases[k], grid) for k in held]
    order = np.empty(len(phases), np.intp)
    order[[*held, *moving]] = np.arange(len(phases))
    movers = tuple(phases[k] for k in moving)
    return ProfileModel(
        grid=grid,
        names=tuple(phase.crystal.name for phase in phases),
        phases=tuple(phases),
        static=np.ascontiguousarray(np.vstack([*templates, background])),
        tables=make_tables(movers, grid, widths=_SEVERAL_WIDTHS if has_width else _ONE_WIDTH),
        moving=movers,
        order=order,
    )


def without_spread(model: ProfileModel) -> ProfileModel:
    """Give a model whose reflections are drawn as if all matter stood at one depth along the beam."""
    phases = [
        replace(phase, shape=phase.shape.shape) if isinstance(phase.shape, SpreadShape) else phase for phase in model.phases
    ]
    return make_model(phases, grid=model.grid, n_background=model.n_background)


def draw_template(phase: MovingPhase, grid: Grid) -> Array:
    """Draw unit mass of a phase as it stands at its start, tails and all, shape (n_radial,)."""
    two_theta = two_theta_from_q(grid.edges, wavelength_angstrom=grid.wavelength_angstrom)
    intensity = intensity_per_mass(phase.crystal, phase.crystal.lengths, wavelength_angstrom=grid.wavelength_angstrom)
    template = np.zeros(grid.n_radial)
    for q, height in zip(phase.crystal.q(), intensity, strict=True):
        centre = float(two_theta_from_q(np.array(q), wavelength_angstrom=grid.wavelength_angstrom))
        below = phase.shape.below(np.rad2deg(two_theta - centre), float(np.rad2deg(centre)), width=phase.width)
        template += height * np.diff(below) / np.diff(two_theta)
    return template


def draw(model: ProfileModel, refined: "Refined", row: int) -> tuple[Array, Array]:
    """Draw the fit of one pattern, and its background alone; shapes (n_radial,)."""
    parts = draw_parts(model, refined, row)
    background: Array = refined.background[row] @ model.static[model.n_fixed :]
    return parts.sum(axis=0) + background, background


def draw_reflections(model: ProfileModel, refined: "Refined") -> NDArray[np.float32]:
    """Draw the phases of every pattern without its background, shape (n, n_radial); nothing where it was not solved."""
    n = refined.scales.shape[0]
    drawn = np.zeros((n, model.grid.n_radial), np.float32)
    held = np.flatnonzero(model.order < model.n_fixed)
    if held.size:
        drawn += (refined.scales[:, held] @ model.static[model.order[held]]).astype(np.float32)
    for row in range(n):
        for k in np.flatnonzero(model.order >= model.n_fixed):
            if refined.scales[row, k] > 0:
                drawn[row] += refined.scales[row, k] * _drawn(model, refined, row, int(model.order[k]) - model.n_fixed)
    drawn[~refined.is_solved] = 0.0
    return drawn


def draw_parts(model: ProfileModel, refined: "Refined", row: int) -> Array:
    """Draw what each phase adds to the fit of one pattern, shape (n_phases, n_radial)."""
    drawn = np.zeros((model.n_phases, model.grid.n_radial))
    for k, place in enumerate(model.order):
        is_held = place < model.n_fixed
        drawn[k] = model.static[place] if is_held else _drawn(model, refined, row, int(place) - model.n_fixed)
    parts: Array = refined.scales[row][:, None] * drawn
    return parts


def _drawn(model: ProfileModel, refined: "Refined", row: int, p: int) -> Array:
    """Draw unit mass of a moving phase, shape (n_radial,)."""
    tables, grid = model.tables, model.grid
    columns = np.zeros((N_PARAMETERS + 1, grid.n_radial))
    lengths, width = refined.parameters[row, p, :N_AXES], refined.parameters[row, p, N_AXES]
    draw_phase(
        tables.first[p], tables.first[p + 1], lengths, width, tables.metric, tables.amplitude, tables.table,
        tables.widths[p], tables.powers[p], tables.volumes[p], grid.q_first_edge, grid.q_step, grid.wavelength_angstrom,
        False, columns,
    )  # fmt: skip
    return columns[0]
