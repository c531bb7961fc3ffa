"""Pack arrays the way DECTRIS detectors do: bitshuffle and LZ4 in blocks of 8192 bytes, LZ4 alone, or not at all.

The framing is that of HDF5 filter 32008: a header of 12 bytes (uint64 big-endian uncompressed size, uint32 big-endian block
size), then for each block its compressed size (uint32 big-endian) and an LZ4 block; with bitshuffle, the last ``n % 8``
elements lie raw behind the last block.
"""

from dataclasses import dataclass
from typing import Literal

import imagecodecs
import numpy as np
from numba import int64, njit, uint8
from numba.types import Array
from numpy.typing import NDArray

from acquisition.twin.simplon.planes import BLOCK, packed_blocks

Method = Literal["bslz4", "lz4", "lz4-block", "none"]
"""``lz4`` in the blocks of HDF5 filter 32004, as V2 has it; ``lz4-block`` one bare LZ4 block, as V1 has it."""

BLOCK_BYTES = 8192
HEADER_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An array in its wire form."""

    blob: bytes
    shape: tuple[int, ...]
    """(rows, columns) of an image, (n,) of a table."""
    dtype: np.dtype[np.generic]
    """Little-endian."""
    method: Method


def pack(array: NDArray[np.generic], method: Method) -> Packed:
    """Give the wire form of an array of any shape; the array is read in row-major order as little-endian."""
    array = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    if method == "bslz4":
        blob = _bitshuffled_lz4(array.reshape(-1))
    elif method == "lz4-block":
        blob = bytes(imagecodecs.lz4_encode(array, header=False))  # type: ignore[arg-type]  # it takes any buffer
    elif method == "lz4":
        blob = bytes(imagecodecs.lz4h5_encode(array, blocksize=BLOCK_BYTES))  # type: ignore[arg-type]  # it takes any buffer
    else:
        blob = array.tobytes()
    return Packed(blob=blob, shape=array.shape, dtype=array.dtype, method=method)


def pack_fresh(counts: NDArray[np.uint32], method: Method) -> Packed:
    """Give the wire form of a frame that is packed once and never again: with bslz4 faster than :func:`pack`, and larger."""
    flat = np.ascontiguousarray(counts).reshape(-1)
    n_whole = flat.size - flat.size % BLOCK
    if method != "bslz4" or n_whole == 0:
        return pack(counts, method)
    rest = _bitshuffled_lz4(flat[n_whole:])[HEADER_BYTES:]
    blob = _header(flat.nbytes) + packed_blocks(flat[:n_whole]) + rest
    return Packed(blob=blob, shape=counts.shape, dtype=np.dtype("<u4"), method=method)


def _bitshuffled_lz4(flat: NDArray[np.generic]) -> bytes:
    n_shuffled = flat.size - flat.size % 8
    if n_shuffled == 0:
        return _header(flat.nbytes) + flat.tobytes()
    size = flat.itemsize
    shuffled = imagecodecs.bitshuffle_encode(flat[:n_shuffled], itemsize=size, blocksize=BLOCK_BYTES // size)
    blocks = bytes(imagecodecs.lz4h5_encode(shuffled, blocksize=BLOCK_BYTES))[HEADER_BYTES:]  # type: ignore[arg-type]  # likewise
    return _header(flat.nbytes) + _without_stored_blocks(blocks, shuffled.nbytes) + flat[n_shuffled:].tobytes()


def _header(n_bytes: int) -> bytes:
    return n_bytes.to_bytes(8, "big") + BLOCK_BYTES.to_bytes(4, "big")


def _without_stored_blocks(blocks: bytes, n_bytes: int) -> bytes:
    """Compress the blocks that the plain LZ4 filter stored because they do not shrink: bitshuffle's filter never stores one."""
    stored = _stored_blocks(np.frombuffer(blocks, dtype=np.uint8), n_bytes)
    parts, done = [], 0
    for position, length in stored.tolist():
        block = bytes(imagecodecs.lz4_encode(blocks[position + 4 : position + 4 + length], header=False))
        parts += [blocks[done:position], len(block).to_bytes(4, "big"), block]
        done = position + 4 + length
    return b"".join([*parts, blocks[done:]]) if parts else blocks


@njit(int64[:, ::1](Array(uint8, 1, "C", readonly=True), int64), cache=True, nogil=True)
def _stored_blocks(blocks: NDArray[np.uint8], n_bytes: int) -> NDArray[np.int64]:
    """Give place and length of each block that is as long as what it holds, shape (n, 2)."""
    found = np.empty((n_bytes // BLOCK_BYTES + 1, 2), dtype=np.int64)
    n_found, position, left = 0, 0, n_bytes
    while left > 0:
        length = int64(0)
        for i in range(4):
            length = length << 8 | int64(blocks[position + i])
        if length == min(BLOCK_BYTES, left):
            found[n_found, 0], found[n_found, 1] = position, length
            n_found += 1
        position += 4 + length
        left -= min(BLOCK_BYTES, left)
    return found[:n_found].copy()
