"""The mean pattern first: receives a profile and the mean pattern, gives where reflections are and how wide.

The mean pattern of a scan has hardly any noise: what it does not fit is wrong in structures, texture or background. So the
misfit itself is taken for the noise, and a phase moves only where it stands out of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar, nnls

from operando.errors import ProfileError
from operando.profile import Phase, Profile
from streaming.channels import background_functions
from streaming.refine.crystal import N_AXES, read_crystal
from streaming.refine.fit import Refined, refine
from streaming.refine.kernel import NOT_CONVERGED, SOLVED
from streaming.refine.lithium_curve import LithiumCurve
from streaming.refine.model import ProfileModel, draw, draw_template, make_model
from streaming.refine.peak_shape import ConstantShape, InstrumentShape, PeakShape, SpreadShape
from streaming.refine.tables import Grid, MovingPhase
from streaming.refine.texture import Fibre, Texture, window_of

Array = NDArray[np.float64]

_MIXINGS = (0.0, 0.1, 0.25, 0.5)
"""Lorentzian parts that are tried; the best lies on a parabola through the three about the smallest misfit."""
_SPREADS = (0.0, 1e-3, 2e-3, 3e-3)
"""Standard deviations of the depth along the beam that are tried, over the distance of the detector; the best by a parabola in
their squares. A cell of 10 mm at 1 m has 2.5e-3, and none once parallax is taken off its patterns."""
_MARCHES = (0.35, 1.5)
"""Range in which the March parameter of a fibre is looked for."""
_MARCH_STEP = 0.01
"""Of itself: how finely it is found."""
_MARCH_PASSES = 2
"""Fibres share reflections: each is looked for with the others as the pass before left them."""
_MARCH_ROUNDS = 2
"""The first finds it with reflections where a powder's fit left them, the second where its own did."""
_ROUNDS = 2
"""The first finds the phases that stand out of the misfit of unmoved ones, the second those that stand out of what is left."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanFit:
    """The refined mean pattern."""

    refined: Refined
    """Of one pattern; all phases that stood out have moved."""
    phases: tuple[MovingPhase, ...]
    """As voxels begin with them: lengths and widths of the mean pattern, free what the profile says."""
    lorentz_fraction: float | None
    """Mixing that was found; None where an instrument gives it."""
    depth_spread: float = 0.0
    """Standard deviation of the depth along the beam that reflections are drawn over, over the distance of the detector."""
    march: Mapping[Fibre, float] = field(default_factory=dict)
    """March parameter that was found of each fibre that the profile leaves open."""
    fit: Array
    """Shape (n_radial,)."""
    background: Array
    noise: float
    """Mean weighted square of the misfit, in units of the counting noise: 1 where the model is right."""

    def model(self, *, n_background: int) -> ProfileModel:
        """Give the model for voxels."""
        return make_model(self.phases, grid=self.refined.model.grid, n_background=n_background)


def moving_phases(
    profile: Profile, *, lorentz_fraction: float, march: Mapping[Fibre, float] | None = None, depth_spread: float = 0.0
) -> list[MovingPhase]:
    """Give the phases of a profile as their files, widths and textures say, drawn over a distribution of depths.

    Raises
    ------
    MissingInputError, ProfileError
        If a structure cannot be read.
    """
    texture = Texture(window=window_of(profile), march=march or {})
    return [
        MovingPhase(
            crystal=texture.of(
                read_crystal(profile.path(phase.cif), name=phase.name, q_max=1.05 * profile.integration.q_max), phase
            ),
            shape=_spread(_shape(profile, phase, lorentz_fraction), depth_spread),
            free=tuple(phase.refine),
            range_part=phase.range_percent / 100,
        )
        for phase in profile.phases
    ]


def check_phases(profile: Profile, curves: Mapping[str, LithiumCurve]) -> None:
    """Refuse phases whose cells lack what shall be refined, or whose curves want what is not.

    Raises
    ------
    ProfileError
        With what the cell has.
    MissingInputError
        If a structure cannot be read.
    """
    for phase, moving in zip(profile.phases, moving_phases(profile, lorentz_fraction=0.0), strict=True):
        has = moving.crystal.axes
        if unknown := [name for name in phase.refine if name not in (*has, "width")]:
            raise ProfileError(
                f"phase {phase.name}: refine names {', '.join(unknown)}, its cell has "
                f"{' and '.join(has) or 'no length that may move by itself'}; take it out"
            )
        if phase.name in curves and (held := [axis for axis in curves[phase.name].axes if axis not in phase.refine]):
            raise ProfileError(
                f"phase {phase.name}: {curves[phase.name].source} tells lithium from {', '.join(curves[phase.name].axes)}, but "
                f"{', '.join(held)} is not in refine: add it"
            )


def refine_mean(profile: Profile, *, grid: Grid, pattern: Array, variance: Array, known: MeanFit | None = None) -> MeanFit:
    """Refine the mean pattern: amounts, background, lengths, widths; mixing and texture where the profile leaves them open.

    Lengths move of phases that the profile wants refined, and of cubic ones; widths of all.

    Parameters
    ----------
    pattern, variance
        Shape (n_radial,); NaN or a variance of 0 leaves a bin out.
    known
        An earlier fit whose mixing and texture are taken over; None looks for them.
    """
    weights = weights_from_variance(variance, pattern)
    is_given = profile.refinement.instrument is not None
    fraction = profile.refinement.lorentz_fraction
    march: Mapping[Fibre, float] = {}
    spread = 0.0

    def trial(fraction: float, march: Mapping[Fibre, float], spread: float, *, rounds: int = 1) -> Refined:
        return _try(profile, fraction, march, spread, grid, pattern, weights, rounds=rounds)

    def best_spread() -> float:
        if not profile.correction.parallax:
            return 0.0
        misfits = [float(trial(fraction or 0.0, march, one).chi_squared[0]) for one in _SPREADS]
        return float(np.sqrt(_lowest(np.square(_SPREADS), np.array(misfits))))

    if known is not None:
        fraction, march = known.lorentz_fraction if fraction is None else fraction, known.march
        spread = best_spread()
    else:
        spread = best_spread()
        if any(phase.fibre is not None and phase.march is None for phase in profile.phases):
            for _ in range(_MARCH_ROUNDS):
                moved = _moved(trial(fraction or 0.0, march, spread))
                march = find_march(profile, moved, grid=grid, pattern=pattern, weights=weights, start=march)
            spread = best_spread()
        if fraction is None and not is_given:
            misfits = [float(trial(one, march, spread).chi_squared[0]) for one in _MIXINGS]
            fraction = _lowest(np.array(_MIXINGS), np.array(misfits))
    best = trial(fraction or 0.0, march, spread, rounds=_ROUNDS)
    fit, background = draw(best.model, best, 0)
    wanted = {phase.name: tuple(phase.refine) for phase in profile.phases}
    return MeanFit(
        refined=best,
        phases=tuple(replace(phase, free=wanted[phase.crystal.name]) for phase in _moved(best)),
        lorentz_fraction=None if is_given else fraction,
        depth_spread=spread,
        march=march,
        fit=fit,
        background=background,
        noise=float(best.chi_squared[0]),
    )


def find_march(
    profile: Profile,
    phases: Sequence[MovingPhase],
    *,
    grid: Grid,
    pattern: Array,
    weights: Array,
    start: Mapping[Fibre, float],
) -> dict[Fibre, float]:
    """Find the March parameter of each fibre whose phases leave it open, one after the other.

    Phases stand still meanwhile, so that a trial is a linear fit of amounts and background.

    Parameters
    ----------
    phases
        Where and how wide their reflections are; of the strengths nothing is used.
    start
        Where to begin; a fibre that is not in it begins as a powder.
    """
    plain = {phase.name: phase for phase in profile.phases}
    powder = {one.crystal.name: one for one in moving_phases(profile, lorentz_fraction=0.0)}
    march: dict[Fibre, float] = {
        phase.fibre: start.get(phase.fibre, 1.0) for phase in profile.phases if phase.fibre is not None and phase.march is None
    }
    background = background_functions(grid.q, n_functions=profile.refinement.n_background)
    root = np.sqrt(weights)
    drawn: dict[tuple[str, float], Array] = {}

    def template(one: MovingPhase, trial: Mapping[Fibre, float]) -> Array:
        name = one.crystal.name
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


def weights_from_variance(variance: Array, pattern: Array) -> Array:
    """Give the inverse of the variance, 0 where there is none or no pattern; shape (n_radial,)."""
    usable = np.isfinite(variance) & np.isfinite(pattern) & (variance > 0)
    if not usable.any():
        return np.zeros_like(variance)
    floor = 1e-3 * np.median(variance[usable])
    return np.where(usable, 1.0 / np.maximum(np.where(usable, variance, 1.0), floor), 0.0)


def _try(
    profile: Profile,
    fraction: float,
    march: Mapping[Fibre, float],
    spread: float,
    grid: Grid,
    pattern: Array,
    weights: Array,
    *,
    rounds: int,
) -> Refined:
    phases: Sequence[MovingPhase] = [
        replace(phase, free=_free_in_mean(phase))
        for phase in moving_phases(profile, lorentz_fraction=fraction, march=march, depth_spread=spread)
    ]
    return _move(phases, profile, grid, pattern, weights, rounds=rounds)


def _move(
    phases: Sequence[MovingPhase], profile: Profile, grid: Grid, pattern: Array, weights: Array, *, rounds: int
) -> Refined:
    """Refine the mean pattern some times, with the misfit of the time before for its noise."""
    n_background = profile.refinement.n_background
    row = pattern[None].astype(np.float32)
    still = make_model([replace(phase, free=()) for phase in phases], grid=grid, n_background=n_background)
    misfit = float(refine(still, row, np.ones(1), weights).chi_squared[0])
    for _ in range(rounds):
        model = make_model(phases, grid=grid, n_background=n_background)
        found = refine(model, row, np.full(1, max(misfit, 1.0)), weights, significance=profile.refinement.significance)
        misfit = max(misfit, 1.0) * float(found.chi_squared[0])
        phases = _moved(found)
    # Chi squared in units of counting noise, whatever noise it was refined with.
    return replace(found, chi_squared=np.array([misfit]))


def _free_in_mean(phase: MovingPhase) -> tuple[str, ...]:
    moves = phase.crystal.axes if phase.free or len(phase.crystal.axes) == 1 else ()
    return (*moves, "width")


def _moved(found: Refined) -> list[MovingPhase]:
    """Give the phases where the refinement left them; those that did not move, or ran off, stay where they began."""
    moved = {}
    for p, phase in enumerate(found.model.moving):
        if found.status[0] in (SOLVED, NOT_CONVERGED) and found.is_moved[0, p] and not found.is_at_limit[0, p]:
            lengths = found.parameters[0, p, :N_AXES]
            crystal = replace(phase.crystal, lengths=lengths, volume_angstrom3=phase.crystal.volume(lengths))
            moved[phase.crystal.name] = replace(phase, crystal=crystal, width=float(found.parameters[0, p, N_AXES]))
    return [moved.get(phase.crystal.name, phase) for phase in found.model.phases]


def _shape(profile: Profile, phase: Phase, lorentz_fraction: float) -> PeakShape:
    instrument = profile.refinement.instrument
    if instrument is None:
        return ConstantShape(width_deg=phase.fwhm_deg, lorentz_fraction=lorentz_fraction)
    return InstrumentShape(u=instrument.u, v=instrument.v, w=instrument.w, x=instrument.x, y=instrument.y)


def _spread(shape: PeakShape, depth_spread: float) -> PeakShape:
    """Draw a shape over depths: three places that have the moments of a normal distribution (Gauss-Hermite)."""
    if depth_spread <= 0:
        return shape
    places = np.sqrt(3.0) * depth_spread * np.array([-1.0, 0.0, 1.0])
    return SpreadShape(shape=shape, relative_shift=places, weight=np.array([1.0, 4.0, 1.0]) / 6.0)


def _lowest(places: Array, values: Array) -> float:
    """Give the place of the lowest value, by a parabola through the three points about it."""
    middle = int(np.clip(np.argmin(values), 1, len(values) - 2))
    curve = np.polyfit(places[middle - 1 : middle + 2], values[middle - 1 : middle + 2], 2)
    lowest = -curve[1] / (2 * curve[0]) if curve[0] > 0 else places[np.argmin(values)]
    return float(np.clip(lowest, places[0], places[-1]))
