"""Both ends of a detector: small frames that remember their pulse, and one who takes the stream as reduction would."""

import threading
from dataclasses import dataclass, field
from typing import Any

import cbor2
import numpy as np
import zmq

from acquisition.twin.cable import Pulse


class PulseFrames:
    """Small frames that remember the pulse that made them."""

    def __init__(self) -> None:
        self.exposed: list[tuple[int, Pulse]] = []
        """Image id and gate of each frame."""

    @property
    def pulses(self) -> list[Pulse]:
        return [pulse for _, pulse in self.exposed]

    def frame(self, pulse: Pulse | None, image_id: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        assert pulse is not None
        self.exposed.append((image_id, pulse))
        return np.full((16, 16), image_id, dtype=np.uint32)


@dataclass
class Taker:
    """Takes the stream as reduction would, and keeps (series, image id)."""

    address: str
    images: list[tuple[int, int]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with zmq.Context.instance().socket(zmq.PULL) as socket:
            socket.linger = 0
            socket.connect(self.address)
            while not self.stop.is_set():
                if socket.poll(50):
                    message = cbor2.loads(socket.recv(), tag_hook=lambda tag, _: tag.value)
                    if message["type"] == "image":
                        self.images.append((message["series_id"], message["image_id"]))
