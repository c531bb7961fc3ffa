"""The refinement in the archive: receives what a refinement gave, writes its mean pattern, lattices and trends."""

from typing import Any

import h5py
import numpy as np

from streaming.refine.crystal import N_AXES
from streaming.refine.job import RefinedTomogram
from streaming.refine.quantities import ESTIMATOR
from streaming.refine.tables import N_PARAMETERS


def write_refined(entry: Any, refined: RefinedTomogram) -> None:
    """Write groups ``refined_mean_pattern``, ``lattices`` and ``trends``; maps are written like all others."""
    _write_pattern(entry, refined)
    _write_lattices(entry, refined)
    if refined.trends:
        _write_trends(entry, refined)


def _write_pattern(entry: Any, refined: RefinedTomogram) -> None:
    group, mean = entry.create_group("refined_mean_pattern"), refined.mean
    group.attrs.update({"NX_class": "NXdata", "signal": "intensity", "axes": ["q"], "auxiliary_signals": ["fit", "background"]})
    group.attrs.update({"title": "mean pattern, full profile", "n_lines": refined.job.n_lines})
    group.attrs["rwp"] = float(mean.refined.rwp[0])
    if mean.lorentz_fraction is not None:
        group.attrs["lorentz_fraction"] = mean.lorentz_fraction
    columns = {
        "q": (mean.refined.model.grid.q, "1/angstrom"),
        "intensity": (refined.job.mean_pattern, "photons/pixel"),
        "fit": (mean.fit, "photons/pixel"),
        "background": (mean.background, "photons/pixel"),
    }
    for name, (values, unit) in columns.items():
        group.create_dataset(name, data=values.astype(np.float64 if name == "q" else np.float32)).attrs["units"] = unit


def _write_lattices(entry: Any, refined: RefinedTomogram) -> None:
    """Write lengths and widths of every phase in the mean pattern; NaN uncertainties where they were not refined."""
    group, fit = entry.create_group("lattices"), refined.mean.refined
    group.attrs.update({"NX_class": "NXcollection", "estimator": ESTIMATOR, "title": "lattices in the mean pattern"})
    for phase in refined.mean.phases:
        name = phase.crystal.name
        part = group.create_group(name)
        p = fit.model.moving_names.index(name) if name in fit.model.moving_names else None
        is_refined = p is not None and bool(fit.is_moved[0, p]) and not bool(fit.is_at_limit[0, p])
        for k, axis in enumerate([*phase.crystal.axes, *[""] * (N_AXES - len(phase.crystal.axes)), "width"]):
            if not axis:
                continue
            value = phase.width if axis == "width" else float(phase.crystal.lengths[k])
            dataset = part.create_dataset(axis, data=value)
            dataset.attrs["units"] = "" if axis == "width" else "angstrom"
            sigma = np.nan
            if is_refined and p is not None and fit.model.is_free()[p, k]:
                place = fit.model.n_phases + N_PARAMETERS * p + k
                sigma = float(np.sqrt(fit.covariance[0, place, place]))
            part.create_dataset(f"{axis}_errors", data=sigma)


def _write_trends(entry: Any, refined: RefinedTomogram) -> None:
    trends = entry.create_group("trends")
    trends.attrs["NX_class"] = "NXcollection"
    for trend in refined.trends:
        group = trends.create_group(trend.name)
        group.attrs.update({"NX_class": "NXdata", "signal": "value", "axes": ["against"], "title": trend.label})
        group.attrs.update({"estimator": ESTIMATOR, "against": trend.against})
        group.attrs["slope"] = h5py.Empty("f8") if trend.slope is None else trend.slope
        group.attrs["slope_errors"] = h5py.Empty("f8") if trend.slope_sigma is None else trend.slope_sigma
        columns = {
            "against": (trend.place, trend.against_unit),
            "value": (trend.value, trend.unit),
            "value_errors": (trend.sigma, trend.unit),
            "time": (trend.time_s, "s"),
            "line": (trend.line, ""),
        }
        for name, (values, unit) in columns.items():
            group.create_dataset(name, data=values).attrs["units"] = unit
