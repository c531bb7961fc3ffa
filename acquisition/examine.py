"""Compare a profile with the beamline as it stands: everything is read, nothing is put."""

import time
from typing import TYPE_CHECKING

from operando.errors import ProfileError
from operando.profile import Axis, Profile

if TYPE_CHECKING:
    from acquisition.devices.axis import Axis as AxisDevice
    from acquisition.devices.cell import CellMonitor
    from operando.messages import CellReading

CELL_S = 5.0
"""How long ``check`` waits for a cell bridge."""


def describe_control(profile: Profile) -> str:
    """Say which axis has which role, what guards the scan and what nobody guards; touches nothing."""
    control, limits = profile.control, profile.cell_limits
    guarded = [name for name, value in limits.model_dump().items() if value is not None]
    if control.mode == "listen":
        words = "another control system scans; operando moves nothing"
        unheeded = f"; NOBODY GUARDS THE CELL HERE: cell_limits ({', '.join(guarded)}) needs a shutter that operando may close"
        return f"{words}{unheeded}" if guarded else words
    names = {pv: f"hexapod {name}" for name, pv in control.hexapod_axes.items()}
    roles = (
        f"{role} {names.get(axis.pv, 'axis')} ({axis.pv}) {axis.low:g} to {axis.high:g} {axis.unit}"
        for role, axis in (("fast", control.fast), ("rotation", control.rotation))
    )
    watched = ["ring current", *(["beam shutter"] if control.beam_shutter else []), *(one.name for one in control.watched)]
    cables = "no limit (control.cable_wrap_deg)" if control.cable_wrap_deg is None else f"{control.cable_wrap_deg:g} deg"
    return (
        f"{', '.join(roles)}; suspended by {', '.join(watched)}; "
        f"cell interlock: {', '.join(guarded) or 'none (cell_limits is empty)'}; "
        f"cables: {cables}; "
        f"dose: {'not known (dose is empty)' if profile.dose is None else 'estimated by the dry run'}"
    )


def examine_beamline(profile: Profile, *, timeout_s: float = 10.0) -> str:
    """Connect to the beamline of a profile, and say where it stands.

    Raises
    ------
    OperandoError
        If something does not answer, or is not as the profile says, all of it in words.
    """
    from acquisition.devices.beamline import make_devices

    devices = make_devices(profile, timeout_s=timeout_s)
    try:
        control = profile.control
        found = [*_of_axis("fast", control.fast, devices.fast), *_of_axis("rotation", control.rotation, devices.rotation)]
        if found:
            raise ProfileError("; ".join(found))
        reading = _first_reading(devices.cell)
        cell = "no cell bridge answers" if reading is None else f"the cell was read {reading.age_s:.0f} s ago"
        return (
            f"all process variables answer; fast axis at {devices.fast.position:.4g} mm, rotation at "
            f"{devices.rotation.position:.4g} deg, shutter {'open' if devices.shutter.is_open else 'closed'}, ring at "
            f"{devices.ring.current.get():.4g} mA, detector {devices.detector.client.status('state')}; {cell}"
        )
    finally:
        devices.detector.client.close()


def _first_reading(cell: "CellMonitor") -> "CellReading | None":
    """Give the cell's reading; None if none came while the variables of a bridge that answers take to connect."""
    deadline_s = time.monotonic() + CELL_S
    while (reading := cell.reading()) is None and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return reading


def _of_axis(role: str, described: Axis, device: "AxisDevice") -> list[str]:
    """Say where the profile promises more than the motor record allows."""
    complaints = []
    low, high = device.low_limit_travel.get(), device.high_limit_travel.get()
    if low < high and (described.low < low or described.high > high):
        complaints.append(
            f"control.{role}: {described.pv} is limited to {low:g} to {high:g}, the profile says {described.low:g} to "
            f"{described.high:g}: correct low and high"
        )
    fastest = device.max_speed.get()
    if 0 < fastest < described.speed:
        complaints.append(f"control.{role}: {described.pv} does at most {fastest:g}/s, the profile says {described.speed:g}")
    unit = str(device.motor_egu.get()).strip().lower()
    if unit and unit not in (described.unit, f"{described.unit}s", "degrees" if described.unit == "deg" else "millimeter"):
        complaints.append(f"control.{role}: {described.pv} counts in {unit!r}, the profile in {described.unit!r}")
    return complaints
