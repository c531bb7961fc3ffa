"""Read SIMPLON stream V1 ("legacy"): receives the parts of one message, gives what the detector said; images stay compressed.

The specification is the stream interface of the SIMPLON API 1.8 (DECTRIS). Shapes are (x, y) there, rows and columns here.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from operando.errors import WireError
from streaming.detector_message import MAX_ID, Channel, DetectorMessage, Encoding, Image, SeriesEnd, SeriesStart, checked_shape

MAX_JSON_BYTES = 4 * 2**20
MAX_PARTS = 16
ONLY_CHANNEL = "threshold_1"
"""V1 has one channel and does not name it."""

Identity = Annotated[int, Field(ge=0, lt=MAX_ID, strict=True)]
Edges = tuple[Annotated[int, Field(strict=True)], Annotated[int, Field(strict=True)]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Series(_Part):
    series: Identity


class _ImageHeader(_Series):
    frame: Identity


class _ImageDescription(_Part):
    htype: Literal["dimage_d-1.0"]
    shape: Edges
    type: Literal["uint8", "uint16", "uint32"]
    encoding: Annotated[str, Field(max_length=40)]


class _MaskDescription(_Part):
    htype: Literal["dpixelmask-1.0"]
    shape: Edges


class _Configuration(_Part):
    x_pixels_in_detector: int | None = None
    y_pixels_in_detector: int | None = None
    x_pixel_size: float | None = None
    y_pixel_size: float | None = None
    photon_energy: float | None = None
    countrate_correction_count_cutoff: int | None = None
    nimages: int | None = None
    ntrigger: int = 1
    description: str = ""
    data_collection_date: str = ""


def message_from_parts(parts: Sequence[bytes]) -> DetectorMessage:
    """Give what one multipart message of stream V1 says.

    Raises
    ------
    WireError
        If it is not a message of stream V1, or not a bounded one; the sentence says what is wrong.
    """
    if not 1 <= len(parts) <= MAX_PARTS:
        raise WireError(f"message has {len(parts)} parts, expected 1 to {MAX_PARTS}")
    first = _json_object(parts[0])
    htype = str(first.get("htype"))
    try:
        if htype.startswith("dimage-"):
            return _image(first, parts)
        if htype.startswith("dheader-"):
            return _start(first, parts)
        if htype.startswith("dseries_end-"):
            return SeriesEnd(series=_Series.model_validate(first).series, unique_id=None)
    except ValidationError as wrong:
        complaint = wrong.errors(include_url=False, include_input=False)[0]
        raise WireError(f"{htype[:40]}: {'.'.join(map(str, complaint['loc']))}: {complaint['msg']}") from wrong
    raise WireError(f"message of htype {htype[:40]!r}, expected dheader, dimage or dseries_end")


def _image(first: dict[str, Any], parts: Sequence[bytes]) -> Image:
    if len(parts) < 3:
        raise WireError(f"an image has at least three parts, {len(parts)} came")
    header = _ImageHeader.model_validate(first)
    description = _ImageDescription.model_validate(_json_object(parts[1]))
    dtype = np.dtype(description.type).newbyteorder("<")
    channel = Channel(
        shape=checked_shape(description.shape[::-1]),
        dtype=dtype,
        encoding=_encoding(description.encoding),
        element_size=_element_size(description.encoding, dtype),
        blob=parts[2],
    )
    return Image(series=header.series, unique_id=None, image_id=header.frame, channels={ONLY_CHANNEL: channel})


def _start(first: dict[str, Any], parts: Sequence[bytes]) -> SeriesStart:
    series = _Series.model_validate(first).series
    configuration = _Configuration.model_validate(_json_object(parts[1]) if len(parts) > 1 else {})
    columns, rows = configuration.x_pixels_in_detector, configuration.y_pixels_in_detector
    width, height = configuration.x_pixel_size, configuration.y_pixel_size
    nimages = configuration.nimages
    return SeriesStart(
        series=series,
        unique_id=configuration.data_collection_date[:200],
        channels=(ONLY_CHANNEL,),
        shape=None if rows is None or columns is None else checked_shape([rows, columns]),
        pixel_m=None if height is None or width is None else (height, width),
        energy_ev=configuration.photon_energy,
        saturation_counts=configuration.countrate_correction_count_cutoff,
        n_images=None if nimages is None else nimages * configuration.ntrigger,
        description=configuration.description[:200],
        pixel_mask=_pixel_mask(parts),
    )


def _pixel_mask(parts: Sequence[bytes]) -> dict[str, Channel]:
    """Find the mask among the pairs of description and blob that ``header_detail`` all appends."""
    for description, blob in itertools.pairwise(parts):
        if b'"dpixelmask-1.0"' in description[:400]:
            shape = checked_shape(_MaskDescription.model_validate(_json_object(description)).shape[::-1])
            return {ONLY_CHANNEL: Channel(shape=shape, dtype=np.dtype("<u4"), encoding="raw", element_size=4, blob=blob)}
    return {}


def _encoding(name: str) -> Encoding:
    """Read the encoding: ``<`` is little endian, ``lz4<`` one LZ4 block, ``bs32-lz4<`` bitshuffled LZ4 of 32-bit elements."""
    if name == "<":
        return "raw"
    if name == "lz4<":
        return "lz4"
    if name in ("bs8-lz4<", "bs16-lz4<", "bs32-lz4<"):
        return "bslz4"
    raise WireError(f"unknown encoding {name!r}, expected <, lz4< or bs8-lz4<, bs16-lz4<, bs32-lz4<")


def _element_size(encoding: str, dtype: np.dtype[Any]) -> int:
    return int(encoding[2:].split("-")[0]) // 8 if encoding.startswith("bs") else dtype.itemsize


def _json_object(part: bytes) -> dict[str, Any]:
    if len(part) > MAX_JSON_BYTES:
        raise WireError(f"JSON part of {len(part)} bytes is larger than the limit of {MAX_JSON_BYTES}")
    try:
        value = json.loads(part)
    except (ValueError, RecursionError) as wrong:
        raise WireError(f"part is not JSON: {wrong}") from wrong
    if not isinstance(value, dict):
        raise WireError(f"part is a JSON {type(value).__name__}, expected an object")
    return value
