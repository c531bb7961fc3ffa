import json
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from operando.errors import WireError
from streaming.bslz4 import array_from_channel
from streaming.detector_message import Image, SeriesEnd, SeriesStart
from streaming.simplon_v1 import message_from_parts
from streaming.simplon_v2 import message_from_cbor
from tests.streaming.wire import tagged_array, v1_end, v1_image, v1_start, v2, v2_end, v2_image, v2_start

FRAME = np.random.default_rng(0).poisson(4, (20, 30)).astype(np.uint32)


def test_the_real_eiger2_messages_are_understood(data_folder: Path) -> None:
    read = lambda name: message_from_cbor((data_folder / "tickit-devices" / name).read_bytes())  # noqa: E731
    start, image, end = read("start.cbor"), read("image.cbor"), read("end.cbor")
    assert isinstance(start, SeriesStart)
    assert (start.series, start.unique_id, start.shape) == (15614, "01HBV3JPF9T4ZDPADX6EMK6XMZ", (4362, 4148))
    assert (start.channels, start.pixel_m, start.saturation_counts) == (("threshold_1",), (75e-6, 75e-6), 21517)
    assert start.energy_ev == pytest.approx(13_500.3)
    assert start.oddities == ("no self-described CBOR tag in front",)
    assert isinstance(image, Image)
    assert (image.series, image.unique_id, image.image_id, image.oddities) == (15614, start.unique_id, 0, ())
    assert end == SeriesEnd(series=15614, unique_id=start.unique_id)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("compression", ["bslz4", None])
def test_all_channels_of_a_v2_image_come_out(dtype: Any, compression: str | None) -> None:
    low, high = FRAME.astype(dtype), (2 * FRAME).astype(dtype)
    data = {
        "threshold_1": tagged_array(low, compression=compression),
        "threshold_2": tagged_array(high, compression=compression),
    }
    image = message_from_cbor(v2_image(70_000, FRAME, data=data))
    assert isinstance(image, Image)
    assert image.image_id == 70_000
    assert list(image.channels) == ["threshold_1", "threshold_2"]
    np.testing.assert_array_equal(array_from_channel(image.channels["threshold_1"]), low)
    np.testing.assert_array_equal(array_from_channel(image.channels["threshold_2"]), high)


def test_a_v2_pixel_mask_comes_out() -> None:
    mask = (FRAME > 6).astype(np.uint32)
    start = message_from_cbor(v2_start(pixel_mask={"threshold_1": tagged_array(mask)}))
    assert isinstance(start, SeriesStart)
    np.testing.assert_array_equal(array_from_channel(start.pixel_mask["threshold_1"]), mask)


def test_a_column_major_image_is_turned() -> None:
    tag = CBORTag(1040, [[20, 30], CBORTag(70, FRAME.T.tobytes())])
    image = message_from_cbor(v2_image(0, FRAME, data={"a": tag}))
    assert isinstance(image, Image)
    np.testing.assert_array_equal(array_from_channel(image.channels["a"]), FRAME)


@pytest.mark.parametrize(
    "extra",
    [
        CBORTag(0, "99999-01-01T00:00:00Z"),
        CBORTag(1, 1e300),
        CBORTag(35, "(a+)+$"),
        CBORTag(30, [1, 0]),
        CBORTag(40, [[1, 2, 3], b"abc"]),
        CBORTag(12345, "unknown"),
        {"nested": [1, {"deep": [None, True, float("nan")]}]},
    ],
)
def test_what_else_a_message_holds_does_not_matter(extra: object) -> None:
    image = message_from_cbor(v2_image(3, FRAME, series_date=extra, user_data=extra))
    assert isinstance(image, Image)
    assert image.image_id == 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"type": "frame"}, "message of type 'frame'"),
        ({"image_id": -1}, "image_id"),
        ({"image_id": "7"}, "image_id"),
        ({"image_id": 2.0}, "image_id"),
        ({"image_id": 2**70}, "image_id"),
        ({"series_id": None}, "series_id"),
        ({"series_unique_id": "u" * 1000}, "series_unique_id"),
        ({"data": {}}, "data"),
        ({"data": [1, 2]}, "data"),
        ({"data": {"a": b"abc"}}, "holds no image"),
        ({"data": {"a": CBORTag(40, [[20, 30], b"abc"])}}, "holds no image"),
        ({"data": {"a": CBORTag(40, [[20, 30, 1], CBORTag(70, b"abc")])}}, "two dimensions"),
        ({"data": {"a": CBORTag(40, [[2**40, 30], CBORTag(70, b"abc")])}}, "impossible"),
        ({"data": {"a": CBORTag(40, [[0, 30], CBORTag(70, b"")])}}, "impossible"),
        ({"data": {"a": CBORTag(40, [[20, 30], CBORTag(76, b"abc")])}}, "which no detector sends"),
        ({"data": {"a": CBORTag(40, [[20, 30], CBORTag(70, CBORTag(56500, ["zip", 4, b"abc"]))])}}, "unknown way"),
        ({"data": {"a": CBORTag(40, [[20, 30], CBORTag(70, CBORTag(56500, ["bslz4", "4", b"abc"]))])}}, "unknown way"),
    ],
)
def test_a_wrong_image_is_refused_by_field(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        message_from_cbor(v2_image(0, FRAME, **changes))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"", "truncated"),
        (v2_end()[:-1], "truncated"),
        (v2_end() + b"\x00", "1 bytes too many"),
        (b"\x81" * 5000, "nested deeper"),
        (b"\xc6" * 5000 + b"\x01", "nested deeper"),
        (b"\x9a" + (10**6).to_bytes(4, "big") + b"\x80" * 10**6, "more than 20000 parts"),
        (b"\x5b" + (2**60).to_bytes(8, "big") + b"abc", "truncated"),
        (b"\x9b" + (2**60).to_bytes(8, "big") + b"abc", "truncated"),
        (b"\xbf\x61a\x01\xff", "indefinite"),
        (b"\x83\x01\x02\x03", "expected a map"),
        (b"\xa0", "expected a map"),
        (cbor2.dumps({"x": 1}), "message of type 'None'"),
        (b"\xa2\x64type\x63end\x64type\x63end", "not CBOR"),
        (b"\xa1\x61\xff\x01", "not CBOR"),
    ],
)
def test_a_wrong_v2_message_is_refused(message: bytes, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        message_from_cbor(message)


@settings(max_examples=300, deadline=None)
@given(message=st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda noise: v2_end()[:20] + noise)))
def test_noise_is_refused_and_never_crashes(message: bytes) -> None:
    for read in (message_from_cbor, lambda noise: message_from_parts([noise, noise])):
        try:
            read(message)
        except WireError:
            continue


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_image_is_refused_or_still_an_image(position: int, value: int) -> None:
    damaged = bytearray(v2_image(5, FRAME))
    damaged[position % len(damaged)] = value
    try:
        message = message_from_cbor(bytes(damaged))
    except WireError:
        return
    assert isinstance(message, Image | SeriesEnd | SeriesStart)


PLAIN = st.one_of(st.integers(0, 2**63), st.text(max_size=9), st.binary(max_size=9), st.floats())
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)


@settings(max_examples=50, deadline=None)
@given(value=NESTED)
def test_any_proper_metadata_passes_the_bounds(value: object) -> None:
    assert message_from_cbor(v2({"type": "end", "series_id": 1, "user_data": value})) == SeriesEnd(series=1, unique_id="")


def test_oddities_are_noted() -> None:
    end = message_from_cbor(v2({"series_id": 1, "type": "end"}, is_signed=False))
    assert end.oddities == ("no self-described CBOR tag in front", "type is not the first key")


def test_v1_messages_are_understood() -> None:
    mask = (FRAME > 6).astype(np.uint32)
    start = message_from_parts(v1_start(series=6, mask=mask))
    assert isinstance(start, SeriesStart)
    assert (start.series, start.shape, start.energy_ev) == (6, (20, 30), 103_500.0)
    np.testing.assert_array_equal(array_from_channel(start.pixel_mask["threshold_1"]), mask)
    image = message_from_parts(v1_image(70_000, FRAME, series=6))
    assert isinstance(image, Image)
    assert (image.series, image.unique_id, image.image_id) == (6, None, 70_000)
    np.testing.assert_array_equal(array_from_channel(image.channels["threshold_1"]), FRAME)
    assert message_from_parts(v1_end(series=6)) == SeriesEnd(series=6, unique_id=None)


def test_a_v1_header_without_detail_is_a_start_that_says_nothing() -> None:
    start = message_from_parts([json.dumps({"htype": "dheader-1.0", "series": 4, "header_detail": "none"}).encode()])
    assert start == SeriesStart(series=4, unique_id="", channels=("threshold_1",))


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ([], "0 parts"),
        ([b"{}"] * 17, "17 parts"),
        ([b"{}"], "htype 'None'"),
        ([b"[1]"], "JSON list"),
        ([b"{" * 100_000], "not JSON"),
        ([b'{"htype":"dimage-1.0","series":1,"frame":-1}', b"{}", b""], "frame"),
        ([b'{"htype":"dimage-1.0","series":1,"frame":1}', b"{}"], "at least three parts"),
        ([b'{"htype":"dimage-1.0","series":1,"frame":1}', b"{}", b""], "htype"),
        (v1_image(0, FRAME, encoding="zip<"), "unknown encoding 'zip<'"),
        ([v1_image(0, FRAME)[0], v1_image(0, FRAME.astype(np.float64), encoding="<", blob=b"")[1], b""], "type"),
    ],
)
def test_a_wrong_v1_message_is_refused(parts: list[bytes], complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        message_from_parts(parts)
