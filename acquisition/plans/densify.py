"""A disc of the slice again, at half the step: where it lies the plan says, or the analysis when the tomogram is there.

Every line flies over the disc alone, so that at each angle the sweep has its own middle. Its points lie on the grid of the
earlier run with one more point between every two; the analysis puts both runs together in one map.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from bluesky import Msg
from bluesky import plan_stubs as bps
from numpy.typing import NDArray

from acquisition.plans.layout import Layout, Line, line_at
from acquisition.plans.order import turns_deg
from acquisition.plans.steering import Asks
from acquisition.plans.timing import OVERHEAD_S, Flight, flight_of, line_s, move_s
from operando.messages.steering import SteeringAnswered, SteeringAsked
from operando.profile import Control, Profile
from operando.scan import TomogramGrid

Plan = Generator[Msg, Any, Any]

STEPS_IN_ONE = 2
"""Steps of the dense lines in one of the earlier run; more than two leave lines that did not fly again with too few points."""

PATIENCE_S = 20.0
"""How long a plan waits for the analysis to name a place; it has spoken of the whole tomogram within one or two seconds."""

_POLL_S = 0.05
_ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """A part of the slice, from the rotation axis."""

    x_mm: float
    y_mm: float
    radius_mm: float

    def middle_mm(self, angle_deg: float) -> float:
        """Give where its middle passes the beam at an angle, from the rotation axis."""
        angle = np.deg2rad(angle_deg)
        return float(self.x_mm * np.cos(angle) + self.y_mm * np.sin(angle))


@dataclass(frozen=True, slots=True, kw_only=True)
class Densify:
    """What is to be flown again with finer steps."""

    radius_mm: float
    x_mm: float | None = None
    """Middle of the disc, from the rotation axis; None lets the analysis name the disc in which the map has most detail."""
    y_mm: float | None = None
    every: int = 1
    """Of the angles in their order, one of so many flies again."""
    run: str = "last"
    """The run that is made denser; ``last`` is the newest tomogram."""

    def lines(self, grid: TomogramGrid, flown: Sequence[int]) -> list[int]:
        """Give the numbers of the lines that fly again, in the order in which they flew."""
        by_angle = sorted(flown, key=lambda number: float(grid.angles_deg[number]))
        chosen = set(by_angle[:: self.every])
        return [number for number in flown if number in chosen]


def dense_grid(grid: TomogramGrid) -> TomogramGrid:
    """Give a grid with one more point between every two."""
    return replace(grid, step_mm=grid.step_mm / STEPS_IN_ONE, n_points=STEPS_IN_ONE * (grid.n_points - 1) + 1)


def dense_layout(profile: Profile, grid: TomogramGrid, disc: Disc, lines: Sequence[int]) -> Layout:
    """Lay out lines of an earlier run over a disc, with one step of that run to spare on either side.

    A disc that reaches beyond the lines of that run is cut off there: nothing flies farther than it did.

    Parameters
    ----------
    profile
        The beamline, with the exposure that is wanted.
    grid
        Of the earlier run.
    lines
        Their numbers in that run, in the order in which they fly.
    """
    fine = dense_grid(grid)
    half = int(np.ceil((disc.radius_mm + grid.step_mm) / fine.step_mm))
    n_points = min(2 * half + 1, fine.n_points)
    scan = profile.scan.model_copy(update={"step_mm": fine.step_mm, "n_points": n_points})
    flight = flight_of(profile.model_copy(update={"scan": scan}))
    flown = tuple(_line(number, fine, disc, flight=flight, centre_mm=profile.scan.centre_mm) for number in lines)
    one_s = line_s(flight, acceleration_s=profile.control.fast.acceleration_s)
    total_s = len(flown) * (one_s + OVERHEAD_S) + _between_s(profile.control, flown)
    return Layout(flight=flight, grid=fine, lines=flown, line_s=one_s, total_s=total_s)


def _between_s(control: Control, lines: Sequence[Line]) -> float:
    """Give the time from line to line, s: the stage turns while the fast axis goes to the next start, which lies elsewhere."""
    turns = turns_deg(np.array([line.angle_deg for line in lines]))
    ways_mm = [0.0, *(abs(after.start_mm - before.end_mm) for before, after in pairwise(lines))]
    both = zip(turns, ways_mm, strict=True)
    return sum(max(move_s(control.rotation, turn), move_s(control.fast, way_mm)) for turn, way_mm in both)


def _line(number: int, fine: TomogramGrid, disc: Disc, *, flight: Flight, centre_mm: float) -> Line:
    angle_deg = float(fine.angles_deg[number])
    middle = (centre_mm + disc.middle_mm(angle_deg) - fine.first_position_mm) / fine.step_mm
    first = int(np.clip(round(middle) - flight.n_points // 2, 0, fine.n_points - flight.n_points))
    half_width_mm = 0.5 * (flight.n_points - 1) * fine.step_mm
    middle_mm = fine.first_position_mm + first * fine.step_mm + half_width_mm
    # By its number, thus the way that it flew before: a detector that lags shifts both by as much.
    return line_at(number, angle_deg, flight=flight, centre_mm=middle_mm, half_width_mm=half_width_mm)


def n_frames_of_map(grid: TomogramGrid, layout: Layout, flown: Sequence[int]) -> int:
    """Give how many frames the map is made of: those of the dense lines, and those of the earlier run beside them."""
    coarse = grid.positions_mm
    again = {line.index: line.planned_mm(layout.flight.n_points) for line in layout.lines}
    n_frames = 0
    for number in flown:
        dense = again.get(number)
        n_frames += coarse.size if dense is None else dense.size + _n_beside(coarse, dense, layout.grid.step_mm)
    return n_frames


def _n_beside(coarse: NDArray[np.float64], dense: NDArray[np.float64], step_mm: float) -> int:
    is_beside = (coarse < dense.min() - 0.5 * step_mm) | (coarse > dense.max() + 0.5 * step_mm)
    return int(is_beside.sum())


def named_disc(asks: Asks, wanted: Densify, *, run: str, clock: Callable[[], float] = time.monotonic) -> Plan:
    """Return the disc that the analysis names, or None if it names none before the patience ends; the wait can be paused."""
    began_s = asked_s = clock()
    asks.ask(SteeringAsked(run=run, detail_radius_mm=wanted.radius_mm))
    while clock() - began_s < PATIENCE_S:
        entry = asks.poll()
        answer = None if entry is None else entry.message
        if isinstance(answer, SteeringAnswered) and answer.run == run:
            if answer.detail_x_mm is None or answer.detail_y_mm is None:
                return None
            return Disc(x_mm=answer.detail_x_mm, y_mm=answer.detail_y_mm, radius_mm=wanted.radius_mm)
        if clock() - asked_s > _ASK_AGAIN_S:
            asked_s = clock()
            asks.ask(SteeringAsked(run=run, detail_radius_mm=wanted.radius_mm))
        yield from bps.sleep(_POLL_S)
    return None
