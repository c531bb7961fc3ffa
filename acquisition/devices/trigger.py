"""The trigger box: it waits for a position, then gives a train of gates at a fixed period, and remembers where each was."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, EpicsSignal, EpicsSignalRO
from ophyd.status import Status

from acquisition.devices.promise import Promise, together
from operando.errors import ServiceError

IDLE = "Idle"
ARMED = "Armed"
RUNNING = "Running"
DONE = "Done"

AXES = ("fast", "rotation")

TIMEOUT_S = 5.0
"""Arming and disarming are a put away; later than this the box does not listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTrain:
    """The gates of one line: position start, then a time train."""

    start: float
    """Readback at the leading edge of the first gate, mm of the fast axis or degree of the rotation."""
    direction: int
    """+1 or -1, the sense in which ``start`` must be crossed."""
    n_pulses: int
    period_s: float
    exposure_s: float
    """Length of a gate."""
    axis: Literal["fast", "rotation"] = "fast"
    """The axis that must cross ``start``, and whose positions are captured."""
    capture: bool = True
    """Whether the box captures the position at the middle of each gate."""

    @property
    def duration_s(self) -> float:
        """Seconds from the first leading edge to the end of the last gate."""
        return (self.n_pulses - 1) * self.period_s + self.exposure_s


class TriggerBox(Device):
    """Gates for the detector, one train for each line: ``prepare``, ``kickoff``, sweep, ``complete``, ``collect``.

    A stopped axis does not end a train, as with real boxes: the gates go on by time, the captured positions show that the
    axis stood. Stopping, pausing or unstaging the box does end it.
    """

    start = Component(EpicsSignal, ":START", kind="config", auto_monitor=True, put_complete=True)
    direction = Component(EpicsSignal, ":DIRECTION", kind="config", auto_monitor=True, put_complete=True)
    n_pulses = Component(EpicsSignal, ":NPULSES", kind="config", auto_monitor=True, put_complete=True)
    period = Component(EpicsSignal, ":PERIOD", kind="config", auto_monitor=True, put_complete=True)
    exposure = Component(EpicsSignal, ":EXPOSURE", kind="config", auto_monitor=True, put_complete=True)
    axis = Component(EpicsSignal, ":AXIS", kind="omitted", auto_monitor=True, put_complete=True)
    """0 the fast axis, 1 the rotation; a box that knows the fast axis alone need not have it."""

    optional = ("axis",)
    """What need not answer."""
    capture = Component(EpicsSignal, ":CAPTURE", kind="config", auto_monitor=True, put_complete=True)
    is_armed = Component(EpicsSignal, ":ARM", kind="omitted", auto_monitor=True, put_complete=True)
    state = Component(EpicsSignalRO, ":STATE", kind="omitted", auto_monitor=True, string=True)
    count = Component(EpicsSignalRO, ":COUNT", kind="normal", auto_monitor=True)
    positions = Component(EpicsSignalRO, ":POSITIONS", kind="omitted", auto_monitor=False)
    """Captured at the middle of each gate, mm; empty when nothing is captured."""
    times = Component(EpicsSignalRO, ":TIMES", kind="omitted", auto_monitor=False)
    """Middle of each gate, seconds since the Unix epoch."""

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._promise: Promise | None = None

    def prepare(self, value: GateTrain) -> Status:
        """Disarm and load a train; done when the box has it."""
        parts = [
            self.is_armed.set(0, timeout=TIMEOUT_S),
            self.start.set(value.start, timeout=TIMEOUT_S),
            self.direction.set(value.direction, timeout=TIMEOUT_S),
            self.n_pulses.set(value.n_pulses, timeout=TIMEOUT_S),
            self.period.set(value.period_s, timeout=TIMEOUT_S),
            self.exposure.set(value.exposure_s, timeout=TIMEOUT_S),
            self.capture.set(int(value.capture), timeout=TIMEOUT_S),
        ]
        if self.axis.connected:
            parts.append(self.axis.set(AXES.index(value.axis), timeout=TIMEOUT_S))
        elif value.axis != "fast":
            raise ServiceError(
                f"{self.name}: {self.axis.pvname} does not answer: this trigger box cannot watch the {value.axis}"
            )
        return together(self, parts)

    def kickoff(self) -> Status:
        """Arm; done when the box waits for the position."""
        promise = Promise(self, timeout_s=TIMEOUT_S, late=lambda: self._complaint("did not arm"))
        promise.need(self.state)
        self.is_armed.put(1, wait=False)
        promise.watch(self.state, lambda state: promise.keep() if state in (ARMED, RUNNING) else None)
        return promise.status

    def complete(self, *, timeout_s: float | None = None) -> Status:
        """Give a status that is done after the last gate, and fails if the box is disarmed before or the time is over."""
        limit_s = timeout_s or 60.0 + 2 * self.n_pulses.get() * self.period.get()
        promise = Promise(self, timeout_s=limit_s, late=lambda: self._complaint("did not finish its train"))
        promise.need(self.state)
        self._promise = promise

        def look(state: str) -> None:
            if state == DONE:
                promise.keep()
            elif state == IDLE:
                promise.fail(RuntimeError(self._complaint("was disarmed before its train was over")))

        promise.watch(self.state, look)
        return promise.status

    def read_positions(self) -> NDArray[np.float64]:
        """Read the captured positions of the last train, shape (n_captured,), mm."""
        return np.atleast_1d(np.asarray(self.positions.get(use_monitor=False), dtype=np.float64))

    def read_times(self) -> NDArray[np.float64]:
        """Read the middles of the gates of the last train, shape (n_given,), seconds since the Unix epoch."""
        return np.atleast_1d(np.asarray(self.times.get(use_monitor=False), dtype=np.float64))

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Describe one event for each train."""
        n_pulses = int(self.n_pulses.get())
        array = {"dtype": "array", "shape": [n_pulses], "source": f"PV:{self.prefix}"}
        return {
            f"{self.name}_positions": {**array, "units": "mm"},
            f"{self.name}_times": {**array, "units": "s"},
        }

    def collect(self) -> Iterator[dict[str, Any]]:
        """Give one event: where and when the gates of the last train were."""
        positions, times = self.read_positions(), self.read_times()
        data = {f"{self.name}_positions": positions, f"{self.name}_times": times}
        at_s = float(times[-1]) if times.size else 0.0
        yield {"time": at_s, "data": data, "timestamps": dict.fromkeys(data, at_s)}

    def stop(self, *, success: bool = False) -> None:
        """Disarm; a train that the RunEngine will repeat is no failure."""
        if success and self._promise is not None:
            self._promise.keep()
        self.is_armed.put(0, wait=False)

    def pause(self) -> None:
        """Disarm; called by the RunEngine at a pause or suspension."""
        self.stop(success=True)

    def resume(self) -> None:
        """Do nothing: the RunEngine repeats the line and arms again."""

    def unstage(self) -> list[object]:
        """Disarm."""
        self.stop(success=True)
        return list(super().unstage())

    def _complaint(self, what: str) -> str:
        return (
            f"{self.name} ({self.prefix}) {what}: state {self.state.get()}, {self.count.get()} of {self.n_pulses.get()} gates "
            f"given: does the fast axis cross {self.start.get():.5g} in direction {self.direction.get():+g}?"
        )
