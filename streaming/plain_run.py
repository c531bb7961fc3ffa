"""A run that makes no map: receives its lines, gives how many came and their mean pattern."""

import numpy as np
from numpy.typing import NDArray

from operando.messages import RunStarted
from operando.scan import LineKey
from streaming.line import Line
from streaming.line_sum import MOST_BLOCKS, LineSum, sums_of_line
from streaming.record import LineRecord, record_from_line
from streaming.which_run import purpose_of


class PlainRun:
    """Dark frames, a calibrant, a point against time, a repeated line: counted and averaged; used from one thread."""

    def __init__(self, run: RunStarted) -> None:
        self.run, self.purpose = run.run, purpose_of(run)
        self._lines: dict[tuple[int, int], tuple[LineRecord, NDArray[np.float64]]] = {}
        self._sums: dict[tuple[int, int], list[LineSum]] = {}
        self._aborted: set[tuple[int, int]] = set()

    @property
    def n_attempts(self) -> int:
        """Attempts taken up, those that do not count included."""
        return len(self._lines)

    @property
    def records(self) -> list[LineRecord]:
        """The newest attempt that counts of each line, by line."""
        newest = {key[0]: record for key, (record, _) in sorted(self._lines.items()) if key not in self._aborted}
        return list(newest.values())

    @property
    def mean_pattern(self) -> NDArray[np.float64] | None:
        """Mean of the patterns that count, shape (n_radial,), photons per pixel; None before the first."""
        keys = [(record.key.line, record.key.attempt) for record in self.records]
        n_patterns = sum(record.n_points - len(record.missing_ids) for record in self.records)
        if not n_patterns:
            return None
        total: NDArray[np.float64] = np.sum([self._lines[key][1] for key in keys], axis=0) / n_patterns
        return total

    @property
    def line_sums(self) -> tuple[LineSum, ...]:
        """Mean patterns of the lines that count, of a point against time those of stretches of frames."""
        return tuple(one for record in self.records for one in self._sums[record.key.line, record.key.attempt])

    def has(self, key: LineKey) -> bool:
        """Tell whether an attempt was taken up already."""
        return (key.line, key.attempt) in self._lines

    def n_received(self, key: LineKey) -> int:
        """Give how many points of an attempt that was taken up have a pattern."""
        record = self._lines[key.line, key.attempt][0]
        return record.n_points - len(record.missing_ids)

    def add(self, line: Line) -> None:
        """Take up an attempt of a line; the same attempt again replaces it."""
        if line.aborted:
            self.abort(line=line.key.line, attempt=line.key.attempt)
            return
        pattern_sum = np.nansum(line.mean[line.is_received].astype(np.float64), axis=0)
        self._lines[line.key.line, line.key.attempt] = (record_from_line(line), pattern_sum)
        n_blocks = MOST_BLOCKS if self.purpose == "point" else 1
        self._sums[line.key.line, line.key.attempt] = sums_of_line(line, n_blocks=n_blocks)

    def abort(self, *, line: int, attempt: int) -> None:
        """Let an attempt count for nothing, whether it has come or will."""
        self._aborted.add((line, attempt))
