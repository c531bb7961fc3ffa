"""What a detector says, whichever protocol it says it in: a series starts, an image comes, a series ends.

Images stay compressed here: decoding them is the work of :mod:`streaming.bslz4`, done once the shape is known to be right.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np

from operando.errors import WireError

MAX_EDGE = 2**15
"""Rows or columns that no area detector has; more is a broken or hostile message."""

MAX_ID = 2**32
"""Series and image ids end below this: ten thousand images a second for five days. A larger one is a broken or hostile message,
and would make everything below it count as missing."""

Encoding = Literal["raw", "bslz4", "lz4-h5", "lz4", "byte-offset"]
"""``byte-offset`` is that of CBF files, decoded to uint32. ``lz4-h5`` is LZ4 in the blocks of HDF5 filter 32004 (V2), ``lz4``
one bare LZ4 block (V1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One image, or one image-like array, as it came over the wire."""

    shape: tuple[int, int]
    """Rows, columns."""
    dtype: np.dtype[Any]
    encoding: Encoding
    element_size: int
    """Bytes that bitshuffle took for one element."""
    blob: bytes
    is_column_major: bool = False

    @property
    def n_bytes(self) -> int:
        """Size of the decoded array, bytes."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStart:
    """The detector was armed. A field that the sender left out is None; V1 with little header detail leaves out nearly all."""

    series: int
    unique_id: str
    """Tells series of the same number apart, for instance after a restart of the detector; empty when the sender gives none."""
    channels: tuple[str, ...] = ()
    """Names of the channels in the order of the data."""
    shape: tuple[int, int] | None = None
    """Rows, columns."""
    pixel_m: tuple[float, float] | None = None
    """Height and width of a pixel, m."""
    energy_ev: float | None = None
    saturation_counts: int | None = None
    n_images: int | None = None
    description: str = ""
    pixel_mask: Mapping[str, Channel] = field(default_factory=dict)
    """For each channel, non-zero where a pixel must not be used."""
    oddities: tuple[str, ...] = ()
    """Where the message departs from the specification without being useless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One exposure: an image for each channel."""

    series: int
    unique_id: str | None
    """None in V1, where only START tells."""
    image_id: int
    channels: Mapping[str, Channel]
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEnd:
    """The series is over; it may come twice or never, and says nothing of how many images there were."""

    series: int
    unique_id: str | None
    oddities: tuple[str, ...] = ()


DetectorMessage = SeriesStart | Image | SeriesEnd


def checked_shape(shape: object) -> tuple[int, int]:
    """Give rows and columns, or refuse.

    Raises
    ------
    WireError
        If these are not two whole numbers between 1 and :data:`MAX_EDGE`.
    """
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        raise WireError(f"an image has two dimensions, found {str(shape)[:100]}")
    rows, columns = shape
    if not all(type(edge) is int and 1 <= edge <= MAX_EDGE for edge in (rows, columns)):
        raise WireError(f"an image of {str(shape)[:100]} pixels is impossible: at most {MAX_EDGE} rows and columns")
    return rows, columns
