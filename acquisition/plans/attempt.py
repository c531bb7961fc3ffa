"""What an attempt of a line is made of: the armed series that it flies in, how it fails, and what is read of it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bluesky import Msg
from bluesky import plan_stubs as bps
from numpy.typing import NDArray

from acquisition.plans.layout import Sweep

if TYPE_CHECKING:
    from acquisition.devices.beamline import BeamlineDevices

Plan = Generator[Msg, Any, Any]

IMAGES_S = 10.0
"""How long after the last gate, and after each image since, the detector may take to send another."""

INTERRUPTED = "the scan was paused or suspended"


class LineFailedError(RuntimeError):
    """An attempt did not give all its frames; caught by the plan, which flies the line again."""


class InterruptedLineError(LineFailedError):
    """The attempt was paused or suspended; flown again without counting as a failure."""


@dataclass(slots=True, kw_only=True)
class Stretch:
    """One armed series of the detector, flown without interruption."""

    series: int
    n_interruptions: int
    """The interruption count when it was armed."""
    n_images: int
    """Images that it was armed for."""
    next_image_id: int = 0

    def has_room(self, n_points: int) -> bool:
        """Tell whether a line of so many points still fits in."""
        return self.next_image_id + n_points <= self.n_images


class SentImages:
    """Lets a plan wait, by a message, until the detector has sent the first n images of its series."""

    name = "sent_images"
    parent = None

    def __init__(self, detector: Any) -> None:
        self._detector = detector

    def set(self, n_images: int) -> Any:
        """Give a status that is done when they are sent, and fails when no more come."""
        return self._detector.wait_for_images(n_images, timeout_s=IMAGES_S)


def of_sweep(devices: "BeamlineDevices", sweep: Sweep) -> tuple[Any, Any]:
    """Give the axis that sweeps and the one that stands."""
    both = devices.fast, devices.rotation
    return both if sweep.axis == "fast" else both[::-1]


def settled(signal: Any, wanted: float) -> Plan:
    """Read a signal until it shows what is wanted, or a moment has passed: monitors come a little after put-callbacks."""
    for _ in range(50):
        found = yield from bps.rd(signal)
        if found == wanted:
            break
        yield from bps.sleep(0.02)
    return found


def captured(trains: Any, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give positions (mm) and times (s) of the last train, each of shape (n,); n is 0 where nothing was captured."""
    if not trains:
        return np.empty(0), np.empty(0)
    data = trains[-1]["data"]
    return (
        np.asarray(data[f"{name}_positions"], dtype=np.float64),
        np.asarray(data[f"{name}_times"], dtype=np.float64),
    )
