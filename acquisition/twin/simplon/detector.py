"""The detector behind the REST interface: its state, its commands, and the series that runs."""

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import structlog
from pydantic import JsonValue

from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.bslz4 import Method
from acquisition.twin.simplon.configuration import detector_table, stream_table
from acquisition.twin.simplon.exposures import Exposures, FreeRunning, Gated
from acquisition.twin.simplon.frames import FrameSource, Masked
from acquisition.twin.simplon.ledger import Ledger
from acquisition.twin.simplon.messages import Start, StreamFormat, Table, Tables
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.sender import Sender
from acquisition.twin.simplon.series import Outlet, PackedFrames, Series
from acquisition.twin.simplon.stream_v1 import StreamV1
from acquisition.twin.simplon.stream_v2 import StreamV2

logger = structlog.get_logger(__name__)

State = Literal["na", "idle", "ready", "acquire"]

CHANNEL = "threshold_1"
N_MAKERS = 2
"""Threads that render and pack; a frame of 2M from the sample takes one of them 20 ms."""
FORMATS: dict[str, StreamFormat] = {"cbor": StreamV2(), "legacy": StreamV1()}


class StateError(RuntimeError):
    """A command that the detector's state does not allow; caught by the REST interface, which answers 400."""


class Detector:
    """A detector with one head, one source of frames and one stream; every method may be called from any thread.

    Parameters
    ----------
    head
        What it is.
    source
        What it sees; its pixel mask is applied on top.
    sender
        Where its stream leaves.
    ledger
        Keeps the number of the last series over the detector's lives.
    stream_format, wavelength_angstrom
        What the configuration says after :meth:`initialize`.
    is_paced
        Whether free-running images come at the configured frame time; without, as fast as they can be made.
    now
        The clock, Unix epoch.
    """

    def __init__(
        self,
        *,
        head: DetectorHead,
        source: FrameSource,
        sender: Sender,
        ledger: Ledger,
        stream_format: Literal["cbor", "legacy"] = "cbor",
        wavelength_angstrom: float = 1.0,
        is_paced: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.head, self.sender = head, sender
        self.config = detector_table(head, wavelength_angstrom=wavelength_angstrom)
        self.stream_config = stream_table(stream_format=stream_format)
        self.n_pulses_ignored = 0
        self._source, self._ledger = Masked(source, head.pixel_mask), ledger
        self._is_paced, self._now = is_paced, now
        self._lock = threading.RLock()
        self._series: Series | None = None
        self._is_initialized = False
        self._makers = ThreadPoolExecutor(N_MAKERS, thread_name_prefix="image")
        self._packed = PackedFrames()
        self._tables = Tables(
            countrate_correction=Table(np.arange(head.saturation_counts + 1, dtype=np.uint32)),
            flatfield=Table(np.ones(head.shape, dtype=np.float32)),
            pixel_mask=Table(head.pixel_mask),
        )

    @property
    def state(self) -> State:
        """What the detector is doing."""
        series = self._series
        if series is not None:
            return "acquire" if series.exposures.is_exposing else "ready"
        return "idle" if self._is_initialized else "na"

    @property
    def n_images(self) -> int:
        """Images exposed in the running series."""
        series = self._series
        return 0 if series is None else series.n_images

    def initialize(self) -> None:
        """Set every parameter to its default, ending a running series first."""
        self.abort()
        with self._lock:
            self.config.reset()
            self.stream_config.reset()
            self._is_initialized = True

    def put(self, table: Literal["detector", "stream"], name: str, value: JsonValue) -> list[str]:
        """Set a parameter of the detector or its stream and give the names of all that changed.

        Raises
        ------
        UnknownParameterError
            If there is none of that name.
        ValueError
            If the value is refused.
        StateError
            While a series runs.
        """
        with self._lock:
            if self._series is not None:
                raise StateError(f"the detector is in state {self.state}: disarm it before {name} is changed")
            return (self.config if table == "detector" else self.stream_config).put(name, value)

    def arm(self) -> int:
        """Begin a series, send its start message and give its id.

        Raises
        ------
        StateError
            If a series runs already or the detector was never initialized.
        """
        with self._lock:
            if self.state != "idle":
                wanted = "initialize it first" if self.state == "na" else "disarm it first"
                raise StateError(f"the detector is in state {self.state}, only an idle one can be armed: {wanted}")
            armed_s = self._now()
            start = self._start(self._ledger.next_series(), armed_s)
            exposures = self._exposures(start.number_of_images, armed_s)
            series = Series(start=start, exposures=exposures, source=self._source, outlet=self._outlet(), on_end=self._on_end)
            series.begin()
            self._series = (
                series  # Only now can a trigger or pulse reach it; had its start not been sendable, nothing is armed.
            )
        logger.info("armed", series=start.series_id, images=start.number_of_images, mode=self.config["trigger_mode"])
        return start.series_id

    def trigger(self) -> None:
        """Start a train of images; returns at once, :attr:`state` says when it is over.

        Raises
        ------
        StateError
            If no series runs.
        ValueError
            If the series wants no trigger command.
        """
        series = self._series
        if series is None:
            raise StateError(f"the detector is in state {self.state}: arm it before a trigger")
        series.exposures.trigger()

    def disarm(self) -> int:
        """End the series after the exposures that were taken already; give its id, or the last one's if none runs."""
        series = self._series
        if series is not None:
            series.finish()
        return self._ledger.last_series

    def abort(self) -> int:
        """End the series at once, forgetting images that have not left; give its id, or the last one's if none runs."""
        series = self._series
        if series is not None:
            series.abort()
        return self._ledger.last_series

    def take(self, pulse: Pulse) -> None:
        """Make an image of a gate pulse, or ignore it while no series wants it."""
        series = self._series
        if series is None or not series.exposures.offer(pulse):
            self.n_pulses_ignored += 1

    def close(self) -> None:
        """End what runs and free the stream's port."""
        self.abort()
        self._makers.shutdown()
        self.sender.close()

    def _on_end(self, series: Series) -> None:
        self._series = None
        logger.info(
            "series ended",
            series=series.start.series_id,
            images=series.n_images,
            sent=self.sender.n_images_sent,
            dropped=self.sender.n_images_dropped,
        )

    def _start(self, series_id: int, armed_s: float) -> Start:
        values = self.config.values()
        return Start(
            series_id=series_id,
            series_unique_id=_unique_id(armed_s),
            arm_date=datetime.fromtimestamp(armed_s, UTC),
            configuration=values,
            channels=(CHANNEL,),
            number_of_images=int(values["nimages"]) * int(values["ntrigger"]),  # type: ignore[arg-type]  # uint by the table
            tables=self._tables,
            header_detail=self.stream_config["header_detail"],  # type: ignore[arg-type]  # one of the allowed values
            user_data=self.stream_config["header_appendix"],
        )

    def _exposures(self, n_images: int, armed_s: float) -> Exposures:
        if self.config["trigger_mode"] == "exte":
            return Gated(n_images=n_images, armed_s=armed_s, readout_s=self.head.readout_s)
        values: dict[str, float] = self.config.values()  # type: ignore[assignment]  # numbers by the table
        return FreeRunning(
            n_triggers=int(values["ntrigger"]),
            n_images=int(values["nimages"]),
            frame_time_s=values["frame_time"],
            count_time_s=values["count_time"],
            is_paced=self._is_paced,
            now=self._now,
        )

    def _outlet(self) -> Outlet:
        method: Method = self.config["compression"]  # type: ignore[assignment]  # one of the allowed values
        if method == "lz4" and self.stream_config["format"] == "legacy":
            method = "lz4-block"
        return Outlet(
            sender=self.sender if self.stream_config["mode"] == "enabled" else None,
            stream=FORMATS[str(self.stream_config["format"])],
            makers=self._makers,
            method=method,
            packed=self._packed,
            image_appendix=self.stream_config["image_appendix"],
        )


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _unique_id(time_s: float) -> str:
    """Give a ULID, as the detectors do: 48 bits of milliseconds and 80 random bits, 26 letters that sort by time."""
    number = (int(time_s * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
