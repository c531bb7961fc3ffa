"""Plans that stay at one line or point, or go from cell to cell."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from acquisition.plans.catalogue.arguments import CellPlace, Count, Finite, Seconds
from acquisition.plans.catalogue.runs import point_run, refuse_fast_axis, tomogram_run
from acquisition.plans.programme import Move, PlannedRun, Programme, Step, Wait
from acquisition.plans.shapes import lines_at
from operando.errors import ProfileError
from operando.profile import Cell, Profile


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
        steps=(point_run(profile, n_frames=n_frames, position_mm=position_mm, angle_deg=angle_deg, purpose="point"),),
    )


def multi_cell(profile: Profile, *, cells: Annotated[list[CellPlace], Field(min_length=1)], n_rounds: Count = 1) -> Programme:
    """Fly a tomogram of each of several cells in turn, round after round.

    Parameters
    ----------
    cells
        Name, pose on the stage and cycler channel of each. Its lines carry the readings of its own channel, and none where
        no channel is given.
    """
    refuse_fast_axis(profile, [axis for cell in cells for axis in cell.pose])
    _refuse_unknown_channels(profile, cells)
    steps: list[Step] = []
    for number in range(n_rounds):
        for cell in cells:
            steps += [Move(pose=cell.pose), _of_cell(profile, cell, number=number)]
    return Programme(plan="multi_cell", profile=profile, steps=tuple(steps))


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
    refuse_fast_axis(profile, [axis])
    layout = lines_at(profile, [angle_deg] * n_repeats)
    exposed, rested, fresh = (
        PlannedRun(profile=profile, layout=layout, purpose=f"beam damage: {what}")
        for what in ("repeated", "after beam off", "fresh slice")
    )
    steps = (exposed, Wait(for_s=beam_off_s), rested, Move(pose={axis: fresh_mm}), fresh)
    return Programme(plan="beam_damage", profile=profile, steps=steps)


def _of_cell(profile: Profile, cell: CellPlace, *, number: int) -> PlannedRun:
    # What the profile says of its own cell does not hold for this one.
    named = Cell(name=cell.name, chemistry=cell.chemistry, source="none", stale_s=profile.cell.stale_s)
    metadata = {
        "cell": {"name": cell.name, "chemistry": cell.chemistry, "pvs": profile.control.channels.get(cell.channel, "")},
        "channel": cell.channel,
        "pose": dict(cell.pose),
        "round": number,
    }
    run = tomogram_run(profile.model_copy(update={"cell": named}), **metadata)
    return replace(run, channel=cell.channel or None)


def _refuse_unknown_channels(profile: Profile, cells: Sequence[CellPlace]) -> None:
    known = profile.control.channels
    for cell in cells:
        if cell.channel and cell.channel not in known:
            raise ProfileError(
                f"cell {cell.name}: channel {cell.channel!r} is not in control.channels ({', '.join(known) or 'empty'}): "
                "name the PVs of its bridge there, or leave the channel out, and its state is not recorded"
            )
