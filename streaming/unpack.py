"""Decode bslz4 straight to counts of 8 bits, block by block in the first-level cache, without ever writing the image wide.

A block of n counts is an LZ4 block of bit planes, the lowest plane first. Where the counts are small, all upper planes are
equal (zeros, or ones where a pixel is masked), and LZ4 tells them as one long repetition: it is recognised, not copied. What is
unusual, wide or broken is left to :mod:`streaming.bslz4`, which decodes everything or says what is wrong.

LZ4 block format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md. A sequence is a token (two lengths of four bits),
literals, and a match (two bytes of distance); the last one ends with its literals.

Floor for a PILATUS 2M of 32 bits, one frame: reads the 1.9 MB that came and writes 2.5 MB, 0.1 ms on one core; turning eight
planes takes 0.25 ms. Measured 1.0 ms on a busy machine, where decoding to 32 bits, comparing planes and turning them took 2.8.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streaming.bit_planes import BYTES, OPTIONS, turn
from streaming.vectors import place_of

_PIECE = 32
"""Bytes that are copied at once; a copy may write so many beyond its end, where later ones write again."""
_LOW = 8
"""Planes that are turned to counts."""
_NO_LENGTH = -1


def unpack_narrow(body: NDArray[np.uint8], counts: NDArray[np.uint8], *, n_bits: int, block_bytes: int) -> bool:
    """Decode blocks of 16 or 32 bits to counts of 8, if all of them fit; the largest stands for masked pixels alone.

    Parameters
    ----------
    body
        Every block behind its size, shape (n_compressed,).
    counts
        Receives the counts, shape (n,), a multiple of eight; its content means nothing where this gives False.
    """
    return bool(_unpack(body, counts.view(np.uint64), n_bits, block_bytes))


@intrinsic
def _copy_piece(typing_context, source, begin, target, at):  # type: ignore[no-untyped-def]
    """Copy 32 bytes from one place to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        here = place_of(context, builder, signature.args[0], arguments[0], arguments[1], _PIECE)
        there = place_of(context, builder, signature.args[2], arguments[2], arguments[3], _PIECE)
        builder.store(builder.load(here, align=1), there, align=1)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), generate


@njit(**OPTIONS)
def _length(body, position, end, short):  # type: ignore[no-untyped-def]
    """Give a length that begins with four bits of the token, and the position behind it."""
    if short < 15:
        return short, position
    while position < end:
        more = np.int64(body[position])
        position += 1
        short += more
        if more != 255:
            return short, position
    return _NO_LENGTH, position


@njit(**OPTIONS)
def _repeat(room, out, offset, n):  # type: ignore[no-untyped-def]
    """Copy ``n`` bytes from ``offset`` before, which may overlap."""
    if offset >= _PIECE:
        for done in range(0, n, _PIECE):
            _copy_piece(room, out - offset + done, room, out + done)
    elif offset == 1:
        room[out : out + n] = room[out - 1]
    else:
        for i in range(out, out + n):
            room[i] = room[i - offset]


@njit(**OPTIONS)
def _ends_alike(body, position, end, room, out, offset, n):  # type: ignore[no-untyped-def]
    """Tell whether all that follows a match are a few literals that go on repeating."""
    n_left = end - position - 1
    if n_left < 0 or n_left >= 15 or body[position] != n_left << 4:
        return False
    for i in range(n_left):
        if body[position + 1 + i] != room[out - offset + (n + i) % offset]:
            return False
    return True


@njit(**OPTIONS)
def _open(body, position, end, room, n_out, width):  # type: ignore[no-untyped-def]
    """Decode one LZ4 block up to where plane after plane is the same, or to its end.

    Give how many of its ``n_out`` bytes stand in ``room``; the others repeat those one plane before. 0 where it is broken.
    """
    out = 0
    while position < end:
        token = np.int64(body[position])
        n, position = _length(body, position + 1, end, token >> 4)
        if n < 0 or position + n > end or out + n > n_out:
            return 0
        if position + n + _PIECE <= body.size:
            for done in range(0, n, _PIECE):
                _copy_piece(body, position + done, room, out + done)
        else:
            for i in range(n):
                room[out + i] = body[position + i]
        position, out = position + n, out + n
        if position == end:
            return out if out == n_out else 0
        if position + 2 > end:
            return 0
        offset = np.int64(body[position]) | np.int64(body[position + 1]) << 8
        n, position = _length(body, position + 2, end, token & 15)
        n += 4
        if n < 4 or offset == 0 or offset > out or out + n > n_out:
            return 0
        known = max(out - offset + width, (_LOW + 1) * width)
        if known <= out + n and out + n + 15 > n_out and width % offset == 0:
            if out + n + end - position - 1 == n_out and _ends_alike(body, position, end, room, out, offset, n):
                _repeat(room, out, offset, known - out)
                return known
        _repeat(room, out, offset, n)
        out += n
    return 0


@njit(**OPTIONS)
def _is_narrow(room, n_known, width):  # type: ignore[no-untyped-def]
    """Tell whether the upper planes are all equal, and set just where all of the lowest eight are."""
    differs = np.uint8(0)
    for i in range((_LOW + 1) * width, n_known):
        differs |= room[i] ^ room[i - width]
    for j in range(width):
        masked = np.uint8(255)
        for k in range(_LOW):
            masked &= room[k * width + j]
        differs |= masked ^ room[_LOW * width + j]
    return differs == 0


@njit([types.boolean(BYTES, types.uint64[::1], types.int64, types.int64)], **OPTIONS)
def _unpack(body, counts, n_bits, block_bytes):  # type: ignore[no-untyped-def]
    room = np.empty(block_bytes + 2 * _PIECE, np.uint8)
    n_bytes, position = counts.size * n_bits, 0
    for begin in range(0, n_bytes, block_bytes):
        n_out = min(block_bytes, n_bytes - begin)
        width = n_out // n_bits
        if position + 4 > body.size:
            return False
        n_compressed = np.int64(0)
        for k in range(4):
            n_compressed = n_compressed * 256 + np.int64(body[position + k])
        position, end = position + 4, position + 4 + int(n_compressed)
        if end > body.size:
            return False
        n_known = _open(body, position, end, room, n_out, width)
        if n_known == 0 or not _is_narrow(room, n_known, width):
            return False
        turn(room, width, counts[begin // n_bits : begin // n_bits + width])
        position = end
    return position == body.size
