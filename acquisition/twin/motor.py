"""Motor records for the axes of a platform: the fields, flags and refusals that clients of a real one rely on."""

import asyncio
from typing import Any

import structlog
from caproto import SkipWrite
from caproto.server import PVGroup, PvpropertyDouble, pvproperty

from acquisition.twin.platform import Clock, OutOfReachError, Platform

logger = structlog.get_logger(__name__)

TICK_S = 0.01
"""Between readbacks of what moves: real controllers are polled at 10 to 100 Hz."""

RESOLUTION = 1e-4
"""Of the readback: 0.1 micrometre, or 0.1 millidegree."""

PRECISION = 4
MSTA_PROBLEM = 0x200
"""The bit of MSTA by which a driver says that the controller refused."""


class Setpoint(PvpropertyDouble):
    """``VAL``: shows control limits but leaves the refusal to the record, which sets LVIO and raises no alarm."""

    async def verify_value(self, value: Any) -> Any:
        """Hand the value to the record's putter."""
        return await self.putter(self, value)


class Mover:
    """Publishes one platform through the records of its axes."""

    def __init__(self, platform: Platform, *, clock: Clock) -> None:
        self.platform = platform
        self.records: list[MotorRecord] = []
        self._clock = clock
        self._woken = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    def go(self, axis: int, target: float) -> "asyncio.Future[None]":
        """Send an axis off; the future is done when the whole platform is."""
        try:
            self.platform.go(axis, target)
        finally:
            self._woken.set()
        return self.when_done()

    def when_done(self) -> "asyncio.Future[None]":
        """Give a future that is done when the platform is: the completion of a put-callback."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        return done

    def stop(self) -> None:
        """Stop all axes."""
        self.platform.stop()
        self._woken.set()

    async def run(self) -> None:
        """Publish for ever."""
        for record in self.records:
            await record.set_up()
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._publish_flags(is_moving=True)
            while self.platform.is_moving():
                await self._publish_readbacks()
                await asyncio.sleep(TICK_S)
            await self._publish_readbacks()
            await self._publish_flags(is_moving=False)
            if not self._woken.is_set():
                self._release()

    async def _publish_readbacks(self) -> None:
        now_s = self._clock()
        position = self.platform.trajectory.position(now_s)
        for record in self.records:
            await record.publish_readback(float(position[record.axis]), at_s=now_s)

    async def _publish_flags(self, *, is_moving: bool) -> None:
        for record in self.records:
            await record.publish_flags(is_moving=is_moving)

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            if not done.done():
                done.set_result(None)


class MotorRecord(PVGroup):
    """One axis of a platform as a motor record.

    Parameters
    ----------
    prefix
        The record's name.
    mover
        The platform that carries the axis.
    axis
        Its place among the platform's axes.
    unit, low, high, max_speed
        EGU, soft limits and VMAX.
    """

    motor = pvproperty(value=0.0, name="", record="motor", dtype=Setpoint, precision=PRECISION)

    def __init__(self, prefix: str, *, mover: Mover, axis: int, unit: str, low: float, high: float, max_speed: float) -> None:
        super().__init__(prefix)
        self.axis = axis
        self._mover = mover
        self._unit = unit
        self._low = low
        self._high = high
        self._max_speed = max_speed
        self._readback: float | None = None
        fields = self.motor.field_inst
        self.motor.putter = self._put_value
        fields.velocity.putter = self._put_speed
        fields.seconds_to_velocity.putter = self._put_acceleration
        fields.stop.putter = self._put_stop
        fields.user_high_limit.putter = self._put_high
        fields.user_low_limit.putter = self._put_low
        mover.records.append(self)

    async def set_up(self) -> None:
        """Fill the fields before the first client comes."""
        fields, platform = self.motor.field_inst, self._mover.platform
        await fields.engineering_units.write(self._unit)
        await fields.max_velocity.write(self._max_speed)
        await fields.speed.write(platform.speed)
        await fields.motor_step_size.write(RESOLUTION)
        await fields.readback_settle_time.write(platform.settle_s)
        await fields.limit_violation.write(0)
        await self.publish_speed()
        await self._publish_limits()
        position = float(platform.target[self.axis])
        await self._show_target(position)
        for readback in (fields.user_readback_value, fields.dial_readback_value):
            await readback.write_metadata(units=self._unit, precision=PRECISION)
        await self.publish_readback(position, at_s=None)

    async def publish_readback(self, position: float, *, at_s: float | None) -> None:
        """Publish where the axis is, if that is new at the resolution of its encoder."""
        readback = round(position / RESOLUTION) * RESOLUTION
        if readback == self._readback:
            return
        fields = self.motor.field_inst
        if self._readback is not None:
            direction = int(readback > self._readback)
            if direction != fields.direction_of_travel.value:
                await fields.direction_of_travel.write(direction)
        self._readback = readback
        stamp = {} if at_s is None else {"timestamp": at_s}
        await fields.user_readback_value.write(readback, **stamp)
        await fields.dial_readback_value.write(readback, **stamp)

    async def publish_flags(self, *, is_moving: bool) -> None:
        """Publish the moving flag; at the end of a move, the demand is what the platform went to."""
        fields = self.motor.field_inst
        if not is_moving:
            target = float(self._mover.platform.target[self.axis])
            if target != self.motor.value:
                await self._show_target(target)
        await fields.motor_is_moving.write(int(is_moving))
        await fields.done_moving_to_value.write(int(not is_moving))

    async def publish_speed(self) -> None:
        """Publish the platform's speed and acceleration as this axis' own."""
        fields, platform = self.motor.field_inst, self._mover.platform
        await fields.velocity.write(platform.speed, verify_value=False)
        await fields.seconds_to_velocity.write(platform.acceleration_s, verify_value=False)

    async def _put_value(self, _: object, value: float) -> None:
        fields = self.motor.field_inst
        is_allowed = self._low <= value <= self._high
        await fields.limit_violation.write(int(not is_allowed))
        if not is_allowed:
            logger.warning("limit violation", axis=self.prefix, found=value, low=self._low, high=self._high)
            # Said again: a client that has put it may show its own demand.
            await self._show_target(self.motor.value)
            raise SkipWrite
        try:
            done = self._mover.go(self.axis, value)
        except OutOfReachError as refused:
            logger.warning("move refused", axis=self.prefix, reason=str(refused))
            await fields.motor_status.write(fields.motor_status.value | MSTA_PROBLEM)
            done = self._mover.when_done()
        else:
            await fields.motor_status.write(fields.motor_status.value & ~MSTA_PROBLEM)
        await self._show_target(value)
        await done
        # The value is published already; writing it at the end of the move would undo a newer demand.
        raise SkipWrite

    async def _show_target(self, value: float) -> None:
        await self.motor.write(value, verify_value=False, update_fields=False)
        await self.motor.field_inst.dial_desired_value.write(value, verify_value=False)

    async def _put_speed(self, _: object, value: float) -> None:
        if value > 0:
            self._mover.platform.speed = min(float(value), self._max_speed)
        await self._publish_speeds()

    async def _put_acceleration(self, _: object, value: float) -> None:
        if value > 0:
            self._mover.platform.acceleration_s = float(value)
        await self._publish_speeds()

    async def _publish_speeds(self) -> None:
        for record in self._mover.records:
            await record.publish_speed()
        raise SkipWrite

    async def _put_stop(self, _: object, value: int) -> None:
        if value:
            self._mover.stop()
        raise SkipWrite

    async def _put_high(self, _: object, value: float) -> None:
        self._high = float(value)
        await self._publish_limits()
        raise SkipWrite

    async def _put_low(self, _: object, value: float) -> None:
        self._low = float(value)
        await self._publish_limits()
        raise SkipWrite

    async def _publish_limits(self) -> None:
        fields = self.motor.field_inst
        await fields.user_high_limit.write(self._high, verify_value=False)
        await fields.user_low_limit.write(self._low, verify_value=False)
        limits = {"upper_ctrl_limit": self._high, "lower_ctrl_limit": self._low}
        display = {"upper_disp_limit": self._high, "lower_disp_limit": self._low}
        await self.motor.write_metadata(units=self._unit, **limits, **display)
