"""Pack fresh counts fast: bitshuffle and LZ4 in one pass over blocks that stay in the cache, for frames made on the fly.

Bitshuffle turns a block of 2048 counts into 32 planes of one bit each. In a frame the lowest planes are noise, those above are
sparse, and all above the largest count hold the same: the pattern of masked pixels. So the LZ4 block is written without a
search: what equals the plane before is a match one plane back, all else stays as it is. Any LZ4 decoder reads it
(https://github.com/lz4/lz4, doc/lz4_Block_format.md).
"""

import numpy as np
from numba import int64, njit, uint8, uint32, uint64, void
from numba.types import Array
from numpy.typing import NDArray

BLOCK = 2048
"""Counts in a block: 8192 bytes, as :mod:`acquisition.twin.simplon.bslz4` has it."""
N_PLANES = 32
PLANE = BLOCK // 8
"""Bytes in a plane."""
WORDS = PLANE // 8
LAST_LITERALS = 5
NEAREST_MATCH = 16
"""LZ4 ends a block with five literals, and starts no match in the last twelve bytes; here matches begin at whole words."""
BOUND = N_PLANES * PLANE + 64
"""No block is longer: a match, of eight bytes or more, takes fewer than it stands for."""
_MASKED = np.uint32(0xFFFFFFFF)
_SWAP_1, _SWAP_2, _SWAP_4 = np.uint64(0x00AA00AA00AA00AA), np.uint64(0x0000CCCC0000CCCC), np.uint64(0x00000000F0F0F0F0)

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]


def packed_blocks(counts: NDArray[np.uint32]) -> bytes:
    """Give the wire form of whole blocks of flat counts, each behind its size; ``counts.size`` is a multiple of BLOCK."""
    out = np.empty(counts.size // BLOCK * (BOUND + 4), dtype=np.uint8)
    return out[: _pack(counts, out)].tobytes()


@njit(void(Array(uint32, 1, "C", readonly=True), int64, int64, uint64[::1], uint8[::1]), cache=True, nogil=True)
def _fill_planes(counts: NDArray[np.uint32], byte: int, n_planes: int, eights: Words, planes: Bytes) -> None:
    """Write the first planes of one byte of each count: eight by eight bits are transposed (Warren, Hacker's Delight, 7-3)."""
    shift = uint32(8 * byte)
    low = eights.view(np.uint8)
    for i in range(BLOCK):
        low[i] = uint8((counts[i] >> shift) & uint32(0xFF))
    for m in range(PLANE):
        x = eights[m]
        t = (x ^ (x >> uint64(7))) & _SWAP_1
        x = x ^ t ^ (t << uint64(7))
        t = (x ^ (x >> uint64(14))) & _SWAP_2
        x = x ^ t ^ (t << uint64(14))
        t = (x ^ (x >> uint64(28))) & _SWAP_4
        eights[m] = x ^ t ^ (t << uint64(28))
    for bit in range(n_planes):
        down = uint64(8 * bit)
        plane = planes[(8 * byte + bit) * PLANE : (8 * byte + bit + 1) * PLANE]
        for m in range(PLANE):
            plane[m] = uint8((eights[m] >> down) & uint64(0xFF))


@njit(int64(uint8[::1], int64, int64), cache=True, nogil=True)
def _put_length(out: Bytes, at: int, left: int) -> int:
    """Write what a length has beyond what its token tells; gives the next free place."""
    while left >= 255:
        out[at] = 255
        at += 1
        left -= 255
    out[at] = left
    return at + 1


@njit(int64(uint8[::1], int64, uint8[::1], int64), cache=True, nogil=True)
def _put_sequence(out: Bytes, at: int, literals: Bytes, n_match: int) -> int:
    """Write literals, and a match one plane back after them unless ``n_match`` is 0; gives the next free place."""
    token = at
    at += 1
    out[token] = min(literals.size, 15) << 4
    if literals.size >= 15:
        at = _put_length(out, at, literals.size - 15)
    out[at : at + literals.size] = literals
    at += literals.size
    if n_match == 0:
        return at
    out[token] |= min(n_match - 4, 15)
    out[at], out[at + 1] = PLANE & 0xFF, PLANE >> 8
    return _put_length(out, at + 2, n_match - 4 - 15) if n_match >= 4 + 15 else at + 2


@njit(int64(uint8[::1], int64, uint8[::1], int64), cache=True, nogil=True)
def _put_block(planes: Bytes, n_known: int, out: Bytes, at: int) -> int:
    """Write an LZ4 block of planes, of which all after the first ``n_known`` are like the last of these; gives its end."""
    words, n_words = planes.view(np.uint64), n_known * WORDS
    begun, word = 0, WORDS
    while word < n_words:
        stop = word
        while stop < n_words and words[stop] == words[stop - WORDS]:
            stop += 1
        if stop == n_words:
            break
        if stop > word:
            at = _put_sequence(out, at, planes[begun : 8 * word], 8 * (stop - word))
            begun = 8 * stop
        word = stop + 1
    tail, end = 8 * min(word, n_words), N_PLANES * PLANE
    if end - tail < NEAREST_MATCH:
        return _put_sequence(out, at, planes[begun:end], 0)
    at = _put_sequence(out, at, planes[begun:tail], end - LAST_LITERALS - tail)
    return _put_sequence(out, at, planes[8 * n_words - LAST_LITERALS : 8 * n_words], 0)


@njit(int64(Array(uint32, 1, "C", readonly=True), uint8[::1]), cache=True, nogil=True)
def _pack(counts: NDArray[np.uint32], out: Bytes) -> int:
    """Write every block behind its size, four bytes, most significant first; gives how many bytes were written."""
    eights = np.empty(PLANE, dtype=np.uint64)
    planes = np.empty(N_PLANES * WORDS, dtype=np.uint64).view(np.uint8)
    at = 0
    for first in range(0, counts.size, BLOCK):
        block = counts[first : first + BLOCK]
        largest = uint32(0)
        for i in range(BLOCK):
            largest = max(largest, uint32(block[i] + uint32(1)))  # Of a masked pixel this is 0.
        _fill_planes(block, 0, 8, eights, planes)
        if largest <= 256:
            _fill_planes(block, 1, 1, eights, planes)  # All planes above the lowest byte are like its first one.
        else:
            for byte in range(1, 4):
                _fill_planes(block, byte, 8, eights, planes)
        end = _put_block(planes, 9 if largest <= 256 else N_PLANES, out, at + 4)
        size = end - at - 4
        for i in range(4):
            out[at + i] = (size >> (24 - 8 * i)) & 0xFF
        at = end
    return at
