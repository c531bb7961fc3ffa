"""How far the map is: receives the results of the run that is on, answers what a plan asks in order to steer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from operando.bus.asking import Answer, Answerer
from operando.errors import DataError
from operando.messages import Message
from operando.messages.steering import SteeringAnswered, SteeringAsked
from streaming.maps import Map
from streaming.tomogram import Result

MOST_KEPT = 32
"""Earlier maps that are kept; of a longer run every second one is forgotten, and again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    n_lines: int
    maps: dict[str, Map]


class Judge:
    """Answers :class:`~operando.messages.steering.SteeringAsked`; the analysis notes results, another thread answers.

    Parameters
    ----------
    others
        Answers every other question.
    wall_clock
        Seconds since the epoch.
    """

    def __init__(self, others: Answerer, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._others, self._wall_clock = others, wall_clock
        self._lock = threading.Lock()
        self._run, self._n_expected = "", 0
        self._axis_mm: NDArray[np.float64] = np.empty(0)
        self._missing: dict[int, int] = {}
        self._states: list[_State] = []

    def note(self, run: str, result: Result, *, n_lines_expected: int) -> None:
        """Take up the newest result of a run; called from the thread of the analysis."""
        state = _State(n_lines=len(result.records), maps={one.name: one for one in result.maps})
        missing = {record.key.line: len(record.missing_ids) for record in result.records if record.missing_ids}
        with self._lock:
            is_same = run == self._run and np.array_equal(self._axis_mm, result.axis_mm)
            # Voxels that moved, and lines that were taken back, make no change of the sample.
            states = [one for one in self._states if one.n_lines < state.n_lines] if is_same else []
            if len(states) >= MOST_KEPT:
                states = states[::2]
            self._states = [*states, state]
            self._run, self._n_expected, self._axis_mm, self._missing = run, n_lines_expected, result.axis_mm, missing

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        """Answer.

        Raises
        ------
        DataError
            If nothing is known of the run or the map.
        """
        if not isinstance(question, SteeringAsked):
            return self._others(question, is_wanted=is_wanted)
        with self._lock:
            run, n_expected, axis_mm, missing, states = (
                self._run,
                self._n_expected,
                self._axis_mm,
                self._missing,
                list(self._states),
            )
        if question.run != run or not states:
            raise DataError(f"there is no map of run {question.run} yet")
        newest = _map_of(states[-1], question.map)
        is_asked = _region(question, axis_mm) & np.isfinite(newest.value)
        values, sigmas = newest.value[is_asked], newest.sigma[is_asked]
        radius_mm = question.detail_radius_mm
        place = None if radius_mm is None else most_detailed(newest, axis_mm, radius_mm=radius_mm)
        answer = SteeringAnswered(
            run=run,
            n_lines=states[-1].n_lines,
            n_lines_expected=n_expected,
            n_voxels=int(is_asked.sum()),
            mean=_number(np.mean, values),
            sigma=_number(np.median, sigmas[np.isfinite(sigmas)]),
            change=self._change(question, states, is_asked),
            missing=missing,
            detail_x_mm=None if place is None else place[0],
            detail_y_mm=None if place is None else place[1],
            time_s=self._wall_clock(),
        )
        return answer, {}

    def _change(self, question: SteeringAsked, states: list[_State], is_asked: NDArray[np.bool_]) -> float | None:
        earlier = [one for one in states if one.n_lines <= states[-1].n_lines - question.over_lines]
        if not earlier or question.map not in earlier[-1].maps:
            return None
        change = _map_of(states[-1], question.map).value - _map_of(earlier[-1], question.map).value
        changes = change[is_asked & np.isfinite(change)]
        # A map that has only just begun to have values says nothing of how it settles.
        return _number(_rms, changes) if 2 * changes.size >= int(is_asked.sum()) else None


def most_detailed(one: Map, axis_mm: NDArray[np.float64], *, radius_mm: float) -> tuple[float, float] | None:
    """Give the middle (x, y), mm, of the disc in which a map changes most from voxel to voxel beyond its noise.

    The squares of all differences between neighbours, less what their uncertainties explain, are added up over the disc. Only
    discs about voxels with a value are looked at; None if noise explains all.
    """
    value, variance = one.value.astype(np.float64), one.sigma.astype(np.float64) ** 2
    step_mm = float(axis_mm[1] - axis_mm[0]) if axis_mm.size > 1 else radius_mm
    detail = np.zeros_like(value)
    for ahead, behind in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        excess = (value[ahead] - value[behind]) ** 2 - variance[ahead] - variance[behind]
        detail[behind] += np.nan_to_num(excess)
    reach = max(1, int(np.ceil(radius_mm / step_mm)))
    offset = step_mm * np.arange(-reach, reach + 1)
    disc = (np.hypot(offset[:, None], offset[None, :]) <= radius_mm).astype(np.float64)
    inside = np.where(np.isfinite(value), fftconvolve(detail, disc, mode="same"), -np.inf)
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return (float(axis_mm[x]), float(axis_mm[y])) if inside[y, x] > 0 else None


def _region(question: SteeringAsked, axis_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which voxels are asked for, shape (y, x)."""
    if question.radius_mm is None:
        return np.ones((axis_mm.size, axis_mm.size), dtype=np.bool_)
    distance_mm = np.hypot(axis_mm[None, :] - question.x_mm, axis_mm[:, None] - question.y_mm)
    inside: NDArray[np.bool_] = distance_mm <= question.radius_mm
    return inside


def _map_of(state: _State, name: str) -> Map:
    if name not in state.maps:
        raise DataError(f"there is no map {name}, there are {', '.join(state.maps)}: ask for one of them")
    return state.maps[name]


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _number(make: Callable[[NDArray[Any]], Any], values: NDArray[Any]) -> float | None:
    return float(make(values.astype(np.float64))) if values.size else None
