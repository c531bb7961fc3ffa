"""Stream V2: one CBOR message for one ZeroMQ message, as DECTRIS' own strict C parser wants it.

That parser refuses what a lenient one forgives: the message must begin with the tag of self-described CBOR, ``type`` must be
the first key, a number that is a float must be encoded as one even when it is whole, and arrays have two dimensions.
Source: github.com/dectris/documentation, stream_v2/README.md and stream_v2/examples/stream2.c.
"""

from datetime import datetime
from typing import Any

import cbor2
import numpy as np

from acquisition.twin.simplon.bslz4 import Packed
from acquisition.twin.simplon.messages import TICKS_PER_S, End, Image, Start, Tables

SELF_DESCRIBED = 55799
DATE_TIME = 0
MULTI_DIMENSIONAL_ROW_MAJOR = 40
COMPRESSED = 56500
TYPED_ARRAY = {np.dtype("u1"): 64, np.dtype("<u2"): 69, np.dtype("<u4"): 70, np.dtype("<f4"): 85}
"""Tags of RFC 8746 for the little-endian types that a detector sends."""

GONIOMETER_AXES = ("chi", "kappa", "omega", "phi", "two_theta")


class StreamV2:
    """Encodes messages as stream V2."""

    def start(self, start: Start) -> list[bytes]:
        """Give the start message: every field of the specification, the constant arrays only with full header detail."""
        have = start.configuration
        fields: dict[str, Any] = {
            "type": "start",
            "arm_date": _date(start.arm_date),
            "beam_center_x": _number(have, "beam_center_x"),
            "beam_center_y": _number(have, "beam_center_y"),
            "channels": list(start.channels),
            "count_time": _number(have, "count_time"),
            "countrate_correction_enabled": bool(have["countrate_correction_applied"]),
            "detector_description": have["description"],
            "detector_serial_number": have["detector_number"],
            "detector_translation": _translation(have),
            "flatfield_enabled": bool(have["flatfield_correction_applied"]),
            "frame_time": _number(have, "frame_time"),
            "goniometer": {axis: _axis(have, axis) for axis in GONIOMETER_AXES},
            "image_dtype": f"uint{have['bit_depth_image']}",
            "image_size_x": have["x_pixels_in_detector"],
            "image_size_y": have["y_pixels_in_detector"],
            "incident_energy": _number(have, "photon_energy"),
            "incident_wavelength": _number(have, "wavelength"),
            "number_of_images": start.number_of_images,
            "pixel_mask_enabled": bool(have["pixel_mask_applied"]),
            "pixel_size_x": _number(have, "x_pixel_size"),
            "pixel_size_y": _number(have, "y_pixel_size"),
            "saturation_value": have["countrate_correction_count_cutoff"],
            "sensor_material": have["sensor_material"],
            "sensor_thickness": _number(have, "sensor_thickness"),
            "series_id": start.series_id,
            "series_unique_id": start.series_unique_id,
            "threshold_energy": {channel: _number(have, "threshold_energy") for channel in start.channels},
            "virtual_pixel_interpolation_enabled": bool(have["virtual_pixel_correction_applied"]),
        }
        if start.header_detail == "all":
            fields |= _tables(start.tables, start.channels)
        return _message(fields, start.user_data)

    def image(self, image: Image) -> list[bytes]:
        """Give an image message with all channels of the exposure."""
        fields = {
            "type": "image",
            "series_id": image.series_id,
            "series_unique_id": image.series_unique_id,
            "image_id": image.image_id,
            "real_time": [image.real_ticks, TICKS_PER_S],
            "series_date": _date(image.series_date),
            "start_time": [image.start_ticks, TICKS_PER_S],
            "stop_time": [image.stop_ticks, TICKS_PER_S],
            "data": {channel: _image_array(packed) for channel, packed in image.channels.items()},
        }
        return _message(fields, image.user_data)

    def end(self, end: End) -> list[bytes]:
        """Give the end message."""
        return _message({"type": "end", "series_id": end.series_id, "series_unique_id": end.series_unique_id}, None)


def _message(fields: dict[str, Any], user_data: Any) -> list[bytes]:
    if user_data is not None:
        fields["user_data"] = user_data
    return [bytes(cbor2.dumps(cbor2.CBORTag(SELF_DESCRIBED, fields)))]


def _number(values: Any, name: str) -> float:
    return float(values[name])


def _date(when: datetime) -> cbor2.CBORTag:
    return cbor2.CBORTag(DATE_TIME, when.isoformat(timespec="milliseconds"))


def _translation(have: Any) -> list[float]:
    """Give the detector's translation in metres the way EIGER2 fills it: beam centre across, distance against the beam."""
    x_m = _number(have, "beam_center_x") * _number(have, "x_pixel_size")
    y_m = _number(have, "beam_center_y") * _number(have, "y_pixel_size")
    return [x_m, y_m, -_number(have, "detector_distance")]


def _axis(have: Any, axis: str) -> dict[str, float]:
    return {"increment": _number(have, f"{axis}_increment"), "start": _number(have, f"{axis}_start")}


def _tables(tables: Tables, channels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "countrate_correction_lookup_table": _typed_array(tables.countrate_correction.packed),
        "flatfield": {channel: _image_array(tables.flatfield.packed) for channel in channels},
        "pixel_mask": {channel: _image_array(tables.pixel_mask.packed) for channel in channels},
    }


def _image_array(packed: Packed) -> cbor2.CBORTag:
    return cbor2.CBORTag(MULTI_DIMENSIONAL_ROW_MAJOR, [list(packed.shape), _typed_array(packed)])


def _typed_array(packed: Packed) -> cbor2.CBORTag:
    return cbor2.CBORTag(TYPED_ARRAY[packed.dtype], _byte_string(packed))


def _byte_string(packed: Packed) -> Any:
    if packed.method == "none":
        return packed.blob
    element_bytes = packed.dtype.itemsize if packed.method == "bslz4" else 0
    return cbor2.CBORTag(COMPRESSED, [packed.method, element_bytes, packed.blob])
