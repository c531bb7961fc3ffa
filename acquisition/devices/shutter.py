"""The fast shutter: demand and status are two things."""

import math
import time
from typing import Any

import structlog
from ophyd import Component, Device, EpicsSignal, EpicsSignalRO
from ophyd.status import Status
from ophyd.utils import DisconnectedError

from acquisition.devices.promise import Promise

logger = structlog.get_logger(__name__)

OPEN = 1
CLOSED = 0
TIMEOUT_S = 5.0
"""A fast shutter moves within tens of milliseconds; later than this it is stuck."""

PAUSE_S = 30.0
"""A pause follows its stop within this time, for devices take turns; a stop longer ago was the end of an earlier plan."""


class Shutter(Device):
    """A shutter that is open or closed when its status says so.

    It closes whenever it is stopped, thus at every pause, suspension and end of a plan, and opens again when the
    RunEngine resumes if it was open at the pause. If its server is away when it should close, it is closed as soon as that
    answers again: a server keeps the blade where it is when it dies, and may come back with it open.
    """

    demand = Component(EpicsSignal, "", kind="omitted", auto_monitor=True)
    status = Component(EpicsSignalRO, ":STATUS", kind="normal", auto_monitor=True)
    """1 open, 0 closed; while it moves, what it was."""

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._reopens = False
        self._closed_by_stop_s = -math.inf
        self._owes_closing = False
        self.demand.subscribe(self._found_again, event_type=self.demand.SUB_META, run=False)

    @property
    def is_open(self) -> bool:
        """Whether the status says open."""
        return bool(self.status.get() == OPEN)

    def set(self, value: int) -> Status:
        """Open (1) or close (0); done when the status agrees."""
        wanted = int(value)
        if wanted not in (OPEN, CLOSED):
            raise ValueError(f"{self.name}: found {value!r}, wanted 1 (open) or 0 (closed)")
        self._forget()
        self._owes_closing = wanted == CLOSED
        promise = Promise(self, timeout_s=TIMEOUT_S, late=lambda: self._complaint(wanted))
        promise.need(self.status)
        self.demand.put(wanted)
        promise.watch(self.status, lambda found: self._arrive(promise) if found == wanted else None)
        return promise.status

    def stop(self, *, success: bool = False) -> None:
        """Close, without waiting for the status."""
        self._owes_closing = True
        if self.demand.get() == OPEN:
            self._closed_by_stop_s = time.monotonic()
        self.demand.put(CLOSED)
        self._owes_closing = False

    def pause(self) -> None:
        """Close; called by the RunEngine at a pause or suspension, after it has stopped everything."""
        self.stop()
        self._reopens = time.monotonic() - self._closed_by_stop_s < PAUSE_S

    def resume(self) -> None:
        """Open again if it was open at the pause; called by the RunEngine before it repeats the messages."""
        if self._reopens:
            self._forget()
            self.demand.put(OPEN)

    def _arrive(self, promise: Promise) -> None:
        self._owes_closing = False
        promise.keep()

    def _found_again(self, *, connected: bool = False, write_access: bool = False, **_: Any) -> None:
        """Close what could not be closed while the server was away; called by ophyd when a connection changes."""
        if not (connected and write_access and self._owes_closing):
            return
        try:
            self.demand.put(CLOSED)
        except (DisconnectedError, TimeoutError) as lost:
            logger.warning("shutter lost again", shutter=self.prefix, reason=str(lost))
            return
        self._owes_closing = False
        logger.warning("shutter closed when its server was back", shutter=self.prefix)

    def _forget(self) -> None:
        self._owes_closing = False
        self._reopens = False
        self._closed_by_stop_s = -math.inf

    def _complaint(self, wanted: int) -> str:
        words = {OPEN: "open", CLOSED: "closed"}
        return (
            f"{self.name} ({self.prefix}) is not {words[wanted]} after {TIMEOUT_S:g} s, its status says "
            f"{self.status.get()}: check interlock and air pressure"
        )
