"""The fast shutter: demand and status are two things."""

import math
import time
from typing import Any

from ophyd import Component, Device, EpicsSignal, EpicsSignalRO
from ophyd.status import Status

from acquisition.devices.promise import Promise

OPEN = 1
CLOSED = 0
TIMEOUT_S = 5.0
"""A fast shutter moves within tens of milliseconds; later than this it is stuck."""

PAUSE_S = 30.0
"""A pause follows its stop within this time, for devices take turns; a stop longer ago was the end of an earlier plan."""


class Shutter(Device):
    """A shutter that is open or closed when its status says so.

    It closes whenever it is stopped, thus at every pause, suspension and end of a plan, and opens again when the
    RunEngine resumes if it was open at the pause.
    """

    demand = Component(EpicsSignal, "", kind="omitted", auto_monitor=True)
    status = Component(EpicsSignalRO, ":STATUS", kind="normal", auto_monitor=True)
    """1 open, 0 closed; while it moves, what it was."""

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._reopens = False
        self._closed_by_stop_s = -math.inf

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
        promise = Promise(self, timeout_s=TIMEOUT_S, late=lambda: self._complaint(wanted))
        promise.need(self.status)
        self.demand.put(wanted)
        promise.watch(self.status, lambda found: promise.keep() if found == wanted else None)
        return promise.status

    def stop(self, *, success: bool = False) -> None:
        """Close, without waiting for the status."""
        if self.demand.get() == OPEN:
            self._closed_by_stop_s = time.monotonic()
        self.demand.put(CLOSED)

    def pause(self) -> None:
        """Close; called by the RunEngine at a pause or suspension, after it has stopped everything."""
        self.stop()
        self._reopens = time.monotonic() - self._closed_by_stop_s < PAUSE_S

    def resume(self) -> None:
        """Open again if it was open at the pause; called by the RunEngine before it repeats the messages."""
        if self._reopens:
            self._forget()
            self.demand.put(OPEN)

    def _forget(self) -> None:
        self._reopens = False
        self._closed_by_stop_s = -math.inf

    def _complaint(self, wanted: int) -> str:
        words = {OPEN: "open", CLOSED: "closed"}
        return (
            f"{self.name} ({self.prefix}) is not {words[wanted]} after {TIMEOUT_S:g} s, its status says "
            f"{self.status.get()}: check interlock and air pressure"
        )
