"""From a message to its pattern: receives messages in order, gives events; contains whatever is wrong with one of them.

Reading a message is quick and happens in order, one at a time, so that a START is digested before the images behind it.
Decoding and integrating are slow and happen in any order, in several threads.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.errors import WireError
from streaming.account import FrameKey, SeriesKey
from streaming.arrival import Arrival, Received, Told
from streaming.bslz4 import array_from_channel, counts_from_channel
from streaming.detector_message import Channel, DetectorMessage, Image, SeriesEnd, SeriesStart
from streaming.events import Ended, Event, Previewed, Rejected, RejectedError, Started, Unstarted
from streaming.expected import ExpectedDetector
from streaming.measured import FrameIntegrator, Measured
from streaming.series_book import SeriesBook
from streaming.simplon_v1 import message_from_parts
from streaming.simplon_v2 import message_from_cbor

logger = structlog.get_logger(__name__)

MAX_REMEMBERED = 1000
"""Series whose START is remembered; images of an older one are taken as if it had been missed."""

MAX_REPORTED = 20
"""Different internal errors that are reported with a traceback; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesIntegrator:
    """An integrator and the name of the geometry, mask included, that it was made for."""

    integrator: FrameIntegrator
    geometry_sha256: str


IntegratorOfMask = Callable[[NDArray[np.bool_] | None], SeriesIntegrator]
"""Gives the integrator for the detector's own mask, shape (rows, columns), true where masked; None where START brings none."""


class Previewer(Protocol):
    """Makes a small picture of an image when one is due."""

    def preview(self, frame: NDArray[Any], measured: Measured) -> Previewed | None:
        """Give one, or None if it is too early; called from several threads, and what it raises costs no pattern."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An image that waits to be decoded and integrated."""

    frame: FrameKey
    channel: Channel
    series_integrator: SeriesIntegrator
    received_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    integrator: SeriesIntegrator
    complaint: str = ""
    channels: tuple[str, ...] = ()


class Intake:
    """Reads messages and measures images.

    Parameters
    ----------
    expected
        The detector of the geometry.
    integrator_of_mask
        Makes the integrator for a series.
    limit_bytes
        Larger messages are rejected unread.
    previewers
        Make small pictures now and then.
    """

    def __init__(
        self,
        expected: ExpectedDetector,
        integrator_of_mask: IntegratorOfMask,
        *,
        limit_bytes: int,
        previewers: Sequence[Previewer] = (),
    ) -> None:
        self._expected = expected
        self._integrator_of_mask = integrator_of_mask
        self._limit_bytes = limit_bytes
        self._previewers = tuple(previewers)
        self._book = SeriesBook()
        self._series: dict[SeriesKey, _Series] = {}
        self._reported: set[str] = set()

    def read(self, received: Arrival) -> tuple[list[Event], Job | None]:
        """Read one message: what it says, and the work that it brings; never raises for what a message holds.

        Called in the order of arrival, by one thread at a time.
        """
        try:
            return self._read(received)
        except WireError as wrong:
            return [Rejected(reason="malformed message", detail=str(wrong))], None
        except RejectedError as wrong:
            return [wrong.rejection], None
        except Exception as wrong:
            return [self._internal(wrong)], None

    def measure(self, job: Job) -> list[Event]:
        """Decode and integrate one image; never raises for what it holds. Called from several threads."""
        try:
            frame = _decoded(job.channel)
            pattern = job.series_integrator.integrator.integrate(frame)
        except RejectedError as wrong:
            return [wrong.rejection]
        except Exception as wrong:
            return [self._internal(wrong)]
        measured = Measured(
            frame=job.frame,
            pattern=pattern,
            geometry_sha256=job.series_integrator.geometry_sha256,
            received_s=job.received_s,
        )
        return [measured, *self._preview(frame, measured)]

    def _preview(self, frame: NDArray[Any], measured: Measured) -> list[Event]:
        """Make the small pictures that are due; an error in one must not cost the pattern."""
        events: list[Event] = []
        for previewer in self._previewers:
            try:
                previewed = previewer.preview(frame, measured)
            except Exception as wrong:
                events.append(self._internal(wrong))
            else:
                events += [] if previewed is None else [previewed]
        return events

    def _read(self, received: Arrival) -> tuple[list[Event], Job | None]:
        if isinstance(received, Received) and received.n_bytes > self._limit_bytes:
            raise RejectedError("oversized message", f"{received.n_bytes} bytes, the limit is {self._limit_bytes}")
        message = received.message if isinstance(received, Told) else _message(received.parts)
        match message:
            case SeriesStart():
                return [self._start(message)], None
            case SeriesEnd():
                return [Ended(series=self._book.end(message))], None
            case Image():
                return self._image(message, received.received_s)

    def _start(self, start: SeriesStart) -> Event:
        key = self._book.start(start)
        complaint = self._expected.complaint(start)
        mask = None
        if not complaint:
            mask, complaint = self._mask(start)
        series = _Series(integrator=self._integrator_of_mask(mask), complaint=complaint, channels=start.channels)
        self._remember(key, series)
        return Started(series=key, complaint=complaint, oddities=start.oddities)

    def _mask(self, start: SeriesStart) -> tuple[NDArray[np.bool_] | None, str]:
        """Give the mask of the channel that is integrated, or why there is none that can be used."""
        name = next((name for name in start.channels if name in start.pixel_mask), next(iter(start.pixel_mask), ""))
        if not name:
            return None, ""
        channel = start.pixel_mask[name]
        if channel.shape != self._expected.shape:
            return None, f"its pixel mask has shape {channel.shape}, the profile's detector {self._expected.shape}"
        try:
            return array_from_channel(channel) != 0, ""
        except WireError as wrong:
            return None, f"its pixel mask cannot be read: {wrong}"

    def _image(self, image: Image, received_s: float) -> tuple[list[Event], Job | None]:
        key = self._book.image(image)
        events: list[Event] = []
        if key not in self._series:
            self._remember(key, _Series(integrator=self._integrator_of_mask(None)))
            events.append(Unstarted(series=key))
        series = self._series[key]
        if series.complaint:
            return [*events, Rejected(reason="another detector", detail=series.complaint)], None
        name = next((name for name in series.channels if name in image.channels), next(iter(image.channels)))
        channel = image.channels[name]
        if channel.shape != self._expected.shape:
            detail = f"image {image.image_id} has shape {channel.shape}, the profile's detector {self._expected.shape}"
            return [*events, Rejected(reason="image of another shape", detail=detail)], None
        frame = FrameKey(series=key, image_id=image.image_id)
        return events, Job(frame=frame, channel=channel, series_integrator=series.integrator, received_s=received_s)

    def _internal(self, wrong: Exception) -> Rejected:
        """Report an error that is ours: with its traceback the first time, since it may come with every image."""
        detail = repr(wrong)[:1000]
        if detail not in self._reported and len(self._reported) < MAX_REPORTED:
            self._reported.add(detail)
            logger.error("internal error", detail=detail, traceback=traceback.format_exc(limit=-6))
        return Rejected(reason="internal error", detail=detail)

    def _remember(self, key: SeriesKey, series: _Series) -> None:
        self._series[key] = series
        if len(self._series) > MAX_REMEMBERED:
            del self._series[next(iter(self._series))]


def _message(parts: tuple[bytes, ...]) -> DetectorMessage:
    """Read a message of either protocol: only V1 begins with a brace."""
    if len(parts) == 1 and not parts[0].startswith(b"{"):
        return message_from_cbor(parts[0])
    return message_from_parts(parts)


def _decoded(channel: Channel) -> NDArray[Any]:
    if channel.dtype.kind != "u" or channel.dtype.itemsize > 4:
        raise RejectedError("image of another type", f"{channel.dtype}, expected unsigned of 8, 16 or 32 bits")
    try:
        return counts_from_channel(channel)
    except WireError as wrong:
        raise RejectedError("undecodable image", str(wrong)) from wrong
