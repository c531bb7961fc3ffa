"""What suspends a scan by itself and lets it go on by itself: the beam that is lost, and surroundings that leave their bounds.

A suspension stops the axes, closes the shutter and ends the attempt; when all is well again the line flies as the next attempt.
"""

from typing import TYPE_CHECKING, Any

from operando.profile import Profile

if TYPE_CHECKING:
    from acquisition.devices.beamline import BeamlineDevices

BEAM_BACK = 1.05
"""A suspended scan goes on when the ring current is this much above its floor: less, and it would stop again at once."""

SETTLE_S = 1.0
"""How long all must have been well: a shutter that chatters or a current that flickers must not restart a line each time."""


def make_suspenders(profile: Profile, devices: "BeamlineDevices") -> list[Any]:
    """Make the Bluesky suspenders of a profile: ring current, beam shutter, and everything in ``control.watched``."""
    from bluesky.suspenders import SuspendBoolLow, SuspendCeil, SuspendFloor

    control = profile.control
    floor_ma = control.ring_current_floor_ma
    made: list[Any] = [
        SuspendFloor(
            devices.ring.current, floor_ma, resume_thresh=floor_ma * BEAM_BACK, sleep=SETTLE_S, tripped_message="no beam"
        )
    ]
    if devices.beam_shutter is not None:
        made.append(SuspendBoolLow(devices.beam_shutter, sleep=SETTLE_S, tripped_message="the beam shutter is closed"))
    for watched in control.watched:
        signal = devices.watched[watched.name]
        if watched.low is not None:
            back = watched.low + watched.margin
            words = f"{watched.name} is below {watched.low:g}"
            made.append(SuspendFloor(signal, watched.low, resume_thresh=back, sleep=SETTLE_S, tripped_message=words))
        if watched.high is not None:
            back = watched.high - watched.margin
            words = f"{watched.name} is above {watched.high:g}"
            made.append(SuspendCeil(signal, watched.high, resume_thresh=back, sleep=SETTLE_S, tripped_message=words))
    return made
