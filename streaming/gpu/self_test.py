"""A GPU is believed only after it gave the processor's numbers: what is tried at every start, and how near is near enough.

Kernels, drivers and devices can be wrong in silence. Each step is tried on a small random problem of its own before it is used.
"""

from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.errors import ServiceError
from streaming.integrate.integrator import Integrator
from streaming.measured import FrameIntegrator
from streaming.refine.fit import SIGNIFICANCE, Kernel, Refined, refine
from streaming.refine.model import ProfileModel
from streaming.volume import HostVolume, MakeVolume, VoxelGrid

logger = structlog.get_logger(__name__)

Array = NDArray[np.float64]

_TRIED = 16
"""Patterns of a first call: a few milliseconds of the processor."""
_PATTERN_BOUND = 1e-5
"""Relative: the processor's own sums of corrections are rounded to 1e-7."""
_SHARE_OF_BINS = 0.01
"""Part of the bins whose trim may differ: the processor orders intensities by float32, so that seldom it cuts a neighbour."""
_VOLUME_BOUND = 1e-9
_SIGMAS = 0.05
"""Standard uncertainties that a refined amount may differ by: a step more or less changes a hundredth."""
_SHARE = 0.75
"""Part of the patterns that must agree: one whose steps lose their way may lose it otherwise."""


def check_integrator(there: FrameIntegrator, host: Integrator) -> None:
    """Integrate a random frame on both.

    Raises
    ------
    ServiceError
        If they differ.
    """
    rng = np.random.default_rng()
    for dtype in (np.uint8, np.uint32):
        frame: NDArray[Any] = rng.poisson(rng.uniform(0.5, 30.0), host.geometry.shape).astype(dtype)
        frame[rng.random(frame.shape) < 1e-3] = np.iinfo(dtype).max
        found, wanted = there.integrate(frame), host.integrate(frame)
        for name, share in (("mean", 0.0), ("variance", 0.0), ("trimmed", _SHARE_OF_BINS)):
            _check("integrate", getattr(found, name), getattr(wanted, name), _PATTERN_BOUND, share)


def check_volumes(make_volume: MakeVolume) -> None:
    """Add random lines to small volumes on both.

    Raises
    ------
    ServiceError
        If they differ.
    """
    rng = np.random.default_rng()
    grid = VoxelGrid(n_voxels=24, n_columns=3, pixel_mm=0.1, step_mm=0.1)
    rows, factors = rng.normal(size=(5, 30, 3)), rng.normal(size=(5, 3))
    there, here = make_volume(grid), HostVolume(grid)
    for volume in (there, here):
        volume.clear()
        volume.add(rows, factors, angles_deg=np.array([3.0, 47.0, 91.0, 130.0, 177.0]), centre_index=np.full(5, 14.43))
    _check("back project", there.to_host(), here.to_host(), _VOLUME_BOUND)


class TriedKernel:
    """Refines on a device, and a few patterns of the first call on the processor as well; there alone if they differ.

    Parameters
    ----------
    there
        The device's kernel.
    """

    def __init__(self, there: Kernel) -> None:
        self._there: Kernel = there
        self._is_tried = False

    def __call__(
        self,
        model: ProfileModel,
        patterns: NDArray[np.float32],
        noise: Array,
        weights: Array,
        start: Array | None = None,
        *,
        differences: NDArray[np.float32] | None = None,
        significance: float = SIGNIFICANCE,
        is_bounded: bool = True,
    ) -> Refined:
        """Refine every pattern."""
        if not self._is_tried:
            few = slice(0, _TRIED)
            begin = None if start is None else start[few]
            found, wanted = (
                kernel(model, patterns[few], noise[few], weights, begin, significance=significance, is_bounded=is_bounded)
                for kernel in (self._there, refine)
            )
            self._is_tried = True
            if not is_refined_alike(found, wanted):
                logger.error("refining on the processor", reason="the GPU gives other numbers")
                self._there = refine
        return self._there(
            model, patterns, noise, weights, start, differences=differences, significance=significance, is_bounded=is_bounded
        )


def is_refined_alike(found: Refined, wanted: Refined) -> bool:
    """Tell whether most of the patterns that the processor solved have the same amounts and parameters."""
    solved = wanted.is_solved
    if not solved.any():
        return True
    sigma = np.sqrt(np.maximum(np.einsum("nii->ni", wanted.covariance[solved]), 0.0))
    values = [
        np.concatenate([one.scales, one.parameters.reshape(len(one.scales), -1)], axis=1)[solved] for one in (found, wanted)
    ]
    apart = np.abs(values[0] - values[1]) <= _SIGMAS * sigma + 1e-9 * np.abs(values[1])
    is_alike: NDArray[np.bool_] = found.is_solved[solved] & apart.all(axis=1)
    return bool(is_alike.mean() >= _SHARE)


def _check(what: str, found: NDArray[Any], wanted: NDArray[Any], bound: float, share: float = 0.0) -> None:
    size = np.nanmax(np.abs(wanted), initial=0.0)
    apart = np.abs(found - wanted) > bound * (np.abs(wanted) + 1e-3 * size)
    if apart.mean() > share or not np.array_equal(np.isnan(found), np.isnan(wanted)):
        raise ServiceError(
            f"the GPU does not {what} as the processor does: {int(apart.sum())} of {wanted.size} numbers of a random problem "
            "differ; compute on the processor: compute.device cpu"
        )
