"""Every V2 message passes a strict reader; the reader itself is shown to refuse what DECTRIS' parser refuses."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.twin.simplon.bslz4 import pack
from acquisition.twin.simplon.configuration import detector_table
from acquisition.twin.simplon.messages import End, Image, Start, Table, Tables
from acquisition.twin.simplon.stream_v2 import StreamV2
from tests.acquisition.twin.simplon.rig import SHAPE, small_head, unpacked
from tests.acquisition.twin.simplon.strict_v2 import DecodeError, Item, ParseError, SignatureError, read_strictly

NOW = datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
IDS = st.integers(0, 2**63)


def plain(value):
    """Give the decoder's frozen containers as lists and dictionaries."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return {key: plain(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def start_message(**changes):
    head = small_head()
    tables = Tables(
        countrate_correction=Table(np.arange(11, dtype=np.uint32)),
        flatfield=Table(np.ones(head.shape, dtype=np.float32)),
        pixel_mask=Table(head.pixel_mask),
    )
    fields = {
        "series_id": 3,
        "series_unique_id": "01HBV3JPF9T4ZDPADX6EMK6XMZ",
        "arm_date": NOW,
        "configuration": detector_table(head).values(),
        "channels": ("threshold_1",),
        "number_of_images": 7,
        "tables": tables,
    }
    return StreamV2().start(Start(**(fields | changes)))[0]


def image_message(**changes):
    fields = {
        "series_id": 3,
        "series_unique_id": "u",
        "image_id": 0,
        "series_date": NOW,
        "start_ticks": 0,
        "stop_ticks": 500_000,
        "real_ticks": 500_000,
        "channels": {"threshold_1": pack(np.zeros(SHAPE, np.uint32), "bslz4")},
    }
    return StreamV2().image(Image(**(fields | changes)))[0]


def test_start_carries_every_field_of_the_specification():
    fields = read_strictly(start_message())
    assert len(fields) == 32  # The table of the specification has 33 rows; user_data is absent where nobody set it.
    assert np.array_equal(unpacked(fields["pixel_mask"]["threshold_1"]), small_head().pixel_mask)
    assert np.all(unpacked(fields["flatfield"]["threshold_1"]) == 1)
    assert fields["image_dtype"] == "uint32"
    assert (fields["image_size_x"], fields["image_size_y"]) == SHAPE[::-1]
    assert fields["arm_date"] == "2026-03-01T12:00:00.005+00:00"


@pytest.mark.parametrize("detail", ["basic", "none"])
def test_less_detail_leaves_out_the_constant_arrays_only(detail):
    left_out = {"flatfield", "pixel_mask", "countrate_correction_lookup_table"}
    assert set(read_strictly(start_message())) - set(read_strictly(start_message(header_detail=detail))) == left_out


@settings(deadline=None, max_examples=40)
@given(series=IDS, n_images=IDS, values=st.lists(st.integers(0, 1000), min_size=6, max_size=6), user_data=JSON)
def test_start_passes_whatever_whole_numbers_stand_in_the_configuration(series, n_images, values, user_data):
    names = ("count_time", "frame_time", "beam_center_x", "detector_distance", "photon_energy", "omega_increment")
    configuration = detector_table(small_head()).values() | dict(zip(names, values, strict=True))
    message = start_message(series_id=series, number_of_images=n_images, configuration=configuration, user_data=user_data)
    fields = read_strictly(message)
    assert (fields["series_id"], fields["number_of_images"], fields["count_time"]) == (series, n_images, values[0])
    assert fields["detector_translation"][2] == -values[3]
    assert plain(cbor2.loads(message).get("user_data")) == user_data


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    dtype=st.sampled_from(["u1", "<u2", "<u4"]),
    method=st.sampled_from(["bslz4", "lz4", "none"]),
    n_channels=st.integers(1, 3),
    ids=st.tuples(IDS, IDS),
    ticks=st.tuples(IDS, IDS),
)
def test_an_image_comes_back_with_its_channels_in_order(shape, dtype, method, n_channels, ids, ticks):
    frames = {f"threshold_{n}": np.arange(np.prod(shape)).reshape(shape).astype(dtype) + n for n in range(n_channels)}
    channels = {name: pack(frame, method) for name, frame in frames.items()}
    message = image_message(series_id=ids[0], image_id=ids[1], channels=channels, start_ticks=ticks[0], stop_ticks=ticks[1])
    fields = read_strictly(message)
    assert (fields["series_id"], fields["image_id"]) == ids
    assert (fields["start_time"], fields["stop_time"]) == ((ticks[0], 50_000_000), (ticks[1], 50_000_000))
    assert list(fields["data"]) == list(frames)
    assert all(np.array_equal(unpacked(fields["data"][name]), frame) for name, frame in frames.items())


def test_end_says_its_series_and_nothing_else():
    message = StreamV2().end(End(series_id=9, series_unique_id="u"))[0]
    assert read_strictly(message) == {"type": "end", "series_id": 9, "series_unique_id": "u"}


def test_the_reader_accepts_the_messages_of_a_real_detector(data_folder: Path):
    folder = data_folder / "tickit-devices"
    image = read_strictly((folder / "image.cbor").read_bytes())
    assert image["data"]["threshold_1"].dims == (4362, 4148)
    assert read_strictly((folder / "end.cbor").read_bytes())["series_id"] == 15614
    with pytest.raises(SignatureError):  # This one was saved again by a program that lost the prefix.
        read_strictly((folder / "start.cbor").read_bytes())


def spoilt(message, change):
    fields = dict(cbor2.loads(message, tag_hook=lambda tag, immutable: tag))
    return b"\xd9\xd9\xf7" + cbor2.dumps(change(fields))


SPOILS = {
    "type is not first": lambda fields: {"series_id": 1} | fields,
    "whole number for a float": lambda fields: fields | {"count_time": 1},
    "float for a whole number": lambda fields: fields | {"image_size_x": 3.0},
    "absent field": lambda fields: {name: value for name, value in fields.items() if name != "sensor_material"},
    "four goniometer numbers": lambda fields: fields | {"detector_translation": [0.0, 0.0, 0.0, 0.0]},
    "a mask of three dimensions": lambda fields: (
        fields | {"pixel_mask": {"threshold_1": cbor2.CBORTag(40, [[1, 2, 2], cbor2.CBORTag(70, bytes(16))])}}
    ),
    "unknown type": lambda fields: fields | {"type": "pause"},
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_the_reader_refuses_what_the_strict_parser_refuses(spoil):
    with pytest.raises(ParseError):
        read_strictly(spoilt(start_message(), SPOILS[spoil]))


def test_the_reader_refuses_a_missing_signature_and_every_truncation():
    message = image_message()
    with pytest.raises(SignatureError):
        read_strictly(message[3:])
    for length in range(3, len(message)):
        with pytest.raises(DecodeError):
            read_strictly(message[:length])


def test_user_data_travels_as_it_was_given():
    fields = read_strictly(image_message(user_data={"note": "x"}))
    assert fields["user_data"] == Item("map", [(Item("text", "note"), Item("text", "x"))])
