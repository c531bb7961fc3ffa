"""The process variables of shutter, ring and trigger box."""

import asyncio

import structlog
from caproto import ChannelType, SkipWrite
from caproto.server import PVGroup, pvproperty

from acquisition.twin.platform import Clock
from acquisition.twin.ring import StoredBeam
from acquisition.twin.shutter import TRAVEL_S, Blade
from acquisition.twin.trigger_box import MAX_GATES, Cable, Train, TriggerBox

logger = structlog.get_logger(__name__)

STATES = ("Idle", "Armed", "Running", "Done")

LOOK_S = 0.005
"""How often an armed box looks for the crossing; later only delays the first pulse, its time is exact all the same."""

RING_S = 0.5


class ShutterRecord(PVGroup):
    """Demand and status of the fast shutter."""

    demand = pvproperty(value=0, name="", doc="1 opens, 0 closes")
    status = pvproperty(value=0, name=":STATUS", read_only=True, doc="1 open, 0 closed; under way, what it was")

    def __init__(self, prefix: str, *, clock: Clock) -> None:
        super().__init__(prefix)
        self.blade = Blade()
        self._clock = clock
        self._woken = asyncio.Event()
        self.demand.putter = self._put_demand

    async def run(self) -> None:
        """Publish the status for ever: when the blade has arrived and was not told otherwise on its way."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await asyncio.sleep(TRAVEL_S)
            status = self.blade.status(self._clock(), before=self.status.value)
            if status != self.status.value:
                await self.status.write(status)
            if status != self.blade.demand:
                self._woken.set()  # the clock may run behind the sleep; look again rather than never

    async def _put_demand(self, _: object, value: int) -> int:
        demand = int(bool(value))
        self.blade = self.blade.told(demand, at_s=self._clock())
        self._woken.set()
        return demand


class RingRecord(PVGroup):
    """Current and top-up of the ring, and a way to lose the beam."""

    current = pvproperty(value=0.0, name="{current}", read_only=True, precision=3, units="mA")
    countdown = pvproperty(value=0.0, name="{countdown}", read_only=True, precision=1, units="s")
    dump = pvproperty(value=0, name="{dump}", doc="1 loses the beam, 0 fills the ring again")

    def __init__(self, *, current: str, countdown: str, clock: Clock, decays: bool = True) -> None:
        dump = f"{current.rpartition(':')[0]}:DUMP"
        super().__init__("", macros={"current": current, "countdown": countdown, "dump": dump})
        stored = StoredBeam(epoch_s=clock())
        self.beam = stored if decays else stored.kept_up()
        self._clock = clock
        self.dump.putter = self._put_dump

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await self._publish()
            await asyncio.sleep(RING_S)

    async def _put_dump(self, _: object, value: int) -> int:
        self.beam = self.beam.dumped(bool(value))
        await self._publish()
        return int(bool(value))

    async def _publish(self) -> None:
        now_s = self._clock()
        await self.current.write(self.beam.current_ma(now_s))
        await self.countdown.write(self.beam.countdown_s(now_s))


class TriggerBoxRecord(PVGroup):
    """The trigger box: settings, arming, and what was captured."""

    start = pvproperty(value=0.0, name=":START", precision=5, units="mm")
    direction = pvproperty(value=1, name=":DIRECTION")
    n_pulses = pvproperty(value=1, name=":NPULSES")
    period = pvproperty(value=0.04, name=":PERIOD", precision=6, units="s")
    exposure = pvproperty(value=0.03, name=":EXPOSURE", precision=6, units="s")
    axis = pvproperty(value=0, name=":AXIS", doc="0 watches and captures the fast axis, 1 the rotation")
    capture = pvproperty(value=1, name=":CAPTURE")
    arm = pvproperty(value=0, name=":ARM")
    state = pvproperty(value=STATES[0], name=":STATE", dtype=ChannelType.ENUM, enum_strings=list(STATES), read_only=True)
    count = pvproperty(value=0, name=":COUNT", read_only=True)
    untaken = pvproperty(value=0, name=":UNTAKEN", read_only=True, doc="pulses that no detector took")
    positions = pvproperty(value=[0.0], name=":POSITIONS", max_length=MAX_GATES, read_only=True, units="mm")
    times = pvproperty(value=[0.0], name=":TIMES", max_length=MAX_GATES, read_only=True, units="s")

    def __init__(self, prefix: str, *, box: TriggerBox, cable: Cable, clock: Clock) -> None:
        super().__init__(prefix)
        self._box = box
        self._cable = cable
        self._clock = clock
        self._woken = asyncio.Event()
        self.arm.putter = self._put_arm

    async def run(self) -> None:
        """Give gates for ever."""
        await self._publish_captured()
        while True:
            if not self._box.is_busy:
                await self._woken.wait()
                self._woken.clear()
            for pulse in self._box.advance(self._clock()):
                self._cable.send(pulse)
            await self._publish_state()
            next_s = self._box.next_event_s()
            await asyncio.sleep(LOOK_S if next_s is None else max(next_s - self._clock(), 0.0))

    async def _put_arm(self, _: object, value: int) -> None:
        if value:
            self._box.disarm()
            self._box.train = Train(
                start_mm=self.start.value,
                direction=self.direction.value,
                n_pulses=self.n_pulses.value,
                period_s=self.period.value,
                exposure_s=self.exposure.value,
                captures=bool(self.capture.value),
                axis=self.axis.value,
            )
            try:
                self._box.arm(now_s=self._clock())
            except ValueError as refused:
                logger.warning("trigger box does not arm", reason=str(refused))
        else:
            self._box.disarm()
        await self._publish_state()
        self._woken.set()
        raise SkipWrite

    async def _publish_state(self) -> None:
        """Publish what was captured before the state that says so."""
        box = self._box
        if box.state == self.state.value and box.count == self.count.value:
            return
        is_over = box.state != self.state.value and not box.is_busy
        if is_over:
            await self._publish_captured()
        await self.count.write(box.count)
        await self.untaken.write(self._cable.n_untaken)
        if box.state != self.state.value:
            await self.state.write(box.state)
            await self.arm.write(int(box.is_busy), verify_value=False)

    async def _publish_captured(self) -> None:
        await self.positions.write(list(self._box.positions_mm))
        await self.times.write(list(self._box.times_s))
