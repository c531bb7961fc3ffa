"""What several plans are made of."""

from collections.abc import Sequence
from typing import Any

from acquisition.plans.densify import Densify, Disc, dense_layout
from acquisition.plans.layout import layout_of
from acquisition.plans.programme import PlannedRun
from acquisition.plans.shapes import point_at
from operando.errors import ProfileError
from operando.profile import Profile


def with_scan(profile: Profile, **changes: Any) -> Profile:
    """Give the profile with other keys of its scan; those that are None stay as they are."""
    given = {name: value for name, value in changes.items() if value is not None}
    return profile.model_copy(update={"scan": profile.scan.model_copy(update=given)})


def tomogram_run(profile: Profile, **metadata: Any) -> PlannedRun:
    """Give one tomogram as the profile describes it."""
    return PlannedRun(profile=profile, layout=layout_of(profile), purpose="tomogram", metadata=metadata)


def dense_run(profile: Profile, wanted: Densify) -> PlannedRun:
    """Give a run that flies a disc of the newest tomogram again; its place, if not known yet, is taken to be the middle."""
    grid = layout_of(profile).grid
    lines = wanted.lines(grid, range(grid.angles_deg.size))
    disc = Disc(x_mm=wanted.x_mm or 0.0, y_mm=wanted.y_mm or 0.0, radius_mm=wanted.radius_mm)
    layout = dense_layout(profile, grid, disc, lines)
    return PlannedRun(profile=profile, layout=layout, purpose="tomogram", densify=wanted)


def point_run(profile: Profile, *, n_frames: int, position_mm: float | None, angle_deg: float, purpose: str) -> PlannedRun:
    """Give frames at one place; without a position, at the rotation centre."""
    position_mm = profile.scan.centre_mm if position_mm is None else position_mm
    layout = point_at(profile, position_mm=position_mm, angle_deg=angle_deg, n_frames=n_frames)
    return PlannedRun(profile=profile, layout=layout, purpose=purpose)


def refuse_fast_axis(profile: Profile, axes: Sequence[str]) -> None:
    """Raise ProfileError for an axis that does not exist or that every line moves."""
    fast = {name.lower() for name, pv in profile.control.hexapod_axes.items() if pv == profile.control.fast.pv}
    known = {name.lower() for name in profile.control.hexapod_axes}
    for axis in axes:
        if axis in fast:
            raise ProfileError(
                f"axis {axis} is the fast axis, which every line moves: choose another, or change scan.centre_mm"
            )
        if axis not in known:
            raise ProfileError(f"there is no hexapod axis {axis}, there are {', '.join(sorted(known)) or 'none'}: choose one")
