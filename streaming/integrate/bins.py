"""Which pixel belongs to which radial bin, in the order in which the kernels want to read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.integrate.geometry import DetectorGeometry
from streaming.integrate.kernels import BLOCK
from streaming.integrate.lanes import N_NUMBERS, planes_of
from streaming.integrate.order import Order, make_order
from streaming.integrate.sectors import sector_of_pixels

UPPER_EDGE = 1.0 + float(np.finfo(np.float32).eps)
"""pyFAI widens the range by this factor, so that q_max itself falls inside; bins of 1e-7 other width would move pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RadialBins:
    """A partition of the counting pixels by q, without splitting pixels.

    Inside a bin the pixels stand by falling correction: equal counts are then already in the order of corrected intensity.
    Bin k owns the places ``offsets[k]`` to ``offsets[k + 1]``; the first ``n_pixels[k]`` hold its pixels, the rest is empty.
    """

    q: NDArray[np.float64]
    """Centre of each bin, shape (n_radial,), 1/angstrom."""
    offsets: NDArray[np.int64]
    """Where the places of each bin begin, shape (n_radial + 1,); multiples of ``BLOCK``."""
    n_pixels: NDArray[np.int64]
    """Pixels in each bin, shape (n_radial,)."""
    correction: NDArray[np.float32]
    """Correction of the pixel at each place, shape (n_places,); zero where the place is empty."""
    planes: NDArray[np.uint64]
    """The same corrections as bit planes (:mod:`streaming.integrate.lanes`), shape (n_places / 64, 16)."""
    base: NDArray[np.int64]
    """What they count from, shape (n_radial,): a correction is step * (base + its whole number), within half a step."""
    step: NDArray[np.float64]
    """What they count in, shape (n_radial,): 1/65534 of the spread in its bin."""
    place: NDArray[np.uint32]
    """Where each pixel of the frame goes, shape (frame size,); ``n_places`` for those that belong to no bin."""
    order: Order
    """The way there, as the kernels go it."""
    bin: NDArray[np.uint16]
    """The bin of each pixel of the frame, shape (frame size,); ``n_radial`` for those that belong to none."""
    norm: NDArray[np.float64]
    """Sum of the corrections of each bin's pixels, shape (n_radial,)."""
    n_sectors: int = 1
    """Sectors of azimuth that the bins are also divided by: so many times more, sector by sector, all with the same q."""

    @property
    def n_radial(self) -> int:
        """Number of bins, those of all sectors together."""
        return self.n_pixels.size

    @property
    def n_places(self) -> int:
        """Number of places, empty ones included."""
        return self.correction.size

    @property
    def n_used(self) -> int:
        """Number of pixels that belong to a bin."""
        return int(self.n_pixels.sum())

    @property
    def largest(self) -> int:
        """Places of the fullest bin."""
        return int(np.diff(self.offsets).max())


def make_bins(geometry: DetectorGeometry, *, q_min: float, q_max: float, n_radial: int, n_sectors: int = 1) -> RadialBins:
    """Sort the pixels of a detector into equal bins of q, and of azimuth if there are several sectors.

    As pyFAI does it: a pixel goes whole to the bin of its centre, and the bin number is rounded towards zero, so that the first
    bin also takes pixels up to one width below ``q_min``. Sharing this rule lets every bin be held against pyFAI.

    Parameters
    ----------
    geometry
        Where the pixels look.
    q_min, q_max
        Range, 1/angstrom.
    n_radial
        Number of bins.
    n_sectors
        Equal sectors of half a turn (:mod:`streaming.integrate.sectors`).
    """
    n_bins = n_radial * n_sectors
    width = (q_max * UPPER_EDGE - q_min) / n_radial
    position = (geometry.q.ravel() - q_min) / width
    correction = geometry.correction.ravel()
    is_used = (position > -1.0) & (position < n_radial) & ~geometry.mask.ravel() & (correction > 0)
    pixel = np.flatnonzero(is_used)
    sector = sector_of_pixels(geometry.eta_deg.ravel()[pixel].astype(np.float64), n_sectors)
    bin_of_pixel = position[pixel].astype(np.int64) + n_radial * sector
    order = np.lexsort((-correction[pixel], bin_of_pixel))
    pixel, bin_of_pixel = pixel[order], bin_of_pixel[order]
    n_pixels = np.bincount(bin_of_pixel, minlength=n_bins)
    offsets = np.concatenate([[0], np.cumsum(-(-n_pixels // BLOCK) * BLOCK)]).astype(np.int64)
    rank = np.arange(pixel.size) - (np.cumsum(n_pixels) - n_pixels)[bin_of_pixel]
    place_of_pixel = offsets[bin_of_pixel] + rank
    place = np.full(position.size, offsets[-1], dtype=np.uint32)
    place[pixel] = place_of_pixel
    by_place = np.zeros(offsets[-1], dtype=np.float32)
    by_place[place_of_pixel] = correction[pixel]
    base, step = _base_and_step(by_place, offsets, n_pixels)
    every_bin = np.full(position.size, n_bins, dtype=np.uint16)
    every_bin[pixel] = bin_of_pixel
    return RadialBins(
        q=q_min + (np.arange(n_radial, dtype=np.float64) + 0.5) * width,
        offsets=offsets,
        n_pixels=n_pixels,
        correction=by_place,
        planes=planes_of(_whole_numbers(by_place, base, step, np.diff(offsets))),
        base=base,
        step=step,
        place=place,
        order=make_order(place, offsets),
        bin=every_bin,
        norm=np.asarray(np.bincount(bin_of_pixel, correction[pixel], n_bins), dtype=np.float64),
        n_sectors=n_sectors,
    )


def _base_and_step(
    correction: NDArray[np.float32], offsets: NDArray[np.int64], n_pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give what the corrections of each bin count from and in, shape (n_bins,) each; ones for bins without pixels."""
    base, step = np.ones(n_pixels.size, np.int64), np.ones(n_pixels.size)
    filled = n_pixels > 0
    first, last = offsets[:-1][filled], (offsets[:-1] + n_pixels - 1)[filled]
    least, spread = correction[last].astype(np.float64), correction[first].astype(np.float64) - correction[last]
    # One number is left for the rounding of the base. Pixels of equal corrections need no steps; any small one will do.
    step[filled] = np.maximum(spread / (N_NUMBERS - 1), 1e-12 * least)
    base[filled] = np.floor(least / step[filled]).astype(np.int64)
    return base, step


def _whole_numbers(
    correction: NDArray[np.float32], base: NDArray[np.int64], step: NDArray[np.float64], n_places: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Give each place's correction in the steps of its bin; 0 where the place is empty."""
    number = np.rint(correction / np.repeat(step, n_places) - np.repeat(base, n_places))
    return np.where(correction > 0, number, 0.0).astype(np.uint16)
