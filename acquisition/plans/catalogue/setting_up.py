"""Plans that set a beamline up: alignment, signs, standard, dark, air."""

from typing import Annotated

from pydantic import Field

from acquisition.plans.catalogue.arguments import Count, Finite, Positive
from acquisition.plans.catalogue.runs import point_run, with_scan
from acquisition.plans.programme import PlannedRun, Programme
from acquisition.plans.shapes import lines_at, point_at
from operando.errors import ProfileError
from operando.profile import Profile


def align(
    profile: Profile,
    *,
    width_mm: Positive | None = None,
    step_mm: Positive | None = None,
    n_angles: Annotated[int, Field(ge=5, le=360)] = 8,
) -> Programme:
    """Fly wide lines at a few angles, to find the rotation centre, the cell's edges and the range that a scan needs.

    What they show is said when they have flown, with the numbers for the profile.

    Parameters
    ----------
    width_mm
        Length of the lines about the profile's centre; None is half as long again as the profile's, or what the axis allows.
    step_mm
        Distance of points; None gives about a hundred on a line.
    n_angles
        Over the whole turn where the stage allows it, else over half a turn.
    """
    width_mm = _widest_mm(profile) if width_mm is None else width_mm
    step_mm = max(profile.scan.step_mm, width_mm / 100) if step_mm is None else step_mm
    wide = with_scan(profile, step_mm=step_mm, n_points=max(2, round(width_mm / step_mm) + 1))
    run = PlannedRun(profile=wide, layout=lines_at(wide, _around(profile, n_angles)), purpose="align")
    return Programme(plan="align", profile=wide, steps=(run,))


def sign_test(profile: Profile, *, n_angles: Annotated[int, Field(ge=5, le=360)] = 8) -> Programme:
    """Fly lines over a pin off the axis, which proves the signs of rotation, translation, beam and detector.

    The profile says in ``sign_pin`` what the pin is of and about where it stands.

    Parameters
    ----------
    n_angles
        Over the whole turn where the stage allows it, else over half a turn.
    """
    if profile.sign_pin is None:
        raise ProfileError("sign_test needs the section sign_pin in the profile: the pin's phase and about where it stands")
    run = PlannedRun(profile=profile, layout=lines_at(profile, _around(profile, n_angles)), purpose="sign_test")
    return Programme(plan="sign_test", profile=profile, steps=(run,))


def calibrate(profile: Profile, *, n_frames: Count = 20, position_mm: Finite | None = None) -> Programme:
    """Take frames of a calibrant that stands at one point."""
    run = point_run(profile, n_frames=n_frames, position_mm=position_mm, angle_deg=0.0, purpose="calibration")
    return Programme(plan="calibrate", profile=profile, steps=(run,))


def dark(profile: Profile, *, n_frames: Count = 20) -> Programme:
    """Take frames with the shutter closed."""
    layout = point_at(profile, position_mm=profile.scan.centre_mm, angle_deg=0.0, n_frames=n_frames)
    run = PlannedRun(profile=profile, layout=layout, purpose="dark", has_beam=False)
    return Programme(plan="dark", profile=profile, steps=(run,))


def air_and_transmission(
    profile: Profile, *, air_mm: Finite, n_frames: Count = 20, position_mm: Finite | None = None
) -> Programme:
    """Take frames beside the sample, then through it, for background and transmission.

    Parameters
    ----------
    air_mm
        Readback of the fast axis at which the beam passes beside the sample.
    position_mm
        Readback through the sample; None is the rotation axis.
    """
    steps = (
        point_run(profile, n_frames=n_frames, position_mm=air_mm, angle_deg=0.0, purpose="air"),
        point_run(profile, n_frames=n_frames, position_mm=position_mm, angle_deg=0.0, purpose="transmission"),
    )
    return Programme(plan="air_and_transmission", profile=profile, steps=steps)


def _around(profile: Profile, n_angles: int) -> list[float]:
    """Give angles over the whole turn where the stage and the cables allow it, else over half a turn."""
    rotation, wrap_deg = profile.control.rotation, profile.control.cable_wrap_deg
    highest = rotation.high if wrap_deg is None else min(rotation.high, wrap_deg)
    span_deg = 360.0 if highest >= 360 * (1 - 1 / n_angles) else 180.0
    return [span_deg * number / n_angles for number in range(n_angles)]


def _widest_mm(profile: Profile) -> float:
    scan, fast = profile.scan, profile.control.fast
    wished_mm = 1.5 * (scan.n_points - 1) * scan.step_mm
    # A tenth is left for the run-up; the dry run tells if that is not enough.
    reach_mm = 0.9 * min(scan.centre_mm - fast.low, fast.high - scan.centre_mm)
    return min(wished_mm, 2 * reach_mm)
