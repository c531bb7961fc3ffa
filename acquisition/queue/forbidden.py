"""What the worker's journal says of why nothing may fly: the worker reads the cell, commands are taken in another process."""

import threading

from operando.bus.client import FeedClient
from operando.messages import ScanState

POLL_S = 0.2


class Forbidden:
    """Says why nothing may fly now; :meth:`run` learns it in a thread, anybody calls.

    Parameters
    ----------
    address
        Of the journal that the worker serves.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._reason = ""

    def __call__(self) -> str:
        """Give the reason; empty if all may fly."""
        return self._reason

    def run(self, stop: threading.Event) -> None:
        """Follow the journal until stopped; to be the work of a thread."""
        with FeedClient(self._address, on_new_epoch=self._forget) as client:
            while not stop.is_set():
                for entry in client.poll(POLL_S):
                    if isinstance(entry.message, ScanState):
                        self._reason = entry.message.reason

    def _forget(self) -> None:
        self._reason = ""
