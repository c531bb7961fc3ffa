"""CBF files: the real one and fabio's own, against fabio; nothing that is not whole is taken."""

from pathlib import Path

import fabio
import numpy as np
import pytest
from fabio.cbfimage import CbfImage
from fabio.compression import compByteOffset
from hypothesis import given
from hypothesis import strategies as st

from operando.errors import DataError, WireError
from streaming.bslz4 import array_from_channel
from streaming.byte_offset import decode_byte_offset_into
from streaming.sources.cbf import frame_from_cbf
from streaming.sources.frame_file import UnfinishedFileError

MASKED = 0xFFFFFFFF


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file as fabio writes it."""
    rng = np.random.default_rng(2)
    image = rng.poisson(20, (30, 41)).astype(np.int32)
    image[5, 6:9] = -1, -2, 1_000_000
    path = tmp_path_factory.mktemp("cbf") / "small.cbf"
    CbfImage(data=image).write(str(path))
    return path.read_bytes()


def test_real_pilatus_file_is_what_fabio_reads(data_folder: Path) -> None:
    path = data_folder / "nDTomo/CeO2.cbf"
    frame = frame_from_cbf(path.read_bytes())
    image = array_from_channel(frame.channel)
    with fabio.open(str(path)) as file:
        wanted = file.data
    assert frame.facts.shape == (1679, 1475)
    np.testing.assert_array_equal(image[wanted >= 0], wanted[wanted >= 0])
    assert (image[wanted < 0] == MASKED).all()


@given(st.lists(st.integers(-3, 2**31 - 1), min_size=1, max_size=300))
def test_any_counts_come_back_from_fabios_compression(counts: list[int]) -> None:
    values = np.array(counts, dtype=np.int64)
    # Differences of more than 31 bits take eight bytes, which no detector's counts need.
    values = np.clip(values, -3, 2**30)
    flat = np.empty(len(counts), dtype=np.uint32)
    decode_byte_offset_into(flat, compByteOffset(values.astype(np.int32)))
    np.testing.assert_array_equal(flat, np.where(values < 0, MASKED, values))


def test_blob_of_another_length_is_refused(written: bytes) -> None:
    blob = frame_from_cbf(written).channel.blob
    for wrong in (blob[:-1], blob + b"\0"):
        with pytest.raises(WireError, match="does not hold 1230 values"):
            decode_byte_offset_into(np.empty(30 * 41, dtype=np.uint32), wrong)


def test_no_beginning_of_a_file_is_taken_for_it(written: bytes) -> None:
    end = written.rindex(b"--CIF-BINARY-FORMAT-SECTION----") + len(b"--CIF-BINARY-FORMAT-SECTION----")
    for n_bytes in range(end):
        with pytest.raises(UnfinishedFileError):
            frame_from_cbf(written[:n_bytes])
    assert array_from_channel(frame_from_cbf(written[:end]).channel)[5, 8] == 1_000_000


@given(data=st.data())
def test_no_file_with_bytes_that_are_not_there_yet_is_taken(written: bytes, data: st.DataObject) -> None:
    start = written.index(b"\x0c\x1a\x04\xd5") + 4
    first = data.draw(st.integers(start, start + 1000))
    last = data.draw(st.integers(first + 1, start + 1100))
    holed = written[:first] + b"\0" * (last - first) + written[last:]
    if holed == written:
        return
    with pytest.raises(UnfinishedFileError):
        frame_from_cbf(holed)


def test_pixel_size_and_wavelength_of_a_pilatus_header_are_read(written: bytes) -> None:
    words = b"# Detector: PILATUS3 X CdTe 2M\r\n# Pixel_size 172e-6 m x 173e-6 m\r\n# Wavelength 0.1197915 A\r\n"
    facts = frame_from_cbf(written.replace(b"_array_data.data", words + b"_array_data.data")).facts
    assert facts.pixel_m == (173e-6, 172e-6)
    assert facts.energy_ev == pytest.approx(103_500, rel=1e-4)
    assert facts.description == "PILATUS3 X CdTe 2M"


@pytest.mark.parametrize("content", [b"\x89HDF\r\n\x1a\n" + b"x" * 100, b"P5 10 10"])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="does not begin as a CBF file does"):
        frame_from_cbf(content)
