"""The reduction process: wires receiver, workers, journal and collector together; holds no rules of its own.

Threads: the receiver fills a bounded queue, workers empty it and fill a bounded mailbox, a listener puts the journal's words
into the same mailbox, and the caller's thread collects. Every queue is bounded: whoever is slow holds up the wire, and nothing
grows.
"""

import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.bus import FeedClient, FeedServer, MemoryStore
from operando.profile import Profile
from streaming.arrival import Arrival
from streaming.cake import Caker, cake_grid_of, preview_geometry
from streaming.collect import Collector
from streaming.events import Event, Heard, JournalBeganAnew
from streaming.expected import ExpectedDetector
from streaming.gpu.device import Device, choose_device
from streaming.gpu.integrator import integrator_on
from streaming.intake import Intake, SeriesIntegrator
from streaming.integrate.geometry import HC_KEV_ANGSTROM
from streaming.integrate.integrator import Integrator, make_integrator
from streaming.measured import FrameIntegrator
from streaming.patient_clock import PatientClock
from streaming.preview import Previewer
from streaming.receive import QUEUE_CAPACITY
from streaming.sources.choose import open_frames

logger = structlog.get_logger(__name__)

N_WORKERS = 2
MAILBOX_CAPACITY = 256
PREVIEW_BINNING = 4
PREVIEW_INTERVAL_S = 0.5
_WAIT_S = 0.05
"""How long a thread waits before it looks whether it should stop; also how late a finished line may be noticed."""


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Reduce the detector stream to line files and serve the reduction feed until told to stop.

    Parameters
    ----------
    profile
        Names detector, geometry and addresses.
    out
        The folder of the beamtime; line files go to ``lines/``.
    ready
        Called once, when images and journal are listened for.
    stop
        Ends the work: what was received is still reduced and written.

    Raises
    ------
    ProfileError, MissingInputError
        If the geometry is missing or belongs to another detector.
    ServiceError
        If the feed's port is taken.
    """
    device = choose_device(profile.compute.device)
    base = make_integrator(profile)
    masked = Masked(profile, base, device)
    warm(masked(None).integrator, base.geometry.shape)
    store = MemoryStore()
    geometry, arrays = preview_geometry(base.geometry, binning=PREVIEW_BINNING, time_s=time.time())
    store.append(geometry, key="geometry", arrays=arrays)
    with FeedServer(store, profile.addresses.reduction):
        # The GPU integrates faster than two cores decode.
        n_workers = N_WORKERS if device is None else max(N_WORKERS, len(os.sched_getaffinity(0)))
        reduction = Reduction(profile, base, out=out, store=store, masked=masked, n_workers=n_workers)
        reduction.run(ready=ready, stop=stop)


def make_caker(profile: Profile, base: Integrator) -> Caker:
    """Give the maker of cakes for the geometry of an integrator."""
    grid = cake_grid_of(profile, base.geometry)
    return Caker(grid, saturation_counts=profile.detector.saturation_counts, clock=time.monotonic)


def warm(integrator: FrameIntegrator, shape: tuple[int, int]) -> None:
    """Integrate empty images of the usual depths, so that kernels are compiled and buffers touched before the beam is on."""
    for dtype in (np.uint8, np.uint32):
        integrator.integrate(np.zeros(shape, dtype))


class Reduction:
    """The threads of the process and what stands between them.

    Parameters
    ----------
    profile
        Names detector and addresses.
    base
        The integrator of the profile's own geometry and mask.
    out
        The folder of the beamtime.
    store
        The reduction feed.
    masked
        Gives integrators on the device that was chosen; None stays with the processor.
    n_workers
        Images that are decoded at the same time.
    """

    def __init__(
        self,
        profile: Profile,
        base: Integrator,
        *,
        out: Path,
        store: MemoryStore,
        masked: "Masked | None" = None,
        n_workers: int = N_WORKERS,
    ) -> None:
        self._profile, self._out, self._n_workers = profile, out, n_workers
        self._limit_bytes = 32 * profile.detector.n_rows * profile.detector.n_columns + 2**20
        self._received: queue.Queue[Arrival] = queue.Queue(QUEUE_CAPACITY)
        self._in_hand: set[int] = set()
        self._mailbox: queue.Queue[Event] = queue.Queue(MAILBOX_CAPACITY)
        self._intake = Intake(
            expected_detector(profile, base),
            masked or Masked(profile, base),
            limit_bytes=self._limit_bytes,
            previewers=(
                Previewer(binning=PREVIEW_BINNING, interval_s=PREVIEW_INTERVAL_S, clock=time.monotonic),
                make_caker(profile, base),
            ),
        )
        self._collector = Collector(
            q=base.q,
            out=out,
            store=store,
            queue_state=lambda: (self._received.qsize(), QUEUE_CAPACITY),
            clock=time.monotonic,
            wall_clock=time.time,
            deadline_clock=PatientClock(clock=time.monotonic, is_busy=self._is_busy),
        )
        self._in_order = threading.Lock()
        self._received_all = threading.Event()
        self._stop_listening = threading.Event()

    def run(self, *, ready: Callable[[], None], stop: threading.Event) -> None:
        """Work until told to stop, then finish what has come."""
        frames = open_frames(
            self._profile, self._received, lines=self._out / "lines", limit_bytes=self._limit_bytes, reject=self._mailbox.put
        )
        listener = threading.Thread(target=self._listen, name="listen to journal", daemon=True)
        workers = [threading.Thread(target=self._work, name=f"reduce {k}", daemon=True) for k in range(self._n_workers)]
        for thread in (listener, *workers):
            thread.start()
        logger.info("reducing", source=self._profile.detector.source)
        ready()
        while not stop.is_set():
            self._collect()
        frames.close()
        self._received_all.set()
        while any(worker.is_alive() for worker in workers) or not self._mailbox.empty():
            self._collect()
        self._stop_listening.set()
        self._collector.close()

    def _collect(self) -> None:
        """Handle what is in the mailbox; the collector's thread."""
        try:
            self._collector.handle(self._mailbox.get(timeout=_WAIT_S))
            for _ in range(MAILBOX_CAPACITY):
                self._collector.handle(self._mailbox.get_nowait())
        except queue.Empty:
            pass
        self._collector.tick()

    def _work(self) -> None:
        """Read messages in order, measure images in parallel; a worker's thread."""
        while True:
            with self._in_order:
                try:
                    received = self._received.get(timeout=_WAIT_S)
                except queue.Empty:
                    if self._received_all.is_set():
                        return
                    continue
                self._in_hand.add(threading.get_ident())
                events, job = self._intake.read(received)
            if job is not None:
                events = [*events, *self._intake.measure(job)]
            for event in events:
                self._mailbox.put(event)
            self._in_hand.discard(threading.get_ident())

    def _is_busy(self) -> bool:
        """Tell whether messages stand in the queue or are being worked on."""
        return bool(self._in_hand) or not self._received.empty() or not self._mailbox.empty()

    def _listen(self) -> None:
        """Follow the journal; the listener's thread."""
        address = self._profile.addresses.journal
        with FeedClient(address, on_new_epoch=lambda: self._mailbox.put(JournalBeganAnew())) as client:
            while not self._stop_listening.is_set():
                for entry in client.poll(_WAIT_S):
                    self._mailbox.put(Heard(message=entry.message))


class Masked:
    """Gives the integrator for a detector's mask: the base one where the mask adds nothing, and the last one for the last mask.

    Parameters
    ----------
    profile
        Names geometry and radial grid.
    base
        The integrator of the profile's own mask.
    device
        The GPU to integrate on; None is the processor.
    """

    def __init__(self, profile: Profile, base: Integrator, device: Device | None = None) -> None:
        self._profile, self._device = profile, device
        self._geometry = base.geometry
        self._base = SeriesIntegrator(integrator=integrator_on(device, base), geometry_sha256=base.geometry.sha256)
        self._last = self._base

    def __call__(self, mask: NDArray[np.bool_] | None) -> SeriesIntegrator:
        """Give the integrator for a mask of shape (rows, columns), true where masked."""
        if mask is None or not (mask & ~self._geometry.mask).any():
            return self._base
        sha256 = self._geometry.with_mask(mask).sha256
        if sha256 != self._last.geometry_sha256:
            here = make_integrator(self._profile, pixel_mask=mask)
            self._last = SeriesIntegrator(integrator=integrator_on(self._device, here), geometry_sha256=sha256)
        return self._last


def expected_detector(profile: Profile, integrator: Integrator) -> ExpectedDetector:
    """Give what START must say for the geometry of a profile."""
    return ExpectedDetector(
        shape=(profile.detector.n_rows, profile.detector.n_columns),
        pixel_m=profile.detector.pixel_m,
        energy_ev=1e3 * HC_KEV_ANGSTROM / integrator.geometry.wavelength_angstrom,
    )
