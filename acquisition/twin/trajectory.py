"""Where axes are at any time: piecewise constant acceleration, known exactly, for one axis or several that move together.

Readbacks sample it, and gates fall where it says; nothing else of the simulated beamline knows about motion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MAX_SEGMENTS = 64
"""Past segments that are kept: gates look back by one exposure, not by a scan."""

SAME_TIME_S = 1e-6
"""Times closer than this are the same: an epoch time in double precision is known to 0.24 microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of constant acceleration, from ``start_s`` until the next segment."""

    start_s: float
    position: Vector
    """At the start, shape (n_axes,), in the axes' units."""
    velocity: Vector
    """At the start, per second."""
    acceleration: Vector
    """Per second squared."""

    def position_at(self, time_s: float) -> Vector:
        """Give the position at a time, by this segment's motion."""
        dt = time_s - self.start_s
        return self.position + self.velocity * dt + 0.5 * self.acceleration * dt * dt

    def velocity_at(self, time_s: float) -> Vector:
        """Give the velocity at a time, by this segment's motion."""
        return self.velocity + self.acceleration * (time_s - self.start_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """The past and the planned future of an axis or a platform; the last segment is at rest."""

    segments: tuple[Segment, ...]

    @property
    def end_s(self) -> float:
        """When the planned motion ends."""
        return self.segments[-1].start_s

    @property
    def end_position(self) -> Vector:
        """Where the planned motion ends."""
        return self.segments[-1].position

    def position(self, time_s: float) -> Vector:
        """Give the position at a time, shape (n_axes,)."""
        return self._segment(time_s).position_at(time_s)

    def velocity(self, time_s: float) -> Vector:
        """Give the velocity at a time, shape (n_axes,), per second."""
        return self._segment(time_s).velocity_at(time_s)

    def then(self, segments: Sequence[Segment]) -> "Trajectory":
        """Give this trajectory with its future replaced from the first new segment on."""
        kept = [segment for segment in self.segments if segment.start_s < segments[0].start_s]
        return replace(self, segments=(*kept, *segments)[-MAX_SEGMENTS:])

    def crossing_s(self, *, axis: int, position: float, direction: int, after_s: float, until_s: float) -> float | None:
        """Give the first time in an interval at which an axis crosses a position in a direction, or None.

        The crossing is that of the motion itself, not of a sampled readback: it is exact however late it is asked for.
        """
        for segment, stop_s in self._pieces():
            begin_s, end_s = max(segment.start_s, after_s), min(stop_s, until_s)
            if end_s < begin_s:
                continue
            found = _crossing_s(segment, axis=axis, position=position, direction=direction, begin_s=begin_s, end_s=end_s)
            if found is not None:
                return found
        return None

    def _pieces(self) -> Iterator[tuple[Segment, float]]:
        for segment, following in pairwise(self.segments):
            yield segment, following.start_s
        yield self.segments[-1], float("inf")

    def _segment(self, time_s: float) -> Segment:
        for segment in reversed(self.segments):
            if segment.start_s <= time_s:
                return segment
        return self.segments[0]


def at_rest(position: Vector, *, since_s: float) -> Trajectory:
    """Give the trajectory of what has not moved yet."""
    return Trajectory(segments=(_rest(position, since_s=since_s),))


def path_length(change: Vector) -> float:
    """Give the length of a straight move: the larger of its way in mm (first three axes) and its turn in degree (the rest).

    A platform has one velocity for both, so that neither the way nor the turn is faster than it.
    """
    return float(max(np.linalg.norm(change[:3]), np.linalg.norm(change[3:])))


def move_segments(start: Vector, target: Vector, *, speed: float, acceleration: float, start_s: float) -> list[Segment]:
    """Plan a straight move from rest to rest with a trapezoid of speed, or a triangle where the way is short.

    Parameters
    ----------
    start, target
        Positions, shape (n_axes,).
    speed, acceleration
        Along the path as :func:`path_length` measures it, per second and per second squared.
    """
    length = path_length(target - start)
    if length == 0.0:
        return [_rest(target, since_s=start_s)]
    along = (target - start) / length
    top_speed = min(speed, float(np.sqrt(length * acceleration)))
    ramp_s = top_speed / acceleration
    cruise_s = max(length / top_speed - ramp_s, 0.0)
    ramp = 0.5 * top_speed * ramp_s
    still = np.zeros_like(start)
    return [
        Segment(start_s=start_s, position=start, velocity=still, acceleration=along * acceleration),
        Segment(start_s=start_s + ramp_s, position=start + along * ramp, velocity=along * top_speed, acceleration=still),
        Segment(
            start_s=start_s + ramp_s + cruise_s,
            position=target - along * ramp,
            velocity=along * top_speed,
            acceleration=-along * acceleration,
        ),
        _rest(target, since_s=start_s + 2 * ramp_s + cruise_s),
    ]


def stop_segments(trajectory: Trajectory, *, acceleration: float, at_s: float) -> list[Segment]:
    """Plan the halt of a moving trajectory from a time on, along the way that it was going."""
    position, velocity = trajectory.position(at_s), trajectory.velocity(at_s)
    speed = path_length(velocity)
    if speed == 0.0:
        return [_rest(position, since_s=at_s)]
    halt_s = speed / acceleration
    return [
        Segment(start_s=at_s, position=position, velocity=velocity, acceleration=-velocity / halt_s),
        _rest(position + 0.5 * velocity * halt_s, since_s=at_s + halt_s),
    ]


def _rest(position: Vector, *, since_s: float) -> Segment:
    still = np.zeros_like(position)
    return Segment(start_s=since_s, position=position, velocity=still, acceleration=still)


def _crossing_s(segment: Segment, *, axis: int, position: float, direction: int, begin_s: float, end_s: float) -> float | None:
    """Solve a quadratic: where the axis passes the position with its velocity pointing along the direction."""
    a = 0.5 * segment.acceleration[axis] * direction
    b = segment.velocity[axis] * direction
    c = (segment.position[axis] - position) * direction
    if a == 0.0:
        roots = [] if b == 0.0 else [-c / b]
    else:
        square = b * b - 4 * a * c
        # The stable form of the quadratic formula: no difference of nearly equal numbers.
        q = -0.5 * (b + np.copysign(np.sqrt(max(square, 0.0)), b))
        roots = [] if square < 0 else [q / a] + ([c / q] if q != 0.0 else [])
    for dt in sorted(roots):
        time_s = segment.start_s + dt
        is_inside = begin_s - SAME_TIME_S <= time_s <= end_s + SAME_TIME_S
        # At the very start of a ramp the speed is zero and the acceleration says where it goes.
        speed = b + 2 * a * dt
        if is_inside and (speed > 0 or (abs(speed) <= abs(2 * a) * SAME_TIME_S and a > 0)):
            return float(min(max(time_s, begin_s), end_s))
    return None
