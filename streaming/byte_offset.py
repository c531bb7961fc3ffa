"""Decode the byte offset compression of CBF files: differences of one byte, with escapes to two, four and eight.

The format is that of the International Tables for Crystallography G, section 5.6.3.2. Negative values mark gaps and bad pixels
in Pilatus files: here they become the largest value, which is a masked pixel everywhere.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from operando.errors import WireError

_TORN = -1


def decode_byte_offset_into(flat: NDArray[np.uint32], blob: bytes) -> None:
    """Decode as many values as there is room for.

    Parameters
    ----------
    flat
        Takes the counts, shape (n_pixels,), uint32.
    blob
        The compressed bytes of exactly one image.

    Raises
    ------
    WireError
        If the blob holds fewer or more values.
    """
    n_used = _decode(np.frombuffer(blob, dtype=np.uint8), flat)
    if n_used == _TORN or n_used != len(blob):
        raise WireError(f"byte offset blob of {len(blob)} bytes does not hold {flat.size} values")


@numba.njit("int64(Array(uint8, 1, 'C', readonly=True), uint32[::1])", nogil=True, cache=True)
def _decode(blob: Any, flat: Any) -> int:
    masked = np.uint32(0xFFFFFFFF)
    position, value = 0, np.int64(0)
    for pixel in range(flat.size):
        if position >= blob.size:
            return _TORN
        n_bytes, step = 1, np.int64(blob[position])
        if step == 128:
            n_bytes, start = 2, position + 1
            if start + 2 > blob.size:
                return _TORN
            step = np.int64(blob[start]) | np.int64(blob[start + 1]) << 8
            position = start
            if step == 0x8000:
                n_bytes, start = 4, position + 2
                if start + 4 > blob.size:
                    return _TORN
                step = np.int64(0)
                for k in range(4):
                    step |= np.int64(blob[start + k]) << (8 * k)
                position = start
                if step == 0x80000000:
                    # Eight bytes would be a difference that no count of 32 bits has.
                    return _TORN
        half = np.int64(1) << (8 * n_bytes - 1)
        value += step - 2 * half if step >= half else step
        position += n_bytes
        flat[pixel] = masked if value < 0 else np.uint32(value)
    return position
