"""All devices of a profile, by role; nothing here knows which beamline it is."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from acquisition.channel_access import use_beamline
from operando.errors import ServiceError
from operando.profile import Profile

if TYPE_CHECKING:
    # At run time these come after Channel Access is pointed at the beamline: importing ophyd starts it.
    from ophyd import Device, EpicsSignalRO

    from acquisition.devices.axis import Axis
    from acquisition.devices.cell import CellMonitor
    from acquisition.devices.detector import SimplonDetector
    from acquisition.devices.hexapod import Hexapod
    from acquisition.devices.ring import Ring
    from acquisition.devices.rotation import Rotation
    from acquisition.devices.shutter import Shutter
    from acquisition.devices.trigger import TriggerBox

logger = structlog.get_logger(__name__)

POLL_S = 0.05

BASELINE = "baseline"
"""Label of the devices whose state belongs to every run."""

CELL_PATIENCE_S = 2.0
"""How long the cell is waited for when all else answers: its bridge may come later, at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamlineDevices:
    """The devices of one beamline, by what they do in a scan."""

    fast: "Axis"
    """The axis that sweeps; one of the hexapod's where there is one."""
    rotation: "Rotation"
    hexapod: "Hexapod | None"
    shutter: "Shutter"
    trigger: "TriggerBox"
    ring: "Ring"
    detector: "SimplonDetector"
    cell: "CellMonitor"
    channels: "Mapping[str, CellMonitor]" = field(default_factory=dict)
    """The cells on further channels of the cycler."""
    beam_shutter: "EpicsSignalRO | None" = None
    """Status of a shutter that others drive: 1 open."""
    watched: "Mapping[str, EpicsSignalRO]" = field(default_factory=dict)
    """What else suspends a scan, by name."""

    @property
    def baseline(self) -> "list[Any]":
        """What is read at the start and at the end of every run, by its label; the hexapod with all its axes."""
        alone = [] if self.hexapod is not None and self.fast.parent is self.hexapod else [self.fast]
        every = [*alone, *self.epics[1:], *self.watched.values()]
        return [device for device in every if BASELINE in device._ophyd_labels_]

    @property
    def epics(self) -> "list[Device]":
        """What must answer over Channel Access before a scan; the cell may come later."""
        devices: list[Device | None] = [self.fast, self.rotation, self.shutter, self.trigger, self.ring, self.hexapod]
        return [device for device in devices if device is not None]

    @property
    def signals(self) -> "list[EpicsSignalRO]":
        """What else must answer."""
        return [*self.watched.values(), *([] if self.beam_shutter is None else [self.beam_shutter])]


def make_devices(profile: Profile, *, timeout_s: float = 20.0, needs_detector: bool = True) -> BeamlineDevices:
    """Make the devices of a profile, and wait until they answer.

    Without a cell bridge there are no readings, and that is said; everything else must be there.

    Raises
    ------
    ServiceError
        If process variables or the detector do not answer in time, with their names and what to do.
    """
    deadline = time.monotonic() + timeout_s
    use_beamline(profile)
    devices = _build(profile)
    missing = _await_connection(devices.epics, devices.signals, deadline=deadline)
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise ServiceError(
            f"{len(missing)} process variables do not answer within {timeout_s:g} s: {shown}: start the beamline's "
            "Channel Access server, or correct the names under control in the profile"
        )
    if needs_detector:
        _await_detector(devices.detector, deadline=deadline)
    patience = time.monotonic() + CELL_PATIENCE_S
    for monitor in (devices.cell, *devices.channels.values()):
        if _await_connection([monitor], deadline=patience):
            logger.warning("no cell bridge answers: readings will be absent until it does", prefix=monitor.prefix)
    return devices


def _build(profile: Profile) -> BeamlineDevices:
    from ophyd import EpicsSignalRO

    from acquisition.devices.axis import Axis
    from acquisition.devices.cell import CellMonitor
    from acquisition.devices.detector import SimplonDetector
    from acquisition.devices.hexapod import make_hexapod
    from acquisition.devices.ring import Ring
    from acquisition.devices.rotation import Rotation
    from acquisition.devices.shutter import Shutter
    from acquisition.devices.trigger import TriggerBox

    control = profile.control
    hexapod = make_hexapod(control)
    role_of_pv = {pv: axis.lower() for axis, pv in control.hexapod_axes.items()}
    if hexapod is not None and control.fast.pv in role_of_pv:
        fast: Axis = getattr(hexapod, role_of_pv[control.fast.pv])
    else:
        fast = Axis(control.fast.pv, name="fast", tolerance=control.fast.tolerance, labels={BASELINE})
    cell = CellMonitor(control.cell, name="cell")
    return BeamlineDevices(
        fast=fast,
        rotation=Rotation(control.rotation.pv, name="rotation", tolerance=control.rotation.tolerance, labels={BASELINE}),
        hexapod=hexapod,
        shutter=Shutter(control.shutter, name="shutter", labels={BASELINE}),
        trigger=TriggerBox(control.trigger, name="trigger"),
        ring=Ring(name="ring", current_pv=control.ring_current, countdown_pv=control.topup_countdown, labels={BASELINE}),
        detector=SimplonDetector(name="detector", detector=profile.detector),
        cell=cell,
        beam_shutter=EpicsSignalRO(control.beam_shutter, name="beam_shutter") if control.beam_shutter else None,
        watched={one.name: EpicsSignalRO(one.pv, name=one.name, labels={BASELINE}) for one in control.watched},
        channels={
            channel: cell if pvs == control.cell else CellMonitor(pvs, name=f"cell_{channel}")
            for channel, pvs in control.channels.items()
        },
    )


def _await_connection(devices: "Iterable[Device]", others: "Iterable[EpicsSignalRO]" = (), *, deadline: float) -> list[str]:
    """Wait until all signals are connected, and give the names of the process variables that are not at the deadline."""
    from ophyd.signal import EpicsSignalBase

    from acquisition.devices.late import ask_for

    signals = {
        walk.item.pvname: walk.item
        for device in devices
        for walk in device.walk_signals()
        if isinstance(walk.item, EpicsSignalBase) and walk.item.attr_name not in getattr(walk.item.parent, "optional", ())
    }
    signals |= {signal.pvname: signal for signal in others}
    asked_at = 0.5 * (time.monotonic() + deadline)
    while True:
        missing = [name for name, signal in signals.items() if not signal.connected]
        if not missing or time.monotonic() > deadline:
            return missing
        if time.monotonic() > asked_at:
            asked_at = deadline
            ask_for((signals[name] for name in missing), deadline=deadline)
        time.sleep(POLL_S)


def _await_detector(detector: "SimplonDetector", *, deadline: float) -> None:
    while True:
        try:
            detector.client.status("state")
        except ServiceError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
        else:
            return
