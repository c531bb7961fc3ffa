"""Decode a channel: receives the compressed image as it came, gives the array; refuses rather than guesses.

The frame of ``bslz4`` is that of HDF5 filter 32008: size of the decoded bytes (8 bytes, big endian), size of a block (4 bytes),
then for each block its compressed size (4 bytes) and an LZ4 block of bitshuffled elements. The last block may be short; the
last ``n % 8`` elements lie raw behind it.
"""

import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import imagecodecs
import numba
import numpy as np
from numpy.typing import NDArray

from operando.errors import WireError
from streaming.bit_planes import narrowest_type, unshuffle_low
from streaming.byte_offset import decode_byte_offset_into
from streaming.detector_message import Channel
from streaming.unpack import unpack_narrow

HEADER = struct.Struct(">QI")
MAX_BLOCK_BYTES = 2**20
DEFAULT_BLOCK_BYTES = 8192
"""What bitshuffle takes when nobody asks for another size, and what every Eiger sends."""

_NO_SUCH_BLOCK, _TORN = -1, -2


def array_from_channel(channel: Channel) -> NDArray[Any]:
    """Decode one channel to a new array of shape (rows, columns) in native byte order. May be called from several threads.

    Raises
    ------
    WireError
        If the blob does not hold exactly the array that was announced.
    """
    flat = np.empty(prod(channel.shape), dtype=channel.dtype)
    with _told(channel):
        _decode_into(flat, channel)
    return _shaped(flat, channel)


def counts_from_channel(channel: Channel) -> NDArray[Any]:
    """Decode one channel of counts to the narrowest unsigned type that holds them, in half the time.

    The largest value of the type that is given stands for the largest of the channel's type, thus for masked pixels, and for
    nothing else; images of wide counts keep their type. Otherwise as :func:`array_from_channel`.
    """
    size = channel.dtype.itemsize
    if channel.encoding != "bslz4" or size not in (2, 4) or not channel.dtype.isnative:
        return array_from_channel(channel)
    with _told(channel):
        narrow = _narrow_from(channel)
        if narrow is not None:
            return _shaped(narrow, channel)
        n_tail = prod(channel.shape) % 8
        shuffled, block_bytes = _shuffled(channel)
        tail = np.frombuffer(channel.blob[len(channel.blob) - n_tail * size :], dtype=channel.dtype)
        dtype = _narrowest_type(shuffled, tail, block_bytes)
        flat = np.empty(prod(channel.shape), dtype=dtype)
        flat[flat.size - n_tail :] = np.minimum(tail, np.iinfo(dtype).max)
        body = flat[: flat.size - n_tail]
        if dtype == channel.dtype:
            imagecodecs.bitshuffle_decode(shuffled.view(dtype), blocksize=block_bytes // size, out=body)
        else:
            unshuffle_low(shuffled, body, n_bits=8 * size, block_bytes=block_bytes)
        _ROOMS.append(shuffled)
    return _shaped(flat, channel)


def _narrow_from(channel: Channel) -> NDArray[np.uint8] | None:
    """Decode a channel of counts below 255 to 8 bits in one go; None where it holds others, or anything is odd about it."""
    size = channel.element_size
    block_bytes = _checked_header(channel)
    if size != channel.dtype.itemsize or block_bytes % (8 * size):
        return None
    flat = np.empty(prod(channel.shape), dtype=np.uint8)
    n_tail = flat.size % 8
    end = len(channel.blob) - n_tail * size
    if end < HEADER.size:
        return None
    tail = np.frombuffer(channel.blob, dtype=channel.dtype, offset=end)
    if np.any((tail >= 255) & (tail < np.iinfo(channel.dtype).max)):
        return None
    flat[flat.size - n_tail :] = np.minimum(tail, 255)
    body = np.frombuffer(channel.blob, dtype=np.uint8, offset=HEADER.size, count=end - HEADER.size)
    return flat if unpack_narrow(body, flat[: flat.size - n_tail], n_bits=8 * size, block_bytes=block_bytes) else None


def _narrowest_type(shuffled: NDArray[np.uint8], tail: NDArray[Any], block_bytes: int) -> np.dtype[Any]:
    dtype = narrowest_type(shuffled, n_bits=8 * tail.itemsize, block_bytes=block_bytes)
    counts = tail[tail < np.iinfo(tail.dtype).max]
    while dtype != tail.dtype and counts.size and counts.max() >= np.iinfo(dtype).max:
        dtype = np.dtype(f"u{2 * dtype.itemsize}")
    return dtype


def _shaped(flat: NDArray[Any], channel: Channel) -> NDArray[Any]:
    shaped = flat.reshape(channel.shape, order="F" if channel.is_column_major else "C")
    return np.ascontiguousarray(shaped, dtype=flat.dtype.newbyteorder("="))


@contextmanager
def _told(channel: Channel) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as wrong:
        raise WireError(f"{channel.encoding} blob of {len(channel.blob)} bytes cannot be decoded: {wrong}") from wrong


def _decode_into(flat: NDArray[Any], channel: Channel) -> None:
    match channel.encoding:
        case "bslz4":
            _decode_bslz4_into(flat, channel)
            return
        case "byte-offset":
            decode_byte_offset_into(flat, channel.blob)
            return
        case "raw":
            content = channel.blob
        case "lz4":
            content = bytes(imagecodecs.lz4_decode(channel.blob, out=channel.n_bytes))
        case "lz4-h5":
            _checked_header(channel)
            content = bytes(imagecodecs.lz4h5_decode(channel.blob))
    if len(content) != channel.n_bytes:
        raise WireError(f"image holds {len(content)} bytes, {channel.shape} {channel.dtype} needs {channel.n_bytes}")
    flat[:] = np.frombuffer(content, dtype=channel.dtype)


def is_whole_bslz4(channel: Channel) -> bool:
    """Tell, without decoding, whether a blob has its header and all its blocks."""
    try:
        block_bytes = _checked_header(channel)
    except WireError:
        return False
    size = channel.element_size
    end = len(channel.blob) - (channel.n_bytes // size % 8) * size
    body = np.frombuffer(channel.blob[HEADER.size : max(end, HEADER.size)], dtype=np.uint8)
    if not any(channel.blob[: HEADER.size]):
        return False
    return _find_raw_lookalike(body, channel.n_bytes // size // 8 * 8 * size, block_bytes) != _TORN


def _decode_bslz4_into(flat: NDArray[Any], channel: Channel) -> None:
    size = channel.element_size
    n_tail = flat.size % 8
    shuffled, block_bytes = _shuffled(channel)
    if n_tail:
        flat[-n_tail:] = np.frombuffer(channel.blob[len(channel.blob) - n_tail * size :], dtype=channel.dtype)
    if shuffled.size:
        imagecodecs.bitshuffle_decode(shuffled.view(flat.dtype), blocksize=block_bytes // size, out=flat[: flat.size - n_tail])
    _ROOMS.append(shuffled)


def _shuffled(channel: Channel) -> tuple[NDArray[np.uint8], int]:
    """Give the bitshuffled blocks, decompressed into scratch that the caller gives back to ``_ROOMS``, and their size in bytes.

    imagecodecs refuses a number of elements that is not a multiple of 8: the raw tail of the blob is left to the caller.
    """
    size = channel.element_size
    if size != channel.dtype.itemsize:
        raise WireError(f"bslz4 of {size}-byte elements cannot hold {channel.dtype}, which needs {channel.dtype.itemsize}")
    block_bytes = _checked_header(channel)
    if block_bytes % (8 * size):
        raise WireError(f"blocks of {block_bytes} bytes do not hold a multiple of eight elements of {size}")
    n_elements = channel.n_bytes // size
    end = len(channel.blob) - n_elements % 8 * size
    shuffled = _borrow_room(n_elements // 8 * 8 * size)
    if shuffled.size:
        _decode_lz4_into(shuffled, channel.blob[HEADER.size : max(end, HEADER.size)], block_bytes=block_bytes)
    elif end != HEADER.size:
        raise WireError(f"{channel.encoding} blob of {len(channel.blob)} bytes, wanted {HEADER.size + channel.n_bytes}")
    return shuffled, block_bytes


_ROOMS: deque[NDArray[np.uint8]] = deque(maxlen=8)
"""Scratch of earlier calls: allocating ten megabytes for every image would cost a millisecond of page faults."""


def _borrow_room(n_bytes: int) -> NDArray[np.uint8]:
    """Give scratch that no other call has; its content is whatever was there."""
    try:
        room = _ROOMS.pop()
    except IndexError:
        return np.empty(n_bytes, dtype=np.uint8)
    return room if room.size == n_bytes else np.empty(n_bytes, dtype=np.uint8)


def _checked_header(channel: Channel) -> int:
    """Give the block size, having checked the header, so that a hostile one allocates nothing.

    A header of zeros is taken for the announced size in blocks of the default size: the mock detector of LiberTEM sends it.
    """
    if len(channel.blob) < HEADER.size:
        raise WireError(f"{channel.encoding} blob of {len(channel.blob)} bytes is shorter than its header")
    n_bytes, block_bytes = HEADER.unpack_from(channel.blob)
    if n_bytes != channel.n_bytes and (n_bytes or block_bytes):
        raise WireError(f"header says {n_bytes} bytes, {channel.shape} {channel.dtype} needs {channel.n_bytes}")
    if block_bytes > MAX_BLOCK_BYTES:
        raise WireError(f"blocks of {block_bytes} bytes are larger than the limit of {MAX_BLOCK_BYTES}")
    return block_bytes or DEFAULT_BLOCK_BYTES


def _decode_lz4_into(shuffled: NDArray[np.uint8], body: bytes, *, block_bytes: int) -> None:
    """Decode the LZ4 blocks of a bslz4 body.

    imagecodecs takes them for blocks of HDF5 filter 32004, where a block as long as the decoded one is stored raw. In bslz4 it
    is not: such blocks, rare and only in noise, are found beforehand, and the body is then decoded block by block.
    """
    found = _find_raw_lookalike(np.frombuffer(body, dtype=np.uint8), shuffled.size, block_bytes)
    if found == _TORN:
        raise WireError(f"bslz4 blocks do not add up to the {len(body)} bytes that came")
    if found == _NO_SUCH_BLOCK:
        n_decoded = len(imagecodecs.lz4h5_decode(HEADER.pack(shuffled.size, block_bytes) + body, out=shuffled.data))
        if n_decoded != shuffled.size:
            raise WireError(f"bslz4 blocks hold {n_decoded} bytes, {shuffled.size} are needed")
        return
    position = 0
    for start in range(0, shuffled.size, block_bytes):
        room = shuffled[start : start + block_bytes]
        n_compressed = int.from_bytes(body[position : position + 4], "big")
        decoded = imagecodecs.lz4_decode(body[position + 4 : position + 4 + n_compressed], out=room.size)
        room[:] = np.frombuffer(decoded, dtype=np.uint8)
        position += 4 + n_compressed


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
