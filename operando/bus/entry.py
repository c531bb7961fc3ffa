"""An entry of a feed and its bytes: one JSON header and one buffer per array, all bounded and without executable content."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from operando.errors import WireError
from operando.messages import Message, message_from_json

MAX_HEADER_BYTES = 8 * 2**20
MAX_ARRAY_BYTES = 256 * 2**20
MAX_ARRAYS = 16
MAX_NDIM = 4
DTYPES = frozenset({"|u1", "<u2", "<u4", "<i4", "<i8", "<f4", "<f8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One numbered message with its arrays; entries of the same key supersede each other."""

    number: int
    message: Message
    key: str | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def frames_from_entry(entry: Entry) -> list[bytes]:
    """Give the wire frames of an entry: the header, then one buffer per array in the header's order.

    Raises
    ------
    WireError
        If an array has a type or size that no receiver would accept.
    """
    described = []
    buffers = []
    for name, array in entry.arrays.items():
        contiguous = np.ascontiguousarray(array)
        if contiguous.dtype.str not in DTYPES or contiguous.nbytes > MAX_ARRAY_BYTES:
            raise WireError(
                f"array {name!r} is {contiguous.dtype.str} with {contiguous.nbytes} bytes: "
                f"send one of {sorted(DTYPES)} with at most {MAX_ARRAY_BYTES} bytes"
            )
        described.append({"name": name, "dtype": contiguous.dtype.str, "shape": contiguous.shape})
        buffers.append(contiguous.tobytes())
    header = {
        "number": entry.number,
        "key": entry.key,
        "message": entry.message.model_dump(mode="json"),
        "arrays": described,
    }
    return [json.dumps(header, separators=(",", ":")).encode(), *buffers]


def entry_from_frames(frames: Sequence[bytes]) -> Entry:
    """Give the entry that a header and its array buffers stand for.

    Raises
    ------
    WireError
        If the frames are not an entry: the sentence says what is wrong with them.
    """
    if not frames:
        raise WireError("expected an entry, got no frames")
    header = header_from_frame(frames[0], limit_bytes=MAX_HEADER_BYTES)
    try:
        number, key, described = header["number"], header["key"], header["arrays"]
        message = message_from_json(header["message"])
    except KeyError as missing:
        raise WireError(f"entry header lacks {missing}: is the sender another version of operando?") from missing
    except ValidationError as wrong:
        raise WireError(f"entry holds a message that this version does not know: {first_complaint(wrong)}") from wrong
    if not isinstance(number, int) or not (key is None or isinstance(key, str)) or not isinstance(described, list):
        raise WireError("entry header has fields of the wrong type")
    if len(described) > MAX_ARRAYS or len(described) != len(frames) - 1:
        raise WireError(f"entry {number} announces {len(described)} arrays, {len(frames) - 1} frames follow")
    arrays = {}
    for description, buffer in zip(described, frames[1:], strict=True):
        name, array = _array_from_buffer(description, buffer)
        arrays[name] = array
    return Entry(number=number, key=key, message=message, arrays=arrays)


def header_from_frame(frame: bytes, *, limit_bytes: int) -> dict[str, Any]:
    """Give the JSON object that a frame holds, refusing anything larger than the limit.

    Raises
    ------
    WireError
        If the frame is too large, is not JSON or is not an object.
    """
    if len(frame) > limit_bytes:
        raise WireError(f"header of {len(frame)} bytes is larger than the limit of {limit_bytes}")
    try:
        header = json.loads(frame)
    except (ValueError, RecursionError) as wrong:
        raise WireError(f"header is not JSON: {wrong}") from wrong
    if not isinstance(header, dict):
        raise WireError(f"header is a JSON {type(header).__name__}, expected an object")
    return header


def first_complaint(error: ValidationError) -> str:
    """Give the first complaint of a validation error as ``field: what is wrong``."""
    complaint = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, complaint["loc"])) or "message"
    return f"{place[:200]}: {complaint['msg'][:200]}"


def _array_from_buffer(description: object, buffer: bytes) -> tuple[str, NDArray[Any]]:
    if not isinstance(description, dict):
        raise WireError("array description is not an object")
    name, dtype, shape = description.get("name"), description.get("dtype"), description.get("shape")
    if not (isinstance(name, str) and isinstance(dtype, str) and isinstance(shape, list)):
        raise WireError(f"array description {str(description)[:200]} has fields of the wrong type")
    if dtype not in DTYPES or len(shape) > MAX_NDIM:
        raise WireError(f"array description {str(description)[:200]} is not one that this version knows")
    # An axis of no length would let the others be anything.
    if not all(type(n) is int and 0 <= n <= MAX_ARRAY_BYTES for n in shape):
        raise WireError(f"array {name!r} has the impossible shape {str(shape)[:200]}")
    n_bytes = prod(shape) * np.dtype(dtype).itemsize
    if n_bytes != len(buffer) or n_bytes > MAX_ARRAY_BYTES:
        raise WireError(f"array {name!r} {shape} {dtype} wants {n_bytes} bytes, {len(buffer)} came")
    return name, np.frombuffer(buffer, dtype=dtype).reshape(shape)
