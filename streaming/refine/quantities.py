"""Maps of the full profile: receives refined voxels, gives lattice parameters, shares, lithium and misfit with uncertainties.

The uncertainty of every quantity is the larger one of what is predicted from counting and of what every other line shows,
averaged over neighbours (:mod:`streaming.halves`).
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from operando.profile import Phase, Profile
from streaming.amounts import Amounts
from streaming.lithiation import Quantity, lithium_in_graphite, weight_fractions
from streaming.maps import ALIKE, AT_LIMIT, GOOD, OFF_CURVE, OUTSIDE, UNCERTAIN, UNSOLVED, Map, Reasons
from streaming.refine.alike import alike_in_voxels
from streaming.refine.fit import Refined
from streaming.refine.lithium_curve import LithiumCurve, OnCurve, lithium_on_curve

Array = NDArray[np.float64]

ESTIMATOR = "full profile"
LEAST_PART = 0.05
"""Of a phase's strongest voxels: where there is less of it, its lattice is that of streaks and not shown."""
_STRONGEST_PERCENTILE = 99.0
OFF_CURVE_PART = 3e-3
"""Of a length: further from the curve than this, 40 mA in c, and no calibration error explains it."""
_NEIGHBOURS = 3
"""Voxels along each edge of the square over which the squares of differences are averaged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voxels:
    """Refined voxels and where they are."""

    refined: Refined
    base: Reasons
    """Why a voxel was not refined, shape (y, x); GOOD where it was, in the order of the refined rows."""

    @property
    def is_refined(self) -> NDArray[np.bool_]:
        """Shape (y, x)."""
        refined: NDArray[np.bool_] = self.base == GOOD
        return refined

    def spread(self, values: Array, *, fill: float = np.nan) -> Array:
        """Put values of the refined voxels, shape (n, ...), on the map, shape (y, x, ...)."""
        out = np.full((*self.base.shape, *values.shape[1:]), fill)
        out[self.is_refined] = values
        return out

    def neighbours(self, squares: Array) -> Array:
        """Average over refined neighbours, shape (n, ...) to the same."""
        weight = uniform_filter(self.is_refined.astype(np.float64), size=_NEIGHBOURS, mode="constant")
        size = (_NEIGHBOURS, _NEIGHBOURS, *[1] * (squares.ndim - 1))
        total = uniform_filter(self.spread(squares, fill=0.0), size=size, mode="constant")
        mean: Array = total[self.is_refined] / weight[self.is_refined].reshape(-1, *[1] * (squares.ndim - 1))
        return mean

    def amounts(self) -> Amounts:
        """Give the scales as amounts, which know shares and lithium."""
        fit = self.refined
        n = fit.model.n_phases
        scatter = None
        if fit.changes is not None:
            scatter = self.neighbours(fit.changes[:, :n, None] * fit.changes[:, None, :n])
        return Amounts(
            values=fit.scales,
            covariance=fit.scale_covariance(),
            is_solved=fit.is_solved,
            response=np.zeros((n, n)),
            scatter=scatter,
        )

    def covariance(self, phase: str, axes: tuple[str, ...]) -> Array:
        """Give the covariance of lengths of a phase, shape (n, n_axes, n_axes): predicted, or as seen where that is larger."""
        fit = self.refined
        places = [fit.model.n_phases + 4 * p + k for p, k in (fit.parameter_index(phase, axis) for axis in axes)]
        predicted = fit.covariance[:, places][:, :, places]
        if fit.changes is None:
            return predicted
        moved = fit.changes[:, places]
        seen = self.neighbours(moved[:, :, None] * moved[:, None, :])
        # The larger of the two by what they say of all lengths together, so that the result is a covariance.
        ratio = np.einsum("nii,i->n", seen / np.maximum(predicted, 1e-300), np.ones(len(axes))) / len(axes)
        return predicted * np.maximum(ratio, 1.0)[:, None, None]

    def lattice_reason(self, phase: str) -> Reasons:
        """Give why a phase's lattice is not known, shape (n,)."""
        fit = self.refined
        p, k = fit.model.moving_names.index(phase), fit.model.names.index(phase)
        amount = fit.scales[:, k]
        strongest = np.percentile(amount[fit.is_solved], _STRONGEST_PERCENTILE) if fit.is_solved.any() else 0.0
        reason = np.full(amount.size, GOOD, np.uint8)
        reason[fit.is_at_limit[:, p]] = AT_LIMIT
        reason[~fit.is_moved[:, p]] = UNCERTAIN
        reason[alike_in_voxels(fit, phase)] = ALIKE
        reason[amount <= LEAST_PART * strongest] = OUTSIDE
        reason[~fit.is_solved] = UNSOLVED
        return reason


def make_refined_maps(
    voxels: Voxels, *, profile: Profile, curves: dict[str, LithiumCurve], aside: Collection[str] = ()
) -> list[Map]:
    """Give all maps of the full profile: lithium first, then lattices, shares and misfit.

    Of phases that were set ``aside`` there is a map without a number, whose reason says why.
    """
    fit = voxels.refined
    solved = np.where(fit.is_solved, GOOD, UNSOLVED).astype(np.uint8)
    amounts = voxels.amounts()
    fractions = weight_fractions(amounts)
    maps = _lithium_x_maps(voxels, amounts, profile=profile, curves=curves)
    for phase in profile.phases:
        if phase.name in fit.model.moving_names:
            maps += _lattice_maps(voxels, phase, profile=profile, curve=curves.get(phase.name))
    for k, phase in enumerate(profile.phases):
        percent = Quantity(value=100 * fractions.value[:, k], sigma=100 * fractions.sigma[:, k])
        label = f"{phase.label}, full profile"
        reason = np.full_like(solved, ALIKE) if phase.name in aside else solved
        maps.append(_map(voxels, percent, reason, f"refined_wt_{phase.name}", label, "wt%", (0.0, 100.0), phase.colormap))
    nothing = np.zeros(fit.rwp.size)
    rwp = Quantity(value=100 * fit.rwp, sigma=nothing)
    maps.append(_map(voxels, rwp, solved, "rwp", "Rwp", "%", _range(rwp.value[fit.is_solved], low=0.0), "viridis"))
    misfit = Quantity(value=fit.chi_squared, sigma=nothing)
    label = "misfit over noise (chi squared)"
    maps.append(
        _map(voxels, misfit, solved, "chi_squared", label, "", _range(fit.chi_squared[fit.is_solved], low=0.0), "viridis")
    )
    return maps


def _lattice_maps(voxels: Voxels, phase: Phase, *, profile: Profile, curve: LithiumCurve | None) -> list[Map]:
    fit = voxels.refined
    reason = voxels.lattice_reason(phase.name)
    free = fit.model.moving[fit.model.moving_names.index(phase.name)].free
    maps = []
    for parameter in free:
        value, _ = fit.parameter(phase.name, parameter)
        quantity = Quantity(value=value, sigma=np.sqrt(voxels.covariance(phase.name, (parameter,))[:, 0, 0]))
        limits = _range(value[reason == GOOD])
        if parameter == "width":
            label, unit = f"width of {phase.label}", "of the profile's"
        else:
            label, unit = f"{parameter} of {phase.label}", "angstrom"
        maps.append(_map(voxels, quantity, reason, f"{parameter}_{phase.name}", label, unit, limits, "viridis"))
    if curve is not None and phase.lithium_x is None:
        maps += _lithium_y_maps(voxels, phase, reason, profile=profile, curve=curve)
    return maps


def on_curve(voxels: Voxels, phase: str, curve: LithiumCurve, *, lattice_scale_sigma: float) -> OnCurve:
    """Find the lithium of a phase from the lengths that were refined of those that the curve holds."""
    fit = voxels.refined
    lengths = np.stack([fit.parameter(phase, axis)[0] for axis in curve.axes], axis=-1)
    common = lattice_scale_sigma * np.nan_to_num(lengths)
    covariance = voxels.covariance(phase, curve.axes) + common[:, :, None] * common[:, None, :]
    return lithium_on_curve(curve, lengths, covariance)


def _lithium_y_maps(voxels: Voxels, phase: Phase, reason: Reasons, *, profile: Profile, curve: LithiumCurve) -> list[Map]:
    found = on_curve(voxels, phase.name, curve, lattice_scale_sigma=profile.refinement.lattice_scale_sigma)
    reason = reason.copy()
    reason[(reason == GOOD) & ~(found.away < OFF_CURVE_PART * float(curve.lengths.max()))] = OFF_CURVE
    has_second = np.isfinite(found.second)
    # Two places are possible: the uncertainty reaches from the one to the other.
    sigma = np.where(has_second, np.abs(found.second - found.value), found.sigma)
    only_one = np.where((reason == GOOD) & ~has_second, OUTSIDE, reason).astype(np.uint8)
    limits = (float(curve.lithium[0]), float(curve.lithium[-1]))
    name, label = f"y_{phase.name}", f"y in {phase.label}"
    first, second = Quantity(value=found.value, sigma=sigma), Quantity(value=found.second, sigma=sigma)
    return [
        _map(voxels, first, reason, name, label, "", limits, "viridis"),
        _map(voxels, second, only_one, f"{name}_second", f"{label}, where a second value is possible", "", limits, "viridis"),
    ]


def _lithium_x_maps(voxels: Voxels, amounts: Amounts, *, profile: Profile, curves: dict[str, LithiumCurve]) -> list[Map]:
    lithium = graphite_of(profile, voxels, curves=curves)
    if lithium is None:
        return []
    carbon = amounts.phases @ np.where(np.isnan(lithium.mass_per_c6), 0.0, 1 / lithium.mass_per_c6)
    solved = amounts.is_solved
    strongest = np.percentile(carbon[solved], _STRONGEST_PERCENTILE) if solved.any() else 0.0
    reason = np.where(carbon <= profile.reconstruction.electrode_fraction * strongest, OUTSIDE, GOOD).astype(np.uint8)
    reason[~solved] = UNSOLVED
    x = lithium_in_graphite(
        amounts, lithium_x=lithium.x, mass_per_c6_dalton=lithium.mass_per_c6, lithium_x_variance=lithium.variance
    )
    limits = (0.0, max(phase.lithium_x for phase in profile.phases if phase.lithium_x is not None))
    maps = [_map(voxels, x, reason, "refined_x_lithium", "x in LixC6, full profile", "", limits, "lixc6")]
    if any(phase.lithium_x_range for phase in profile.phases):
        for end, word in ((0, "least"), (1, "most")):
            extreme = lithium.x.copy()
            for k, phase in enumerate(profile.phases):
                if phase.lithium_x_range:
                    extreme[:, k] = phase.lithium_x_range[end]
            band = lithium_in_graphite(amounts, lithium_x=extreme, mass_per_c6_dalton=lithium.mass_per_c6)
            label = f"x in LixC6, {word} that the stages allow"
            maps.append(_map(voxels, band, reason, f"refined_x_{word}", label, "", limits, "lixc6"))
    return maps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GraphiteLithium:
    """What x each graphite phase stands for in each voxel."""

    x: Array
    """Shape (n, n_phases), NaN for other phases."""
    variance: Array
    """Of ``x`` where it was measured, 0 elsewhere; same shape."""
    mass_per_c6: Array
    """Shape (n_phases,), NaN for other phases."""


def graphite_of(profile: Profile, voxels: Voxels, *, curves: dict[str, LithiumCurve]) -> GraphiteLithium | None:
    """Give x of every graphite phase: from the place of its reflections where a curve tells it, else that of the profile."""
    given = np.array([np.nan if phase.lithium_x is None else phase.lithium_x for phase in profile.phases])
    if np.isnan(given).all():
        return None
    crystals = {phase.crystal.name: phase.crystal for phase in voxels.refined.model.phases}
    mass = [
        np.nan if np.isnan(x) else crystals[phase.name].mass_per_c6_dalton
        for x, phase in zip(given, profile.phases, strict=True)
    ]
    n = voxels.refined.scales.shape[0]
    x, variance = np.tile(given, (n, 1)), np.zeros((n, given.size))
    for k, phase in enumerate(profile.phases):
        if phase.lithium_x is None or phase.name not in curves or phase.name not in voxels.refined.model.moving_names:
            continue
        found = on_curve(voxels, phase.name, curves[phase.name], lattice_scale_sigma=profile.refinement.lattice_scale_sigma)
        is_known = np.isfinite(found.value)
        x[is_known, k], variance[is_known, k] = found.value[is_known], found.sigma[is_known] ** 2
    return GraphiteLithium(x=x, variance=variance, mass_per_c6=np.array(mass))


def _range(values: Array, *, low: float | None = None) -> tuple[float, float]:
    """Give a range of colours that holds nearly all values and is never empty."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    first, last = np.percentile(finite, (2.0, 98.0))
    least = 1e-4 * abs(float(np.median(finite))) + 1e-9
    start = float(first) if low is None else low
    return start, max(float(last), start + least)


def _map(
    voxels: Voxels,
    quantity: Quantity,
    reason: Reasons,
    name: str,
    label: str,
    unit: str,
    limits: tuple[float, float],
    colormap: str,
) -> Map:
    whole = voxels.base.copy()
    # What has no number has a reason, whatever the reasons say.
    whole[voxels.is_refined] = np.where((reason == GOOD) & ~np.isfinite(quantity.value), UNSOLVED, reason)
    is_good = whole == GOOD
    return Map(
        name=name,
        label=label,
        unit=unit,
        low=limits[0],
        high=limits[1],
        colormap=colormap,
        value=np.where(is_good, voxels.spread(quantity.value), np.nan).astype(np.float32),
        sigma=np.where(is_good, voxels.spread(quantity.sigma), np.nan).astype(np.float32),
        reason=whole,
        estimator=ESTIMATOR,
    )
