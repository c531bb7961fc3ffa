"""What an acquisition that died left behind: said, and put right, before anything else is done.

A killed process closes no shutter and restores no speed. The axes have come to rest by themselves; the detector is made idle
when it is armed next.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from operando.profile import Profile

if TYPE_CHECKING:
    from acquisition.devices.beamline import BeamlineDevices

PATIENCE_S = 5.0


def clear_leftovers(devices: "BeamlineDevices", profile: Profile, *, tell: Callable[[str], None]) -> None:
    """Close an open shutter, disarm an armed trigger box and restore the platform's speed, telling each.

    Raises
    ------
    Exception
        What the device says if it cannot be put right: a scan must not start on it.
    """
    if devices.shutter.is_open:
        tell("the shutter was found open, and is closed")
        devices.shutter.set(0).wait(PATIENCE_S)
    if devices.trigger.is_armed.get():
        tell("the trigger box was found armed, and is disarmed")
        devices.trigger.stop(success=True)
    control = profile.control
    for name, axis, described in (("fast axis", devices.fast, control.fast), ("rotation", devices.rotation, control.rotation)):
        found, wanted, unit = axis.velocity.get(), described.speed, described.unit
        if abs(found - wanted) > 1e-4 * wanted:
            tell(f"the {name} was found at {found:.4g} {unit}/s, and is set to {wanted:g} {unit}/s")
            axis.velocity.set(wanted).wait(PATIENCE_S)
