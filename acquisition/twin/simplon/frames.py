"""Where a detector's frames come from, and how they become what it delivers: unsigned, masked pixels at the maximum."""

from typing import Protocol, runtime_checkable

import numpy as np
from numba import boolean, int64, njit, uint32
from numba.types import Array
from numpy.typing import NDArray

from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.bslz4 import Method, Packed
from operando.errors import DataError

MASKED = np.iinfo(np.uint32).max
"""What a pixel reads that measures nothing."""


class FrameSource(Protocol):
    """Makes what the detector sees; asked from several threads at once, nearly in ascending order of images."""

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        """Give the counts of one exposure, shape (rows, columns).

        ``pulse`` is the gate that made the exposure, None when the detector runs on its own clock. Nobody writes to the
        array after it is given; an array that is read-only is constant for good, and its packed form may be kept.
        """
        ...


@runtime_checkable
class PackedSource(Protocol):
    """A source that has its frames in their wire form already, masked; asked from any thread."""

    def packed(self, pulse: Pulse | None, image_id: int, method: Method) -> Packed | None:
        """Give a frame packed, or None if it must be packed from its counts."""
        ...


class Masked:
    """A source whose frames read :data:`MASKED` wherever the detector's pixel mask is not zero."""

    def __init__(self, source: FrameSource, pixel_mask: NDArray[np.uint32]) -> None:
        self._source = source
        self._shape = pixel_mask.shape
        self._dead = np.flatnonzero(pixel_mask)

    def packed(self, pulse: Pulse | None, image_id: int, method: Method) -> Packed | None:
        """Give the source's packed frame, which is masked already; None from a source that has none."""
        return self._source.packed(pulse, image_id, method) if isinstance(self._source, PackedSource) else None

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        """Give the source's frame with the mask applied."""
        frame = self._source.frame(pulse, image_id)
        if frame.shape != self._shape:
            raise DataError(f"frame {image_id} has shape {frame.shape}, the detector {self._shape}: check the source of frames")
        flat = frame.reshape(-1)
        if _is_masked(flat, self._dead):
            return frame
        masked = flat.copy()
        masked[self._dead] = MASKED
        return masked.reshape(frame.shape)


@njit(boolean(Array(uint32, 1, "C", readonly=True), int64[::1]), cache=True, nogil=True)
def _is_masked(flat: NDArray[np.uint32], dead: NDArray[np.int64]) -> bool:
    """Whether all of these pixels are marked."""
    n_marked = 0
    for i in range(dead.size):
        n_marked += flat[dead[i]] == MASKED
    return n_marked == dead.size


def counts_from_image(image: NDArray[np.generic], *, origin: str) -> NDArray[np.uint32]:
    """Give a stored image as the detector would deliver it, read-only: negative, not finite or at the type's maximum is masked.

    Parameters
    ----------
    image
        Counts, shape (rows, columns), any integer type, or floats that hold whole numbers.
    origin
        Names the image in an error.

    Raises
    ------
    DataError
        If the image is not a two-dimensional array of counts that fit 32 bits.
    """
    if image.ndim != 2 or image.dtype.kind not in "iuf":
        raise DataError(f"{origin} has shape {image.shape} and type {image.dtype}: a frame needs two axes of real numbers")
    masked = _masked(image)
    good = image[~masked]
    if good.size and (np.max(good) >= MASKED or (image.dtype.kind == "f" and np.any(good != np.rint(good)))):
        raise DataError(f"{origin} holds values that are no counts of 32 bits: a detector frame needs whole numbers")
    counts = np.where(masked, 0, image).astype(np.uint32)
    counts[masked] = MASKED
    counts.flags.writeable = False
    return counts


def _masked(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    values = np.asarray(image)
    if image.dtype.kind == "f":
        return ~np.isfinite(values) | (values < 0)
    if image.dtype.kind == "i":
        return np.asarray(values < 0)
    return np.asarray(values == np.iinfo(values.dtype.name).max)
