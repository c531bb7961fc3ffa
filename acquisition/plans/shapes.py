"""Layouts that are not a tomogram, from the same lines: a line again and again, a point against time, the rest of a scan."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from acquisition.plans.layout import Layout, Line, layout_of, line_at
from acquisition.plans.order import turns_deg
from acquisition.plans.timing import OVERHEAD_S, STEADY_S, flight_of, line_s, move_s
from operando.errors import ProfileError
from operando.profile import Profile
from operando.scan import TomogramGrid

APPROACH_TOLERANCES = 20
"""From how far a point is approached, at least, in tolerances of the axis: the trigger box waits for a crossing, so the axis
must move, and by more than it calls arrived."""


def rest_of(profile: Profile, layout: Layout, *, start_line: int) -> Layout:
    """Give the lines from ``start_line`` on, with the numbers, angles and directions that they have in the whole.

    Raises
    ------
    ProfileError
        If there is no such line.
    """
    n_lines = len(layout.lines)
    if not 0 <= start_line < n_lines:
        raise ProfileError(f"start_line is {start_line}, the scan has lines 0 to {n_lines - 1}: choose one of them")
    rest = layout.lines[start_line:]
    turns = turns_deg(np.array([line.angle_deg for line in rest]))
    turning_s = sum(move_s(profile.control.rotation, turn) for turn in turns)
    return replace(layout, lines=rest, total_s=len(rest) * (layout.line_s + OVERHEAD_S) + turning_s)


def lines_at(profile: Profile, angles_deg: Sequence[float]) -> Layout:
    """Lay out one line of the profile's scan at each angle, in this order, to and fro."""
    scan, flight = profile.scan, flight_of(profile)
    angles = np.asarray(angles_deg, dtype=np.float64)
    half_width_mm = 0.5 * (scan.n_points - 1) * scan.step_mm
    lines = tuple(
        line_at(index, float(angle), flight=flight, centre_mm=scan.centre_mm, half_width_mm=half_width_mm)
        for index, angle in enumerate(angles)
    )
    one_s = line_s(flight, acceleration_s=profile.control.fast.acceleration_s)
    turning_s = sum(move_s(profile.control.rotation, turn) for turn in turns_deg(angles))
    grid = replace(layout_of(profile).grid, angles_deg=angles)
    return Layout(flight=flight, grid=grid, lines=lines, line_s=one_s, total_s=len(lines) * (one_s + OVERHEAD_S) + turning_s)


def point_at(profile: Profile, *, position_mm: float, angle_deg: float, n_frames: int, n_lines: int = 1) -> Layout:
    """Lay out frames against time at one point: lines whose axis comes to rest at the point and whose gates go on.

    The trigger box gives its train by time once the axis has crossed its start; the axis stands before the first frame is over,
    unless that is shorter than the axis needs to stop, which the captured positions show.
    """
    scan, fast = profile.scan, profile.control.fast
    flown = flight_of(profile)
    approach_mm = max(0.5 * scan.step_mm, APPROACH_TOLERANCES * fast.tolerance)
    # Slow enough that the way from the first gate to rest is a small part of a step, fast enough not to cost seconds.
    speed_mm_s = min(approach_mm / (0.5 * fast.acceleration_s + STEADY_S), fast.speed)
    flight = replace(flown, n_points=n_frames, speed_mm_s=speed_mm_s, run_up_mm=approach_mm)
    line_time_s = approach_mm / speed_mm_s + fast.acceleration_s + flight.train_s
    lines = tuple(
        Line(
            index=index,
            angle_deg=angle_deg,
            direction=1,
            first_position_mm=position_mm,
            step_mm=0.0,
            start_mm=position_mm - approach_mm,
            gate_mm=position_mm - 0.2 * approach_mm,
            end_mm=position_mm,
            speed_mm_s=speed_mm_s,
        )
        for index in range(n_lines)
    )
    # As many points as frames, so that the archive keeps each; by its captured position every one belongs to the first.
    grid = TomogramGrid(
        angles_deg=np.full(n_lines, angle_deg), first_position_mm=position_mm, step_mm=scan.step_mm, n_points=n_frames
    )
    turn_s = move_s(profile.control.rotation, abs(angle_deg))
    return Layout(
        flight=flight, grid=grid, lines=lines, line_s=line_time_s, total_s=n_lines * (line_time_s + OVERHEAD_S) + turn_s
    )
