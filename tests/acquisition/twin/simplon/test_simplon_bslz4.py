"""Packing is judged by HDF5's own filters and by the bytes of a real detector."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from acquisition.twin.simplon.bslz4 import BLOCK_BYTES, pack, pack_fresh
from tests.acquisition.twin.simplon.rig import unpacked_blob

TYPES = st.sampled_from([np.dtype(name) for name in ("u1", "<u2", "<u4", "<f4")])
SHAPES = st.one_of(arrays.array_shapes(min_dims=2, max_dims=2, max_side=120), st.tuples(st.integers(1, 9000)))


@settings(deadline=None, max_examples=60)
@given(dtype=TYPES, shape=SHAPES, top=st.sampled_from([2, 17, 256]), seed=st.integers(0, 2**32 - 1))
def test_hdf5_reads_back_every_array_whether_it_shrinks_or_not(dtype, shape, top, seed):
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.random.default_rng(seed).integers(0, top, size, dtype=np.uint8).view(dtype).reshape(shape)
    packed = pack(array, "bslz4")
    assert unpacked_blob(packed.blob, "bslz4", shape, dtype).tobytes() == array.tobytes()


@settings(deadline=None, max_examples=60)
@given(
    size=st.one_of(st.integers(1, 400), st.integers(2000, 9000)),
    mean=st.sampled_from([0.0, 0.3, 4.0, 120.0, 255.0, 3e4, 4e9]),
    masked=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_hdf5_reads_back_every_fresh_frame(size, mean, masked, seed):
    random = np.random.default_rng(seed)
    frame = random.poisson(mean, size).astype(np.uint32)
    frame[random.random(size) < masked] = 2**32 - 1
    packed = pack_fresh(frame, "bslz4")
    assert (packed.shape, packed.dtype, packed.method) == (frame.shape, np.dtype("<u4"), "bslz4")
    assert np.array_equal(unpacked_blob(packed.blob, "bslz4", frame.shape, frame.dtype), frame)


def test_a_fresh_frame_is_little_larger_than_a_searched_one():
    random = np.random.default_rng(5)
    frame = random.poisson(4.0, (300, 1475)).astype(np.uint32)
    frame[:, 487:494] = 2**32 - 1
    fresh, searched = (len(one(frame, "bslz4").blob) for one in (pack_fresh, pack))
    assert fresh != searched
    assert fresh < 1.3 * searched < 0.25 * frame.nbytes


@pytest.mark.parametrize("n_elements", [BLOCK_BYTES // 4 + 8, 3 * BLOCK_BYTES // 4 + 488 + 3])
def test_blocks_that_do_not_shrink_are_compressed_all_the_same(n_elements):
    noise = np.frombuffer(np.random.default_rng(3).bytes(4 * n_elements), dtype="<u4")
    blob = pack(noise, "bslz4").blob
    assert int.from_bytes(blob[12:16], "big") > BLOCK_BYTES
    assert np.array_equal(unpacked_blob(blob, "bslz4", noise.shape, noise.dtype), noise)


def test_plain_lz4_reads_back_by_hdf5():
    array = np.random.default_rng(1).poisson(3, (77, 131)).astype(np.uint32)
    assert np.array_equal(unpacked_blob(pack(array, "lz4").blob, "lz4", array.shape, array.dtype), array)


def test_a_view_with_strides_is_packed_by_its_values():
    array = np.arange(400, dtype=np.uint32).reshape(20, 20)[::2, ::-1]
    assert pack(array, "bslz4").blob == pack(array.copy(), "bslz4").blob


def test_a_real_eiger_frame_packs_to_the_same_bytes(data_folder: Path):
    blob = (data_folder / "tickit-devices" / "frame_sample").read_bytes()
    frame = np.frombuffer(imagecodecs.bitshuffle_decode(imagecodecs.lz4h5_decode(blob), itemsize=2, blocksize=4096), "<u2")
    assert pack(frame.reshape(4362, 4148), "bslz4").blob == blob
