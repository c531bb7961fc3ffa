"""One series from its start message to its end message: render, pack and hand over each exposure, in ascending order.

Images are rendered and packed in a small pool and sent in the sender's thread, so that these overlap; the sender takes them
in the order of their exposures and waits for the one whose turn it is.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import JsonValue

from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.bslz4 import Method, Packed, pack, pack_fresh
from acquisition.twin.simplon.exposures import Exposure, Exposures
from acquisition.twin.simplon.frames import FrameSource, PackedSource
from acquisition.twin.simplon.messages import TICKS_PER_S, End, Image, Start, StreamFormat
from acquisition.twin.simplon.sender import Outgoing, Sender

logger = structlog.get_logger(__name__)

N_PACKED_KEPT = 32
"""Constant frames whose packed form is kept: 1 to 3 MB each, and the frame's own 10 MB if nobody else keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """Where a series' messages go, and how."""

    sender: Sender | None
    """None while the stream is disabled: images are taken and go nowhere."""
    stream: StreamFormat
    makers: Executor
    """Where images are rendered and packed."""
    method: Method
    packed: "PackedFrames"
    image_appendix: JsonValue = None


class PackedFrames:
    """Packs frames, and keeps the packed form of those that never change."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Method], tuple[NDArray[np.uint32], Packed]] = {}

    def pack(self, frame: NDArray[np.uint32], method: Method) -> Packed:
        """Give the packed form of a frame; from any thread."""
        if frame.flags.writeable:
            return pack_fresh(frame, method)
        key = (id(frame), method)
        found = self._kept.get(key)  # The kept frame stays alive with its entry, so that its id cannot be another's.
        if found is None:
            found = (frame, pack(frame, method))
            if len(self._kept) < N_PACKED_KEPT:
                self._kept[key] = found
        return found[1]


class Series:
    """A running series; it ends by itself when its exposures do.

    Parameters
    ----------
    on_end
        Called once from the series' thread when the end message was handed over and nothing more will come.
    """

    def __init__(
        self, *, start: Start, exposures: Exposures, source: FrameSource, outlet: Outlet, on_end: Callable[["Series"], None]
    ) -> None:
        self.start = start
        self.exposures = exposures
        self.n_images = 0
        """Exposures made so far."""
        self._source, self._outlet, self._on_end = source, outlet, on_end
        self._is_aborted = threading.Event()
        self._first_s: float | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"series {start.series_id}", daemon=True)

    def begin(self) -> None:
        """Send the start message and take exposures from now on."""
        self._hand_over(_ready(self._outlet.stream.start(self.start)), is_image=False)
        self._thread.start()

    def finish(self) -> None:
        """Take no more exposures, let those that were taken become images, and wait until the end message has left."""
        self.exposures.stop()
        self._is_over.wait()

    def abort(self) -> None:
        """Forget every image that has not left, and wait until the end message has left."""
        self._is_aborted.set()
        self.finish()

    def _run(self) -> None:
        try:
            for exposure in self.exposures:
                if self._is_aborted.is_set():
                    break
                self._make(exposure)
            self._say_end()
        finally:
            self._on_end(self)
            self._is_over.set()

    def _say_end(self) -> None:
        end = End(series_id=self.start.series_id, series_unique_id=self.start.series_unique_id)
        left = threading.Event()
        self._hand_over(_ready(self._outlet.stream.end(end)), is_image=False, done=left.set)
        left.wait()

    def _make(self, exposure: Exposure) -> None:
        image_id, self.n_images = self.n_images, self.n_images + 1
        self._hand_over(
            self._outlet.makers.submit(self._message, exposure.pulse, image_id, *self._times(exposure)), is_image=True
        )

    def _message(
        self, pulse: Pulse | None, image_id: int, series_date_s: float, start_ticks: int, real_ticks: int
    ) -> list[bytes]:
        if self._is_aborted.is_set():
            return []  # The sender forgets it.
        packed = None
        if isinstance(self._source, PackedSource):
            packed = self._source.packed(pulse, image_id, self._outlet.method)
        if packed is None:
            packed = self._outlet.packed.pack(self._source.frame(pulse, image_id), self._outlet.method)
        image = Image(
            series_id=self.start.series_id,
            series_unique_id=self.start.series_unique_id,
            image_id=image_id,
            series_date=datetime.fromtimestamp(series_date_s, UTC),
            start_ticks=start_ticks,
            stop_ticks=start_ticks + real_ticks,
            real_ticks=real_ticks,
            channels={self.start.channels[0]: packed},
            user_data=self._outlet.image_appendix,
        )
        return self._outlet.stream.image(image)

    def _times(self, exposure: Exposure) -> tuple[float, int, int]:
        """Give the date of the series, which is its first exposure's, and start and length of this exposure in ticks."""
        if self._first_s is None:
            self._first_s = exposure.start_s
        ticks = max(0, round((exposure.start_s - self._first_s) * TICKS_PER_S))
        return self._first_s, ticks, round(exposure.duration_s * TICKS_PER_S)

    def _hand_over(self, parts: Future[list[bytes]], *, is_image: bool, done: Callable[[], None] = lambda: None) -> None:
        if self._outlet.sender is None:
            done()
            return
        self._outlet.sender.put(Outgoing(parts=parts, is_image=is_image, is_void=self._is_aborted.is_set, done=done))


def _ready(parts: list[bytes]) -> Future[list[bytes]]:
    future: Future[list[bytes]] = Future()
    future.set_result(parts)
    return future
