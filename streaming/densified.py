"""A tomogram of which a disc was flown again at half the step: receives the lines of both runs, makes one map of them.

The later run flies each line over the disc alone. Outside, the lines of the earlier run stand in for it: both are put together
into line files of the run ``RUN-denser``, on the fine grid, so that archive, questions about regions and refinement know no
difference. Where only the earlier run measured, the map is as coarse as it was: the points between its points are interpolated.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operando.messages import RunStarted
from operando.profile import Profile
from operando.scan import LineKey
from streaming.channels import PatternModel
from streaming.line import Line
from streaming.line_file import write_line
from streaming.line_shelf import LineShelf
from streaming.sinogram import LARGEST_GAP
from streaming.tomogram import Tomogram
from streaming.volume import MakeVolume
from streaming.which_run import STEPS_IN_ONE, made_denser

SUFFIX = "-denser"
_SAME_PLACE = 0.5
"""Steps of the dense line: an earlier point that is nearer to one of its points gives way to it."""


class DensifiedTomogram(Tomogram):
    """Takes up the lines of a run and of those that it makes denser.

    Parameters
    ----------
    shelf
        Where the lines of all these runs are.
    lines_folder
        Where lines that were put together are written.
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
        gap = STEPS_IN_ONE * LARGEST_GAP
        super().__init__(profile=profile, model=model, run=run, read_again=shelf, largest_gap=gap, make_volume=make_volume)
        self._shelf, self._lines_folder = shelf, lines_folder
        self._flown: dict[LineKey, int] = {}
        self._left_out: set[tuple[int, int]] = set()

    def has(self, key: LineKey) -> bool:
        """Tell whether an attempt was taken up already."""
        return key in self._flown

    def n_received(self, key: LineKey) -> int:
        """Give how many points of an attempt as it was flown have a pattern."""
        return self._flown[key]

    def add(self, line: Line) -> None:
        """Take up a line of either run; one that has been flown again over the disc is put together anew.

        Raises
        ------
        DataError
            If it does not belong to this tomogram.
        """
        self._flown[line.key] = int(line.is_received.sum())
        if line.aborted:
            self.abort(line=line.key.line, attempt=line.key.attempt)
            return
        flown = self._counting(line.key.line)
        if len(flown) < 2 or line.key.run != self._shelf.runs[0]:
            super().add(line)
        if len(flown) > 1:
            super().add(self._put_together(flown))

    def abort(self, *, line: int, attempt: int) -> None:
        """Let an attempt count for nothing, whether it has come or will."""
        self._left_out.add((line, attempt))
        super().abort(line=line, attempt=attempt)

    def _counting(self, number: int) -> list[LineKey]:
        """Give the newest attempt that counts of a line in each run, the earliest run first."""
        newest: dict[str, LineKey] = {}
        for key in sorted(self._flown, key=lambda key: key.attempt):
            if key.line == number and (number, key.attempt) not in self._left_out:
                newest[key.run] = key
        return [newest[run] for run in reversed(self._shelf.runs) if run in newest]

    def _put_together(self, keys: list[LineKey]) -> Line:
        whole = self._shelf(keys[0])
        for key in keys[1:]:
            whole = overlaid(self._shelf(key), under=whole)
        named = replace(whole, key=replace(whole.key, run=f"{self._shelf.runs[0]}{SUFFIX}"))
        self._shelf.note(named.key, write_line(named, self._lines_folder))
        return named


def is_denser(run: RunStarted) -> bool:
    """Whether a run flies a part of an earlier one again with finer steps."""
    return bool(made_denser(run))


def overlaid(line: Line, *, under: Line) -> Line:
    """Put a line over an earlier one at the same angle: its points first, then those received of the other that it has none of.

    Intensities of the earlier line are brought to the ring current of the later.
    """
    places = np.sort(line.positions_mm[line.is_received])
    step_mm = float(np.median(np.abs(np.diff(line.positions_mm)))) if line.positions_mm.size > 1 else 0.0
    is_kept = under.is_received & (_distance(under.positions_mm, places) > _SAME_PLACE * step_mm)
    factor = np.float32(_current_ratio(line, under))
    return replace(
        line,
        positions_mm=np.r_[line.positions_mm, under.positions_mm[is_kept]],
        is_received=np.r_[line.is_received, under.is_received[is_kept]],
        mean=np.concatenate([line.mean, factor * under.mean[is_kept]]),
        trimmed=np.concatenate([line.trimmed, factor * under.trimmed[is_kept]]),
        variance=np.concatenate([line.variance, factor**2 * under.variance[is_kept]]),
        monitor=_joined(line.monitor, under.monitor, is_kept),
        transmitted=_joined(line.transmitted, under.transmitted, is_kept),
        cake=_joined(line.cake, None if under.cake is None else factor * under.cake, is_kept),
    )


def _distance(positions_mm: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how far each position is from the nearest of some sorted places; infinite where there are none."""
    if not places.size:
        return np.full(positions_mm.size, np.inf)
    after = np.clip(np.searchsorted(places, positions_mm), 1, places.size - 1) if places.size > 1 else np.zeros(1, np.intp)
    before = np.maximum(after - 1, 0)
    return np.minimum(np.abs(positions_mm - places[after]), np.abs(positions_mm - places[before]))


def _current_ratio(line: Line, under: Line) -> float:
    is_known = bool(line.ring_current_ma and under.ring_current_ma) and line.monitor is None
    return line.ring_current_ma / under.ring_current_ma if is_known else 1.0  # type: ignore[operator]  # both are numbers


def _joined(values: Any, under: Any, is_kept: NDArray[np.bool_]) -> Any:
    return None if values is None or under is None else np.concatenate([values, under[is_kept]])
