"""The simulated trigger box: position start, then a time train of gates, with the positions captured from the motion itself.

When the axis is stopped in the middle of a line the train goes on, as that of a real box does: it counts time. Disarming
ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
import zmq

from acquisition.twin.cable import Pulse
from acquisition.twin.platform import Platform

logger = structlog.get_logger(__name__)

CABLE_PULSES = 1000
"""Pulses that wait for a detector which is connected but slow; more are lost and counted, as on a wire."""

MAX_GATES = 10_000
"""Gates of one train; as many positions are captured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """The gates that the box is set up for."""

    start_mm: float = 0.0
    direction: int = 1
    n_pulses: int = 0
    period_s: float = 1.0
    exposure_s: float = 1.0
    captures: bool = True
    axis: int = 0
    """0: the fast axis must cross the start and is captured; 1: the rotation."""

    def complaint(self) -> str:
        """Say why this train cannot be given; empty if it can."""
        if self.direction not in (1, -1):
            return f"DIRECTION is {self.direction}, wanted 1 or -1"
        if not 1 <= self.n_pulses <= MAX_GATES:
            return f"NPULSES is {self.n_pulses}, wanted 1 to {MAX_GATES}"
        if not 0 < self.exposure_s <= self.period_s:
            return f"EXPOSURE is {self.exposure_s} s, wanted more than 0 and at most PERIOD {self.period_s} s"
        return ""


@dataclass(slots=True)
class TriggerBox:
    """The state machine of the box; it is told the time and never asks for it."""

    fast: Platform
    axis: int
    rotation: Platform
    beam: Callable[[float], float]
    """Beam on the sample at a time, as a fraction of the nominal."""
    train: Train = field(default_factory=Train)
    state: str = "Idle"
    number: int = 0
    """Pulses over the life of the box."""
    positions_mm: list[float] = field(default_factory=list)
    """Of the axis that the train watches: degrees where that is the rotation."""
    times_s: list[float] = field(default_factory=list)
    first_edge_s: float = 0.0
    looked_s: float = 0.0

    @property
    def count(self) -> int:
        """Gates given of this train."""
        return len(self.times_s)

    @property
    def is_busy(self) -> bool:
        """Whether a line is expected or under way."""
        return self.state in ("Armed", "Running")

    def arm(self, *, now_s: float) -> None:
        """Wait for the position from now on, with what was captured before forgotten.

        Raises
        ------
        ValueError
            If the train cannot be given.
        """
        complaint = self.train.complaint()
        if complaint:
            raise ValueError(complaint)
        self.positions_mm, self.times_s = [], []
        self.looked_s = now_s
        self.state = "Armed"

    def disarm(self) -> None:
        """End a train that waits or runs; what was captured stays readable."""
        if self.is_busy:
            self.state = "Idle"

    def advance(self, now_s: float) -> list[Pulse]:
        """Give the pulses of the gates that have ended by now."""
        if self.state == "Armed":
            self._look(now_s)
        pulses = []
        while self.state == "Running" and self._gate_end_s(self.count) <= now_s:
            pulses.append(self._pulse())
            if self.count == self.train.n_pulses:
                self.state = "Done"
        return pulses

    def next_event_s(self) -> float | None:
        """Give the time of the next gate's end, or None when no train runs."""
        return self._gate_end_s(self.count) if self.state == "Running" else None

    def _look(self, now_s: float) -> None:
        watched, axis = self._watched()
        crossing_s = watched.trajectory.crossing_s(
            axis=axis,
            position=self.train.start_mm,
            direction=self.train.direction,
            after_s=self.looked_s,
            until_s=now_s,
        )
        self.looked_s = now_s
        if crossing_s is not None:
            self.first_edge_s = crossing_s
            self.state = "Running"

    def _watched(self) -> tuple[Platform, int]:
        return (self.rotation, 0) if self.train.axis else (self.fast, self.axis)

    def _gate_end_s(self, gate: int) -> float:
        return self.first_edge_s + gate * self.train.period_s + self.train.exposure_s

    def _pulse(self) -> Pulse:
        middle_s = self._gate_end_s(self.count) - 0.5 * self.train.exposure_s
        fast_mm = float(self.fast.trajectory.position(middle_s)[self.axis])
        pulse = Pulse(
            number=self.number,
            time_s=middle_s,
            exposure_s=self.train.exposure_s,
            fast_mm=fast_mm,
            fast_mm_s=float(self.fast.trajectory.velocity(middle_s)[self.axis]),
            angle_deg=float(self.rotation.trajectory.position(middle_s)[0]),
            beam=self.beam(middle_s),
        )
        self.number += 1
        self.times_s.append(middle_s)
        if self.train.captures:
            self.positions_mm.append(pulse.angle_deg if self.train.axis else fast_mm)
        return pulse


class Cable:
    """The trigger cable: pulses leave without waiting, and those that nobody takes are counted."""

    def __init__(self, address: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, CABLE_PULSES)
        try:
            self._socket.bind(address)
        except zmq.ZMQError:
            self._socket.close()
            raise
        self.n_untaken = 0

    def send(self, pulse: Pulse) -> None:
        """Put one pulse on the cable."""
        try:
            self._socket.send(pulse.model_dump_json().encode(), zmq.NOBLOCK)
        except zmq.Again:
            self.n_untaken += 1

    def close(self) -> None:
        """Free the address."""
        self._socket.close()
