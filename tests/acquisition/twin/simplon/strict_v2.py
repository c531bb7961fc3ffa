"""A strict reader of stream V2 for the tests: it refuses what DECTRIS' own C parser refuses, and fields that are absent.

Written from the specification (github.com/dectris/documentation, stream_v2/README.md) and shares nothing with the encoder.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SELF_DESCRIBED = b"\xd9\xd9\xf7"
FLOAT_FORMATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}


class SignatureError(Exception):
    """The message does not begin as self-described CBOR: result 2 of the C parser."""


class DecodeError(Exception):
    """The message is not well-formed CBOR: result 3."""


class ParseError(Exception):
    """The message is CBOR but not stream V2: result 4."""


@dataclass(frozen=True)
class Item:
    """One data item: kind is uint, nint, bytes, text, array, map, tag, bool, null or float."""

    kind: str
    value: Any
    tag: int | None = None


@dataclass(frozen=True)
class Array:
    """A typed array, its blob still packed."""

    dims: tuple[int, ...]
    typed_tag: int
    method: str | None
    element_bytes: int
    blob: bytes
    n_bytes: int


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, count: int) -> bytes:
        if self.position + count > len(self.data):
            raise DecodeError("truncated")
        self.position += count
        return self.data[self.position - count : self.position]

    def item(self, depth: int = 0) -> Item:
        if depth > 32:
            raise DecodeError("nested too deeply")
        head = self.take(1)[0]
        major, info = head >> 5, head & 31
        if major == 7:
            return self.simple(info)
        number = self.number(info)
        if major in (2, 3):
            raw = self.take(number)
            return Item("bytes", raw) if major == 2 else Item("text", raw.decode())
        if major == 4:
            return Item("array", [self.item(depth + 1) for _ in range(number)])
        if major == 5:
            return Item("map", [(self.item(depth + 1), self.item(depth + 1)) for _ in range(number)])
        if major == 6:
            return Item("tag", self.item(depth + 1), tag=number)
        return Item("uint" if major == 0 else "nint", number if major == 0 else -1 - number)

    def number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise ParseError("indefinite lengths are not for a stream")
        return int.from_bytes(self.take(1 << (info - 24)), "big")

    def simple(self, info: int) -> Item:
        if info in (20, 21):
            return Item("bool", info == 21)
        if info == 22:
            return Item("null", None)
        if info in FLOAT_FORMATS:
            layout, size = FLOAT_FORMATS[info]
            return Item("float", struct.unpack(layout, self.take(size))[0])
        raise DecodeError(f"simple value {info}")


def _untagged(item: Item) -> Item:
    while item.kind == "tag":
        item = item.value
    return item


def _want(item: Item, *kinds: str) -> Any:
    if item.kind not in kinds:
        raise ParseError(f"{item.kind} where {' or '.join(kinds)} is wanted")
    return item.value


def _pairs(item: Item) -> Iterator[tuple[str, Item]]:
    for key, value in _want(item, "map"):
        yield _want(key, "text"), value


def _scalar(*kinds: str) -> Any:
    return lambda item: _want(_untagged(item), *kinds)


def _date(item: Item) -> str:
    if item.kind != "tag" or item.tag != 0:
        raise ParseError("a date needs tag 0")
    return _want(item.value, "text")


def _rational(item: Item) -> tuple[int, int]:
    values = [_want(each, "uint") for each in _want(item, "array")]
    if len(values) != 2:
        raise ParseError("a rational has two numbers")
    return values[0], values[1]


def _typed_array(item: Item, dims: tuple[int, ...] | None = None) -> Array:
    _want(item, "tag")
    if not 64 <= item.tag <= 87:
        raise ParseError(f"tag {item.tag} is no typed array")
    data, method, element_bytes = item.value, None, 0
    if data.kind == "tag":
        if data.tag != 56500:
            raise ParseError(f"tag {data.tag} inside a typed array")
        parts = _want(data.value, "array")
        if len(parts) != 3:
            raise ParseError("compression has three parts")
        method, element_bytes = _want(parts[0], "text"), _want(parts[1], "uint")
        if method not in ("bslz4", "lz4"):
            raise ParseError(f"no compression {method!r}")
        data = parts[2]
    blob = _want(data, "bytes")
    if method is not None and len(blob) < 12:
        raise DecodeError("no room for the header of a compressed blob")
    n_bytes = len(blob) if method is None else int.from_bytes(blob[:8], "big")
    size = 1 << (((item.tag >> 4) & 1) + (item.tag & 3))
    if n_bytes % size or (dims is not None and dims[0] * dims[1] * size != n_bytes):
        raise ParseError(f"{n_bytes} bytes for {dims} of {size} bytes")
    if method == "bslz4" and element_bytes != size:
        raise ParseError(f"element size {element_bytes} for a type of {size} bytes")
    return Array(dims or (n_bytes // size,), item.tag, method, element_bytes, blob, n_bytes)


def _image_array(item: Item) -> Array:
    if item.kind != "tag" or item.tag != 40:
        raise ParseError("an image needs tag 40")
    parts = _want(item.value, "array")
    if len(parts) != 2:
        raise ParseError("an image has dimensions and data")
    dims = tuple(_want(each, "uint") for each in _want(parts[0], "array"))
    if len(dims) != 2:
        raise ParseError(f"{len(dims)} dimensions, two are wanted")
    return _typed_array(parts[1], dims)


def _per_channel(reader: Any) -> Any:
    return lambda item: {channel: reader(value) for channel, value in _pairs(item)}


def _texts(item: Item) -> list[str]:
    return [_want(each, "text") for each in _want(item, "array")]


def _translation(item: Item) -> list[float]:
    values = [_want(each, "float") for each in _want(item, "array")]
    if len(values) != 3:
        raise ParseError("a translation has three numbers")
    return values


_FLOAT, _UINT, _TEXT, _BOOL = _scalar("float"), _scalar("uint"), _scalar("text"), _scalar("bool")
_SERIES = {"type": _TEXT, "series_id": _UINT, "series_unique_id": _TEXT}
_TABLES = {
    "countrate_correction_lookup_table": _typed_array,
    "flatfield": _per_channel(_image_array),
    "pixel_mask": _per_channel(_image_array),
}
_FIELDS: dict[str, dict[str, Any]] = {
    "end": _SERIES,
    "image": _SERIES
    | {"image_id": _UINT, "series_date": _date, "data": _per_channel(_image_array)}
    | dict.fromkeys(("real_time", "start_time", "stop_time"), _rational),
    "start": _SERIES
    | _TABLES
    | {
        "arm_date": _date,
        "channels": _texts,
        "detector_translation": _translation,
        "goniometer": _per_channel(_per_channel(_FLOAT)),
        "threshold_energy": _per_channel(_FLOAT),
    }
    | dict.fromkeys(("image_size_x", "image_size_y", "number_of_images", "saturation_value"), _UINT)
    | dict.fromkeys(("detector_description", "detector_serial_number", "image_dtype", "sensor_material"), _TEXT)
    | dict.fromkeys(
        ("countrate_correction_enabled", "flatfield_enabled", "pixel_mask_enabled", "virtual_pixel_interpolation_enabled"),
        _BOOL,
    )
    | dict.fromkeys(
        (
            "beam_center_x",
            "beam_center_y",
            "count_time",
            "frame_time",
            "incident_energy",
            "incident_wavelength",
            "pixel_size_x",
            "pixel_size_y",
            "sensor_thickness",
        ),
        _FLOAT,
    ),
}
OPTIONAL = {"user_data", *_TABLES}


def read_strictly(message: bytes) -> dict[str, Any]:
    """Give the fields of a message; arrays as :class:`Array`, everything else as Python has it."""
    if not message.startswith(SELF_DESCRIBED):
        raise SignatureError
    reader = _Reader(message[len(SELF_DESCRIBED) :])
    top = reader.item()
    if reader.position != len(reader.data):
        raise DecodeError("bytes behind the message")
    items = list(_pairs(top))
    if not items or items[0][0] != "type":
        raise ParseError("type is not the first key")
    known = _FIELDS.get(_want(items[0][1], "text"))
    if known is None:
        raise ParseError(f"no message {items[0][1].value!r}")
    fields = {name: known[name](item) if name in known else item for name, item in items}
    if len(fields) != len(items) or set(fields) - set(known) - OPTIONAL or set(known) - set(fields) - OPTIONAL:
        raise ParseError(f"fields {sorted(set(fields) ^ set(known))} are absent, doubled or unknown")
    return fields
