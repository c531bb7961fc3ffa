"""Maps: receives the slice and its phase amounts, gives named maps with uncertainty, and a reason where there is no value."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operando.profile import Phase, Profile
from streaming.amounts import Amounts
from streaming.lithiation import Quantity, carbon_amount, lithium_in_graphite, total_amount, weight_fractions
from streaming.phases import Structure
from streaming.reconstruct import Slice

Array = NDArray[np.float64]
Reasons = NDArray[np.uint8]

ESTIMATOR = "live: phase amounts"

GOOD, OUTSIDE, UNMEASURED, UNSOLVED, UNCERTAIN, AT_LIMIT, OFF_CURVE, WITHDRAWN, ALIKE = range(9)
REASONS = {
    GOOD: "good",
    OUTSIDE: "nothing of it here",
    UNMEASURED: "not measured yet",
    UNSOLVED: "fit failed",
    UNCERTAIN: "within the noise",
    AT_LIMIT: "ran to the end of its range",
    OFF_CURVE: "not on the calibration curve",
    WITHDRAWN: "no longer looked for",
    ALIKE: "cannot be told from another phase",
}
"""What the codes in a map's ``reason`` mean."""
EMPTY_REASONS = [OUTSIDE, WITHDRAWN]
"""Codes that mean that there is nothing to know, rather than that it is not known."""

_LEAST_LINES = 3
"""Lines that must have seen a voxel: two leave only their crossing streaks."""
_LEAST_SEEN = 0.75
"""Part of the lines present that must have seen a voxel; less than this is outside the circle that all lines see."""
_SAMPLE_FRACTION = 0.05
"""Of the densest voxels: less mass than this is air and streaks."""
_STRONGEST_PERCENTILE = 99.0
"""Stands for the strongest voxel; a maximum would follow single streaks."""
_LEAST_SIGNIFICANCE = 2.0
"""Standard uncertainties that an amount must be above zero before its composition means anything."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Map:
    """One quantity over the slice."""

    name: str
    label: str
    unit: str
    low: float
    high: float
    colormap: str
    value: NDArray[np.float32]
    """Shape (y, x), NaN where masked."""
    sigma: NDArray[np.float32]
    """Shape (y, x), NaN where masked."""
    reason: Reasons
    """Shape (y, x), a key of :data:`REASONS`."""
    estimator: str = ESTIMATOR


def make_maps(slice_: Slice, amounts: Amounts, *, profile: Profile, structures: tuple[Structure, ...]) -> list[Map]:
    """Give the maps of a slice: x in LixC6 if there is graphite, the weight fraction of each phase, and the coverage."""
    unknown = _unknown(slice_, amounts)
    # By the scatter between halves the streaks of the first lines would hide half of the sample; its sigma tells them.
    predicted = replace(amounts, scatter=None)
    maps = []
    if any(phase.lithium_x is not None for phase in profile.phases):
        maps.append(_lithium_map(amounts, predicted, unknown, profile=profile, structures=structures))
    total = total_amount(predicted)
    reason = _masked_below(total, unknown, fraction=_SAMPLE_FRACTION)
    fractions = weight_fractions(amounts)
    for k, phase in enumerate(profile.phases):
        percent = Quantity(value=100 * fractions.value[..., k], sigma=100 * fractions.sigma[..., k])
        maps.append(_fraction_map(phase, percent, reason))
    maps.append(_coverage_map(slice_))
    return maps


def _lithium_map(
    amounts: Amounts, predicted: Amounts, unknown: Reasons, *, profile: Profile, structures: tuple[Structure, ...]
) -> Map:
    lithium_x = np.array([np.nan if phase.lithium_x is None else phase.lithium_x for phase in profile.phases])
    is_graphite = ~np.isnan(lithium_x)
    mass = np.array([s.mass_per_c6_dalton if is_g else np.nan for s, is_g in zip(structures, is_graphite, strict=True)])
    carbon = carbon_amount(predicted, mass_per_c6_dalton=mass)
    reason = _masked_below(carbon, unknown, fraction=profile.reconstruction.electrode_fraction)
    x = lithium_in_graphite(amounts, lithium_x=lithium_x, mass_per_c6_dalton=mass)
    return _map(
        x,
        reason,
        name="x_lithium",
        label="x in LixC6",
        unit="",
        low=0.0,
        high=float(lithium_x[is_graphite].max()),
        colormap="lixc6",
    )


def _fraction_map(phase: Phase, percent: Quantity, reason: Reasons) -> Map:
    name, label = f"wt_{phase.name}", phase.label
    return _map(percent, reason, name=name, label=label, unit="wt%", low=0.0, high=100.0, colormap=phase.colormap)


def _coverage_map(slice_: Slice) -> Map:
    everywhere = np.zeros(slice_.coverage.shape, dtype=np.uint8)
    percent = Quantity(value=100 * slice_.coverage, sigma=np.zeros_like(slice_.coverage))
    return _map(percent, everywhere, name="coverage", label="coverage", unit="%", low=0.0, high=100.0, colormap="cividis")


def _unknown(slice_: Slice, amounts: Amounts) -> Reasons:
    reason = np.where(amounts.is_solved, GOOD, UNSOLVED).astype(np.uint8)
    most = slice_.coverage.max(initial=0.0)
    # Every line sees the middle: the most seen voxel tells how many lines there are, in units of coverage.
    is_unseen = slice_.coverage < _LEAST_SEEN * most
    if slice_.n_lines < _LEAST_LINES:
        is_unseen[:] = True
    reason[is_unseen] = UNMEASURED
    return reason


def _masked_below(amount: Quantity, unknown: Reasons, *, fraction: float) -> Reasons:
    """Mask where an amount is below a part of its strongest voxels, or within its own noise."""
    reason = unknown.copy()
    known = amount.value[unknown == GOOD]
    strongest = np.percentile(known, _STRONGEST_PERCENTILE) if known.size else 0.0
    is_noise = amount.value < _LEAST_SIGNIFICANCE * amount.sigma
    is_little = amount.value <= fraction * strongest
    reason[(unknown == GOOD) & is_noise] = UNCERTAIN
    reason[(unknown == GOOD) & is_little] = OUTSIDE
    return reason


def _map(
    quantity: Quantity, reason: Reasons, *, name: str, label: str, unit: str, low: float, high: float, colormap: str
) -> Map:
    is_good = reason == GOOD
    return Map(
        name=name,
        label=label,
        unit=unit,
        low=low,
        high=high,
        colormap=colormap,
        value=np.where(is_good, quantity.value, np.nan).astype(np.float32),
        sigma=np.where(is_good, quantity.sigma, np.nan).astype(np.float32),
        reason=reason,
    )
