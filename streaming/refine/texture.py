"""Preferred orientation, seen from the mean pattern: receives its refinement, gives how much stronger each reflection is.

Foils, cans and graphite layers prefer directions about the normal of the layers. Over a whole ring and half a turn every voxel
then shows the same mean over directions, whatever the direction of its layers: one factor for each reflection of a phase holds
for all voxels. The factors leave the phase's intensity within the range as it is on average, so that its amount stays near to
that of a random powder; what is outside the range is not known, and the amount of a strongly textured phase is uncertain by it.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from streaming.phases import two_theta_from_q
from streaming.refine.crystal import intensity_per_mass
from streaming.refine.fit import Refined
from streaming.refine.model import draw_parts
from streaming.refine.tables import Grid, MovingPhase

Array = NDArray[np.float64]

_HOLD = 0.02
"""Of a reflection's own weight, by which its factor is drawn to 1: reflections that overlap cannot be told apart, and weak ones
would follow any misfit."""
_MOST = 20.0
"""Largest factor; the pole of a March-Dollase distribution of parameter 0.37."""


def with_textures(
    phases: Collection[MovingPhase], refined: Refined, *, pattern: Array, weights: Array, textured: Collection[str]
) -> list[MovingPhase]:
    """Give the phases with their reflections as strong as the mean pattern shows them.

    Parameters
    ----------
    phases
        As refined, in the order of the model.
    refined
        The mean pattern's refinement.
    pattern, weights
        Shape (n_radial,).
    textured
        Names of the phases whose reflections may have factors.
    """
    grid, names = refined.model.grid, refined.model.names
    parts = draw_parts(refined.model, refined, 0)
    held = np.zeros(grid.n_radial)
    columns: list[Array] = []
    owner: list[tuple[int, int]] = []
    for k, phase in enumerate(phases):
        sigma = float(np.sqrt(refined.covariance[0, k, k]))
        if names[k] not in textured or not refined.scales[0, k] > 3 * sigma:
            held += parts[k]
            continue
        for r, column in _reflections(phase, grid):
            columns.append(refined.scales[0, k] * column)
            owner.append((k, r))
    if not columns:
        return list(phases)
    factors = _factors(np.array(columns), pattern - held, weights, refined.model.static[refined.model.n_fixed :])
    given: dict[int, Array] = {}
    for (k, r), factor in zip(owner, factors, strict=True):
        given.setdefault(k, np.ones(len(list(phases)[k].crystal.strength)))[r] = factor
    return [_weighted(phase, given[k], grid) if k in given else phase for k, phase in enumerate(phases)]


def _reflections(phase: MovingPhase, grid: Grid) -> list[tuple[int, Array]]:
    """Draw every reflection of unit mass that lies in the grid, with its number."""
    two_theta = two_theta_from_q(grid.edges, wavelength_angstrom=grid.wavelength_angstrom)
    lengths = phase.crystal.lengths
    heights = intensity_per_mass(phase.crystal, lengths, wavelength_angstrom=grid.wavelength_angstrom)
    drawn = []
    for r, (q, height) in enumerate(zip(phase.crystal.q(), heights, strict=True)):
        if grid.edges[0] < q < grid.edges[-1]:
            centre = float(two_theta_from_q(np.array(q), wavelength_angstrom=grid.wavelength_angstrom))
            below = phase.shape.below(np.rad2deg(two_theta - centre), float(np.rad2deg(centre)), width=phase.width)
            drawn.append((r, height * np.diff(below) / np.diff(two_theta)))
    return drawn


def _factors(columns: Array, rest: Array, weights: Array, background: Array) -> Array:
    """Solve for factors of reflections, drawn to 1, and a background beside them."""
    counted = weights > 0
    root = np.sqrt(weights[counted])
    own = np.sqrt(((columns[:, counted] * root) ** 2).sum(axis=1))
    hold = np.sqrt(_HOLD) * np.maximum(own, 1e-3 * own.max())
    data = np.vstack([columns[:, counted], background[:, counted]]).T * root[:, None]
    anchors = np.hstack([np.diag(hold), np.zeros((len(columns), len(background)))])
    low = np.r_[np.zeros(len(columns)), np.full(len(background), -np.inf)]
    high = np.r_[np.full(len(columns), _MOST), np.full(len(background), np.inf)]
    found = lsq_linear(np.vstack([data, anchors]), np.r_[rest[counted] * root, hold], bounds=(low, high))
    factors: Array = found.x[: len(columns)]
    return factors


def _weighted(phase: MovingPhase, factors: Array, grid: Grid) -> MovingPhase:
    """Give a phase with other strengths and the same intensity within the grid."""
    crystal = phase.crystal
    q = crystal.q()
    inside = (q > grid.edges[0]) & (q < grid.edges[-1])
    intensity = intensity_per_mass(crystal, crystal.lengths, wavelength_angstrom=grid.wavelength_angstrom)
    total = float((factors * intensity)[inside].sum())
    if total <= 0:
        return phase
    scale = float(intensity[inside].sum()) / total
    strength = np.where(inside, crystal.strength * factors * scale, crystal.strength)
    return replace(phase, crystal=replace(crystal, strength=strength))
