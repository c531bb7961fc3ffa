"""The compiled loops over a whole frame, in the order of memory: sort the counts by bin, or only add them up.

Going through the frame and storing each count in its place costs a third of gathering the counts bin by bin, which misses the
page tables at almost every pixel.

Floor for a PILATUS 2M of 32 bits, one frame. :func:`scatter`: reads 10 MB of counts and 10 MB of places, writes 9 MB in 2.3
million scattered stores. :func:`sum_bins`: reads 10 MB of counts and 5 MB of bin numbers and adds as often to memory, which
takes half to two thirds of the time.
"""

from typing import Any

import numpy as np
from numba import njit, types

FAST = {"reassoc", "nsz", "contract"}
"""Sums may be reordered, which vectorises them; a sum of float32 corrections in float64 is exact in any order."""
OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": FAST, "error_model": "numpy"}
F4, F8, I8 = types.float32, types.float64, types.int64
COUNTS = (types.uint8, types.uint16, types.uint32)


def given(scalar: Any, n_axes: int = 1) -> Any:
    """Give the type of an array that is only read: decoders hand out read-only frames."""
    return types.Array(scalar, n_axes, "C", readonly=True)


SCATTER = [types.void(given(count), given(types.uint32), count[::1]) for count in COUNTS]
SCATTER_NARROWLY = [types.boolean(given(count), given(types.uint32), types.uint8[::1]) for count in COUNTS[1:]]
SUM = [types.void(given(count), given(types.uint16), given(F4), count, I8[::1], F8[::1], I8[::1]) for count in COUNTS]


@njit(SCATTER, **OPTIONS)
def scatter(frame, place, sorted_counts):  # type: ignore[no-untyped-def]
    """Put every pixel of a frame in its place.

    Parameters
    ----------
    frame
        Counts, shape (n_pixels,).
    place
        Where each pixel goes, shape (n_pixels,).
    sorted_counts
        Receives the counts, shape (n_places + 1,); the last element takes everything that belongs to no bin.
    """
    for i in range(frame.size):
        sorted_counts[place[i]] = frame[i]


@njit(SCATTER_NARROWLY, **OPTIONS)
def scatter_narrowly(frame, place, sorted_counts):  # type: ignore[no-untyped-def]
    """Put every pixel in its place with 8 bits, as :func:`scatter` does; give up and tell at the first that needs more.

    The largest value of the frame's type becomes the largest of 8 bits. Stores in a quarter of the memory are a third faster,
    and the passes over the bins find four times as many counts in a vector.
    """
    for i in range(frame.size):
        count = frame[i]
        if count >= 255 and count != frame.dtype.type(0xFFFFFFFF):
            return False
        sorted_counts[place[i]] = np.uint8(min(count, frame.dtype.type(255)))
    return True


@njit(SUM, **OPTIONS)
def sum_bins(frame, bin_of_pixel, correction, limit, signal, lost, excluded):  # type: ignore[no-untyped-def]
    """Add the counts of every bin in one pass over the frame: all that a mean needs.

    Parameters
    ----------
    frame, bin_of_pixel, correction
        Counts, bins and corrections in the order of the frame, shape (n_pixels,).
    limit
        Counts at or above it are excluded.
    signal, lost
        Receive the summed counts and the summed corrections of excluded pixels, shape (n_radial + 1,); the last element takes
        the pixels that belong to no bin.
    excluded
        Receives how many counts were excluded, shape (2,): below the maximum of their type, and at it.
    """
    signal[:] = 0
    lost[:] = 0.0
    excluded[:] = 0
    for i in range(frame.size):
        k = bin_of_pixel[i]
        if frame[i] < limit:
            signal[k] += np.int64(frame[i])
        elif k < signal.size - 1:
            lost[k] += correction[i]
            excluded[1 if frame[i] == frame.dtype.type(0xFFFFFFFF) else 0] += 1
