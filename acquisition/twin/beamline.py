"""The simulated beamline as a Channel Access server: all that a scan moves, reads and triggers, but detector and cell."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import zmq
from caproto.server import PVGroup

from acquisition.channel_access_server import serve_pvs
from acquisition.twin.hexapod import AXES, make_hexapod
from acquisition.twin.motor import MotorRecord, Mover
from acquisition.twin.platform import Clock, make_clock
from acquisition.twin.records import RingRecord, ShutterRecord, TriggerBoxRecord
from acquisition.twin.rotation import make_stage
from acquisition.twin.trigger_box import Cable, TriggerBox
from operando.errors import ProfileError, ServiceError
from operando.profile import Axis, Control, Profile


class Beamline:
    """The simulated devices of one profile, wired as the real ones are."""

    def __init__(self, profile: Profile, *, time_scale: float, cable: Cable, clock: Clock) -> None:
        control = profile.control
        self._time_scale = time_scale
        self.stage = Mover(make_stage(control.rotation, clock=clock, haste=self._haste), clock=clock)
        self.fast, self.fast_axis = _make_fast(control, clock=clock, haste=self._haste)
        self.shutter = ShutterRecord(control.shutter, clock=clock)
        decays = profile.twin is None or profile.twin.effects.ring_decay
        self.ring = RingRecord(current=control.ring_current, countdown=control.topup_countdown, clock=clock, decays=decays)
        self.box = TriggerBox(fast=self.fast.platform, axis=self.fast_axis, rotation=self.stage.platform, beam=self.beam)
        self.trigger = TriggerBoxRecord(control.trigger, box=self.box, cable=cable, clock=clock)
        _record(control.rotation, mover=self.stage, axis=0)

    @property
    def pvs(self) -> dict[str, object]:
        """All process variables by name."""
        groups: list[PVGroup] = [*self.fast.records, *self.stage.records, self.shutter, self.ring, self.trigger]
        return {name: pv for group in groups for name, pv in group.pvdb.items()}

    def beam(self, time_s: float) -> float:
        """Give the beam on the sample as a fraction of the nominal."""
        return self.shutter.blade.open_fraction(time_s) * self.ring.beam.fraction(time_s)

    async def run(self) -> None:
        """Let everything move and publish, for ever."""
        parts = (self.fast, self.stage, self.shutter, self.ring, self.trigger)
        await asyncio.gather(*(part.run() for part in parts))

    def _haste(self) -> float:
        """Give how much faster than real the axes move: a line that is measured is never hurried."""
        return 1.0 if self.box.is_busy else self._time_scale


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Serve the profile's simulated beamline until told to stop.

    Raises
    ------
    ProfileError
        If the profile has no simulated beamline.
    ServiceError
        If the Channel Access port or the cable's address is taken.
    """
    if profile.twin is None:
        raise ProfileError(f"profile {profile.name} has no section twin: its beamline is real and is not simulated")
    cable = _open_cable(profile.twin.cable)
    try:
        asyncio.run(_serve(profile, time_scale=profile.twin.time_scale, cable=cable, ready=ready, stop=stop))
    finally:
        cable.close()


async def _serve(
    profile: Profile, *, time_scale: float, cable: Cable, ready: Callable[[], None], stop: threading.Event
) -> None:
    beamline = Beamline(profile, time_scale=time_scale, cable=cable, clock=make_clock())
    port = profile.control.channel_access_port
    await serve_pvs(beamline.pvs, port=port, work=beamline.run(), ready=ready, stop=stop)


def _open_cable(address: str) -> Cable:
    try:
        return Cable(address)
    except zmq.ZMQError as error:
        raise ServiceError(
            f"the trigger cable cannot be laid at {address} ({error}): end the other beamline, or set twin.cable in the profile"
        ) from error


def _make_fast(control: Control, *, clock: Clock, haste: Callable[[], float]) -> tuple[Mover, int]:
    """Make what carries the fast axis, with its records, and say which of its axes that is."""
    names = {pv: name.upper() for name, pv in control.hexapod_axes.items()}
    if control.fast.pv not in names:
        mover = Mover(make_stage(control.fast, clock=clock, haste=haste), clock=clock)
        _record(control.fast, mover=mover, axis=0)
        return mover, 0
    mover = Mover(make_hexapod(control, clock=clock, haste=haste), clock=clock)
    for pv, name in names.items():
        if name not in AXES:
            raise ProfileError(f"control.hexapod_axes.{name}: unknown axis; a simulated hexapod has {', '.join(AXES)}")
        _record(control.fast if pv == control.fast.pv else _other(control, pv, name), mover=mover, axis=AXES.index(name))
    return mover, AXES.index(names[control.fast.pv])


def _other(control: Control, pv: str, name: str) -> Axis:
    """Give an axis that the profile names but does not describe: limited by what the platform can reach at best."""
    is_tilt = name in AXES[3:]
    reach = control.hexapod_tilt_deg if is_tilt else control.hexapod_reach_mm
    limit = 20.0 if reach is None else reach
    fast = control.fast
    return fast.model_copy(update={"pv": pv, "unit": "deg" if is_tilt else "mm", "low": -limit, "high": limit})


def _record(described: Axis, *, mover: Mover, axis: int) -> MotorRecord:
    return MotorRecord(
        described.pv,
        mover=mover,
        axis=axis,
        unit=described.unit,
        low=described.low,
        high=described.high,
        max_speed=described.speed,
    )
