"""Trends: receives the sums of lines, gives what of the whole slice changed against the charge of the cell.

Every line passes the whole slice, whatever its angle, so the sum of its patterns says what the slice holds, and that within
seconds. Refined like a voxel, it gives lattice parameters and lithium as means over the slice, weighted by mass along the beam.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.profile import Profile
from streaming.line_sum import LineSum
from streaming.lithiation import lithium_in_graphite
from streaming.maps import GOOD
from streaming.refine.fit import Refined, refine
from streaming.refine.lithium_curve import LithiumCurve
from streaming.refine.model import ProfileModel
from streaming.refine.quantities import OFF_CURVE_PART, Voxels, graphite_of, on_curve

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trend:
    """One quantity of the slice, line by line, in the order of time."""

    name: str
    label: str
    unit: str
    against: str
    against_unit: str
    place: Array
    """What it is shown against, shape (n,)."""
    value: Array
    sigma: Array
    time_s: Array
    line: NDArray[np.int64]
    slope: float | None
    slope_sigma: float | None


def make_trends(
    lines: Sequence[LineSum], *, model: ProfileModel, weights: Array, profile: Profile, curves: dict[str, LithiumCurve]
) -> list[Trend]:
    """Refine every line's sum and give its lattice parameters and lithium against charge.

    Parameters
    ----------
    lines
        In any order.
    model
        As for voxels.
    weights
        Inverse of the scan's mean variance, shape (n_radial,).
    profile, curves
        Phases, and their calibration curves by name.
    """
    known = sorted((one for one in lines if np.isfinite(one.pattern[weights > 0]).all()), key=lambda one: one.time_s)
    if not known or not (weights > 0).any():
        return []
    patterns = np.stack([one.pattern for one in known]).astype(np.float32)
    counted = weights > 0
    noise = np.array([float((one.variance[counted] * weights[counted]).mean()) for one in known])
    fit = refine(model, patterns, noise, weights, significance=profile.refinement.significance)
    place, against, unit = _against(known)
    time_s = np.array([one.time_s for one in known])
    numbers = np.array([one.line for one in known], np.int64)
    trends = []
    for name, label, unit_of, value, sigma in _quantities(fit, profile=profile, curves=curves):
        good = np.isfinite(value) & np.isfinite(sigma) & (sigma > 0) & np.isfinite(place)
        if not good.any():
            continue
        slope, slope_sigma = straight_line(place[good], value[good], sigma[good])
        trends.append(
            Trend(
                name=name,
                label=label,
                unit=unit_of,
                against=against,
                against_unit=unit,
                place=place[good],
                value=value[good],
                sigma=sigma[good],
                time_s=time_s[good],
                line=numbers[good],
                slope=slope,
                slope_sigma=slope_sigma,
            )
        )
    return trends


def straight_line(place: Array, value: Array, sigma: Array) -> tuple[float | None, float | None]:
    """Fit a straight line; give its slope with the uncertainty that points and their scatter leave, None without either."""
    weight = 1 / sigma**2
    middle = float(weight @ place / weight.sum())
    spread = float(weight @ (place - middle) ** 2)
    # A single particle is charged by millionths of a millionth of an ampere hour: only equal places have no slope.
    if place.size < 3 or np.ptp(place) <= 1e-9 * np.abs(place).max():
        return None, None
    mean = float(weight @ value / weight.sum())
    slope = float(weight @ ((place - middle) * (value - mean))) / spread
    rest = value - mean - slope * (place - middle)
    scatter = float(weight @ rest**2) / (place.size - 2)
    return slope, float(np.sqrt(max(1.0, scatter) / spread))


def _against(lines: Sequence[LineSum]) -> tuple[Array, str, str]:
    """Give what trends are shown against: state of charge if the cell tells it, else charge, else hours from the first line."""
    charge = [(one.cell.soc, one.cell.charge_ah) if one.cell else (None, None) for one in lines]
    for k, (name, unit, factor) in enumerate((("state of charge", "", 1.0), ("charge", "Ah", 1.0))):
        values = [np.nan if pair[k] is None else factor * float(pair[k]) for pair in charge]  # type: ignore[arg-type]
        if np.isfinite(values).any():
            return np.array(values), name, unit
    first_s = min(one.time_s for one in lines)
    return np.array([(one.time_s - first_s) / 3600 for one in lines]), "time", "h"


def _quantities(fit: Refined, *, profile: Profile, curves: dict[str, LithiumCurve]) -> list[tuple[str, str, str, Array, Array]]:
    """Give name, label, unit, values and uncertainties of all that is known of the lines."""
    rows = Voxels(refined=fit, base=np.full((1, fit.rwp.size), GOOD, np.uint8))
    found = []
    for phase in profile.phases:
        if phase.name not in fit.model.moving_names:
            continue
        free = fit.model.moving[fit.model.moving_names.index(phase.name)].free
        for axis in (axis for axis in free if axis != "width"):
            value, sigma = fit.parameter(phase.name, axis)
            found.append((f"{axis}_{phase.name}", f"{axis} of {phase.label}", "angstrom", value, sigma))
        curve = curves.get(phase.name)
        if curve is not None and phase.lithium_x is None:
            lithium = on_curve(rows, phase.name, curve, lattice_scale_sigma=0.0)
            on = np.isnan(lithium.second) & (lithium.away < OFF_CURVE_PART * float(curve.lengths.max()))
            value = np.where(on, lithium.value, np.nan)
            found.append((f"y_{phase.name}", f"y in {phase.label}", "", value, lithium.sigma))
    graphite = graphite_of(profile, rows, curves=curves)
    if graphite is not None:
        x = lithium_in_graphite(
            rows.amounts(), lithium_x=graphite.x, mass_per_c6_dalton=graphite.mass_per_c6, lithium_x_variance=graphite.variance
        )
        found.append(("x_lithium", "x in LixC6", "", x.value, x.sigma))
    return found
