"""Phases that look alike: receives phases with their lattices and widths, says which cannot be told from another.

Two crystals of one structure whose lattices are close have each reflection under one of the other's. What tells them apart is
then the width of the sum alone: with a share f of reflections that stand D standard deviations beside the others, its square
grows by f D^2 (second moments), so that a width that is wrong by a part w is taken for a share 2 w / D^2. At D = 1 that is
0.06 for widths known to 3 %; at D = 1/3 it is all, and the lattice of the one runs away from the other's.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from streaming.phases import two_theta_from_q
from streaming.refine.crystal import N_AXES, Crystal, intensity_per_mass
from streaming.refine.fit import Refined
from streaming.refine.tables import Grid, MovingPhase

Array = NDArray[np.float64]

LEAST_APART = 1.0
"""Standard deviations of a reflection, root mean square over reflections by their intensity: nearer ones are not told apart."""
LEAST_SHARE = 0.05
"""Of two alike phases in a voxel: where there is less of the other, it moves the lattice of the one by less than this part of
what they are apart."""
_SAME_PATTERN = 0.98
"""Cosine between the strengths of two crystals' reflections from which on they have one structure."""
_FWHM_OF_SIGMA = 2 * np.sqrt(2 * np.log(2))


def alike_pairs(phases: Sequence[MovingPhase]) -> list[tuple[int, int]]:
    """Give the places of phases of one structure, the one to keep first, where the lattice of at least one of them moves."""
    found = []
    for first, second in combinations(range(len(phases)), 2):
        one, other = phases[first], phases[second]
        if (one.is_free.any() or other.is_free.any()) and is_same_structure(one.crystal, other.crystal):
            keeps_first = one.is_free.any() or not other.is_free.any()
            found.append((first, second) if keeps_first else (second, first))
    return found


def is_same_structure(one: Crystal, other: Crystal) -> bool:
    """Tell whether two crystals have the same reflections, equally strong, but for the lengths of their cells."""
    if one.axes != other.axes or not one.axes:
        return False
    mine, its = _shared(one, other)
    overlap = float(one.strength[mine] @ other.strength[its])
    return overlap > _SAME_PATTERN * float(np.linalg.norm(one.strength) * np.linalg.norm(other.strength))


def deviations_apart(
    one: MovingPhase, other: MovingPhase, *, grid: Grid, lengths: Array | None = None, other_lengths: Array | None = None
) -> Array:
    """Give how many standard deviations the reflections of two phases are apart, root mean square by intensity, shape (n,).

    Parameters
    ----------
    lengths, other_lengths
        Of the cells, shape (n, 3), angstrom; None takes those of the phases.
    """
    mine, its = _shared(one.crystal, other.crystal)
    here = np.atleast_2d(one.crystal.lengths if lengths is None else lengths)
    there = np.atleast_2d(other.crystal.lengths if other_lengths is None else other_lengths)
    middle = one.crystal.q()[mine]
    is_seen = (middle > grid.edges[0]) & (middle < grid.edges[-1])
    mine, its, middle = mine[is_seen], its[is_seen], middle[is_seen]
    if not mine.size:
        return np.zeros(max(len(here), len(there)))
    weight = intensity_per_mass(one.crystal, one.crystal.lengths, wavelength_angstrom=grid.wavelength_angstrom)[mine]
    two_theta_deg = np.rad2deg(two_theta_from_q(middle, wavelength_angstrom=grid.wavelength_angstrom))
    width_deg = np.array([one.width * one.shape.fwhm_deg(float(place)) for place in two_theta_deg])
    sigma_q = (
        2 * np.pi / grid.wavelength_angstrom * np.deg2rad(width_deg) / _FWHM_OF_SIGMA * np.cos(np.deg2rad(two_theta_deg / 2))
    )
    apart = (_q(one.crystal, here)[:, mine] - _q(other.crystal, there)[:, its]) / sigma_q
    deviations: Array = np.sqrt(apart**2 @ weight / weight.sum())
    return deviations


def alike_in_voxels(refined: Refined, phase: str) -> NDArray[np.bool_]:
    """Tell in which voxels a phase's lattice cannot be told from that of another one that is there, shape (n,)."""
    model = refined.model
    place = model.names.index(phase)
    is_alike = np.zeros(refined.scales.shape[0], np.bool_)
    for pair in alike_pairs(model.phases):
        if place not in pair:
            continue
        other = pair[0] if pair[1] == place else pair[1]
        one, its = model.phases[place], model.phases[other]
        apart = deviations_apart(
            one, its, grid=model.grid, lengths=_lengths(refined, place), other_lengths=_lengths(refined, other)
        )
        both = refined.scales[:, place] + refined.scales[:, other]
        is_alike |= (apart < LEAST_APART) & (refined.scales[:, other] > LEAST_SHARE * both)
    return is_alike


def _lengths(refined: Refined, place: int) -> Array:
    """Give the lengths of a phase in every voxel, or the ones that it keeps."""
    model, name = refined.model, refined.model.names[place]
    if name not in model.moving_names:
        return model.phases[place].crystal.lengths[None]
    return refined.parameters[:, model.moving_names.index(name), :N_AXES]


def _q(crystal: Crystal, lengths: Array) -> Array:
    q: Array = 2 * np.pi * np.sqrt((1.0 / lengths**2) @ crystal.metric.T)
    return q


def _shared(one: Crystal, other: Crystal) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the places of the reflections that two crystals share, in both."""
    places = {tuple(row): k for k, row in enumerate(np.round(other.metric, 3).tolist())}
    rows = [tuple(row) for row in np.round(one.metric, 3).tolist()]
    pairs = [(k, places[row]) for k, row in enumerate(rows) if row in places]
    mine, its = np.array(pairs, np.intp).reshape(-1, 2).T
    return mine, its
