import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from operando.errors import DataError
from operando.messages import CellReading
from operando.scan import LineKey
from streaming.line import Line
from streaming.line_file import line_path, read_line, write_line

CELL = CellReading(time_s=5.0, voltage_v=3.7, current_a=None, cycle=2, step="CC_Chg", source="file:cell.ndax")


def a_line(*, attempt: int = 0, n_points: int = 5, n_radial: int = 40, **changes: object) -> Line:
    rng = np.random.default_rng(attempt)
    mean = rng.random((n_points, n_radial), dtype=np.float32)
    is_received = np.ones(n_points, bool)
    is_received[1::3] = False
    mean[1::3] = np.nan
    line = Line(
        key=LineKey(run="run 1", line=3, attempt=attempt),
        series=7,
        first_image_id=70_000,
        angle_deg=33.75,
        direction=-1,
        positions_mm=np.linspace(1, -1, n_points),
        positions_source="captured",
        is_received=is_received,
        q=np.linspace(1, 5, n_radial),
        mean=mean,
        trimmed=mean * np.float32(0.9),
        variance=mean * np.float32(0.1),
        ring_current_ma=199.5,
        cell=CELL,
        start_s=100.0,
        end_s=102.5,
        geometry_sha256="ab" * 32,
    )
    return dataclasses.replace(line, **changes)  # type: ignore[arg-type]


def assert_same(found: Line, wanted: Line) -> None:
    for field in dataclasses.fields(Line):
        np.testing.assert_equal(getattr(found, field.name), getattr(wanted, field.name), err_msg=field.name)


@pytest.mark.parametrize("line", [a_line(), a_line(cell=None, ring_current_ma=None), a_line(n_points=1, n_radial=3000)])
def test_a_line_reads_back_equal(tmp_path: Path, line: Line) -> None:
    assert_same(read_line(write_line(line, tmp_path)), line)


def test_the_name_is_the_key_and_an_aborted_attempt_lies_apart(tmp_path: Path) -> None:
    aborted = write_line(a_line(aborted="beam lost"), tmp_path)
    flown = write_line(a_line(attempt=1), tmp_path)
    assert aborted == tmp_path / "run_1" / "aborted" / "line-00003-attempt-00.h5"
    assert flown == tmp_path / "run_1" / "line-00003-attempt-01.h5"
    assert read_line(aborted).aborted == "beam lost"
    assert list((tmp_path / "run_1").glob("*.h5")) == [flown]


@pytest.mark.parametrize("run", ["../../etc", "/tmp/x", "..", ".hidden"])
def test_a_run_name_cannot_leave_its_folder(tmp_path: Path, run: str) -> None:
    path = line_path(LineKey(run=run, line=0, attempt=0), tmp_path).resolve()
    assert path.parent.parent == tmp_path.resolve()


def test_writing_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_line(a_line(angle_deg=1.0), tmp_path)
    path = write_line(a_line(angle_deg=2.0), tmp_path)
    assert read_line(path).angle_deg == 2.0
    assert list(path.parent.iterdir()) == [path]


def test_a_plain_reader_opens_on_the_patterns(tmp_path: Path) -> None:
    with h5py.File(write_line(a_line(), tmp_path)) as file:
        group = file[file.attrs["default"]]
        data = group[group.attrs["default"]]
        assert data[data.attrs["signal"]].shape == (5, 40)
        assert [data[axis].shape for axis in data.attrs["axes"]] == [(5,), (40,)]
        assert data["mean"].compression == "gzip"


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, keep: float) -> None:
    path = write_line(a_line(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(DataError, match=path.name):
        read_line(path)


def test_foreign_and_later_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match=r"foreign\.h5 is not a line file"):
        read_line(foreign)
    later = write_line(a_line(), tmp_path)
    with h5py.File(later, "a") as file:
        file.attrs["schema"] = 2
    with pytest.raises(DataError, match="schema 2"):
        read_line(later)


def test_a_flipped_bit_in_the_patterns_is_noticed(tmp_path: Path) -> None:
    path = write_line(a_line(n_points=50, n_radial=1000), tmp_path)
    with h5py.File(path) as file:
        chunk = file["entry/patterns/mean"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_line(path)
