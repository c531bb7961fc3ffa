"""The area detector behind SIMPLON: armed once for each uninterrupted stretch, its frames documented as a stream."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from event_model import ComposeStreamResource
from ophyd import Component, Device, Signal
from ophyd.status import Status

from acquisition.devices.promise import Promise, kept
from acquisition.devices.simplon import SimplonClient, UnknownKeyError
from operando.errors import ServiceError
from operando.profile import Detector

logger = structlog.get_logger(__name__)

STREAM_FORMATS = {"v2": "cbor", "v1": "legacy"}
POLL_S = 0.05
COMMAND_TIMEOUT_S = 30.0
BACK_S = 25.0
"""How long a detector that does not answer may take to come back before a series: its server may be starting again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How a series is taken."""

    exposure_s: float
    period_s: float
    """Start to start; at least the exposure and the readout time."""
    n_images: int
    """Images of the whole series: one for each gate in ``exte``, all for one trigger in ``ints``."""
    trigger_mode: Literal["exte", "ints"] = "exte"


class SimplonDetector(Device):
    """A detector that streams what it measures.

    ``prepare(Exposure)`` configures, ``kickoff`` arms (then :attr:`series` holds the series id, and images count from 0),
    :meth:`wait_for_images` waits for the first n of the series, ``complete`` for all, ``stop`` aborts. A pause of the
    RunEngine aborts the series: what follows must be armed again and gets the next series id.
    """

    series = Component(Signal, value=-1, kind="config")
    """Id of the armed or last series; -1 before the first."""

    def __init__(self, prefix: str = "", *, detector: Detector, back_s: float = BACK_S, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.detector = detector
        self._back_s = back_s
        self.client = SimplonClient(detector.rest)
        self._exposure: Exposure | None = None
        self._is_armed = False
        self._counts_images = True
        self._first_count = 0
        self._gone = 0
        self._waiting: list[Promise] = []
        self._resource: Any = None
        self._documented = 0

    def prepare(self, value: Exposure) -> Status:
        """Configure the next series; done when the detector has accepted it."""
        return self._work(lambda: self._configure(value), "configure")

    def kickoff(self) -> Status:
        """Arm; done when the detector is armed and :attr:`series` is known."""
        return self._work(self._arm, "arm")

    def trigger(self) -> Status:
        """Start the images of an armed ``ints`` series; done when the detector has taken the command."""
        return self._work(lambda: self._command("trigger"), "trigger")

    def wait_for_images(self, n_images: int, *, timeout_s: float = 60.0) -> Status:
        """Give a status that is done when the detector has sent at least this many images of the series.

        It fails when no image has come for ``timeout_s``: one that is slow, as a simulated detector on a busy computer is, is
        not broken while it sends.
        """
        promise = Promise(self, timeout_s=timeout_s, late=lambda: self._complaint(n_images))
        self._waiting = [*(waiting for waiting in self._waiting if not waiting.is_settled), promise]
        threading.Thread(target=self._poll_images, args=(promise, n_images), daemon=True).start()
        return promise.status

    def complete(self) -> Status:
        """Give a status that is done when all images of the series are sent."""
        if self._exposure is None:
            raise RuntimeError(f"{self.name} has no series to complete: prepare and kickoff first")
        duration_s = self._exposure.n_images * self._exposure.period_s
        return self.wait_for_images(self._exposure.n_images, timeout_s=60.0 + 2 * duration_s)

    def disarm(self) -> Status:
        """End the series in order; done when the detector has sent its end."""
        return self._work(lambda: self._end("disarm"), "disarm") if self._is_armed else kept(self)

    def stop(self, *, success: bool = False) -> None:
        """Abort the series, if one is armed."""
        for promise in self._waiting:
            if success:
                promise.keep()
            else:
                promise.fail(RuntimeError(f"{self.name}: series {self.series.get()} was aborted"))
        self._waiting.clear()
        if not self._is_armed:
            return
        try:
            self._end("abort")
        except ServiceError as gone:
            # The next series begins by ending whatever a detector that is back may still have armed.
            logger.warning("series not ended", reason=str(gone), series=self.series.get())

    def pause(self) -> None:
        """Abort the series; called by the RunEngine at a pause or suspension."""
        self.stop(success=True)

    def resume(self) -> None:
        """Do nothing: the plan arms again, and the next series begins."""

    def unstage(self) -> list[object]:
        """Abort the series, if one is armed."""
        self.stop(success=True)
        return list(super().unstage())

    def images_sent(self) -> int | None:
        """Ask how many images of the series the detector has sent, or had to drop; None if it does not count."""
        count = self._count()
        return None if count is None else count - self._first_count

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Describe the frames as an external stream."""
        frame = {
            "source": self.detector.rest,
            "dtype": "array",
            "dtype_numpy": "<u4",
            "shape": [1, self.detector.n_rows, self.detector.n_columns],
            "units": "photons",
            "external": "STREAM:",
        }
        return {f"{self.name}_image": frame}

    def get_index(self) -> int:
        """Give the number of images of the series that can be documented."""
        if self._is_armed:
            self._gone = max(self._gone, self.images_sent() or 0)
        return self._gone

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        """Give the documents of the images since the last call: a resource for each series, a datum for each stretch."""
        last = self.get_index() if index is None else index
        if self._resource is None or last <= self._documented:
            return
        if self._documented == 0:
            yield "stream_resource", self._resource.stream_resource_doc
        indices: Any = {"start": self._documented, "stop": last}
        self._documented = last
        yield "stream_datum", self._resource.compose_stream_datum(indices)

    def _configure(self, exposure: Exposure) -> None:
        if exposure.period_s < exposure.exposure_s + self.detector.readout_s - 1e-9:
            raise ValueError(
                f"{self.name}: period {exposure.period_s:.6g} s is shorter than exposure {exposure.exposure_s:.6g} s and "
                f"readout {self.detector.readout_s:.6g} s: lengthen the period"
            )
        self._make_idle()
        put = self.client.configure
        put("mode", "enabled", module="stream")
        put("format", STREAM_FORMATS[self.detector.stream_format], module="stream")
        put("trigger_mode", exposure.trigger_mode)
        # In this order: a longer exposure lengthens the frame time by itself, a shorter frame time needs a short exposure.
        put("count_time", exposure.exposure_s)
        put("frame_time", exposure.period_s)
        is_gated = exposure.trigger_mode == "exte"
        put("nimages", 1 if is_gated else exposure.n_images)
        put("ntrigger", exposure.n_images if is_gated else 1)
        self._exposure = exposure

    def _make_idle(self) -> None:
        """End what an earlier life of this program, someone else, or a pause in the midst of arming has left armed."""
        state = self._state_when_back()
        if state == "na":
            self._command("initialize")
        elif state != "idle":
            logger.warning("detector was left armed, its series is aborted", state=state, url=self.client.url)
            self._end("abort")

    def _state_when_back(self) -> str:
        deadline = time.monotonic() + self._back_s
        while True:
            try:
                return str(self.client.status("state"))
            except ServiceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(10 * POLL_S)

    def _arm(self) -> None:
        # The detector counts over its life: what it says before a series is that series' zero.
        self._first_count = self._count() or 0
        answer = self._command("arm")
        if "sequence id" not in answer:
            raise ServiceError(f"{self.name}: arm answered {answer}, wanted a sequence id: is this SIMPLON {self.client.url}?")
        self._gone = 0
        self._documented = 0
        self.series.put(int(answer["sequence id"]))
        self._is_armed = True
        self._resource = self._make_resource()

    def _end(self, command: str) -> None:
        with contextlib.suppress(ServiceError):
            self.get_index()
        self._is_armed = False
        self._command(command)

    def _command(self, name: str) -> dict[str, Any]:
        return self.client.command(name, timeout_s=COMMAND_TIMEOUT_S)

    def _make_resource(self) -> Any:
        return ComposeStreamResource()(
            mimetype="application/x-dectris-stream",
            uri=f"{self.detector.stream}/series/{self.series.get()}",
            data_key=f"{self.name}_image",
            parameters={"series": self.series.get(), "format": self.detector.stream_format},
        )

    def _work(self, work: Callable[[], object], word: str) -> Status:
        promise = Promise(
            self,
            timeout_s=2 * COMMAND_TIMEOUT_S,
            late=lambda: (
                f"{self.name} at {self.client.url} did not {word} within {2 * COMMAND_TIMEOUT_S:g} s: is its server alive?"
            ),
        )

        def run() -> None:
            try:
                work()
            except (ServiceError, ValueError) as error:
                promise.fail(error)
            else:
                promise.keep()

        threading.Thread(target=run, daemon=True, name=f"{self.name}-{word}").start()
        return promise.status

    def _count(self) -> int | None:
        """Ask for the images that have left or were dropped since the detector started; only some detectors count them."""
        if not self._counts_images:
            return None
        try:
            sent, dropped = (int(self.client.status(key, module="stream")) for key in ("frames_sent", "dropped"))
        except UnknownKeyError:
            self._counts_images = False
            logger.info("detector does not count its images", url=self.client.url)
            return None
        return sent + dropped

    def _poll_images(self, promise: Promise, n_images: int) -> None:
        while not promise.is_settled:
            try:
                # In this order: a series that ends between the two questions has sent all that it will.
                is_over = self.client.status("state") in ("idle", "na")
                sent = self.images_sent()
            except (ServiceError, ValueError) as error:
                promise.fail(error)
                return
            if (sent or 0) > self._gone:
                self._gone = sent or 0
                promise.begin_anew()
            if (is_over and sent is None) or (sent is not None and sent >= n_images):
                promise.keep()
            elif is_over:
                promise.fail(RuntimeError(self._complaint(n_images)))
            else:
                time.sleep(POLL_S)

    def _complaint(self, n_images: int) -> str:
        return (
            f"{self.name}: series {self.series.get()} has {self._gone} images, wanted {n_images}, and no more come: "
            "do the gates reach the detector, was it disarmed, and does anything take its stream?"
        )
