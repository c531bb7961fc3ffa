"""How strongly layers are textured: receives the mean pattern and phases in their places, gives the March parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar, nnls

from operando.profile import Profile
from streaming.channels import background_functions
from streaming.refine.crystal import Adjustment
from streaming.refine.model import draw_template
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid, MovingPhase
from streaming.refine.texture import Fibre, Texture, window_of

Array = NDArray[np.float64]

_MARCHES = (0.35, 1.5)
"""Range in which the March parameter of a fibre is looked for."""
_MARCH_STEP = 0.01
"""Of itself: how finely it is found."""
_MARCH_PASSES = 2
"""Fibres share reflections: each is looked for with the others as the pass before left them."""


def find_march(
    profile: Profile,
    phases: Sequence[MovingPhase],
    *,
    grid: Grid,
    pattern: Array,
    weights: Array,
    start: Mapping[Fibre, float],
    structure: Mapping[str, Adjustment],
) -> dict[Fibre, float]:
    """Find the March parameter of each fibre whose phases leave it open, one after the other.

    Phases stand still meanwhile, so that a trial is a linear fit of amounts and background.

    Parameters
    ----------
    phases
        Where and how wide their reflections are; of the strengths nothing is used.
    start
        Where to begin; a fibre that is not in it begins as a powder.
    structure
        How atoms stand beside their files.
    """
    plain = {phase.name: phase for phase in profile.phases}
    powder = {one.crystal.name: one for one in moving_phases(profile, lorentz_fraction=0.0, structure=structure)}
    march: dict[Fibre, float] = {
        phase.fibre: start.get(phase.fibre, 1.0) for phase in profile.phases if phase.fibre is not None and phase.march is None
    }
    background = background_functions(grid.q, n_functions=profile.refinement.n_background)
    root = np.sqrt(weights)
    drawn: dict[tuple[str, float], Array] = {}

    def template(one: MovingPhase, trial: Mapping[Fibre, float]) -> Array:
        name = one.crystal.name
        if not one.crystal.strength.any():
            return np.zeros(grid.n_radial)
        fibre = plain[name].fibre
        key = (name, trial.get(fibre, 1.0) if fibre is not None else 1.0)
        if key not in drawn:
            whole = replace(powder[name].crystal, lengths=one.crystal.lengths, volume_angstrom3=one.crystal.volume_angstrom3)
            crystal = Texture(window=window_of(profile), march=trial).of(whole, plain[name])
            drawn[key] = draw_template(replace(one, crystal=crystal), grid)
        return drawn[key]

    def misfit(trial: Mapping[Fibre, float]) -> float:
        columns = np.column_stack([*(template(one, trial) for one in phases), background, -background])
        scale = np.maximum(np.linalg.norm(root[:, None] * columns, axis=0), 1e-300)
        return float(nnls(root[:, None] * columns / scale, root * np.nan_to_num(pattern))[1]) ** 2

    for _ in range(_MARCH_PASSES if len(march) > 1 else 1):
        for fibre in march:
            found = minimize_scalar(
                lambda one, fibre=fibre: misfit({**march, fibre: float(np.exp(one))}),
                bounds=np.log(_MARCHES),
                method="bounded",
                options={"xatol": _MARCH_STEP},
            )
            march[fibre] = float(np.exp(found.x))
    return march
