"""Plans that scan whole slices: one, many heights, many times."""

from typing import Annotated, Literal

from pydantic import Field

from acquisition.plans.catalogue.arguments import Count, Finite, Positive, Several
from acquisition.plans.catalogue.runs import dense_run, refuse_fast_axis, tomogram_run, with_scan
from acquisition.plans.densify import Densify
from acquisition.plans.layout import layout_of
from acquisition.plans.programme import Move, PlannedRun, Programme, Step, Wait
from acquisition.plans.shapes import rest_of
from acquisition.plans.steering import Wanted
from acquisition.plans.turns import turns_of
from acquisition.plans.until import Until
from operando.profile import Profile


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
    changed = with_scan(
        profile,
        n_lines=n_lines,
        n_points=n_points,
        step_mm=step_mm,
        centre_mm=centre_mm,
        exposure_s=exposure_s,
        angle_range_deg=angle_range_deg,
        order=order,
    )
    layout = rest_of(changed, layout_of(changed), start_line=start_line)
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
    changed = with_scan(
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
    densify_radius_mm: Positive | None = None,
    densify_every: Count = 1,
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
    densify_radius_mm
        When the tomogram is over, fly the disc of this radius in which the map has the most detail again at half the step.
    densify_every
        Only at one of so many angles.
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
    steps = [tomogram_run(profile)]
    if densify_radius_mm is not None:
        steps.append(dense_run(profile, Densify(radius_mm=densify_radius_mm, every=densify_every)))
    return Programme(plan="steered", profile=profile, steps=tuple(steps), steering=wanted)


def densify(
    profile: Profile,
    *,
    radius_mm: Positive,
    x_mm: Finite | None = None,
    y_mm: Finite | None = None,
    every: Count = 1,
    run: str = "last",
) -> Programme:
    """Fly a disc of a tomogram that is there again, at half its step; both make one map.

    Each line flies over the disc alone, and one step more on either side.

    Parameters
    ----------
    radius_mm
        Of the disc.
    x_mm, y_mm
        Its middle, from the rotation axis; without them the analysis names the disc in which the map has the most detail.
    every
        Fly one of so many angles again.
    run
        Id of the run of the tomogram, or ``last``.
    """
    wanted = Densify(radius_mm=radius_mm, x_mm=x_mm, y_mm=y_mm, every=every, run=run)
    return Programme(plan="densify", profile=profile, steps=(dense_run(profile, wanted),))


def slice_stack(profile: Profile, *, heights_mm: Several, axis: str = "z") -> Programme:
    """Fly a tomogram at each height; the hexapod stays at the last.

    Parameters
    ----------
    heights_mm
        Absolute positions of the vertical axis.
    axis
        The hexapod's vertical axis, lower case.
    """
    refuse_fast_axis(profile, [axis])
    steps: list[Step] = []
    for height_mm in heights_mm:
        steps += [Move(pose={axis: height_mm}), tomogram_run(profile, height_mm=height_mm)]
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
    one = tomogram_run(profile)
    return Programme(plan="series", profile=profile, steps=(one,) * n_tomograms, until=until)


def sparse_series(profile: Profile, *, n_tomograms: Count, interval_s: Positive) -> Programme:
    """Fly a tomogram at fixed intervals, for instance over days of rest; the shutter is closed between them.

    Parameters
    ----------
    interval_s
        From the start of one to the start of the next; one that takes longer delays the next, never those after it.
    """
    steps: list[Step] = []
    one = tomogram_run(profile)
    for number in range(n_tomograms):
        steps += [Wait(until_s=number * interval_s), one]
    return Programme(plan="sparse_series", profile=profile, steps=tuple(steps[1:]))
