"""How often the plots are drawn: a few times a second, and less where that would take the time from the maps."""

from collections.abc import Callable

PLOT_S = 0.25
"""Time between two drawings of the plots, all in one: on software OpenGL each painting puts the whole window together anew."""
REST = 4
"""Plots rest so many times longer than their drawing takes: a fifth of the window's time is theirs at most."""
SLOWEST_S = 1.0
"""A slow screen, too, shows the cell and the frames of the last second."""


class Pace:
    """Tells when plots are due; asked once in every tick, since what drawing costs is known when the next one comes.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due_s = clock()
        self._drawn_s: float | None = None

    def is_due(self) -> bool:
        """Tell whether to draw now; who is told so must."""
        now_s = self._clock()
        if self._drawn_s is not None:
            # Painting comes after the drawing and before the next tick: all of that is the plots' cost.
            rest_s = min(max(PLOT_S, REST * (now_s - self._drawn_s)), SLOWEST_S)
            self._due_s = min(self._due_s, self._drawn_s) + rest_s
            self._drawn_s = None
        if now_s < self._due_s:
            return False
        self._drawn_s = self._due_s = now_s
        return True

    def hurry(self) -> None:
        """Let the next tick draw, however much it costs."""
        self._due_s, self._drawn_s = self._clock(), None
