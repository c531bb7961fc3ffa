"""Which pixels not to trust, and how unevenly the others count: from frames of something smooth about the beam.

Powder rings, fluorescence and air scatter are the same all round the beam, so a pixel is held against the others at its
scattering angle. Single crystals are not: use frames of a powder or a glass, several of them, for what is found here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label, maximum_filter1d, uniform_filter

from operando.errors import CalibrationError

Bools = NDArray[np.bool_]
Array = NDArray[np.float64]

_HOT_SIGMAS = 8.0
"""Above the others at its angle, in every frame: by chance one pixel in 10^15; a spot of a crystal is in a few frames only."""
_DEAD_PROBABILITY = 1e-9
_SHADOW = 0.3
"""Part of the others' counts below which a patch of pixels is shadowed."""
_BEYOND_PX = 40
"""How far outside to look for what a shadowed ring would count."""
_PATCH_PX = 7
_LEAST_SHADOW_PX = 60
_LEAST_RING_PX = 50
"""Pixels at one angle without which nothing is said of any of them."""
LARGEST_FLAT_SIGMA = 0.02
"""A flat that is known less well adds more noise than it takes away; it wants 2,500 counts a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameSum:
    """What is kept of a series of frames; all arrays have the shape of the detector."""

    total: Array
    lowest: Array
    """Least count of any frame."""
    is_valid: Bools
    """Pixels that held a measurement in every frame."""
    n_frames: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelMask:
    """Pixels not to use, and why."""

    mask: Bools
    counts: dict[str, int] = field(default_factory=dict)
    """Pixels by cause; one that has two counts for the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlatField:
    """How unevenly pixels count."""

    flat: NDArray[np.float32]
    """Response of each pixel over that of its neighbourhood's angle, 1 where it is not known, shape (n_rows, n_columns)."""
    sigma: float
    """Typical uncertainty of one pixel's response, from counting."""
    scatter: float
    """Standard deviation of the responses, what counting adds taken off."""


def sum_frames(frames: Iterable[NDArray[Any]], shape: tuple[int, int]) -> FrameSum:
    """Add frames up.

    Raises
    ------
    CalibrationError
        If there are none, or one has another shape.
    """
    total, lowest, is_valid, n_frames = np.zeros(shape), np.full(shape, np.inf), np.ones(shape, dtype=np.bool_), 0
    for frame in frames:
        if frame.shape != shape:
            raise CalibrationError(f"frame {n_frames} has shape {frame.shape}, the detector {shape}: give full frames of it")
        is_masked = frame == np.iinfo(frame.dtype).max if np.issubdtype(frame.dtype, np.unsignedinteger) else ~(frame >= 0)
        counts = np.where(is_masked, 0, frame).astype(np.float64)
        total += counts
        lowest = np.minimum(lowest, np.where(is_masked, np.inf, counts))
        is_valid &= ~is_masked
        n_frames += 1
    if not n_frames:
        raise CalibrationError("no frames: give at least one of a powder, a glass or scattering air")
    return FrameSum(total=total, lowest=lowest, is_valid=is_valid, n_frames=n_frames)


def find_mask(frames: FrameSum, radius_px: Array, known: Bools) -> PixelMask:
    """Find dead, hot and shadowed pixels.

    Parameters
    ----------
    frames
        The series.
    radius_px
        Distance of each pixel from the beam, along which the image is smooth all round, shape (n_rows, n_columns), pixels.
    known
        Pixels that are masked already: gaps, and the profile's mask.
    """
    is_open = frames.is_valid & ~known
    expected, spread = _around(frames.total, radius_px, is_open)
    is_dead = is_open & (frames.total == 0) & (np.exp(-expected) < _DEAD_PROBABILITY)
    # On the flank of a ring a pixel may count as the ring's top does. In every frame: a spot of a crystal is in some only.
    once, wide = (_highest_beside(values, radius_px) / frames.n_frames for values in (expected, spread))
    is_hot = is_open & (frames.lowest > once + _HOT_SIGMAS * np.sqrt(once + wide**2 + 1.0))
    lit = np.where(is_open, _lit(expected, radius_px), 0.0)
    shadow = _shadows(np.where(is_open, frames.total, 0.0), np.nan_to_num(lit)) & is_open & ~is_hot
    mask = known.copy()
    counts = {"masked before or gap": int(known.sum())}
    causes = {"without a measurement": ~frames.is_valid, "shadowed": shadow, "dead": is_dead, "hot": is_hot}
    for name, found in causes.items():
        counts[name] = int((found & ~mask).sum())
        mask |= found
    return PixelMask(mask=mask, counts=counts)


def find_flat(frames: FrameSum, radius_px: Array, mask: Bools, correction: Array) -> FlatField:
    """Find how unevenly pixels count.

    Parameters
    ----------
    frames
        A series of something without sharp rings: fluorescence, a glass, air.
    radius_px
        As for :func:`find_mask`.
    mask
        Pixels that are left at 1.
    correction
        Solid angle times polarisation, shape (n_rows, n_columns).

    Raises
    ------
    CalibrationError
        If the frames hold too few counts: with how many they hold.
    """
    is_open = frames.is_valid & ~mask
    even = frames.total / correction
    expected, _ = _around(even, radius_px, is_open)
    counts = float(np.median(frames.total[is_open])) if is_open.any() else 0.0
    sigma = 1.0 / np.sqrt(max(counts, 1e-9))
    if not sigma <= LARGEST_FLAT_SIGMA:
        wanted = LARGEST_FLAT_SIGMA**-2
        raise CalibrationError(
            f"{frames.n_frames} frames hold {counts:.0f} counts a pixel, a flat field wants {wanted:.0f}: add "
            f"{'some' if counts < 1 else f'{frames.n_frames * (wanted / counts - 1):.0f}'} frames"
        )
    # A response of nothing is no response: such pixels belong to the mask, and stay as they are here.
    is_known = is_open & np.isfinite(expected) & (expected > 0) & (even > 0)
    flat = np.where(is_known, even / np.where(is_known, expected, 1.0), 1.0)
    beyond_counting = float(np.var(flat[is_known])) - float(np.mean(1.0 / np.maximum(frames.total[is_known], 1.0)))
    return FlatField(flat=flat.astype(np.float32), sigma=float(sigma), scatter=math.sqrt(max(beyond_counting, 0.0)))


def _around(counts: Array, radius_px: Array, is_open: Bools) -> tuple[Array, Array]:
    """Give median and spread (1.48 times the median deviation) of the open pixels at each pixel's radius; NaN of too few."""
    ring = radius_px.astype(np.int64)
    inside = ring[is_open]
    order = np.argsort(inside, kind="stable")
    values, starts = counts[is_open][order], np.searchsorted(inside[order], np.arange(ring.max() + 2))
    middle, spread = np.full(ring.max() + 1, np.nan), np.full(ring.max() + 1, np.nan)
    for k in range(middle.size):
        here = values[starts[k] : starts[k + 1]]
        if here.size >= _LEAST_RING_PX:
            middle[k] = np.median(here)
            spread[k] = 1.4826 * np.median(np.abs(here - middle[k]))
    return middle[ring], spread[ring]


def _highest_beside(expected: Array, radius_px: Array) -> Array:
    """Give the highest of what pixels count within two pixels along the radius."""
    ring = radius_px.astype(np.int64)
    of_ring = np.full(ring.max() + 1, -np.inf)
    of_ring[ring] = np.where(np.isfinite(expected), expected, -np.inf)
    highest: Array = maximum_filter1d(of_ring, 5)[ring]
    return np.where(np.isfinite(expected) & np.isfinite(highest), highest, np.nan)


def _lit(expected: Array, radius_px: Array) -> Array:
    """Give what pixels would count if no shadow covered their whole ring, as a beam stop does: much of what lies outside it."""
    ring = radius_px.astype(np.int64)
    of_ring = np.full(ring.max() + 1, np.nan)
    of_ring[ring] = expected
    known = np.flatnonzero(np.isfinite(of_ring))
    outside = np.zeros(of_ring.size)
    for k in range(of_ring.size):
        beyond = known[(known >= k) & (known < k + _BEYOND_PX)]
        outside[k] = np.median(of_ring[beyond]) if beyond.size else 0.0
    lit: Array = np.fmax(expected, 0.7 * outside[ring])
    return lit


def _shadows(total: Array, expected: Array) -> Bools:
    """Find patches that count far less than the others at their angle."""
    seen, wanted = uniform_filter(total, _PATCH_PX), uniform_filter(expected, _PATCH_PX)
    is_low = (seen < _SHADOW * wanted) & (wanted * _PATCH_PX**2 > 30.0)
    patches, _ = label(is_low)
    sizes = np.bincount(patches.ravel())
    sizes[0] = 0
    # The mean over a patch is low only well inside: the rim goes with it, and so does the penumbra.
    return np.asarray(binary_dilation(sizes[patches] >= _LEAST_SHADOW_PX, iterations=_PATCH_PX // 2))
