"""The way of the counts from the frame to their bins, in two steps that both stay in the first-level cache.

A pixel's place among its bin's has nothing to do with where it lies on the detector: going through the frame and storing each
count in its place, or through the places and fetching each count, leaves the cache at almost every pixel. So a chunk of it is
first dealt out to groups of neighbouring bins, each of which grows by a run of counts; then every group, once complete, is put
into its order. Either step reads some 20 kB at random and writes in sequence.

Floor for a PILATUS 2M of 8 bits, one frame: two loads and a store for each of 2.3 million pixels and step, 0.6 ms a step on
one core; indices of 9 MB are read on the way. Measured on a busy machine: 1.2 and 1.3 ms, where storing each count in its place
took 3.0 to 3.4 ms.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from streaming.integrate.passes import COUNTS, I8, OPTIONS, given

CHUNK = 16384
"""Pixels of a chunk: twice as many do not fit 32 kB with all else, half as many make more and shorter runs."""
GROUP = 24576
"""Places of a group of bins, but for a bin that has more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Order:
    """Which counts go where.

    Groups lie one behind the other in a middle buffer; the first element of each stays what it was and stands for empty places.
    """

    taken: NDArray[np.uint16]
    """Pixels of each run, counted from the begin of their chunk, shape (n_used,)."""
    runs: NDArray[np.int64]
    """Where the runs begin among those, and where each goes in the middle buffer, shape (n_runs + 1, 2)."""
    runs_of_chunk: NDArray[np.int64]
    """First run of each chunk, shape (n_chunks + 1,)."""
    source: NDArray[np.uint16] | NDArray[np.uint32]
    """Where the count of each place lies, counted from the begin of its group, shape (n_places,)."""
    groups: NDArray[np.int64]
    """Where the groups begin in the middle buffer, and among the places, shape (n_groups + 1, 2)."""

    @property
    def n_middle(self) -> int:
        """Length of the middle buffer."""
        return int(self.groups[-1, 0])


def make_order(place: NDArray[np.uint32], offsets: NDArray[np.int64]) -> Order:
    """Prepare the way of the counts.

    Parameters
    ----------
    place
        Where each pixel of the frame goes, shape (frame size,); the number of places for those that go nowhere.
    offsets
        Where the places of each bin begin, shape (n_bins + 1,).
    """
    first_places = _group_begins(offsets)
    n_groups = first_places.size - 1
    pixel = np.flatnonzero(place < offsets[-1])
    group = np.searchsorted(first_places, place[pixel], side="right") - 1
    chunk = pixel // CHUNK
    begins = np.concatenate([[0], np.cumsum(1 + np.bincount(group, minlength=n_groups))])
    # In a group as in a run, pixels of one chunk stand in the order of the frame: a run stays together.
    by_group = _stable_order(group * (chunk.max(initial=0) + 1) + chunk)
    middle = np.empty(pixel.size, np.int64)
    middle[by_group] = np.arange(pixel.size) + group[by_group] + 1
    key = chunk * n_groups + group
    by_chunk = _stable_order(key)
    run_begins = np.flatnonzero(np.diff(key[by_chunk], prepend=-1))
    n_chunks = -(-place.size // CHUNK)
    source = np.zeros(offsets[-1], np.int64)
    source[place[pixel]] = middle - begins[group]
    return Order(
        taken=(pixel - chunk * CHUNK)[by_chunk].astype(np.uint16),
        runs=np.column_stack([np.append(run_begins, pixel.size), np.append(middle[by_chunk][run_begins], 0)]),
        runs_of_chunk=np.searchsorted(chunk[by_chunk][run_begins], np.arange(n_chunks + 1)).astype(np.int64),
        source=source.astype(np.uint16) if source.max(initial=0) < 2**16 else source.astype(np.uint32),
        groups=np.column_stack([begins, first_places]).astype(np.int64),
    )


def _stable_order(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the order of keys, equal ones as they come; numbers of 16 bits are sorted by counting, several times as fast."""
    return np.argsort(key.astype(np.uint16) if key.max(initial=0) < 2**16 else key, kind="stable")


def _group_begins(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give where groups of whole bins begin among the places, and where the last one ends."""
    begins = [0]
    while begins[-1] < offsets[-1]:
        last = np.searchsorted(offsets, begins[-1] + GROUP, side="right") - 1
        begins.append(int(offsets[last] if offsets[last] > begins[-1] else offsets[offsets > begins[-1]][0]))
    return np.array(begins if len(begins) > 1 else [0, 0], np.int64)


_WAYS = [(count, count) for count in COUNTS] + [(count, types.uint8) for count in COUNTS[1:]]
DEAL = [
    types.boolean(given(wide), given(types.uint16), given(I8, 2), given(I8), narrow[::1], narrow[::1]) for wide, narrow in _WAYS
]
PUT = [
    types.void(given(count), given(index), given(I8, 2), count[::1])
    for count in COUNTS
    for index in (types.uint16, types.uint32)
]


@njit(DEAL, **OPTIONS)
def deal_out(frame, taken, runs, runs_of_chunk, room, middle):  # type: ignore[no-untyped-def]
    """Deal the counts of a frame out to the groups.

    Give up and tell by False at the first chunk with a count that the middle buffer's type cannot hold; the largest value of
    the frame's type becomes the largest of that. Counts of 8 bits take a quarter of the cache and of the time of later passes.

    Parameters
    ----------
    frame
        Counts, shape (frame size,).
    taken, runs, runs_of_chunk
        As in :class:`Order`.
    room
        To work in, shape (``CHUNK``,), of the middle buffer's type.
    middle
        Receives the counts, shape (n_middle,).
    """
    most, masked = middle.dtype.type(0xFFFFFFFF), frame.dtype.type(0xFFFFFFFF)
    for chunk in range(runs_of_chunk.size - 1):
        here = frame[chunk * CHUNK : (chunk + 1) * CHUNK]
        is_wide = False
        for i in range(here.size):
            is_wide |= (here[i] >= most) & (here[i] != masked)
            room[i] = middle.dtype.type(min(here[i], frame.dtype.type(most)))
        if is_wide:
            return False
        for run in range(runs_of_chunk[chunk], runs_of_chunk[chunk + 1]):
            which = taken[runs[run, 0] : runs[run + 1, 0]]
            grown = middle[runs[run, 1] : runs[run, 1] + which.size]
            for i in range(which.size):
                grown[i] = room[which[i]]
    return True


@njit(PUT, **OPTIONS)
def put_in_order(middle, source, groups, sorted_counts):  # type: ignore[no-untyped-def]
    """Put the counts of every group in their places.

    Parameters
    ----------
    middle
        The groups, shape (n_middle,).
    source, groups
        As in :class:`Order`.
    sorted_counts
        Receives the counts by place, shape (n_places,).
    """
    for group in range(groups.shape[0] - 1):
        here = middle[groups[group, 0] : groups[group + 1, 0]]
        which = source[groups[group, 1] : groups[group + 1, 1]]
        ordered = sorted_counts[groups[group, 1] : groups[group + 1, 1]]
        for i in range(which.size):
            ordered[i] = here[which[i]]
