"""Where the atoms of a phase are: receives the mean pattern and phases in their places, gives what symmetry leaves open.

The heights of atoms in a file are another sample's. For a layered oxide 0.02 angstrom in the height of oxygen change its
reflections by 2 to 7 %, and what lies under them, LiC6 for instance, takes up the difference. Looked for are the free
coordinates and one thermal parameter of each phase whose lattice is refined; phases of the same structure share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar, nnls

from operando.profile import Phase, Profile
from streaming.channels import background_functions
from streaming.phases import read_small_structure
from streaming.refine.alike import is_same_structure
from streaming.refine.crystal import Adjustment, Crystal, free_coordinates, read_crystal
from streaming.refine.model import draw_template
from streaming.refine.tables import Grid, MovingPhase
from streaming.refine.texture import Fibre, Texture, window_of

Array = NDArray[np.float64]

MOST_SHIFT = 0.02
"""Of an edge: beyond it an atom is another structure's."""
MOST_B = 1.0
"""Angstrom^2, either way."""
LEAST_REFLECTIONS = 4
"""For each unknown: with fewer an amount and a texture do the same."""
_PASSES = 2
_FINE = 0.01
"""Of the range: how finely a place is found."""


def find_structures(
    profile: Profile, phases: Sequence[MovingPhase], *, grid: Grid, pattern: Array, weights: Array, march: Mapping[Fibre, float]
) -> dict[str, Adjustment]:
    """Find the adjustment of each phase whose lattice is refined, and give it to all phases of its structure.

    Phases stand still meanwhile, so that a trial is a linear fit of amounts and background.

    Parameters
    ----------
    phases
        Where and how wide their reflections are, in the order of the profile.
    march
        March parameters of the textures.
    """
    background = background_functions(grid.q, n_functions=profile.refinement.n_background)
    root = np.sqrt(weights)
    columns = [draw_template(one, grid) for one in phases]
    found: dict[str, Adjustment] = {}
    for place, phase in enumerate(profile.phases):
        one = phases[place]
        if not phase.refine or phase.name in found or not one.crystal.strength.any():
            continue
        family = [k for k, other in enumerate(phases) if k == place or is_same_structure(one.crystal, other.crystal)]

        def misfit(adjustment: Adjustment, family: Sequence[int] = family) -> float:
            for k in family:
                crystal = adjusted(profile, profile.phases[k], phases[k], adjustment, march)
                columns[k] = draw_template(replace(phases[k], crystal=crystal), grid)
            design = root[:, None] * np.column_stack([*columns, background, -background])
            size = np.maximum(np.linalg.norm(design, axis=0), 1e-300)
            return float(nnls(design / size, root * np.nan_to_num(pattern))[1])

        n_free = len(free_coordinates(read_small_structure(profile.path(phase.cif), name=phase.name)))
        q = one.crystal.q()
        if np.count_nonzero((q > grid.edges[0]) & (q < grid.edges[-1])) < LEAST_REFLECTIONS * (n_free + 1):
            continue
        best = Adjustment(shifts=(0.0,) * n_free)
        for _ in range(_PASSES):
            for k in range(n_free + 1):
                limit = MOST_SHIFT if k < n_free else MOST_B
                place_of = minimize_scalar(
                    lambda value, k=k, best=best: misfit(_with(best, k, value)),
                    bounds=(-limit, limit),
                    method="bounded",
                    options={"xatol": _FINE * limit},
                )
                best = _with(best, k, float(place_of.x))
        misfit(best)
        found |= {phases[k].crystal.name: best for k in family}
    return found


def adjusted(
    profile: Profile, phase: Phase, moved: MovingPhase, adjustment: Adjustment, march: Mapping[Fibre, float]
) -> Crystal:
    """Give the crystal of a phase with its atoms moved, where the phase stands."""
    path, q_max = profile.path(phase.cif), 1.05 * profile.integration.q_max
    plain = read_crystal(path, name=phase.name, q_max=q_max, adjustment=adjustment)
    textured = Texture(window=window_of(profile), march=march).of(plain, phase)
    return replace(textured, lengths=moved.crystal.lengths, volume_angstrom3=moved.crystal.volume_angstrom3)


def _with(adjustment: Adjustment, k: int, value: float) -> Adjustment:
    if k == len(adjustment.shifts):
        return replace(adjustment, b_iso=value)
    return replace(adjustment, shifts=(*adjustment.shifts[:k], value, *adjustment.shifts[k + 1 :]))
