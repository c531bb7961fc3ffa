"""A motor that is believed only when it stands where it was sent."""

import contextlib
import threading
from typing import Any

from ophyd import Component, EpicsMotor, EpicsSignal, EpicsSignalRO
from ophyd.status import Status
from ophyd.utils import DisconnectedError

from acquisition.devices.promise import Promise
from operando.errors import ServiceError

PATIENCE_S = 5.0
"""Added to the time that a move should take before it counts as lost; a busy server answers late, a dead one never."""

SLOWNESS = 2.0
"""How many times the computed duration a move may take: controllers settle, and a group moves with its slowest axis."""

LOOK_S = 0.05
ANSWER_S = 2.0


class Axis(EpicsMotor):
    """A motor record whose moves end in a status that fails with what was found and what was wanted.

    ``DMOV`` says that a motor stands still, not that it arrived: a record that dropped or lost a move is done as well.

    Parameters
    ----------
    tolerance
        How far from the demand the readback may be, in the axis' unit.
    """

    velocity = Component(EpicsSignal, ".VELO", kind="config", auto_monitor=True, put_complete=True)
    """Set it with a put-callback: a record that clamps the demand would never match it. Read it back before a line."""

    max_speed = Component(EpicsSignalRO, ".VMAX", kind="omitted", auto_monitor=True)

    def __init__(self, prefix: str = "", *, tolerance: float, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.tolerance = tolerance
        self._promise: Promise | None = None

    def set(self, new_position: float, *, timeout: float | None = None, wait: bool = False) -> Status:
        """Move, and give a status that is done when the axis stands within its tolerance of the demand.

        The end of a move is the record's answer to the put, not an edge of ``DMOV``: axes of one platform share the flag,
        and the end of another's move may be heard after this one has begun.

        Raises
        ------
        ophyd.utils.LimitError
            If the position is outside the limits; nothing has been put then.
        """
        self.check_value(new_position)
        promise = Promise(self, timeout_s=timeout or self.longest_s(new_position), late=lambda: self._verdict(new_position))
        promise.need(self.motor_done_move)
        self._promise = promise
        self.user_setpoint.put(new_position, wait=False, callback=lambda **_: self._judge(promise, new_position))
        if wait:
            promise.status.wait()
        return promise.status

    def stop(self, *, success: bool = False) -> None:
        """Stop; the RunEngine stops with ``success`` at a pause, and the move that it will repeat is no failure then."""
        if success and self._promise is not None:
            self._promise.keep()
        super().stop(success=success)

    def longest_s(self, target: float) -> float:
        """Give the seconds that a move from here may take before it counts as lost."""
        speed = self.velocity.get()
        if speed <= 0:
            return PATIENCE_S
        distance = abs(target - self.user_readback.get())
        return float(SLOWNESS * (distance / speed + 2 * self.acceleration.get()) + PATIENCE_S)

    def _judge(self, promise: Promise, target: float) -> None:
        if promise.is_settled:
            return
        try:
            # Not the monitored values: they may still be on their way.
            is_done = self.motor_done_move.get(use_monitor=False, timeout=ANSWER_S)
            found = self.user_readback.get(use_monitor=False, timeout=ANSWER_S)
        except (DisconnectedError, TimeoutError) as lost:
            promise.fail(ServiceError(f"lost {self.prefix} at the end of a move: {lost}"))
            return
        if not is_done:
            # A record that answers a put at once, or a platform that was sent on by another axis.
            again = threading.Timer(LOOK_S, self._judge, (promise, target))
            again.daemon = True
            again.start()
        elif abs(found - target) <= self.tolerance:
            promise.keep()
        else:
            promise.fail(RuntimeError(self._verdict(target, found=found)))

    def _verdict(self, target: float, *, found: float | None = None) -> str:
        unit = ""
        with contextlib.suppress(DisconnectedError, TimeoutError):
            found = self.user_readback.get() if found is None else found
            unit = self.motor_egu.get()
        stands = "does not answer" if found is None else f"stands at {found:.5g} {unit}"
        return (
            f"{self.name} ({self.prefix}) {stands}, wanted {target:.5g} within {self.tolerance:.2g}: "
            "was it stopped, or refused by its controller?"
        )
