import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operando.errors import WireError
from streaming.bslz4 import array_from_channel, counts_from_channel
from streaming.detector_message import Channel
from streaming.simplon_v2 import message_from_cbor
from streaming.unpack import unpack_narrow
from tests.streaming.wire import bslz4, from_bslz4


def channel(blob: bytes, shape: tuple[int, int], dtype: str = "<u4", **changes: object) -> Channel:
    values = {"encoding": "bslz4", "element_size": np.dtype(dtype).itemsize} | changes
    return Channel(shape=shape, dtype=np.dtype(dtype), blob=blob, **values)  # type: ignore[arg-type]


def test_the_real_eiger2_16m_image_decodes_to_the_bytes_of_the_other_decoder(data_folder: Path) -> None:
    image = message_from_cbor((data_folder / "tickit-devices" / "image.cbor").read_bytes())
    found = image.channels["threshold_1"]
    array = array_from_channel(found)
    assert array.shape == (4362, 4148)
    np.testing.assert_array_equal(array, from_bslz4(found.blob, found.shape, found.dtype))


def test_the_real_v1_blob_decodes_to_the_bytes_of_the_other_decoder(data_folder: Path) -> None:
    blob = (data_folder / "tickit-devices" / "frame_sample").read_bytes()
    array = array_from_channel(channel(blob, (4362, 4148), "<u2"))
    np.testing.assert_array_equal(array, from_bslz4(blob, (4362, 4148), "<u2"))
    assert np.count_nonzero(array == 65535) == 1_253_074


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 120),
    dtype=st.sampled_from(["u1", "<u2", "<u4"]),
    top=st.integers(1, 2**32 - 1),
    seed=st.integers(0, 2**32),
)
def test_any_image_decodes_to_what_was_encoded(rows: int, columns: int, dtype: str, top: int, seed: int) -> None:
    high = min(top, np.iinfo(dtype).max)
    image = np.random.default_rng(seed).integers(0, high, (rows, columns), dtype=dtype, endpoint=True)
    np.testing.assert_array_equal(array_from_channel(channel(bslz4(image), image.shape, dtype)), image)


def test_a_block_that_compresses_to_its_own_length_is_not_taken_for_a_raw_one() -> None:
    rng = np.random.default_rng(0)
    for n_zeros in range(1, 200):
        image = rng.integers(0, 2**32, 2048, dtype=np.uint32).view(np.uint8)
        image[:n_zeros] = 0
        shuffled = image.tobytes()
        block = imagecodecs.lz4_encode(shuffled)
        if len(block) == 8192:
            break
    else:
        pytest.fail("no such block among these")
    blob = struct.pack(">QII", 8192, 8192, len(block)) + block
    wanted = np.frombuffer(imagecodecs.bitshuffle_decode(shuffled, itemsize=4, blocksize=2048), np.uint32).reshape(32, 64)
    np.testing.assert_array_equal(from_bslz4(blob, (32, 64), "<u4"), wanted)
    np.testing.assert_array_equal(array_from_channel(channel(blob, (32, 64))), wanted)


def test_other_encodings_and_orders_decode() -> None:
    image = np.arange(600, dtype=">u2").reshape(20, 30)
    little = image.astype("<u2")
    for blob, encoding, dtype in (
        (image.tobytes(), "raw", ">u2"),
        (little.tobytes(), "raw", "<u2"),
        (imagecodecs.lz4h5_encode(little.tobytes(), blocksize=512), "lz4-h5", "<u2"),
        (imagecodecs.lz4_encode(little.tobytes()), "lz4", "<u2"),
    ):
        array = array_from_channel(channel(blob, (20, 30), dtype, encoding=encoding))
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, image)
    by_columns = channel(little.T.tobytes(), (20, 30), "<u2", encoding="raw", is_column_major=True)
    np.testing.assert_array_equal(array_from_channel(by_columns), image)


def test_a_header_of_zeros_stands_for_the_announced_size() -> None:
    image = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    blob = bytes(12) + bslz4(image)[12:]
    np.testing.assert_array_equal(array_from_channel(channel(blob, (40, 50), "<u2")), image)


GOOD = bslz4(np.random.default_rng(3).poisson(3, (61, 83)).astype(np.uint32))


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_a_damaged_blob_is_refused_or_gives_the_announced_shape(position: int, value: int, cut: int) -> None:
    damaged = bytearray(GOOD)
    damaged[position] = value
    for blob in (bytes(damaged), GOOD[:cut], bytes(damaged[:cut])):
        try:
            array = array_from_channel(channel(blob, (61, 83)))
        except WireError:
            continue
        assert array.shape == (61, 83)
        counts = counts_from_channel(channel(blob, (61, 83)))
        most = np.iinfo(counts.dtype).max
        np.testing.assert_array_equal(counts, np.where(array == 2**32 - 1, most, array))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_block_of_narrow_counts_is_read_to_its_last_byte_however_it_was_packed(data: st.DataObject) -> None:
    """Runs of any length and distance, literals of any length, an end that does not repeat."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n, period = 8 * data.draw(st.integers(1, 300)), data.draw(st.integers(1, 200))
    image = np.tile(rng.poisson(data.draw(st.sampled_from([0.01, 1.0, 30.0])), period), n // period + 1)[:n].astype(np.uint32)
    image[rng.integers(0, n, data.draw(st.integers(0, 9)))] = data.draw(st.sampled_from([0, 254, 2**32 - 1]))
    is_wide = data.draw(st.booleans())
    if is_wide:
        image[data.draw(st.sampled_from([0, n // 2, n - 1]))] = data.draw(st.sampled_from([255, 2**31, 2**32 - 2]))
    counts = counts_from_channel(channel(bslz4(image.reshape(8, -1)), (8, n // 8)))
    most = np.iinfo(counts.dtype).max
    assert (counts.dtype == np.uint8) != is_wide
    np.testing.assert_array_equal(counts.reshape(-1), np.where(image == 2**32 - 1, most, image))


def test_counts_of_eight_bits_are_unpacked_in_one_go_and_others_are_not() -> None:
    image = np.random.default_rng(1).poisson(20, (64, 64)).astype(np.uint32)
    for value, is_narrow in ((0, True), (254, True), (255, False), (2**32 - 1, True)):
        image[5, 5] = value
        counts = np.empty(image.size, np.uint8)
        blob = np.frombuffer(bslz4(image), np.uint8)[12:]
        assert unpack_narrow(blob, counts, n_bits=32, block_bytes=8192) is is_narrow
        assert not unpack_narrow(blob[:-1], counts, n_bits=32, block_bytes=8192)


def test_a_block_that_holds_too_little_is_refused_and_shows_nothing_of_an_earlier_image() -> None:
    image = np.full((64, 64), 12345, dtype=np.uint32)
    array_from_channel(channel(bslz4(image), image.shape))
    blocks = [imagecodecs.lz4_encode(bytes(n)) for n in (8192, 100)]
    blob = struct.pack(">QI", image.nbytes, 8192) + b"".join(struct.pack(">I", len(block)) + block for block in blocks)
    with pytest.raises(WireError, match="hold 8292 bytes, 16384 are needed"):
        array_from_channel(channel(blob, image.shape))


@pytest.mark.parametrize(
    ("blob", "changes", "complaint"),
    [
        (GOOD[:-1], {}, "do not add up"),
        (GOOD + b"x", {}, "do not add up"),
        (b"", {}, "shorter than its header"),
        (struct.pack(">QI", 2**50, 8192) + GOOD[12:], {}, "header says"),
        (struct.pack(">QI", 61 * 83 * 4, 2**31) + GOOD[12:], {}, "larger than the limit"),
        (struct.pack(">QI", 61 * 83 * 4, 8190) + GOOD[12:], {}, "multiple of eight"),
        (GOOD, {"element_size": 2}, "2-byte elements cannot hold"),
        (GOOD, {"shape": (61, 84)}, "header says"),
        (b"abc", {"encoding": "raw"}, "holds 3 bytes"),
        (b"abc", {"encoding": "lz4"}, "cannot be decoded"),
        (GOOD[:12] + b"\xff" * 40, {"encoding": "lz4-h5"}, "cannot be decoded"),
    ],
)
def test_a_wrong_blob_is_refused_with_a_reason(blob: bytes, changes: dict[str, object], complaint: str) -> None:
    shape = changes.pop("shape", (61, 83))
    with pytest.raises(WireError, match=complaint):
        array_from_channel(channel(blob, shape, **changes))  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 120),
    dtype=st.sampled_from(["<u2", "<u4"]),
    top=st.sampled_from([0, 3, 254, 255, 256, 65534, 65535, 65536, 2**32 - 1]),
    n_wide=st.integers(0, 3),
    n_masked=st.integers(0, 40),
    seed=st.integers(0, 2**32),
)
def test_counts_are_narrowed_only_where_nothing_is_lost(
    rows: int, columns: int, dtype: str, top: int, n_wide: int, n_masked: int, seed: int
) -> None:
    rng, masked = np.random.default_rng(seed), np.iinfo(dtype).max
    image = rng.poisson(2.0, (rows, columns)).astype(dtype)
    image.flat[rng.integers(0, image.size, n_masked)] = masked
    image.flat[rng.integers(0, image.size, n_wide)] = min(top, masked)
    counts = counts_from_channel(channel(bslz4(image), image.shape, dtype))
    assert counts.shape == image.shape
    np.testing.assert_array_equal(counts == np.iinfo(counts.dtype).max, image == masked)
    np.testing.assert_array_equal(counts[image < masked], image[image < masked])
    largest = image[image < masked].max(initial=0)
    assert counts.dtype.itemsize == min(np.dtype(dtype).itemsize, 1 if largest < 255 else 2 if largest < 65535 else 4)


def test_a_real_image_of_counts_narrows_to_the_same_numbers(data_folder: Path) -> None:
    blob = (data_folder / "tickit-devices" / "frame_sample").read_bytes()
    found = channel(blob, (4362, 4148), "<u2")
    counts, wide = counts_from_channel(found), array_from_channel(found)
    np.testing.assert_array_equal(counts == np.iinfo(counts.dtype).max, wide == 65535)
    np.testing.assert_array_equal(counts[wide < 65535], wide[wide < 65535])
