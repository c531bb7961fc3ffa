"""Continuous rotation with stepped translation: each line is a turn of the stage at one position of the fast axis.

What it costs and gains beside the zig-zag: the stage turns all the time and the translation, with its ramps, is a small step
between turns; but a map needs every position of an angle, so that it comes late. Turns fly to and fro, for the cables' sake.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from acquisition.plans.layout import Layout, Sweep
from acquisition.plans.order import interlaced_order
from acquisition.plans.timing import OVERHEAD_S, STEADY_S, flight_of, move_s
from operando.profile import Profile
from operando.scan import TomogramGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One sweep of the rotation; angles are readbacks in degree."""

    index: int
    direction: Literal[1, -1]
    first_position_mm: float
    """Where the fast axis stands meanwhile."""
    angle_deg: float
    """Middle of the first exposure in flying order."""
    angle_step_deg: float
    """To the next point in flying order; negative on the way back."""
    sweep: Sweep
    """From rest to rest, in degree."""

    @property
    def step_mm(self) -> float:
        """Nothing: the fast axis stands."""
        return 0.0

    def planned_mm(self, n_points: int) -> NDArray[np.float64]:
        """Give the position at each exposure, shape (n_points,), mm: the same for all."""
        return np.full(n_points, self.first_position_mm)

    def planned_deg(self, n_points: int) -> NDArray[np.float64]:
        """Give the middle of each exposure in flying order, shape (n_points,), degree."""
        return self.angle_deg + self.angle_step_deg * np.arange(n_points, dtype=np.float64)


def turns_of(profile: Profile) -> Layout:
    """Lay out the scan of a profile by turns: ``n_lines`` angles in each, at ``n_points`` positions.

    The order of the profile is that of the positions: interlaced ones spread every pass over the whole slice.
    """
    scan, rotation = profile.scan, profile.control.rotation
    flight = replace(flight_of(profile), n_points=scan.n_lines, speed_mm_s=profile.control.fast.speed, run_up_mm=0.0)
    step_deg = scan.angle_range_deg / scan.n_lines
    speed_deg_s = step_deg / flight.period_s
    run_up_deg = speed_deg_s * (0.5 * rotation.acceleration_s + STEADY_S)
    first_mm = scan.centre_mm - 0.5 * (scan.n_points - 1) * scan.step_mm
    order = np.arange(scan.n_points) if scan.order == "sequential" else interlaced_order(scan.n_points, scan.interlaces)
    positions = first_mm + scan.step_mm * order.astype(np.float64)
    turns = tuple(
        _turn(
            index,
            float(position),
            direction=1 if index % 2 == 0 else -1,
            step_deg=step_deg,
            n_angles=scan.n_lines,
            half_gate_deg=0.5 * flight.exposure_s * speed_deg_s,
            run_up_deg=run_up_deg,
            train_deg=flight.train_s * speed_deg_s,
            speed_deg_s=speed_deg_s,
        )
        for index, position in enumerate(positions)
    )
    one_s = flight.train_s + 2 * run_up_deg / speed_deg_s + rotation.acceleration_s
    stepping_s = sum(move_s(profile.control.fast, abs(float(way))) for way in np.diff(positions))
    grid = TomogramGrid(
        angles_deg=step_deg * np.arange(scan.n_lines, dtype=np.float64),
        first_position_mm=first_mm,
        step_mm=scan.step_mm,
        n_points=scan.n_points,
    )
    total_s = len(turns) * (one_s + OVERHEAD_S) + stepping_s
    return Layout(flight=flight, grid=grid, lines=turns, line_s=one_s, total_s=total_s)


def _turn(
    index: int,
    position_mm: float,
    *,
    direction: Literal[1, -1],
    step_deg: float,
    n_angles: int,
    half_gate_deg: float,
    run_up_deg: float,
    train_deg: float,
    speed_deg_s: float,
) -> Turn:
    first_deg = 0.0 if direction > 0 else step_deg * (n_angles - 1)
    gate = first_deg - direction * half_gate_deg
    start = gate - direction * run_up_deg
    sweep = Sweep(
        axis="rotation",
        start=start,
        gate=gate,
        end=start + direction * (train_deg + 2 * run_up_deg),
        still=position_mm,
        speed=speed_deg_s,
    )
    return Turn(
        index=index,
        direction=direction,
        first_position_mm=position_mm,
        angle_deg=first_deg,
        angle_step_deg=direction * step_deg,
        sweep=sweep,
    )
