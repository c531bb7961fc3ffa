"""How far the cycler's clock is off, from a line that it raises when a step begins.

The control system sees the edge with its own clock, the cycler's file holds the first row of the new step with the cycler's:
their difference is the offset, late by at most one row. Pairs are made only where there is no choice; the median of the last
few counts, since a row may come late and an edge may be missed, while a clock drifts slowly.
"""

import threading
from collections import deque
from statistics import median

from acquisition.cell.row import Row
from operando.profile.cell_signals import Marker

N_PAIRS = 5
"""Pairs whose median counts: fewer follow one late row, more a clock that was set anew."""

N_KEPT = 50
"""Edges and steps that wait for their other half."""


class MarkerOffset:
    """The offset as the profile gives it, until a marker and a step say it better.

    Parameters
    ----------
    offset_s
        Seconds by which the cycler's clock is ahead, as far as anyone knows beforehand.
    """

    def __init__(self, marker: Marker, *, offset_s: float) -> None:
        self._window_s = marker.window_s
        self._expected_s = offset_s
        self._edges: deque[float] = deque(maxlen=N_KEPT)
        self._steps: deque[float] = deque(maxlen=N_KEPT)
        self._pairs: deque[float] = deque(maxlen=N_PAIRS)
        self._last: Row | None = None
        self._newest_row_s = float("-inf")
        self._lock = threading.Lock()
        self.channel: object = None
        """What brings the edges; kept alive with this."""

    @property
    def offset_s(self) -> float:
        """Seconds by which the cycler's clock is ahead."""
        with self._lock:
            return median(self._pairs) if self._pairs else self._expected_s

    @property
    def n_pairs(self) -> int:
        """Pairs of edge and step that count; 0 while the profile's offset stands."""
        return len(self._pairs)

    def edge(self, time_s: float) -> None:
        """Take notice of an edge at a control system time (Unix epoch); from any thread."""
        with self._lock:
            self._edges.append(time_s)
            self._pair()

    def note(self, row: Row) -> None:
        """Take notice of a row: the first of a step may belong to an edge."""
        last, self._last = self._last, row
        with self._lock:
            self._newest_row_s = row.time_s
            if last is not None and (last.step, last.cycle, last.regime) != (row.step, row.cycle, row.regime):
                self._steps.append(row.time_s)
            self._pair()

    def _pair(self) -> None:
        """Pair every edge with the one step that it can belong to, if that can belong to no other."""
        for edge_s in list(self._edges):
            # Until then another step, or another edge for the same step, may still come.
            if self._newest_row_s - self._expected_s - edge_s <= 3 * self._window_s:
                continue
            steps = [step_s for step_s in self._steps if self._fits(edge_s, step_s)]
            if len(steps) != 1 or sum(self._fits(other_s, steps[0]) for other_s in self._edges) != 1:
                continue
            self._pairs.append(steps[0] - edge_s)
            self._edges.remove(edge_s)
            self._steps.remove(steps[0])

    def _fits(self, edge_s: float, step_s: float) -> bool:
        return abs(step_s - edge_s - self._expected_s) <= self._window_s
