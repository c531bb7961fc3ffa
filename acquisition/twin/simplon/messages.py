"""What a detector says of a series, before it is encoded: start, image, end. Both stream formats are made from these."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from acquisition.twin.simplon.bslz4 import Packed, pack

HeaderDetail = Literal["all", "basic", "none"]

TICKS_PER_S = 50_000_000
"""Time base of image times: 20 ns, as on an EIGER2."""


class Table:
    """A constant array of the start message, packed once and at most when it is asked for."""

    def __init__(self, array: NDArray[np.generic]) -> None:
        self.array = array

    @cached_property
    def packed(self) -> Packed:
        """Its wire form, bslz4."""
        return pack(self.array, "bslz4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The constant arrays, which a start message carries when its header detail is ``all``."""

    countrate_correction: Table
    """Corrected counts at each observed count, shape (n,), uint32."""
    flatfield: Table
    """Shape (rows, columns), float32."""
    pixel_mask: Table
    """Shape (rows, columns), uint32: bit 0 gap, bit 1 dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A series begins."""

    series_id: int
    series_unique_id: str
    arm_date: datetime
    configuration: Mapping[str, JsonValue]
    """Every scalar of the detector's configuration by its SIMPLON name, as it stood when the detector was armed."""
    channels: tuple[str, ...]
    number_of_images: int
    tables: Tables
    header_detail: HeaderDetail = "all"
    user_data: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One exposure; times are ticks of :data:`TICKS_PER_S` since ``series_date``."""

    series_id: int
    series_unique_id: str
    image_id: int
    series_date: datetime
    start_ticks: int
    stop_ticks: int
    real_ticks: int
    channels: Mapping[str, Packed]
    user_data: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A series ends; how many images it had is not said."""

    series_id: int
    series_unique_id: str


class StreamFormat(Protocol):
    """Turns messages into the parts of ZeroMQ messages; called from any thread, keeps nothing."""

    def start(self, start: Start) -> list[bytes]:
        """Give the parts of the message that opens a series."""
        ...

    def image(self, image: Image) -> list[bytes]:
        """Give the parts of an image message."""
        ...

    def end(self, end: End) -> list[bytes]:
        """Give the parts of the message that closes a series."""
        ...
