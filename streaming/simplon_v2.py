"""Read SIMPLON stream V2: receives one CBOR message, gives what the detector said; images stay compressed.

The specification is stream V2 of dectris/documentation. More is accepted than it allows where real senders differ, and the
difference is noted in ``oddities``. Nothing is interpreted beyond the fields below: dates and unknown tags stay what they are.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

import cbor2
import numpy as np
from cbor2 import CBORTag
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from operando.errors import WireError
from streaming.cbor_bounds import check_bounds
from streaming.detector_message import MAX_ID, Channel, DetectorMessage, Encoding, Image, SeriesEnd, SeriesStart, checked_shape

SELF_DESCRIBED = b"\xd9\xd9\xf7"
"""Tag 55799 in front of everything: "this is CBOR" (RFC 8949, section 3.4.6)."""

# RFC 8746, table 1, with uint8 clamped (68) taken for uint8; float16 and float128 are left out, no detector sends them.
DTYPE_OF_TAG = {
    64: "|u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "|u1", 69: "<u2", 70: "<u4", 71: "<u8",
    72: "|i1", 73: ">i2", 74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8",
    81: ">f4", 82: ">f8", 85: "<f4", 86: "<f8",
}  # fmt: skip

Identity = Annotated[int, Field(ge=0, lt=MAX_ID, strict=True)]
UniqueId = Annotated[str, Field(max_length=200)]
ByChannel = Annotated[dict[str, Any], Field(max_length=64)]


class _End(BaseModel):
    model_config = ConfigDict(extra="ignore")
    series_id: Identity
    series_unique_id: UniqueId = ""


class _Image(_End):
    image_id: Identity
    data: Annotated[dict[str, Any], Field(min_length=1, max_length=64)]


class _Start(_End):
    channels: list[str] = []
    image_size_x: Annotated[int, Field(strict=True)] | None = None
    image_size_y: Annotated[int, Field(strict=True)] | None = None
    pixel_size_x: float | None = None
    pixel_size_y: float | None = None
    incident_energy: float | None = None
    saturation_value: int | None = None
    number_of_images: int | None = None
    detector_description: str = ""
    pixel_mask: ByChannel = {}


def message_from_cbor(frame: bytes) -> DetectorMessage:
    """Give what one message of stream V2 says.

    Raises
    ------
    WireError
        If it is not a message of stream V2, or not a bounded one; the sentence says what is wrong.
    """
    check_bounds(frame)
    try:
        value = cbor2.loads(frame, semantic_decoders=_DECODERS, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, OverflowError, TypeError) as wrong:
        raise WireError(f"message is not CBOR: {wrong}") from wrong
    if not isinstance(value, Mapping) or not value:
        raise WireError(f"message is a CBOR {type(value).__name__}, expected a map")
    read = _READERS.get(str(value.get("type")))
    if read is None:
        raise WireError(f"message of type {str(value.get('type'))[:40]!r}, expected start, image or end")
    try:
        return read(dict(value), _oddities(frame, value))
    except ValidationError as wrong:
        complaint = wrong.errors(include_url=False, include_input=False)[0]
        raise WireError(f"{value['type']}: {'.'.join(map(str, complaint['loc']))}: {complaint['msg']}") from wrong


def _oddities(frame: bytes, value: Mapping[str, Any]) -> tuple[str, ...]:
    oddities = []
    if not frame.startswith(SELF_DESCRIBED):
        oddities.append("no self-described CBOR tag in front")
    if next(iter(value)) != "type":
        oddities.append("type is not the first key")
    return tuple(oddities)


def _start(value: dict[str, Any], oddities: tuple[str, ...]) -> SeriesStart:
    start = _Start.model_validate(value)
    has_shape = start.image_size_x is not None and start.image_size_y is not None
    has_pixel = start.pixel_size_x is not None and start.pixel_size_y is not None
    return SeriesStart(
        series=start.series_id,
        unique_id=start.series_unique_id,
        channels=tuple(start.channels),
        shape=checked_shape([start.image_size_y, start.image_size_x]) if has_shape else None,
        pixel_m=(cast(float, start.pixel_size_y), cast(float, start.pixel_size_x)) if has_pixel else None,
        energy_ev=start.incident_energy,
        saturation_counts=start.saturation_value,
        n_images=start.number_of_images,
        description=start.detector_description[:200],
        pixel_mask={name: _channel(name, mask) for name, mask in start.pixel_mask.items() if isinstance(mask, CBORTag)},
        oddities=oddities,
    )


def _image(value: dict[str, Any], oddities: tuple[str, ...]) -> Image:
    image = _Image.model_validate(value)
    return Image(
        series=image.series_id,
        unique_id=image.series_unique_id,
        image_id=image.image_id,
        channels={name: _channel(name, value) for name, value in image.data.items()},
        oddities=oddities,
    )


def _end(value: dict[str, Any], oddities: tuple[str, ...]) -> SeriesEnd:
    end = _End.model_validate(value)
    return SeriesEnd(series=end.series_id, unique_id=end.series_unique_id, oddities=oddities)


_READERS: dict[str, Callable[[dict[str, Any], tuple[str, ...]], DetectorMessage]] = {
    "start": _start,
    "image": _image,
    "end": _end,
}


def _channel(name: str, value: object) -> Channel:
    """Read an array: tag 40 or 1040 [dimensions, element tag (bytes, or tag 56500 [algorithm, element size, bytes])]."""
    match value:
        case CBORTag(tag=(40 | 1040) as order, value=[shape, CBORTag(tag=element_tag, value=content)]):
            encoding: Encoding
            dtype = np.dtype(DTYPE_OF_TAG.get(element_tag, "V"))
        case _:
            raise WireError(f"channel {name[:40]!r} holds no image: expected tag 40 with dimensions and a typed array")
    if dtype.kind == "V":
        raise WireError(f"channel {name[:40]!r} has elements of tag {element_tag}, which no detector sends")
    match content:
        case bytes() as blob:
            encoding, element_size = "raw", dtype.itemsize
        case CBORTag(tag=56500, value=["bslz4" | "lz4" as algorithm, int() as element_size, bytes() as blob]):
            encoding = "bslz4" if algorithm == "bslz4" else "lz4-h5"
        case _:
            raise WireError(f"channel {name[:40]!r} is compressed in an unknown way, expected bslz4 or lz4")
    return Channel(
        shape=checked_shape(shape),
        dtype=dtype,
        encoding=encoding,
        element_size=element_size,
        blob=blob,
        is_column_major=order == 1040,
    )


def _content(value: object, is_immutable: bool) -> object:
    return value


# Tags that cbor2 would make objects of, each with hazards of its own (dates, fractions, regular expressions, shared
# references): only their content is wanted. Other tags stay tags.
_DECODERS: dict[int, Callable[[object, bool], object]] = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799), _content
)
