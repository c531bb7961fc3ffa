"""The plans by name. Each gives its programme: the dry run rehearses it, a station flies it (:mod:`acquisition.plans.bound`).

Every argument has a unit in its name; one that is None is the profile's.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, validate_call

from acquisition.plans.layout import layout_of
from acquisition.plans.programme import Move, PlannedRun, Programme, Step, Wait
from acquisition.plans.shapes import lines_at, point_at, rest_of
from acquisition.plans.steering import Wanted
from acquisition.plans.turns import turns_of
from acquisition.plans.until import Until
from operando.errors import ProfileError
from operando.profile import Cell, Profile

Count = Annotated[int, Field(ge=1, le=10_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Several = Annotated[list[Finite], Field(min_length=1, max_length=10_000)]


class CellPlace(BaseModel):
    """Where a cell stands on the stage, and which channel of the cycler it hangs on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    pose: Annotated[dict[str, Finite], Field(min_length=1)]
    """Position of hexapod axes by lower-case name, mm."""
    channel: str = ""
    """The cycler's channel, a name of control.channels; empty where nobody reads this cell."""
    chemistry: str = ""


def xrdct(
    profile: Profile,
    *,
    n_lines: Count | None = None,
    n_points: Annotated[int, Field(ge=2)] | None = None,
    step_mm: Positive | None = None,
    centre_mm: Finite | None = None,
    exposure_s: Positive | None = None,
    angle_range_deg: Literal[180, 360] | None = None,
    order: Literal["sequential", "interlaced"] | None = None,
    start_line: Annotated[int, Field(ge=0)] = 0,
    continues: str = "",
) -> Programme:
    """Fly one tomogram: a zig-zag line at each angle over 180 or 360 degrees.

    Parameters
    ----------
    n_lines, n_points, step_mm, centre_mm, exposure_s, angle_range_deg, order
        In place of the profile's.
    start_line
        Begin at this line (0 is the first), to end a tomogram that was broken off.
    continues
        Id of the run that was broken off, or ``last``: its lines and these make one map.
    """
    changed = _scan(
        profile,
        n_lines=n_lines,
        n_points=n_points,
        step_mm=step_mm,
        centre_mm=centre_mm,
        exposure_s=exposure_s,
        angle_range_deg=angle_range_deg,
        order=order,
    )
    layout = rest_of(layout_of(changed), start_line=start_line)
    metadata = {"start_line": start_line, "continues": continues} if start_line or continues else {}
    run = PlannedRun(profile=changed, layout=layout, purpose="tomogram", metadata=metadata)
    return Programme(plan="xrdct", profile=changed, steps=(run,))


def continuous_rotation(
    profile: Profile,
    *,
    n_angles: Count | None = None,
    n_positions: Annotated[int, Field(ge=2)] | None = None,
    step_mm: Positive | None = None,
    exposure_s: Positive | None = None,
    angle_range_deg: Literal[180, 360] | None = None,
    order: Literal["sequential", "interlaced"] | None = None,
) -> Programme:
    """Fly one tomogram by turns: the stage turns while frames are taken, the translation steps from turn to turn.

    Maps come when half of the turns are in, at three quarters, and at the end; in interlaced order the half is every other
    position. The trigger box must capture the rotation.

    Parameters
    ----------
    n_angles, n_positions, step_mm, exposure_s, angle_range_deg, order
        In place of the profile's n_lines, n_points, step_mm, exposure_s, angle_range_deg and order (here of the positions).
    """
    changed = _scan(
        profile,
        n_lines=n_angles,
        n_points=n_positions,
        step_mm=step_mm,
        exposure_s=exposure_s,
        angle_range_deg=angle_range_deg,
        order=order,
    )
    metadata = {"sweep": "rotation", "direction_rule": "even turns towards positive angles, odd turns back"}
    run = PlannedRun(profile=changed, layout=turns_of(changed), purpose="tomogram", metadata=metadata)
    return Programme(plan="continuous_rotation", profile=changed, steps=(run,))


def steered(
    profile: Profile,
    *,
    change_below: Positive | None = None,
    x_above: Finite | None = None,
    x_below: Finite | None = None,
    sigma_below: Positive | None = None,
    region_x_mm: Finite = 0.0,
    region_y_mm: Finite = 0.0,
    region_radius_mm: Positive | None = None,
    over_lines: Count = 4,
    least_lines: Count = 8,
    missing_points: Count | None = None,
) -> Programme:
    """Fly a tomogram as the map asks for it: lines with holes again, and no more lines than are needed.

    The analysis is asked after every line and never waited for. In interlaced order a first map of the whole slice exists after
    one pass; the angles between are flown only until a condition is met.

    Parameters
    ----------
    change_below
        End when x in LixC6 changes by less than this (root mean square over the voxels) in ``over_lines`` lines.
    x_above, x_below
        End when the mean of x has reached this.
    sigma_below
        End when the typical standard uncertainty of x in a voxel is below this.
    region_x_mm, region_y_mm, region_radius_mm
        Region that the conditions look at, from the rotation axis; without a radius it is the whole slice.
    over_lines
        Lines between the two maps of which the change is taken.
    least_lines
        No condition ends the scan before so many lines are in the map.
    missing_points
        Fly a line again, once, if at least so many of its points are missing.
    """
    wanted = Wanted(
        change_below=change_below,
        x_above=x_above,
        x_below=x_below,
        sigma_below=sigma_below,
        x_mm=region_x_mm,
        y_mm=region_y_mm,
        radius_mm=region_radius_mm,
        over_lines=over_lines,
        least_lines=least_lines,
        missing_points=missing_points,
    )
    return Programme(plan="steered", profile=profile, steps=(_tomogram(profile),), steering=wanted)


def slice_stack(profile: Profile, *, heights_mm: Several, axis: str = "z") -> Programme:
    """Fly a tomogram at each height; the hexapod stays at the last.

    Parameters
    ----------
    heights_mm
        Absolute positions of the vertical axis.
    axis
        The hexapod's vertical axis, lower case.
    """
    _refuse_fast_axis(profile, [axis])
    steps: list[Step] = []
    for height_mm in heights_mm:
        steps += [Move(pose={axis: height_mm}), _tomogram(profile, height_mm=height_mm)]
    return Programme(plan="slice_stack", profile=profile, steps=tuple(steps))


def series(
    profile: Profile,
    *,
    n_tomograms: Count,
    hours: Positive | None = None,
    voltage_above_v: Finite | None = None,
    voltage_below_v: Finite | None = None,
    charge_above_ah: Finite | None = None,
    charge_below_ah: Finite | None = None,
    cycler_step: str = "",
) -> Programme:
    """Fly tomograms one after another over a charge, until one of the conditions is met or their number is reached.

    Conditions are looked at between tomograms. A reading of the cell that is stale meets none.

    Parameters
    ----------
    n_tomograms
        At most so many.
    hours
        No new tomogram begins later than this after the start.
    voltage_above_v, voltage_below_v, charge_above_ah, charge_below_ah
        State of the cell at which to end, on the cycler's own counters.
    cycler_step
        Name of the cycler's step at which to end.
    """
    until = Until(
        hours=hours,
        voltage_above_v=voltage_above_v,
        voltage_below_v=voltage_below_v,
        charge_above_ah=charge_above_ah,
        charge_below_ah=charge_below_ah,
        step=cycler_step,
        stale_s=profile.cell.stale_s,
    )
    one = _tomogram(profile)
    return Programme(plan="series", profile=profile, steps=(one,) * n_tomograms, until=until)


def sparse_series(profile: Profile, *, n_tomograms: Count, interval_s: Positive) -> Programme:
    """Fly a tomogram at fixed intervals, for instance over days of rest; the shutter is closed between them.

    Parameters
    ----------
    interval_s
        From the start of one to the start of the next; one that takes longer delays the next, never those after it.
    """
    steps: list[Step] = []
    one = _tomogram(profile)
    for number in range(n_tomograms):
        steps += [Wait(until_s=number * interval_s), one]
    return Programme(plan="sparse_series", profile=profile, steps=tuple(steps[1:]))


def single_line(profile: Profile, *, angle_deg: Finite = 0.0, n_repeats: Count = 1) -> Programme:
    """Fly the same line again and again at one angle."""
    run = PlannedRun(profile=profile, layout=lines_at(profile, [angle_deg] * n_repeats), purpose="line")
    return Programme(plan="single_line", profile=profile, steps=(run,))


def point_against_time(
    profile: Profile, *, n_frames: Count, position_mm: Finite | None = None, angle_deg: Finite = 0.0
) -> Programme:
    """Take frames at one point of the sample, one after another.

    Parameters
    ----------
    position_mm
        Readback of the fast axis; None is the rotation axis.
    """
    return Programme(
        plan="point_against_time",
        profile=profile,
        steps=(_point(profile, n_frames=n_frames, position_mm=position_mm, angle_deg=angle_deg, purpose="point"),),
    )


def multi_cell(profile: Profile, *, cells: Annotated[list[CellPlace], Field(min_length=1)], n_rounds: Count = 1) -> Programme:
    """Fly a tomogram of each of several cells in turn, round after round.

    Parameters
    ----------
    cells
        Name, pose on the stage and cycler channel of each. Its lines carry the readings of its own channel, and none where
        no channel is given.
    """
    _refuse_fast_axis(profile, [axis for cell in cells for axis in cell.pose])
    _refuse_unknown_channels(profile, cells)
    steps: list[Step] = []
    for number in range(n_rounds):
        for cell in cells:
            steps += [Move(pose=cell.pose), _of_cell(profile, cell, number=number)]
    return Programme(plan="multi_cell", profile=profile, steps=tuple(steps))


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
    wide = _scan(profile, step_mm=step_mm, n_points=max(2, round(width_mm / step_mm) + 1))
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
    run = _point(profile, n_frames=n_frames, position_mm=position_mm, angle_deg=0.0, purpose="calibration")
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
        _point(profile, n_frames=n_frames, position_mm=air_mm, angle_deg=0.0, purpose="air"),
        _point(profile, n_frames=n_frames, position_mm=position_mm, angle_deg=0.0, purpose="transmission"),
    )
    return Programme(plan="air_and_transmission", profile=profile, steps=steps)


def beam_damage(
    profile: Profile,
    *,
    fresh_mm: Finite,
    n_repeats: Count = 10,
    beam_off_s: Seconds = 600.0,
    angle_deg: Finite = 0.0,
    axis: str = "z",
) -> Programme:
    """Tell beam damage from the cell's own change: expose a line, rest it without beam, repeat it, compare a fresh slice.

    Parameters
    ----------
    fresh_mm
        Absolute height of a slice that has seen no beam; the hexapod stays there.
    n_repeats
        Lines of each exposure.
    beam_off_s
        Rest with the shutter closed, after which the line flies again.
    axis
        The hexapod's vertical axis, lower case.
    """
    _refuse_fast_axis(profile, [axis])
    layout = lines_at(profile, [angle_deg] * n_repeats)
    exposed, rested, fresh = (
        PlannedRun(profile=profile, layout=layout, purpose=f"beam damage: {what}")
        for what in ("repeated", "after beam off", "fresh slice")
    )
    steps = (exposed, Wait(for_s=beam_off_s), rested, Move(pose={axis: fresh_mm}), fresh)
    return Programme(plan="beam_damage", profile=profile, steps=steps)


CATALOGUE: Mapping[str, Callable[..., Programme]] = {
    plan.__name__: plan
    for plan in (
        xrdct,
        continuous_rotation,
        steered,
        slice_stack,
        series,
        sparse_series,
        single_line,
        point_against_time,
        multi_cell,
        align,
        sign_test,
        calibrate,
        dark,
        air_and_transmission,
        beam_damage,
    )
}
"""Every plan by name."""


def programme_of(profile: Profile) -> Programme:
    """Give the programme of the plan that the profile names, with its arguments.

    Raises
    ------
    ProfileError
        If there is no such plan, or an argument is unknown, missing or wrong.
    """
    return make_programme(profile.scan.plan, profile, profile.scan.plan_arguments)


def make_programme(plan: str, profile: Profile, arguments: Mapping[str, Any]) -> Programme:
    """Give the programme of a plan with checked arguments.

    Raises
    ------
    ProfileError
        If there is no such plan, or an argument is unknown, missing or wrong.
    """
    if plan not in CATALOGUE:
        raise ProfileError(f"there is no plan {plan!r}: choose one of {', '.join(CATALOGUE)}")
    try:
        return validate_call(CATALOGUE[plan])(profile, **arguments)
    except ValidationError as wrong:
        complaints = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors(include_url=False)[:5])
        raise ProfileError(f"plan {plan}: {'; '.join(complaints)}; it takes {arguments_of(plan)}") from wrong


def arguments_of(plan: str) -> str:
    """Give the names of a plan's arguments, with = where one may be left out."""
    parameters = list(inspect.signature(CATALOGUE[plan]).parameters.values())[1:]
    return ", ".join(one.name + ("" if one.default is one.empty else "=") for one in parameters) or "no arguments"


def _scan(profile: Profile, **changes: Any) -> Profile:
    given = {name: value for name, value in changes.items() if value is not None}
    return profile.model_copy(update={"scan": profile.scan.model_copy(update=given)})


def _tomogram(profile: Profile, **metadata: Any) -> PlannedRun:
    return PlannedRun(profile=profile, layout=layout_of(profile), purpose="tomogram", metadata=metadata)


def _point(profile: Profile, *, n_frames: int, position_mm: float | None, angle_deg: float, purpose: str) -> PlannedRun:
    position_mm = profile.scan.centre_mm if position_mm is None else position_mm
    layout = point_at(profile, position_mm=position_mm, angle_deg=angle_deg, n_frames=n_frames)
    return PlannedRun(profile=profile, layout=layout, purpose=purpose)


def _of_cell(profile: Profile, cell: CellPlace, *, number: int) -> PlannedRun:
    # What the profile says of its own cell does not hold for this one.
    named = Cell(name=cell.name, chemistry=cell.chemistry, source="none", stale_s=profile.cell.stale_s)
    metadata = {
        "cell": {"name": cell.name, "chemistry": cell.chemistry, "pvs": profile.control.channels.get(cell.channel, "")},
        "channel": cell.channel,
        "pose": dict(cell.pose),
        "round": number,
    }
    run = _tomogram(profile.model_copy(update={"cell": named}), **metadata)
    return replace(run, channel=cell.channel or None)


def _refuse_unknown_channels(profile: Profile, cells: Sequence[CellPlace]) -> None:
    known = profile.control.channels
    for cell in cells:
        if cell.channel and cell.channel not in known:
            raise ProfileError(
                f"cell {cell.name}: channel {cell.channel!r} is not in control.channels ({', '.join(known) or 'empty'}): "
                "name the PVs of its bridge there, or leave the channel out, and its state is not recorded"
            )


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


def _refuse_fast_axis(profile: Profile, axes: Sequence[str]) -> None:
    fast = {name.lower() for name, pv in profile.control.hexapod_axes.items() if pv == profile.control.fast.pv}
    known = {name.lower() for name in profile.control.hexapod_axes}
    for axis in axes:
        if axis in fast:
            raise ProfileError(
                f"axis {axis} is the fast axis, which every line moves: choose another, or change scan.centre_mm"
            )
        if axis not in known:
            raise ProfileError(f"there is no hexapod axis {axis}, there are {', '.join(sorted(known)) or 'none'}: choose one")
