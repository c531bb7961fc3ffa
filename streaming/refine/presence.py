"""Where a phase is: receives refined voxels, says which phases each voxel is refined with again.

Amounts cannot be negative, so that noise alone gives a phase that is not there 0.4 of an uncertainty in every voxel: a percent
of LiC6 in a discharged cell, of an inactive oxide beside every spot of it, and with them lithium and a lattice that are wrong
alike everywhere. A phase is taken to be in a voxel where the mean amount of its neighbours stands out of that; there its amount
may come out negative, as noise is, so that means over voxels are right.
"""

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from streaming.refine.fit import Kernel, Refined
from streaming.refine.model import ProfileModel
from streaming.refine.voxels import VoxelPatterns

Array = NDArray[np.float64]

WINDOWS = (5, 11, 25)
"""Voxels along the edges of the squares whose means are looked at: the smallest finds spots, the largest what is thin."""
SIGNIFICANCE = 3.0
"""Standard uncertainties of a mean over neighbours."""
_ALIKE_VOXELS = 4.0
"""Neighbours whose noise the reconstruction's filter has made one."""
_MEAN_OF_POSITIVE = 0.4
"""Mean of what cannot be negative where there is nothing, in standard uncertainties: 1 / sqrt(2 pi)."""
_SURE = 5.0
"""Standard uncertainties by which a voxel alone shows a phase."""


def where_phases_are(refined: Refined, is_refined: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which phases each voxel holds, shape (n, n_phases); ``is_refined``, shape (y, x), says where the rows stand."""
    n_phases = refined.model.n_phases
    variance = np.einsum("nii->ni", refined.scale_covariance())
    amounts = np.where(refined.is_solved[:, None], refined.scales, 0.0)
    is_there = amounts > _SURE * np.sqrt(np.maximum(variance, 1e-300))
    for size in WINDOWS:
        n_held = uniform_filter(is_refined.astype(np.float64), size, mode="constant")[is_refined] * size**2
        for k in range(n_phases):
            mean, square = (_mean(values, is_refined, size) / n_held for values in (amounts[:, k], variance[:, k]))
            nothing = _MEAN_OF_POSITIVE * np.sqrt(square)
            is_there[:, k] |= mean - nothing > SIGNIFICANCE * np.sqrt(square * np.minimum(_ALIKE_VOXELS / n_held, 1.0))
    return is_there


def refine_where_present(
    kernel: Kernel,
    model: ProfileModel,
    voxels: VoxelPatterns,
    is_refined: NDArray[np.bool_],
    *,
    start: Array | None,
    significance: float,
) -> Refined:
    """Refine all voxels with all phases, and again each with those that it holds.

    Phases whose lattice moves stay everywhere. One that a voxel does not hold has an amount of zero there, with the uncertainty
    that it had when it was looked for.

    Parameters
    ----------
    is_refined
        Where the voxels stand, shape (y, x).
    start, significance
        As of :func:`streaming.refine.fit.refine`.
    """

    def refined(model: ProfileModel, rows: NDArray[np.intp], start: Array | None, *, is_bounded: bool = True) -> Refined:
        return kernel(
            model,
            voxels.patterns[rows],
            voxels.noise[rows],
            voxels.weights,
            start,
            differences=None if voxels.differences is None else voxels.differences[rows],
            significance=significance,
            is_bounded=is_bounded,
        )

    every = np.arange(len(voxels.patterns))
    first = refined(model, every, start)
    held = np.flatnonzero(model.order < model.n_fixed)
    is_there = where_phases_are(first, is_refined)[:, held]
    begin = np.where(
        (first.is_moved & ~first.is_at_limit & first.is_solved[:, None])[..., None], first.parameters, model.start()
    )
    choices, group = np.unique(is_there, axis=0, return_inverse=True)
    parts = []
    for number, choice in enumerate(choices):
        rows = np.flatnonzero(group.ravel() == number)
        static = model.static.copy()
        static[model.order[held[~choice]]] = 0.0
        parts.append((rows, refined(replace(model, static=static), rows, begin[rows], is_bounded=False)))
    found = _together(parts, model)
    for column, k in enumerate(held):
        absent = ~is_there[:, column]
        found.covariance[absent, k, k] = first.covariance[absent, k, k]
    return found


def _together(parts: list[tuple[NDArray[np.intp], Refined]], model: ProfileModel) -> Refined:
    """Put the rows of several refinements back into their order."""
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    joined: dict[str, Any] = {}
    for one in fields(Refined):
        values = [getattr(found, one.name) for _, found in parts]
        if one.name != "model":
            joined[one.name] = None if values[0] is None else np.concatenate(values)[order]
    return Refined(model=model, **joined)


def _mean(values: Array, is_refined: NDArray[np.bool_], size: int) -> Array:
    """Add up values over the square about each voxel."""
    whole = np.zeros(is_refined.shape)
    whole[is_refined] = values
    total: Array = uniform_filter(whole, size, mode="constant")[is_refined] * size**2
    return total
