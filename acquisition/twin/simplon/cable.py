"""Hear the trigger cable: every gate pulse goes to the detector at once, whether or not it wants it."""

import threading
from collections.abc import Callable

import structlog
import zmq
from pydantic import ValidationError

from acquisition.twin.cable import Pulse

logger = structlog.get_logger(__name__)

MAX_PULSE_BYTES = 4096
_POLL_MS = 50


class CableListener:
    """Connects to the trigger box and calls ``take`` with each pulse, from its own thread, until closed.

    The cable is read all the time, so that no pulse waits in it until some later series is armed.
    """

    def __init__(self, address: str, take: Callable[[Pulse], None]) -> None:
        self._take = take
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_PULSE_BYTES)
        self._socket.connect(address)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"cable {address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Unplug the cable."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _listen(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(_POLL_MS):
                self._hear(self._socket.recv())
        self._socket.close(linger=0)

    def _hear(self, message: bytes) -> None:
        try:
            pulse = Pulse.model_validate_json(message)
        except ValidationError as wrong:
            logger.warning("pulse not understood", reason=str(wrong.errors(include_url=False)[:2]))
            return
        self._take(pulse)
