"""The patterns of lines, kept within a bound of memory: read once for several questions or refinements."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError
from operando.scan import LineKey
from streaming.correct.points import check_grid
from streaming.correct.sector import line_in_sector
from streaming.line_shelf import LineShelf
from streaming.region import Patterns, patterns_from_line

CACHE_BYTES = 4 * 2**30
"""A whole tomogram of 400 lines of 569 points of 1,500 bins, 2.7 GB, is read once; a larger one is read every time."""


class PatternCache:
    """Gives patterns of lines; used from one thread.

    Parameters
    ----------
    lines_folder
        The folder of all lines.
    q
        Bin centres that lines must have.
    estimator
        Which patterns are analysed.
    sector
        Window of azimuth that is analysed; None is the full ring.
    n_bytes
        Memory that may be taken.
    """

    def __init__(
        self,
        lines_folder: Path,
        q: NDArray[np.float64],
        *,
        estimator: str,
        sector: tuple[float, float] | None = None,
        n_bytes: int = CACHE_BYTES,
    ) -> None:
        self._lines_folder, self._q, self._estimator, self._n_bytes = lines_folder, q, estimator, n_bytes
        self._sector = sector
        self._kept: OrderedDict[LineKey, tuple[float, Patterns]] = OrderedDict()

    def __call__(self, key: LineKey) -> Patterns:
        """Give the patterns of a line as its file holds them now: images that come late are added to a file.

        Raises
        ------
        DataError
            If the line cannot be read, or was integrated without the sectors of a window.
        """
        shelf = LineShelf(key.run, self._lines_folder)
        try:
            changed_s = shelf.path(key).stat().st_mtime
            found = self._kept.pop(key, None)
            if found is None or found[0] != changed_s:
                line = line_in_sector(shelf(key), self._sector)
                check_grid(line, self._q)
                found = (changed_s, patterns_from_line(line, estimator=self._estimator))
        except OSError as gone:
            raise DataError(f"the patterns of {key.stem} cannot be read: {gone}") from gone
        self._kept[key] = found
        while len(self._kept) > 1 and sum(patterns.n_bytes for _, patterns in self._kept.values()) > self._n_bytes:
            self._kept.popitem(last=False)
        return found[1]
