"""What moves together: a platform of one or six axes with one velocity, one moving flag and one workspace."""

import time
from collections.abc import Callable

import numpy as np

from acquisition.twin.trajectory import Trajectory, Vector, at_rest, move_segments, stop_segments

Clock = Callable[[], float]


def make_clock() -> Clock:
    """Give a clock of seconds since the Unix epoch that never jumps."""
    offset_s = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset_s


class OutOfReachError(ValueError):
    """The controller refuses a target; caught by the motor record, which raises its alarm."""


class Platform:
    """Axes that move on one straight line at a time, with the path velocity of the platform.

    Parameters
    ----------
    position
        Where it stands, shape (n_axes,): one axis alone, or mm for the first three and degree for the rest.
    speed
        Path velocity, per second; one number for all axes.
    acceleration_s
        Time to reach that speed.
    settle_s
        Time after each move until the platform is done.
    can_reach
        The controller's own answer whether a target is possible. The set of these must be convex.
    haste
        How much faster than real it moves now.
    """

    def __init__(
        self,
        position: Vector,
        *,
        speed: float,
        acceleration_s: float,
        settle_s: float,
        clock: Clock,
        can_reach: Callable[[Vector], bool] = lambda _: True,
        haste: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.speed = speed
        self.acceleration_s = acceleration_s
        self.settle_s = settle_s
        self.target = position.copy()
        self.trajectory: Trajectory = at_rest(position, since_s=clock())
        self._clock = clock
        self._can_reach = can_reach
        self._haste = haste
        self._done_s = clock()

    def is_moving(self) -> bool:
        """Whether a move is under way or settling: one flag for all axes."""
        return self._clock() < self._done_s

    def go(self, axis: int, target: float) -> None:
        """Send one axis to a target; the others go on to theirs. A platform that moves stops first, then goes.

        Raises
        ------
        OutOfReachError
            If the controller cannot go there; the present motion goes on. A refused move ends as a move does: done, and
            not there.
        """
        wanted = self.target.copy()
        wanted[axis] = target
        if not self._can_reach(wanted):
            self._done_s = max(self._done_s, self._clock() + self.settle_s)
            raise OutOfReachError(f"the platform cannot reach {np.round(wanted, 4).tolist()}")
        haste = self._haste()
        speed = self.speed * haste
        acceleration = speed * haste / self.acceleration_s
        self._halt(acceleration)
        start_s, start = self.trajectory.end_s, self.trajectory.end_position
        planned = move_segments(start, wanted, speed=speed, acceleration=acceleration, start_s=max(start_s, self._clock()))
        self.trajectory = self.trajectory.then(planned)
        self.target = wanted
        self._done_s = self.trajectory.end_s + self.settle_s / haste

    def stop(self) -> None:
        """Stop all axes; where they come to rest is their new target."""
        if not self.is_moving():
            return
        haste = self._haste()
        self._halt(self.speed * haste**2 / self.acceleration_s)
        self.target = self.trajectory.end_position.copy()
        self._done_s = self.trajectory.end_s + self.settle_s / haste

    def _halt(self, acceleration: float) -> None:
        now_s = self._clock()
        if now_s < self.trajectory.end_s:
            self.trajectory = self.trajectory.then(stop_segments(self.trajectory, acceleration=acceleration, at_s=now_s))
