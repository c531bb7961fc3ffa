"""The compiled loop over a whole frame that only adds counts up, and what all kernels share.

Floor for a PILATUS 2M of 32 bits, one frame. :func:`sum_bins`: reads 10 MB of counts and 5 MB of bin numbers and adds as often
to memory, which takes half to two thirds of the time.
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


SUM = [types.void(given(count), given(types.uint16), given(F4), count, I8[::1], F8[::1], I8[::1]) for count in COUNTS]


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
