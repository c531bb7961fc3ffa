"""A tomogram flown by turns: each line is a turn of the stage at one position; receives turns, makes projections of them.

A projection needs the same angle of every turn, so that maps come when half of the turns are in (of an interlaced order that is
every other position), at three quarters, and at the end. Projections are line files like any other, in a folder beside that of
the run; archive, questions about regions and everything behind know no difference. Positions and angles are the captured ones.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.errors import DataError
from operando.messages import RunStarted
from operando.profile import Profile
from operando.scan import LineKey, TomogramGrid
from streaming.channels import PatternModel
from streaming.line import Line
from streaming.line_file import read_line, write_line
from streaming.line_shelf import LineShelf
from streaming.tomogram import Result, Tomogram
from streaming.volume import MakeVolume

logger = structlog.get_logger(__name__)

PARTS = (0.5, 0.75)
"""Parts of the turns at which a first and a better map are made; with less, projections have more holes than points."""

BLOCK = 50
"""Angles that are put together at a time: bounds the memory, and a turn's file is read once for each."""


def is_flown_by_turns(run: RunStarted) -> bool:
    """Whether the lines of a run are turns of the stage."""
    return run.metadata.get("sweep") == "rotation"


class TurnedTomogram(Tomogram):
    """Takes up turns in place of lines, and keeps projections.

    Parameters
    ----------
    lines_folder
        Where projections are written, as lines of the run ``RUN-turned``.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        model: PatternModel,
        run: RunStarted,
        shelf: LineShelf,
        lines_folder: Path,
        make_volume: MakeVolume | None = None,
    ) -> None:
        self._made = run.model_copy(update={"run": f"{run.run}-turned"})
        self._projections = LineShelf(self._made.run, lines_folder)
        super().__init__(profile=profile, model=model, run=self._made, read_again=self._projections, make_volume=make_volume)
        self._flown = run
        self._turns_on = shelf
        self._lines_folder = lines_folder
        self._turns: dict[tuple[int, int], int] = {}
        self._refused: set[tuple[int, int]] = set()
        self._n_made = 0
        self._due = [max(1, int(np.ceil(part * run.n_points))) for part in PARTS]

    @property
    def n_attempts(self) -> int:
        """Turns taken up, those that do not count included."""
        return len(self._turns)

    def has(self, key: LineKey) -> bool:
        """Tell whether a turn was taken up already."""
        return (key.line, key.attempt) in self._turns

    def n_received(self, key: LineKey) -> int:
        """Give how many points of a turn have a pattern."""
        return self._turns[key.line, key.attempt]

    def add(self, line: Line) -> None:
        """Take up a turn, and put projections together when it is time.

        Raises
        ------
        DataError
            If it is no turn of this run.
        """
        if line.angles_deg is None:
            raise DataError(f"{line.key.stem} says no angle for each of its points: it is no turn of the stage")
        self._turns[line.key.line, line.key.attempt] = int(line.is_received.sum())
        if line.aborted:
            self._refused.add((line.key.line, line.key.attempt))
            return
        n_turns, n_all = len(self._counting()), self._flown.n_points
        is_due = bool(self._due) and n_turns >= self._due[0]
        if is_due or n_turns >= n_all:
            self._due = [due for due in self._due if due > n_turns]
            self._put_together()

    def abort(self, *, line: int, attempt: int) -> None:
        """Let a turn count for nothing, whether it has come or will."""
        self._refused.add((line, attempt))

    def result(self) -> Result | None:
        """Give what is known now, under the run's own name; None before the first projections."""
        found = super().result()
        if found is None:
            return None
        return replace(found, ingredients=replace(found.ingredients, run=self._flown.run))

    def _counting(self) -> list[LineKey]:
        """Give the newest attempt that counts of each turn."""
        newest = {line: attempt for line, attempt in sorted(self._turns) if (line, attempt) not in self._refused}
        return [LineKey(run=self._flown.run, line=line, attempt=attempt) for line, attempt in newest.items()]

    def _put_together(self) -> None:
        keys, attempt = self._counting(), self._n_made
        self._n_made += 1
        logger.info("projections from turns", turns=len(keys), of=self._flown.n_points, attempt=attempt)
        for projection in projections(keys, self._turns_on, grid=self.grid, run=self._made.run, attempt=attempt):
            self._projections.note(projection.key, write_line(projection, self._lines_folder))
            super().add(projection)


def projections(keys: list[LineKey], turns: LineShelf, *, grid: TomogramGrid, run: str, attempt: int) -> Iterator[Line]:
    """Give the projection at each angle of a grid, positions ascending, from turns that are read block by block."""
    n_angles = grid.angles_deg.size
    for first in range(0, n_angles, BLOCK):
        wanted = np.arange(first, min(first + BLOCK, n_angles))
        parts = [_part(read_line(turns.path(key)), wanted, grid) for key in keys]
        parts.sort(key=lambda part: part[0])
        for row, index in enumerate(wanted):
            yield _projection(
                parts, row, angle_deg=float(grid.angles_deg[index]), key=LineKey(run=run, line=int(index), attempt=attempt)
            )


_Part = tuple[float, Line, NDArray[np.int64]]
"""Position of a turn (mm), the turn with the points of one block alone, and the point of each wanted angle, or -1."""


def _part(turn: Line, wanted: NDArray[np.int64], grid: TomogramGrid) -> _Part:
    if turn.angles_deg is None:
        raise DataError(f"{turn.key.stem} says no angle for each of its points: it is no turn of the stage")
    step_deg = np.ptp(grid.angles_deg) / max(1, grid.angles_deg.size - 1)
    angles = grid.angles_deg[wanted]
    nearest = np.abs(turn.angles_deg[:, np.newaxis] - angles).argmin(axis=0)
    is_near = np.abs(turn.angles_deg[nearest] - angles) <= 0.5 * step_deg
    chosen = np.where(is_near, nearest, -1)
    kept = np.maximum(chosen, 0)
    thin = replace(
        turn,
        positions_mm=turn.positions_mm[kept],
        is_received=turn.is_received[kept] & is_near,
        mean=turn.mean[kept],
        trimmed=turn.trimmed[kept],
        variance=turn.variance[kept],
        angles_deg=turn.angles_deg[kept],
        cake=None,
        cake_norm=None,
    )
    return float(np.mean(turn.positions_mm)), thin, chosen


def _projection(parts: list[_Part], row: int, *, angle_deg: float, key: LineKey) -> Line:
    lines = [line for _, line, _ in parts]
    first = lines[0]
    is_received = np.array([line.is_received[row] for line in lines])
    currents = [line.ring_current_ma for line in lines]
    monitor = None if any(current is None for current in currents) else np.array(currents, dtype=np.float64)
    hidden = np.where(is_received[:, np.newaxis], 1.0, np.nan).astype(np.float32)
    return Line(
        key=key,
        series=first.series,
        first_image_id=0,
        angle_deg=angle_deg,
        direction=1,
        positions_mm=np.array([line.positions_mm[row] for line in lines]),
        positions_source=first.positions_source,
        is_received=is_received,
        q=first.q,
        mean=_stacked(lines, "mean", row) * hidden,
        trimmed=_stacked(lines, "trimmed", row) * hidden,
        variance=_stacked(lines, "variance", row) * hidden,
        ring_current_ma=None if monitor is None else float(monitor.mean()),
        cell=max(lines, key=lambda line: line.end_s).cell,
        start_s=min(line.start_s for line in lines),
        end_s=max(line.end_s for line in lines),
        geometry_sha256=first.geometry_sha256,
        monitor=monitor,
    )


def _stacked(lines: list[Line], name: str, row: int) -> NDArray[np.float32]:
    return np.stack([getattr(line, name)[row] for line in lines])
