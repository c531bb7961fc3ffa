"""What reading a message can come to, besides an integrated image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.messages import CakePreview, FramePreview, Message
from streaming.account import SeriesKey
from streaming.measured import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A series began."""

    series: SeriesKey
    complaint: str = ""
    """Why its images cannot be used; empty if they can."""
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstarted:
    """Images come from a series whose START nobody saw."""

    series: SeriesKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A series is over."""

    series: SeriesKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A message that came to nothing."""

    reason: str
    """A few words, always the same for the same thing: they are counted."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Previewed:
    """A small picture of a recent image: binned, or over azimuth and q."""

    message: FramePreview | CakePreview
    image: NDArray[np.uint32] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message of the journal."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalBeganAnew:
    """Another journal is served than before: what the earlier one said does not go on."""


Event = Measured | Started | Unstarted | Ended | Rejected | Previewed | Heard | JournalBeganAnew


class RejectedError(Exception):
    """Carries a rejection to the one place that contains it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.rejection = Rejected(reason=reason, detail=detail)
