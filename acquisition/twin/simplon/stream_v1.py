"""Stream V1, the legacy format: multipart messages of JSON headers and blobs.

Shapes are [columns, rows] here, where V2 has [rows, columns]; times are nanoseconds; the constant arrays of the header are
not compressed. Only the first channel travels: V1 knows no more.
"""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.simplon.bslz4 import Packed
from acquisition.twin.simplon.messages import TICKS_PER_S, End, Image, Start, Tables

NS_PER_TICK = 1_000_000_000 // TICKS_PER_S


class StreamV1:
    """Encodes messages as stream V1."""

    def start(self, start: Start) -> list[bytes]:
        """Give the header: configuration with basic detail; flat field, pixel mask and count rate table with all of it."""
        parts = [_json({"htype": "dheader-1.0", "series": start.series_id, "header_detail": start.header_detail})]
        if start.header_detail != "none":
            parts.append(_json(dict(start.configuration)))
        if start.header_detail == "all":
            parts += _tables(start.tables)
        return _with_appendix(parts, start.user_data)

    def image(self, image: Image) -> list[bytes]:
        """Give the four parts of an image, and its appendix if it has one."""
        packed = next(iter(image.channels.values()))
        digest = hashlib.md5(packed.blob, usedforsecurity=False).hexdigest()
        parts = [
            _json({"htype": "dimage-1.0", "series": image.series_id, "frame": image.image_id, "hash": digest}),
            _json(
                {
                    "htype": "dimage_d-1.0",
                    "shape": list(packed.shape[::-1]),
                    "type": packed.dtype.name,
                    "encoding": _encoding(packed),
                    "size": len(packed.blob),
                }
            ),
            packed.blob,
            _json(
                {
                    "htype": "dconfig-1.0",
                    "start_time": image.start_ticks * NS_PER_TICK,
                    "stop_time": image.stop_ticks * NS_PER_TICK,
                    "real_time": image.real_ticks * NS_PER_TICK,
                }
            ),
        ]
        return _with_appendix(parts, image.user_data)

    def end(self, end: End) -> list[bytes]:
        """Give the one part that ends a series."""
        return [_json({"htype": "dseries_end-1.0", "series": end.series_id})]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with_appendix(parts: list[bytes], user_data: Any) -> list[bytes]:
    return parts if user_data is None else [*parts, _json(user_data)]


def _encoding(packed: Packed) -> str:
    bits = 8 * packed.dtype.itemsize
    return "<" if packed.method == "none" else {"bslz4": f"bs{bits}-lz4<", "lz4-block": "lz4<"}[packed.method]


def _tables(tables: Tables) -> list[bytes]:
    observed = np.arange(tables.countrate_correction.array.size, dtype=np.float32)
    countrate = np.stack([observed, tables.countrate_correction.array.astype(np.float32)])
    return [
        *_array("dflatfield-1.0", tables.flatfield.array, tables.flatfield.array.shape[::-1]),
        *_array("dpixelmask-1.0", tables.pixel_mask.array, tables.pixel_mask.array.shape[::-1]),
        *_array("dcountrate_table-1.0", countrate, countrate.shape),
    ]


def _array(htype: str, array: NDArray[np.generic], shape: tuple[int, ...]) -> list[bytes]:
    header = {"htype": htype, "shape": list(shape), "type": array.dtype.name}
    return [_json(header), np.ascontiguousarray(array).tobytes()]
