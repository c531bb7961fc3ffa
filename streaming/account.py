"""Who is missing: receives the identity of every image, gives the exact ids that did not come.

Completeness is a set of image ids, never a count and never an order: a series may start at any id, its START or END may be
missing or doubled, and images may come twice or out of order.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_SERIES = 1000
"""Series whose ids are remembered one by one; of earlier ones only the totals stay."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SeriesKey:
    """The identity of one uninterrupted stretch of images, also when the detector uses a number twice."""

    series: int
    unique_id: str = ""
    """As the detector gave it; empty in V1 and where START was missed."""
    turn: int = 0
    """Counts uses of the same number and unique id: simulators start the same series again and again."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FrameKey:
    """The identity of one image."""

    series: SeriesKey
    image_id: int


class IdSet:
    """A set of whole numbers kept as unbroken ranges: a million ids in a row cost as much as one."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """First and last of every unbroken range, ascending."""
        return list(zip(self._first, self._last, strict=True))

    def add(self, number: int) -> bool:
        """Add a number; false if it is there already."""
        return self.add_range(number, number) == 1

    def add_range(self, first: int, last: int) -> int:
        """Add all numbers from first to last, and give how many of them were new."""
        start = bisect_right(self._first, first) - 1
        # A range that ends just before the new one is joined with it; so is one that starts just behind.
        if start < 0 or self._last[start] < first - 1:
            start += 1
        end = bisect_right(self._first, last + 1)
        touched = zip(self._first[start:end], self._last[start:end], strict=True)
        n_known = sum(max(0, min(last, known_last) - max(first, known_first) + 1) for known_first, known_last in touched)
        n_new = last - first + 1 - n_known
        if start < end:
            first, last = min(first, self._first[start]), max(last, self._last[end - 1])
        self._first[start:end] = [first]
        self._last[start:end] = [last]
        self._n += n_new
        return n_new

    def missing_from(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Give the unbroken ranges between first and last, both included, that are not in the set."""
        at = max(bisect_right(self._first, first) - 1, 0)
        for known_first, known_last in zip(self._first[at:], self._last[at:], strict=True):
            if known_first > last:
                break
            if known_first > first:
                yield first, known_first - 1
            first = max(first, known_last + 1)
        if first <= last:
            yield first, last


@dataclass(slots=True, kw_only=True)
class _Series:
    usable: IdSet = field(default_factory=IdSet)
    expected: IdSet = field(default_factory=IdSet)


class Account:
    """Counts images by identity; used from one thread."""

    def __init__(self) -> None:
        self._series: dict[SeriesKey, _Series] = {}
        self.n_usable = 0
        self.n_duplicated = 0
        self._n_missing_forgotten = 0

    def add(self, frame: FrameKey) -> bool:
        """Note an image that gave a pattern; false, and counted as a duplicate, if it did so before."""
        is_new = self._of(frame.series).usable.add(frame.image_id)
        self.n_usable += is_new
        self.n_duplicated += not is_new
        return is_new

    def expect(self, series: SeriesKey, first: int, last: int) -> None:
        """Note that images of these ids must have come by now, because their line is finished."""
        self._of(series).expected.add_range(first, last)

    def restore(self, series: SeriesKey, first: int, is_received: list[bool]) -> list[tuple[int, int]]:
        """Take in a line of an earlier life of this process, and give the ranges of its ids that are missing."""
        there = IdSet()
        for offset, has_come in enumerate(is_received):
            if has_come:
                there.add(first + offset)
        self.expect(series, first, first + len(is_received) - 1)
        for known_first, known_last in there.ranges:
            self.n_usable += self._of(series).usable.add_range(known_first, known_last)
        return list(there.missing_from(first, first + len(is_received) - 1))

    def end(self, series: SeriesKey) -> None:
        """Note that a series is over: what lies between its first and its last image must have come by now."""
        ranges = self._of(series).usable.ranges
        if ranges:
            self.expect(series, ranges[0][0], ranges[-1][1])

    def missing(self) -> list[tuple[SeriesKey, int, int]]:
        """Give every unbroken stretch of ids that must have come and gave no pattern, by series and first and last id."""
        return [
            (key, first, last)
            for key, series in sorted(self._series.items())
            for expected_first, expected_last in series.expected.ranges
            for first, last in series.usable.missing_from(expected_first, expected_last)
        ]

    @property
    def n_missing(self) -> int:
        """How many images must have come and gave no pattern, forgotten series included."""
        return self._n_missing_forgotten + sum(last - first + 1 for _, first, last in self.missing())

    def _of(self, key: SeriesKey) -> _Series:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
            if len(self._series) > MAX_SERIES:
                self._forget(next(iter(self._series)))
        return series

    def _forget(self, key: SeriesKey) -> None:
        series = self._series.pop(key)
        for first, last in series.expected.ranges:
            self._n_missing_forgotten += sum(b - a + 1 for a, b in series.usable.missing_from(first, last))
