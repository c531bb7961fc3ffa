"""HDF5 files of many images, whole and growing, in the ways of LImA, areaDetector and the real Lambda file."""

import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from numpy.typing import NDArray

from operando.errors import DataError
from streaming.bslz4 import array_from_channel
from streaming.sources.frame_file import FileFrame, UnfinishedFileError
from streaming.sources.hdf5 import Hdf5Files

SHAPE = (31, 43)
BSLZ4 = hdf5plugin.Bitshuffle(cname="lz4")


def images(n: int, dtype: Any = np.uint32) -> NDArray[Any]:
    return np.random.default_rng(4).poisson(300, (n, *SHAPE)).astype(dtype)


def read_all(files: Hdf5Files, path: Path) -> list[FileFrame]:
    found: list[FileFrame] = []
    while True:
        frames = files.read(path, skip=len(found)).frames
        if not frames:
            return found
        found += frames


def decoded(frames: list[FileFrame]) -> NDArray[Any]:
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return np.stack([array_from_channel(frame.channel) for frame in frames])


def age(path: Path) -> None:
    """Make a file look as if it had been closed long ago."""
    os.utime(path, (1e9, 1e9))


def test_real_lambda_file_gives_its_images_with_gaps_masked(data_folder: Path) -> None:
    path = data_folder / "Dioptas/testasapo1_1009_00002_m1_part00000.nxs"
    frames = read_all(Hdf5Files(shape=(516, 1554), dataset="entry/instrument/detector/data"), path)
    with h5py.File(path, "r") as file:
        wanted = file["entry/instrument/detector/data"][()]
    found = decoded(frames)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, np.where(wanted < 0, 65535, wanted.astype(np.int32)))


def test_dataset_of_the_detectors_shape_is_found_among_others(data_folder: Path) -> None:
    path = data_folder / "Dioptas/testasapo1_1009_00002_m1_part00000.nxs"
    assert len(read_all(Hdf5Files(shape=(516, 1554)), path)) == 10
    with pytest.raises(DataError, match=r"no dataset of 10 x 10 pixels, but .*data \(10, 516, 1554\)"):
        Hdf5Files(shape=(10, 10)).read(path, skip=0)


@pytest.mark.parametrize(
    ("dataset", "dtype", "encoding", "options"),
    [
        ("entry_0000/measurement/data", np.uint32, "bslz4", BSLZ4),
        ("entry_0000/measurement/data", np.uint16, "bslz4", BSLZ4),
        ("entry/data/data", np.uint16, "raw", {"compression": "gzip"}),
        ("entry/data/data", np.int32, "raw", BSLZ4),
        ("entry/data/data", np.uint32, "raw", hdf5plugin.LZ4()),
        ("entry/data/data", np.uint8, "raw", {}),
    ],
)
def test_closed_files_of_any_compression_give_their_images(
    tmp_path: Path, dataset: str, dtype: Any, encoding: str, options: Any
) -> None:
    path, wanted = tmp_path / "closed.h5", images(20, dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset(dataset, data=wanted, chunks=(1, *SHAPE), **options)
    age(path)
    frames = read_all(Hdf5Files(shape=SHAPE), path)
    assert {frame.channel.encoding for frame in frames} == {encoding}
    np.testing.assert_array_equal(decoded(frames), wanted)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_growing_file_gives_each_image_when_it_is_written(tmp_path: Path, libver: str) -> None:
    path, wanted = tmp_path / "growing.h5", images(6)
    files, found = Hdf5Files(shape=SHAPE), list[FileFrame]()
    with pytest.raises(UnfinishedFileError):
        files.read(path, skip=0)
    with h5py.File(path, "w", libver=libver, locking=False) as file:
        data = file.create_dataset(
            "entry/data/data", (0, *SHAPE), maxshape=(None, *SHAPE), chunks=(1, *SHAPE), dtype=np.uint32, **BSLZ4
        )
        if libver == "latest":
            file.swmr_mode = True
        for k, image in enumerate(wanted):
            data.resize(k + 1, axis=0)
            data[k] = image
            data.flush()
            found += files.read(path, skip=len(found)).frames
            assert len(found) == k + 1
    np.testing.assert_array_equal(decoded(found), wanted)


def test_room_that_was_made_for_images_is_not_taken_for_images(tmp_path: Path) -> None:
    path, wanted = tmp_path / "room.h5", images(3)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (10, *SHAPE), chunks=(1, *SHAPE), dtype=np.uint32, **BSLZ4)
        data[:3] = wanted
    frames = Hdf5Files(shape=SHAPE).read(path, skip=0).frames
    np.testing.assert_array_equal(decoded(frames), wanted)
    with pytest.raises(UnfinishedFileError, match="image 3 is not written yet"):
        Hdf5Files(shape=SHAPE).read(path, skip=3)


def test_uncompressed_images_wait_until_the_file_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=images(2))
    with pytest.raises(UnfinishedFileError, match="still changing"):
        Hdf5Files(shape=SHAPE).read(path, skip=0)
    age(path)
    assert len(Hdf5Files(shape=SHAPE).read(path, skip=0).frames) == 2


def test_torn_file_is_not_finished(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.h5", tmp_path / "torn.h5"
    with h5py.File(whole, "w") as file:
        file.create_dataset("data", data=images(5), chunks=(1, *SHAPE), **BSLZ4)
    content = whole.read_bytes()
    for n_bytes in (0, 10, 1000, len(content) // 2, len(content) - 1):
        torn.write_bytes(content[:n_bytes])
        with pytest.raises(UnfinishedFileError):
            Hdf5Files(shape=SHAPE).read(torn, skip=0)


def test_two_datasets_of_images_must_be_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        for name in ("low", "high"):
            file.create_dataset(name, data=images(1), chunks=(1, *SHAPE), **BSLZ4)
    with pytest.raises(DataError, match=r"several .*set detector\.folder\.dataset"):
        Hdf5Files(shape=SHAPE).read(path, skip=0)
    assert len(Hdf5Files(shape=SHAPE, dataset="low").read(path, skip=0).frames) == 1
