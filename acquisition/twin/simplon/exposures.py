"""When the detector exposes: on its own clock after a trigger command, or once for each gate pulse on the cable."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from acquisition.twin.cable import Pulse

logger = structlog.get_logger(__name__)


_JITTER_S = 1e-5
"""What rounding may do to the time of a pulse; far below any readout time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One exposure that has ended."""

    pulse: Pulse | None
    start_s: float
    """Unix epoch."""
    duration_s: float


class Exposures(Protocol):
    """The exposures of one series."""

    def __iter__(self) -> Iterator[Exposure]:
        """Give each exposure as it ends, until there are enough or :meth:`stop`; one thread iterates, once."""
        ...

    @property
    def is_exposing(self) -> bool:
        """Whether the detector is taking images now rather than waiting for its first or next trigger."""
        ...

    def trigger(self) -> None:
        """Take a trigger command; from any thread.

        Raises
        ------
        ValueError
            If this series has no use for one.
        """
        ...

    def offer(self, pulse: Pulse) -> bool:
        """Take a gate pulse, or say that it is not wanted; from any thread."""
        ...

    def stop(self) -> None:
        """End after what was taken already; from any thread, again and again."""
        ...


class FreeRunning:
    """Trigger mode ``ints``: each command starts a train of images on the detector's clock.

    Parameters
    ----------
    now
        The clock, Unix epoch.
    is_paced
        Whether images come at ``frame_time_s``; without, as fast as they can be made.
    """

    def __init__(
        self,
        *,
        n_triggers: int,
        n_images: int,
        frame_time_s: float,
        count_time_s: float,
        is_paced: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._n_triggers, self._n_images = n_triggers, n_images
        self._frame_time_s, self._count_time_s = frame_time_s, count_time_s
        self._is_paced, self._now = is_paced, now
        self._commands: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._n_commands = 0
        self._stop = threading.Event()
        self.is_exposing = False

    def __iter__(self) -> Iterator[Exposure]:
        for _ in range(self._n_triggers):
            self._commands.get()
            if self._stop.is_set():
                return
            self.is_exposing = True
            yield from self._train(self._now())
            self.is_exposing = False

    def trigger(self) -> None:
        """Start one train; a command that comes during a train starts the next one behind it."""
        if self._n_commands >= self._n_triggers:
            raise ValueError(f"all {self._n_triggers} triggers of this series were given: arm again")
        self._n_commands += 1
        self._commands.put(None)

    def offer(self, pulse: Pulse) -> bool:
        """Refuse the pulse: this detector does not listen to the cable."""
        return False

    def stop(self) -> None:
        """End at once; the image that is being exposed is not finished."""
        self._stop.set()
        self._commands.put(None)

    def _train(self, start_s: float) -> Iterator[Exposure]:
        for index in range(self._n_images):
            exposure_start_s = start_s + index * self._frame_time_s
            left_s = exposure_start_s + self._count_time_s - self._now() if self._is_paced else 0.0
            if self._stop.wait(left_s) if left_s > 0 else self._stop.is_set():
                return
            yield Exposure(pulse=None, start_s=exposure_start_s, duration_s=self._count_time_s)


class Gated:
    """Trigger mode ``exte``: each gate pulse that comes after arming makes one image as long as the gate.

    Parameters
    ----------
    n_images
        Pulses that are wanted.
    armed_s
        When the detector was armed, Unix epoch: a pulse from before was still on its way and belongs to nobody.
    readout_s
        Dead time after each image: a gate that opens within it is missed, as by a real detector.
    """

    def __init__(self, *, n_images: int, armed_s: float, readout_s: float) -> None:
        self._n_left = n_images
        self._ready_s = armed_s
        self._readout_s = readout_s
        self._lock = threading.Lock()
        self._taken: queue.SimpleQueue[Pulse | None] = queue.SimpleQueue()
        self.is_exposing = False

    def __iter__(self) -> Iterator[Exposure]:
        while (pulse := self._taken.get()) is not None:
            yield Exposure(pulse=pulse, start_s=pulse.time_s - pulse.exposure_s / 2, duration_s=pulse.exposure_s)

    def trigger(self) -> None:
        """Refuse: the cable triggers."""
        raise ValueError("trigger_mode is exte: the gate on the cable makes the images, no trigger command is wanted")

    def offer(self, pulse: Pulse) -> bool:
        """Take the pulse if it came after arming and images are still wanted."""
        with self._lock:
            opens_s = pulse.time_s - pulse.exposure_s / 2
            if self._n_left <= 0:
                return False
            if opens_s < self._ready_s - _JITTER_S:
                logger.warning("gate missed: not armed or reading out", pulse=pulse.number, early_s=self._ready_s - opens_s)
                return False
            self._n_left -= 1
            self._ready_s = opens_s + pulse.exposure_s + self._readout_s
            self.is_exposing = True
            self._taken.put(pulse)
            if self._n_left == 0:
                self._taken.put(None)
            return True

    def stop(self) -> None:
        """Take no more pulses; those that were taken still become images."""
        with self._lock:
            self._n_left = 0
            self._taken.put(None)
