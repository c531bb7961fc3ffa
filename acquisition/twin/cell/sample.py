"""The sample of a working cell: the slice as it is at any time, from the history and the clock that the cell's voltage has."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acquisition.cell.clock import FollowedClock
from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import HALF_CELL, PARTICLE, CellMake, ParticleMake
from acquisition.twin.cell.plain import FlatCell, Particle, StatefulSample
from acquisition.twin.cell.protocols import find_history
from acquisition.twin.cell.roll import Roll
from acquisition.twin.cell.rolls import ROLLS, resized, with_effects
from acquisition.twin.cell.shelf import history_of
from acquisition.twin.cell.spread import behind, piece_starts
from acquisition.twin.optics import twin_of
from acquisition.twin.slice import Slice
from operando.errors import ProfileError
from operando.profile import Cell, Profile, Twin

PREFIX = "pybamm:"
N_KEPT = 4
"""Slices of a working cell: the present one, the next, and those of frames that are late; 10 MB each for an 18650."""

Make = CellMake | ParticleMake


OpenState = Callable[[CellHistory, Twin], StatefulSample]
"""Makes a sample of a history, as the profile's section wants it."""


def _wound(name: str) -> tuple[Make, OpenState]:
    def open_roll(history: CellHistory, twin: Twin) -> Roll:
        make = with_effects(resized(ROLLS[name], twin.winding), twin.effects)
        return Roll(make, history, seed=twin.seed)

    return ROLLS[name].cell, open_roll


WOUND = {"aaa-cell": "aaa", "18650-cell": "18650", "18650-cell-aged": "18650-aged", "small-cell": "small"}
"""The roll of each sample that is a wound cell."""
CELL_SAMPLES: dict[str, tuple[Make, OpenState]] = {
    **{name: _wound(roll) for name, roll in WOUND.items()},
    "half-cell": (HALF_CELL, lambda history, _twin: FlatCell(HALF_CELL, history)),
    "particle": (PARTICLE, lambda _history, _twin: Particle(PARTICLE)),
}
"""What ``twin.sample`` may name besides samples that never change: the make of cell that it is, and how it is made."""


class Clock(Protocol):
    """Tells where in its history the cell is; asked by one thread at a time."""

    def recorded_s(self, time_s: float) -> float:
        """Give seconds since the history began at a time, Unix epoch."""
        ...


class OwnClock:
    """The clock of whoever has no run folder to share one: the replay began when it was made."""

    def __init__(self, cell: Cell, *, origin_s: float) -> None:
        self._cell, self._origin_s = cell, origin_s

    def recorded_s(self, time_s: float) -> float:
        """Give seconds since the history began at a time, Unix epoch."""
        return self._cell.start_s + (time_s - self._origin_s) * self._cell.speed


class CellSample:
    """A sample that follows a history; safe to share by threads."""

    def __init__(
        self, name: str, sample: StatefulSample, history: CellHistory, clock: Clock, *, has_depth: bool = True
    ) -> None:
        self.history = history
        """What the cell lives through."""
        self._name, self._sample, self._clock, self._has_depth = name, sample, clock, has_depth
        self._x_behind = behind(history.time_s, history.x.mean(axis=1)) if history.x.size else np.zeros(len(history.time_s))
        self._y_behind = behind(history.time_s, history.y.mean(axis=1))
        self._starts = piece_starts(history, self._x_behind, self._y_behind)
        self._lock = threading.Lock()
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="slice")
        self._pieces: dict[int, Future[Slice]] = {}

    @property
    def n_pieces(self) -> int:
        """Different slices in the whole history."""
        return len(self._starts)

    def recorded_s(self, time_s: float) -> float:
        """Give seconds since the history began at a time, Unix epoch; from any thread."""
        with self._lock:
            return self._clock.recorded_s(time_s)

    def slice_at(self, time_s: float) -> Slice:
        """Give the slice at a time, Unix epoch: the same object for all times of one piece.

        The piece after it is begun at once, in a thread of its own, so that a stream of frames need not wait for it.
        """
        with self._lock:
            piece = self.piece_at(self._clock.recorded_s(time_s))
            wanted = self._begun(piece)
            if piece + 1 < self.n_pieces:
                self._begun(piece + 1)
        return wanted.result()

    def cell_at(self, time_s: float) -> dict[str, float]:
        """Give the cell at a time, Unix epoch: what a cycler knows, and mean lithium (mean x NaN without graphite)."""
        with self._lock:
            recorded_s = self._clock.recorded_s(time_s)
        history = self.history
        columns = {
            "voltage_v": history.voltage_v,
            "current_a": history.current_a,
            "charge_ah": history.charge_ah,
            "temperature_c": history.temperature_c,
        }
        state = {name: float(np.interp(recorded_s, history.time_s, column)) for name, column in columns.items()}
        mean_x = float(history.x_at(recorded_s).mean()) if history.x.size else float("nan")
        return {**state, "mean_x": mean_x, "mean_y": float(history.y_at(recorded_s).mean()), "recorded_s": recorded_s}

    def piece_at(self, recorded_s: float) -> int:
        """Give the number of the piece at a time since the history began."""
        started_s = self.history.time_s[self._starts]
        return max(int(np.searchsorted(started_s, recorded_s, side="right")) - 1, 0)

    def _begun(self, piece: int) -> Future[Slice]:
        """Give the slice of a piece, or the promise of it; the last few are kept."""
        found = self._pieces.pop(piece, None) or self._builder.submit(self._built, piece)
        self._pieces[piece] = found
        while len(self._pieces) > N_KEPT:
            del self._pieces[next(iter(self._pieces))]
        return found

    def _built(self, piece: int) -> Slice:
        row = self._middle_row(piece)
        return self._sample.slice_of(
            self._name,
            self._through(self.history.x[row]),
            self._through(self.history.y[row]),
            x_behind=float(self._x_behind[row]),
            y_behind=float(self._y_behind[row]),
        )

    def _through(self, profile: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give lithium through a coating: as the history has it, or its mean at every depth."""
        return profile if self._has_depth or not profile.size else np.full_like(profile, profile.mean())

    def _middle_row(self, piece: int) -> int:
        end = self._starts[piece + 1] if piece + 1 < len(self._starts) else len(self.history.time_s)
        return int(self._starts[piece] + end - 1) // 2


def check_cell_sample(profile: Profile) -> str:
    """Give the name of the history that the profile's working cell follows; simulates nothing.

    Raises
    ------
    ProfileError
        If there is no sample of that name, ``cell.source`` is no simulated cell of the same make, or the winding has no room.
    """
    name = profile.twin.sample if profile.twin is not None else ""
    if profile.twin is None or name not in CELL_SAMPLES:
        raise ProfileError(f"twin.sample: found {name!r}, wanted one of {', '.join(CELL_SAMPLES)}")
    make, _ = CELL_SAMPLES[name]
    history_name = profile.cell.source.removeprefix(PREFIX)
    if not profile.cell.source.startswith(PREFIX) or find_history(history_name)[0] != make:
        raise ProfileError(
            f"twin.sample {name!r} shows the lithium of a simulated {make.name}, but cell.source is {profile.cell.source!r}: "
            f"give {PREFIX} and a history of that cell"
        )
    if name in WOUND:
        resized(ROLLS[WOUND[name]], profile.twin.winding)
    return history_name


def open_cell_sample(profile: Profile, *, out: Path | None, now_s: float | None = None) -> CellSample:
    """Open the sample that the profile's twin names, on the clock of the run folder ``out``; on its own without one.

    Raises
    ------
    ProfileError
        As :func:`check_cell_sample`.
    ServiceError
        If the history must be simulated and PyBaMM is not installed.
    """
    history = history_of(check_cell_sample(profile))
    twin = twin_of(profile)
    _, open_state = CELL_SAMPLES[twin.sample]
    begun_s = time.time() if now_s is None else now_s
    clock: Clock = OwnClock(profile.cell, origin_s=begun_s)
    if out is not None:
        clock = FollowedClock(out, profile.cell, history.recording_name, now_s=begun_s)
    return CellSample(twin.sample, open_state(history, twin), history, clock, has_depth=twin.effects.depth_gradient)
