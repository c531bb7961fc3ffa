"""What a detector says, for tests: messages of stream V2 and V1, compressed by an encoder that is not the decoder's library."""

import json
from collections.abc import Mapping
from typing import Any

import cbor2
import h5py
import hdf5plugin
import numpy as np
from cbor2 import CBORTag
from numpy.typing import NDArray

TAGS = {"uint8": 64, "uint16": 69, "uint32": 70, "float32": 85}


def bslz4(array: NDArray[Any]) -> bytes:
    """Compress with the bitshuffle library inside hdf5plugin, as an HDF5 chunk."""
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("x", data=array, chunks=array.shape, **hdf5plugin.Bitshuffle(nelems=0, cname="lz4"))
        return bytes(dataset.id.read_direct_chunk((0,) * array.ndim)[1])


def from_bslz4(blob: bytes, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Decompress with the bitshuffle library inside hdf5plugin: the judge of our decoder."""
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        compression = hdf5plugin.Bitshuffle(nelems=0, cname="lz4")
        dataset = file.create_dataset("x", shape=shape, dtype=dtype, chunks=shape, **compression)
        dataset.id.write_direct_chunk((0,) * len(shape), blob)
        return np.asarray(dataset[()])


def v2(value: Mapping[str, Any], *, is_signed: bool = True) -> bytes:
    return (b"\xd9\xd9\xf7" if is_signed else b"") + cbor2.dumps(dict(value))


def tagged_array(array: NDArray[Any], *, compression: str | None = "bslz4") -> CBORTag:
    content: Any = array.tobytes()
    if compression == "bslz4":
        content = CBORTag(56500, ["bslz4", array.itemsize, bslz4(array)])
    return CBORTag(40, [list(array.shape), CBORTag(TAGS[array.dtype.name], content)])


def v2_start(*, series: int = 1, uid: str = "A", shape: tuple[int, int] = (20, 30), **changes: Any) -> bytes:
    value = {
        "type": "start",
        "series_id": series,
        "series_unique_id": uid,
        "channels": ["threshold_1"],
        "image_size_x": shape[1],
        "image_size_y": shape[0],
        "incident_energy": 103_500.0,
        "pixel_size_x": 172e-6,
        "pixel_size_y": 172e-6,
        "saturation_value": 100_000,
        "number_of_images": 10,
        "pixel_mask": {},
    }
    return v2(value | changes)


def v2_image(number: int, frame: NDArray[Any], *, series: int = 1, uid: str = "A", **changes: Any) -> bytes:
    value = {
        "type": "image",
        "series_id": series,
        "series_unique_id": uid,
        "image_id": number,
        "real_time": [1, 50_000_000],
        "start_time": [number, 50_000_000],
        "stop_time": [number + 1, 50_000_000],
    }
    if "data" not in changes:
        value["data"] = {"threshold_1": tagged_array(frame)}
    return v2(value | changes)


def v2_end(*, series: int = 1, uid: str = "A") -> bytes:
    return v2({"type": "end", "series_id": series, "series_unique_id": uid})


def v1_start(*, series: int = 1, shape: tuple[int, int] = (20, 30), mask: NDArray[Any] | None = None) -> list[bytes]:
    configuration = {"x_pixels_in_detector": shape[1], "y_pixels_in_detector": shape[0], "photon_energy": 103_500.0}
    parts = [_json(htype="dheader-1.0", series=series, header_detail="all"), _json(**configuration)]
    if mask is not None:
        parts += [_json(htype="dflatfield-1.0", shape=shape[::-1], type="float32"), np.ones(shape, np.float32).tobytes()]
        parts += [_json(htype="dpixelmask-1.0", shape=shape[::-1], type="uint32"), mask.astype("<u4").tobytes()]
    return parts


def v1_image(
    image_id: int, frame: NDArray[Any], *, series: int = 1, encoding: str | None = None, blob: bytes | None = None
) -> list[bytes]:
    return [
        _json(htype="dimage-1.0", series=series, frame=image_id, hash=""),
        _json(
            htype="dimage_d-1.0",
            shape=frame.shape[::-1],
            type=frame.dtype.name,
            encoding=encoding or f"bs{8 * frame.itemsize}-lz4<",
            size=0,
        ),
        bslz4(frame) if blob is None else blob,
        _json(htype="dconfig-1.0", start_time=0, stop_time=1, real_time=1),
        b"{}",
    ]


def v1_end(*, series: int = 1) -> list[bytes]:
    return [_json(htype="dseries_end-1.0", series=series)]


def _json(**value: Any) -> bytes:
    return json.dumps(value).encode()
