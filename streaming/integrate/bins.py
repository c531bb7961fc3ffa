"""Which pixel belongs to which radial bin, in the order in which the kernels want to read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.integrate.geometry import DetectorGeometry

UPPER_EDGE = 1.0 + float(np.finfo(np.float32).eps)
"""pyFAI widens the range by this factor, so that q_max itself falls inside; bins of 1e-7 other width would move pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RadialBins:
    """A partition of the counting pixels by q, without splitting pixels.

    Inside a bin the pixels stand by falling correction: equal counts are then already in the order of corrected intensity.
    """

    q: NDArray[np.float64]
    """Centre of each bin, shape (n_radial,), 1/angstrom."""
    offsets: NDArray[np.int64]
    """Pixels ``offsets[k]`` to ``offsets[k + 1]`` belong to bin k, shape (n_radial + 1,)."""
    pixel: NDArray[np.int64]
    """Flat index of each pixel in the frame, shape (n_used,)."""
    correction: NDArray[np.float32]
    """Correction of each pixel, shape (n_used,)."""
    place: NDArray[np.uint32]
    """Inverse of ``pixel``: where each pixel of the frame goes, shape (n_pixels,); ``n_used`` for those that belong nowhere."""

    @property
    def n_radial(self) -> int:
        """Number of bins."""
        return self.q.size

    @property
    def n_used(self) -> int:
        """Number of pixels that belong to a bin."""
        return self.pixel.size

    @property
    def largest(self) -> int:
        """Pixels in the fullest bin."""
        return int(np.diff(self.offsets).max())


def make_bins(geometry: DetectorGeometry, *, q_min: float, q_max: float, n_radial: int) -> RadialBins:
    """Sort the pixels of a detector into equal bins of q.

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
    """
    width = (q_max * UPPER_EDGE - q_min) / n_radial
    position = (geometry.q.ravel() - q_min) / width
    correction = geometry.correction.ravel()
    is_used = (position > -1.0) & (position < n_radial) & ~geometry.mask.ravel() & (correction > 0)
    pixel = np.flatnonzero(is_used)
    bin_of_pixel = position[pixel].astype(np.int64)
    order = np.lexsort((-correction[pixel], bin_of_pixel))
    pixel = pixel[order]
    place = np.full(position.size, pixel.size, dtype=np.uint32)
    place[pixel] = np.arange(pixel.size, dtype=np.uint32)
    return RadialBins(
        q=q_min + (np.arange(n_radial, dtype=np.float64) + 0.5) * width,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(bin_of_pixel, minlength=n_radial))]).astype(np.int64),
        pixel=pixel,
        correction=correction[pixel],
        place=place,
    )
