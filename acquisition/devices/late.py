"""Signals whose first answer came too late.

ophyd takes a signal for connected once a thread of its own has fetched the signal's metadata. Where that fetch fails or times
out, as it may while many connect at once, the signal stays unconnected for good although its process variable answers; waiting
for it by name fetches again.
"""

import contextlib
import time
from collections.abc import Iterable

from epics.ca import CASeverityException, ChannelAccessException
from ophyd import EpicsSignalRO
from ophyd.utils import DisconnectedError

ASKED_S = 0.2
"""How long each is waited for."""


def ask_for(signals: Iterable[EpicsSignalRO], *, deadline: float = float("inf")) -> None:
    """Fetch again what signals that are not connected lack, until a deadline of ``time.monotonic``.

    Those whose process variable is away stay as they are.
    """
    for signal in signals:
        if time.monotonic() > deadline:
            return
        with contextlib.suppress(DisconnectedError, TimeoutError, CASeverityException, ChannelAccessException):
            signal.wait_for_connection(timeout=ASKED_S)
