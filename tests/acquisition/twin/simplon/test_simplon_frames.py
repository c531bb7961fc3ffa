"""Frames from files become unsigned counts with masked pixels at the maximum, or a clear refusal."""

from pathlib import Path

import fabio
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from acquisition.twin.simplon.file_frames import FileFrames
from acquisition.twin.simplon.frames import MASKED, Masked, counts_from_image
from acquisition.twin.simplon.pilatus import DEAD, GAP, pilatus_mask
from operando.errors import DataError, MissingInputError


@given(arrays.arrays(np.int32, (4, 5)))
def test_negative_counts_are_masked_and_all_others_kept(image):
    counts = counts_from_image(image, origin="an image")
    assert np.array_equal(counts == MASKED, image < 0)
    assert np.array_equal(counts[image >= 0], image[image >= 0])


@given(arrays.arrays(st.sampled_from([np.dtype("u1"), np.dtype("u2"), np.dtype("u4")]), (3, 4)))
def test_the_maximum_of_an_unsigned_type_becomes_the_maximum_of_32_bits(image):
    counts = counts_from_image(image, origin="an image")
    top = np.iinfo(image.dtype).max
    assert np.array_equal(counts == MASKED, image == top)
    assert np.array_equal(counts[image != top], image[image != top])


@pytest.mark.parametrize(
    "image",
    [np.full((2, 2), 0.5), np.full((2, 2), 1e12), np.zeros((2, 2, 2), int), np.zeros((2, 2), complex), np.full((2, 2), 2**33)],
)
def test_what_is_no_frame_of_counts_is_refused(image):
    with pytest.raises(DataError, match=r"picture\.tif"):
        counts_from_image(image, origin="picture.tif")


def test_whole_numbers_in_floats_are_counts_and_nan_is_masked():
    counts = counts_from_image(np.array([[3.0, np.nan], [-1.0, 7.0]]), origin="an image")
    assert counts.tolist() == [[3, MASKED], [MASKED, 7]]


def test_images_of_several_files_come_in_turn_and_again(tmp_path: Path):
    for number in range(2):
        fabio.cbfimage.CbfImage(data=np.full((4, 6), number, np.int32)).write(str(tmp_path / f"{number}.cbf"))
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["entry/data"] = np.arange(2, 5, dtype=np.uint16)[:, None, None] * np.ones((1, 4, 6), np.uint16)
    frames = FileFrames([tmp_path / "0.cbf", tmp_path / "1.cbf", tmp_path / "stack.h5"])
    assert [int(frames.frame(None, image_id)[0, 0]) for image_id in range(7)] == [0, 1, 2, 3, 4, 0, 1]
    assert frames.frame(None, 3) is frames.frame(None, 8)


def test_a_real_module_file_is_served(data_folder: Path):
    frames = FileFrames([data_folder / "Dioptas" / "testasapo1_1009_00002_m1_part00000.nxs"])
    assert (len(frames), frames.shape) == (10, (516, 1554))


def test_absent_foreign_and_mixed_files_are_refused(tmp_path: Path):
    with pytest.raises(MissingInputError, match="nowhere"):
        FileFrames([tmp_path / "nowhere.cbf"])
    (tmp_path / "text.cbf").write_text("this is no image")
    with pytest.raises(DataError, match=r"text\.cbf"):
        FileFrames([tmp_path / "text.cbf"])
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(DataError, match="0 stacks"):
        FileFrames([tmp_path / "table.h5"])
    for name, shape in (("a.cbf", (4, 6)), ("b.cbf", (5, 6))):
        fabio.cbfimage.CbfImage(data=np.zeros(shape, np.int32)).write(str(tmp_path / name))
    with pytest.raises(DataError, match="shape"):
        FileFrames([tmp_path / "a.cbf", tmp_path / "b.cbf"]).frame(None, 1)


def test_the_mask_shows_in_every_frame_and_a_masked_frame_is_left_alone():
    class Zeros:
        def frame(self, pulse, image_id):
            return np.zeros((2, 3), np.uint32)

    mask = np.array([[0, GAP, 0], [DEAD, 0, 0]], np.uint32)
    source = Masked(Zeros(), mask)
    assert (source.frame(None, 0) == MASKED).tolist() == (mask != 0).tolist()
    done = source.frame(None, 0)

    class Done:
        def frame(self, pulse, image_id):
            return done

    assert Masked(Done(), mask).frame(None, 0) is done


def test_a_frame_of_another_shape_than_the_detector_is_refused():
    class Wide:
        def frame(self, pulse, image_id):
            return np.zeros((2, 4), np.uint32)

    with pytest.raises(DataError, match="check the source"):
        Masked(Wide(), np.zeros((2, 3), np.uint32)).frame(None, 0)


def test_the_pilatus_has_the_gaps_of_the_real_one(data_folder: Path):
    mask = pilatus_mask()
    real = fabio.open(str(data_folder / "nDTomo" / "CeO2.cbf")).data
    assert mask.shape == real.shape == (1679, 1475)
    assert np.count_nonzero(mask == DEAD) == np.count_nonzero(real == -2)
    assert np.count_nonzero((mask == GAP) != (real == -1)) <= 60  # The real one has a few bad pixels flagged inside its seams.
