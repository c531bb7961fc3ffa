"""Refined lattices without parallax: receives what was refined and where its lines were flown, gives lengths at the axis.

Mandatory for scans of half a turn: see :mod:`streaming.parallax`. Over a whole turn the same correction finds nothing.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streaming.parallax import Depths, apparent_depths
from streaming.reconstruct import Filter
from streaming.refine.fit import Refined
from streaming.refine.tables import N_PARAMETERS

Array = NDArray[np.float64]


def depths_of_phases(
    refined: Refined,
    is_refined: NDArray[np.bool_],
    *,
    angles_deg: Array,
    weights_rad: Array,
    pixel_mm: float,
    step_mm: float,
    n_points: int,
    window: Filter,
) -> Depths:
    """Give the depths of the phases of all voxels; ``is_refined``, shape (y, x), says where the rows of ``refined`` are."""
    amounts = np.zeros((*is_refined.shape, refined.scales.shape[1]))
    amounts[is_refined] = np.where(refined.is_solved[:, None], refined.scales, 0.0)
    return apparent_depths(
        amounts,
        angles_deg=angles_deg,
        weights_rad=weights_rad,
        pixel_mm=pixel_mm,
        step_mm=step_mm,
        n_points=n_points,
        window=window,
    )


def without_parallax(refined: Refined, depths: Depths, is_refined: NDArray[np.bool_], *, distance_mm: float) -> Refined:
    """Divide the lengths of the moving phases by what depth along the beam makes of them, and their uncertainties with them."""
    names = refined.model.names
    factor = depths.lengthening(distance_mm)[is_refined]
    parameters, scale = refined.parameters.copy(), np.ones(refined.covariance.shape[:2])
    for p, name in enumerate(refined.model.moving_names):
        phase = factor[:, names.index(name)]
        first = refined.model.n_phases + N_PARAMETERS * p
        parameters[:, p, : N_PARAMETERS - 1] /= phase[:, None]
        scale[:, first : first + N_PARAMETERS - 1] /= phase[:, None]
    return replace(
        refined,
        parameters=parameters,
        covariance=refined.covariance * scale[:, :, None] * scale[:, None, :],
        changes=None if refined.changes is None else refined.changes * scale,
    )
