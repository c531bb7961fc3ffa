"""What is refined: receives what the live analysis knows of a run, gives the job of refining its voxels or its trends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.line_sum import LineSum
from streaming.maps import Reasons
from streaming.plain_run import PlainRun
from streaming.record import LineRecord
from streaming.region import Ingredients
from streaming.tomogram import Result

Array = NDArray[np.float64]

SAMPLE_PURPOSES = ("line", "point", "beam damage")
"""Purposes of runs without a map whose patterns are those of the sample."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceToRefine:
    """The voxels."""

    ingredients: Ingredients
    base: Reasons
    """Why a voxel is not to be refined, shape (y, x); GOOD where it is."""
    axis_mm: Array
    """Voxel centres along x and y."""

    @property
    def n_angles(self) -> int:
        """Different angles, opposite ones once."""
        angles = self.ingredients.grid.angles_deg[[line.key.line for line in self.ingredients.lines]]
        return np.unique(np.round(np.mod(angles, 180.0), 3)).size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefineJob:
    """What a refinement needs of the live analysis; never changed."""

    run: str
    slice: SliceToRefine | None
    """None for a run that makes no map: its trends are refined."""
    mean_pattern: Array
    """Shape (n_radial,), photons per pixel."""
    mean_variance: Array
    """Variance of a single pattern, mean of all, shape (n_radial,)."""
    n_patterns: int
    lines: tuple[LineSum, ...]
    newest: LineRecord
    """The line that was flown last."""
    is_last: bool = False
    """Whether no more lines will come."""

    @property
    def n_lines(self) -> int:
        """Lines that maps or trends are made of."""
        return len(self.lines) if self.slice is None else len(self.slice.ingredients.lines)


def job_from_result(result: Result, *, is_last: bool) -> RefineJob:
    """Give the job of refining all voxels that the live analysis finds some mass in."""
    shares = next(one for one in result.maps if one.name.startswith("wt_"))
    return RefineJob(
        run=result.ingredients.run,
        slice=SliceToRefine(ingredients=result.ingredients, base=shares.reason, axis_mm=result.axis_mm),
        mean_pattern=result.mean_pattern,
        mean_variance=result.mean_variance,
        n_patterns=result.n_patterns,
        lines=result.line_sums,
        newest=max(result.records, key=lambda record: record.end_s),
        is_last=is_last,
    )


def job_from_plain(plain: PlainRun, *, is_last: bool) -> RefineJob | None:
    """Give the job of refining the trends of a run that makes no map; None if it has no patterns of a sample."""
    lines = plain.line_sums
    if not lines or not plain.purpose.startswith(SAMPLE_PURPOSES):
        return None
    return RefineJob(
        run=plain.run,
        slice=None,
        mean_pattern=np.mean([one.pattern for one in lines], axis=0),
        mean_variance=np.mean([one.variance for one in lines], axis=0),
        n_patterns=len(lines),
        lines=lines,
        newest=max(plain.records, key=lambda record: record.end_s),
        is_last=is_last,
    )
