"""The mean pattern first: receives a profile and the mean pattern, gives where reflections are and how wide.

The mean pattern of a scan has hardly any noise: what it does not fit is wrong in structures, texture or background. So the
misfit itself is taken for the noise, and a phase moves only where it stands out of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from operando.profile import Profile
from streaming.refine.alike import LEAST_APART, alike_pairs, deviations_apart
from streaming.refine.crystal import N_AXES, Adjustment
from streaming.refine.find_march import find_march
from streaming.refine.find_structure import find_structures
from streaming.refine.fit import Refined, refine
from streaming.refine.kernel import NOT_CONVERGED, SOLVED
from streaming.refine.model import ProfileModel, draw, make_model
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid, MovingPhase
from streaming.refine.texture import Fibre

Array = NDArray[np.float64]

_MIXINGS = (0.0, 0.1, 0.25, 0.5)
"""Lorentzian parts that are tried; the best lies on a parabola through the three about the smallest misfit."""
_SPREADS = (0.0, 1e-3, 2e-3, 3e-3)
"""Standard deviations of the depth along the beam that are tried, over the distance of the detector; the best by a parabola in
their squares. A cell of 10 mm at 1 m has 2.5e-3, and none once parallax is taken off its patterns."""
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
    aside: Mapping[str, str] = field(default_factory=dict)
    """Phases that are not looked for, and the one that each cannot be told from; :mod:`streaming.refine.alike`."""
    structure: Mapping[str, Adjustment] = field(default_factory=dict)
    """How the atoms of phases stand beside their files; :mod:`streaming.refine.find_structure`."""
    fit: Array
    """Shape (n_radial,)."""
    background: Array
    noise: float
    """Mean weighted square of the misfit, in units of the counting noise: 1 where the model is right."""

    def model(self, *, n_background: int) -> ProfileModel:
        """Give the model for voxels."""
        return make_model(self.phases, grid=self.refined.model.grid, n_background=n_background)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """What a trial of the mean pattern is made with."""

    fraction: float | None
    aside: Mapping[str, str]
    march: Mapping[Fibre, float] = field(default_factory=dict)
    structure: Mapping[str, Adjustment] = field(default_factory=dict)
    spread: float = 0.0

    def phases(self, profile: Profile) -> list[MovingPhase]:
        """Give the phases as the profile says, with what was chosen."""
        return moving_phases(
            profile,
            lorentz_fraction=self.fraction or 0.0,
            march=self.march,
            depth_spread=self.spread,
            aside=self.aside,
            structure=self.structure,
        )


def refine_mean(
    profile: Profile, *, grid: Grid, pattern: Array, variance: Array, known: MeanFit | None = None, again: bool = False
) -> MeanFit:
    """Refine the mean pattern: amounts, background, lengths, widths; mixing, texture and atoms where they are left open.

    Lengths move of phases that the profile wants refined, and of cubic ones; widths of all.

    Parameters
    ----------
    pattern, variance
        Shape (n_radial,); NaN or a variance of 0 leaves a bin out.
    known
        An earlier fit whose mixing, texture and atoms are taken over, and what it set aside; None looks for them.
    again
        Whether texture and atoms are looked for again, beginning with the known ones.
    """
    weights = weights_from_variance(variance, pattern)
    settings = profile.refinement

    def trial(chosen: _Chosen, *, rounds: int = 1) -> Refined:
        return _try(profile, chosen, grid, pattern, weights, rounds=rounds)

    def spread_out(chosen: _Chosen) -> _Chosen:
        if not profile.correction.parallax:
            return chosen
        misfits = [float(trial(replace(chosen, spread=one)).chi_squared[0]) for one in _SPREADS]
        return replace(chosen, spread=float(np.sqrt(_lowest(np.square(_SPREADS), np.array(misfits)))))

    def mixed(chosen: _Chosen) -> _Chosen:
        if settings.lorentz_fraction is not None or settings.instrument is not None:
            return chosen
        misfits = [float(trial(replace(chosen, fraction=one)).chi_squared[0]) for one in _MIXINGS]
        # Tails had been taken for depth.
        return spread_out(replace(chosen, fraction=_lowest(np.array(_MIXINGS), np.array(misfits))))

    def with_texture(chosen: _Chosen) -> _Chosen:
        for _ in range(_MARCH_ROUNDS if any(one.fibre is not None and one.march is None for one in profile.phases) else 1):
            moved = _moved(trial(chosen))
            march = find_march(
                profile, moved, grid=grid, pattern=pattern, weights=weights, start=chosen.march, structure=chosen.structure
            )
            chosen = replace(chosen, march=march)
            if settings.atoms:
                found = find_structures(profile, moved, grid=grid, pattern=pattern, weights=weights, march=march)
                chosen = replace(chosen, structure=found)
        return chosen

    if known is not None:
        fraction = known.lorentz_fraction if settings.lorentz_fraction is None else settings.lorentz_fraction
        chosen = _Chosen(fraction=fraction, aside=known.aside, march=known.march, structure=known.structure)
        chosen = spread_out(chosen)
        if again:
            # Without depth in them tails are told much better than before: 0.04 was found of 0.10.
            chosen = mixed(spread_out(with_texture(mixed(chosen))))
    else:
        aside = find_alike(profile, grid=grid, pattern=pattern, weights=weights)
        chosen = mixed(spread_out(with_texture(spread_out(_Chosen(fraction=settings.lorentz_fraction, aside=aside)))))
    return _mean_fit(trial(chosen, rounds=_ROUNDS), chosen, profile, pattern=pattern, weights=weights)


def _mean_fit(best: Refined, chosen: _Chosen, profile: Profile, *, pattern: Array, weights: Array) -> MeanFit:
    fit, background = draw(best.model, best, 0)
    best = replace(best, covariance=best.covariance * correlated_bins(np.sqrt(weights) * np.nan_to_num(pattern - fit)))
    wanted = {phase.name: () if phase.name in chosen.aside else tuple(phase.refine) for phase in profile.phases}
    return MeanFit(
        refined=best,
        phases=tuple(replace(phase, free=wanted[phase.crystal.name]) for phase in _one_width(_moved(best), best, profile)),
        lorentz_fraction=None if profile.refinement.instrument is not None else chosen.fraction,
        depth_spread=chosen.spread,
        march=chosen.march,
        aside=chosen.aside,
        structure=chosen.structure,
        fit=fit,
        background=background,
        noise=float(best.chi_squared[0]),
    )


def _one_width(phases: Sequence[MovingPhase], best: Refined, profile: Profile) -> list[MovingPhase]:
    """Give phases that lie under each other one width: the stages of graphite, which are in the same flakes, and alike oxides.

    Each by itself, the widths of two of them take up what is wrong of either, and with them a tenth of their amounts.
    """
    settings = {phase.name: phase for phase in profile.phases}
    families: dict[tuple[Fibre | str, float], set[str]] = {}
    for phase in profile.phases:
        if phase.fibre is not None:
            families.setdefault((phase.fibre, phase.fwhm_deg), set()).add(phase.name)
    for pair in alike_pairs(best.model.phases):
        one, other = (settings[best.model.names[place]] for place in pair)
        if one.fwhm_deg == other.fwhm_deg and one.fibre is None:
            families.setdefault((one.name, one.fwhm_deg), {one.name}).add(other.name)
    widths: dict[str, float] = {}
    for names in families.values():
        known = [best.parameter(name, "width") for name in sorted(names) if name in best.model.moving_names]
        pairs = [(float(value[0]), float(sigma[0])) for value, sigma in known if np.isfinite(value[0]) and sigma[0] > 0]
        if len(names) > 1 and pairs:
            value, weight = np.array([one for one, _ in pairs]), np.array([1 / sigma**2 for _, sigma in pairs])
            widths |= dict.fromkeys(names, float(value @ weight / weight.sum()))
    return [replace(phase, width=widths.get(phase.crystal.name, phase.width)) for phase in phases]


def correlated_bins(misfit: Array) -> float:
    """Give how many neighbouring bins a misfit, in standard uncertainties, has in common; 1 where it is noise.

    The uncertainty of a parameter grows by its square root: a wrong model is wrong over whole flanks of reflections, not
    in single bins (J.-F. Berar and P. Lelann, J. Appl. Cryst. 24 (1991) 1). Twice the sum of the autocorrelation up to where it
    first is none.
    """
    power = float(misfit @ misfit)
    if not power > 0:
        return 1.0
    spectrum = np.abs(np.fft.rfft(misfit, 2 * misfit.size)) ** 2
    correlation = np.fft.irfft(spectrum)[: misfit.size] / power
    ends = np.flatnonzero(correlation <= 0)
    first = int(ends[0]) if ends.size else misfit.size
    return float(1 + 2 * correlation[1:first].sum())


def find_alike(profile: Profile, *, grid: Grid, pattern: Array, weights: Array) -> dict[str, str]:
    """Give the phases that cannot be told from another one as it stands in this pattern, and which one that is.

    The lattice of the other is that of a fit without any phase that might be alike: with them it could run away.
    """
    chosen = _Chosen(fraction=profile.refinement.lorentz_fraction, aside={})
    phases = chosen.phases(profile)
    pairs = alike_pairs(phases)
    if not pairs:
        return {}
    doubtful = {phases[second].crystal.name: phases[first].crystal.name for first, second in pairs}
    moved = _moved(_try(profile, replace(chosen, aside=doubtful), grid, pattern, weights, rounds=1))
    return {
        phases[second].crystal.name: phases[first].crystal.name
        for first, second in pairs
        if float(deviations_apart(moved[first], phases[second], grid=grid)[0]) < LEAST_APART
    }


def weights_from_variance(variance: Array, pattern: Array) -> Array:
    """Give the inverse of the variance, 0 where there is none or no pattern; shape (n_radial,)."""
    usable = np.isfinite(variance) & np.isfinite(pattern) & (variance > 0)
    if not usable.any():
        return np.zeros_like(variance)
    floor = 1e-3 * np.median(variance[usable])
    return np.where(usable, 1.0 / np.maximum(np.where(usable, variance, 1.0), floor), 0.0)


def _try(profile: Profile, chosen: _Chosen, grid: Grid, pattern: Array, weights: Array, *, rounds: int) -> Refined:
    phases: Sequence[MovingPhase] = [
        replace(phase, free=_free_in_mean(phase)) if phase.crystal.strength.any() else phase for phase in chosen.phases(profile)
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


def _lowest(places: Array, values: Array) -> float:
    """Give the place of the lowest value, by a parabola through the three points about it."""
    middle = int(np.clip(np.argmin(values), 1, len(values) - 2))
    curve = np.polyfit(places[middle - 1 : middle + 2], values[middle - 1 : middle + 2], 2)
    lowest = -curve[1] / (2 * curve[0]) if curve[0] > 0 else places[np.argmin(values)]
    return float(np.clip(lowest, places[0], places[-1]))
