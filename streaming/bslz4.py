"""Decode a channel: receives the compressed image as it came, gives the array; refuses rather than guesses.

The frame of ``bslz4`` is that of HDF5 filter 32008: size of the decoded bytes (8 bytes, big endian), size of a block (4 bytes),
then for each block its compressed size (4 bytes) and an LZ4 block of bitshuffled elements. The last block may be short; the
last ``n % 8`` elements lie raw behind it.
"""

import struct
from typing import Any

import imagecodecs
import numba
import numpy as np
from numpy.typing import NDArray

from operando.errors import WireError
from streaming.detector_message import Channel

HEADER = struct.Struct(">QI")
MAX_BLOCK_BYTES = 2**20
DEFAULT_BLOCK_BYTES = 8192
"""What bitshuffle takes when nobody asks for another size, and what every Eiger sends."""

_NO_SUCH_BLOCK, _TORN = -1, -2


def array_from_channel(channel: Channel) -> NDArray[Any]:
    """Decode one channel to an array of shape (rows, columns) in native byte order; it may be read-only.

    Raises
    ------
    WireError
        If the blob does not hold exactly the array that was announced.
    """
    content = _content(channel)
    if len(content) != channel.n_bytes:
        raise WireError(f"image holds {len(content)} bytes, {channel.shape} {channel.dtype} needs {channel.n_bytes}")
    array = np.frombuffer(content, dtype=channel.dtype)
    shaped = array.reshape(channel.shape, order="F" if channel.is_column_major else "C")
    return np.ascontiguousarray(shaped, dtype=channel.dtype.newbyteorder("="))


def _content(channel: Channel) -> bytes:
    if channel.encoding == "raw":
        return channel.blob
    try:
        if channel.encoding == "lz4":
            return bytes(imagecodecs.lz4_decode(channel.blob, out=channel.n_bytes))
        if channel.encoding == "lz4-h5":
            return bytes(imagecodecs.lz4h5_decode(_with_true_header(channel)))
        return _bslz4_content(channel)
    except (RuntimeError, ValueError) as wrong:
        raise WireError(f"{channel.encoding} blob of {len(channel.blob)} bytes cannot be decoded: {wrong}") from wrong


def _with_true_header(channel: Channel) -> bytes:
    """Give the blob, having checked that its header asks for the announced size and no more."""
    n_bytes, _ = _checked_header(channel)
    if n_bytes != channel.n_bytes:
        raise WireError(f"lz4 header says {n_bytes} bytes, {channel.shape} {channel.dtype} needs {channel.n_bytes}")
    return channel.blob


def _bslz4_content(channel: Channel) -> bytes:
    n_bytes, block_bytes = _checked_header(channel)
    size = channel.element_size
    if size != channel.dtype.itemsize:
        raise WireError(f"bslz4 of {size}-byte elements cannot hold {channel.dtype}, which needs {channel.dtype.itemsize}")
    if n_bytes != channel.n_bytes or block_bytes % (8 * size):
        raise WireError(
            f"bslz4 header says {n_bytes} bytes in blocks of {block_bytes}, "
            f"{channel.shape} {channel.dtype} needs {channel.n_bytes}"
        )
    # imagecodecs refuses a number of elements that is not a multiple of 8: the raw tail is cut off and put back.
    n_tail = n_bytes // size % 8 * size
    end = len(channel.blob) - n_tail
    body, tail = channel.blob[HEADER.size : end], channel.blob[end:]
    if n_bytes == n_tail:
        return tail
    shuffled = _lz4_blocks(body, n_bytes=n_bytes - n_tail, block_bytes=block_bytes)
    content = imagecodecs.bitshuffle_decode(shuffled, itemsize=size, blocksize=block_bytes // size)
    return bytes(content) + tail if n_tail else bytes(content)


def _checked_header(channel: Channel) -> tuple[int, int]:
    """Give the decoded size and the block size, both plausible, so that a hostile header allocates nothing.

    A header of zeros is taken for the announced size in blocks of the default size: the mock detector of LiberTEM sends it.
    """
    if len(channel.blob) < HEADER.size:
        raise WireError(f"{channel.encoding} blob of {len(channel.blob)} bytes is shorter than its header")
    n_bytes, block_bytes = HEADER.unpack_from(channel.blob)
    if n_bytes == 0 and block_bytes == 0:
        n_bytes = channel.n_bytes
    block_bytes = block_bytes or DEFAULT_BLOCK_BYTES
    if block_bytes > MAX_BLOCK_BYTES:
        raise WireError(f"blocks of {block_bytes} bytes are larger than the limit of {MAX_BLOCK_BYTES}")
    return n_bytes, block_bytes


def _lz4_blocks(body: bytes, *, n_bytes: int, block_bytes: int) -> bytes:
    """Decode the LZ4 blocks of a bslz4 body.

    imagecodecs takes them for blocks of HDF5 filter 32004, where a block as long as the decoded one is stored raw. In bslz4 it
    is not: such blocks, rare and only in noise, are found beforehand, and the body is then decoded block by block.
    """
    found = _find_raw_lookalike(np.frombuffer(body, dtype=np.uint8), n_bytes, block_bytes)
    if found == _TORN:
        raise WireError(f"bslz4 blocks do not add up to the {len(body)} bytes that came")
    if found == _NO_SUCH_BLOCK:
        return bytes(imagecodecs.lz4h5_decode(HEADER.pack(n_bytes, block_bytes) + body))
    decoded = []
    position = 0
    for start in range(0, n_bytes, block_bytes):
        n_block = min(block_bytes, n_bytes - start)
        n_compressed = int.from_bytes(body[position : position + 4], "big")
        decoded.append(imagecodecs.lz4_decode(body[position + 4 : position + 4 + n_compressed], out=n_block))
        position += 4 + n_compressed
    return b"".join(decoded)


@numba.njit("int64(Array(uint8, 1, 'C', readonly=True), int64, int64)", nogil=True, cache=True)
def _find_raw_lookalike(body: NDArray[np.uint8], n_bytes: int, block_bytes: int) -> int:
    """Give the first block whose compressed size equals its decoded size, or tell that the body does not add up."""
    found = _NO_SUCH_BLOCK
    position = 0
    for start in range(0, n_bytes, block_bytes):
        if position + 4 > body.size:
            return _TORN
        n_compressed = 0
        for k in range(4):
            n_compressed = n_compressed * 256 + int(body[position + k])
        if n_compressed == min(block_bytes, n_bytes - start) and found == _NO_SUCH_BLOCK:
            found = start // block_bytes
        position += 4 + n_compressed
    return found if position == body.size else _TORN
