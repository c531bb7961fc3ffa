"""Voxels refined without parallax: receives a refinement and its patterns, takes off what depth did, refines again.

See :mod:`streaming.refine.reprojection` for what is taken off.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.profile import Profile
from streaming.maps import GOOD
from streaming.refine.fit import Refined
from streaming.refine.mean_pattern import MeanFit, refine_mean
from streaming.refine.model import ProfileModel, draw_reflections, without_spread
from streaming.refine.reprojection import parallax_of_patterns
from streaming.refine.to_refine import SliceToRefine
from streaming.refine.voxels import VoxelPatterns

logger = structlog.get_logger(__name__)

Array = NDArray[np.float64]

PASSES = 2
"""The first draws reflections with the widths and lattices that parallax left of them, the second with those of the first."""


def refined_without_parallax(
    refined: Refined,
    voxels: VoxelPatterns,
    slice_: SliceToRefine,
    mean: MeanFit,
    *,
    profile: Profile,
    distance_mm: float,
    refine: Callable[[ProfileModel, VoxelPatterns, SliceToRefine], Refined],
) -> Refined:
    """Take what parallax did off the patterns of all voxels, and refine them again from their own mean.

    Parameters
    ----------
    refined, voxels, slice_
        A first refinement, lengths as if all stood on the axis, and what it was made of.
    mean
        The fit of the scan's mean pattern.
    profile, distance_mm
        Phases, and how far the detector is.
    refine
        Refines patterns of voxels.
    """
    row, column = np.nonzero(slice_.base == GOOD)
    axis_mm, grid = slice_.axis_mm, refined.model.grid
    for _ in range(PASSES):
        # Drawn as narrow as they are: a peak that parallax has widened already is widened too little by its depths.
        added = parallax_of_patterns(
            draw_reflections(without_spread(refined.model), refined),
            slice_.ingredients,
            x_mm=axis_mm[column],
            y_mm=axis_mm[row],
            pixel_mm=float(axis_mm[1] - axis_mm[0]) if axis_mm.size > 1 else slice_.ingredients.grid.step_mm,
            q=grid.q,
            distance_mm=distance_mm,
        )
        patterns = replace(voxels, patterns=voxels.patterns - added)
        # Reflections of the slice without parallax are narrower than those that the detector saw.
        mean = refine_mean(
            profile,
            grid=grid,
            pattern=patterns.patterns.mean(axis=0, dtype=np.float64),
            variance=float(voxels.noise.mean()) / len(voxels.noise) / np.where(voxels.weights > 0, voxels.weights, np.nan),
            known=mean,
            again=True,
        )
        logger.info("parallax taken off", spread=round(mean.depth_spread, 5), rwp=round(float(mean.refined.rwp[0]), 4))
        refined = refine(mean.model(n_background=profile.refinement.n_background), patterns, slice_)
    return refined
