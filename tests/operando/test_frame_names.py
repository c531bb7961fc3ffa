import os
from pathlib import Path

import pytest

from operando.errors import ProfileError
from operando.frame_names import GRAIN_S, FrameName, FrameNames, Listing

NAMES = FrameNames("/data/raw/*/scan_{series}/p2m_{image}.cbf")


def test_series_and_number_are_read_from_the_path() -> None:
    assert NAMES.name_of("/data/raw/night 1/scan_00012/p2m_004711.cbf") == FrameName(series=12, number=4711)
    assert NAMES.root == Path("/data/raw")


def test_relative_path_is_taken_from_its_end() -> None:
    assert NAMES.name_of("scan_00012/p2m_004711.cbf") == FrameName(series=12, number=4711)
    # Without its folder nothing tells the series.
    assert NAMES.name_of("p2m_004711.cbf") == FrameName(series=0, number=4711)


@pytest.mark.parametrize(
    "path", ["/data/raw/a/scan_1/p2m_x.cbf", "/data/raw/scan_1/p2m_1.cbf", "/else/a/scan_1/p2m_1.cbf", "p2m_1.cbf.tmp"]
)
def test_other_files_have_no_name(path: str) -> None:
    assert NAMES.name_of(path) is None


@pytest.mark.parametrize("template", ["/a/{image}_{image}.cbf", "/a/{image}/{file}.h5", "/a/{frame}.cbf"])
def test_template_that_means_nothing_is_refused(template: str) -> None:
    with pytest.raises(ProfileError, match="template"):
        FrameNames(template)


def test_files_are_found_in_the_order_of_their_folders(tmp_path: Path) -> None:
    names = FrameNames(f"{tmp_path}/scan_{{series}}/a_{{image}}.cbf")
    for series, number in [(2, 0), (1, 1), (1, 0)]:
        path = tmp_path / f"scan_{series}" / f"a_{number:03d}.cbf"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "scan_1" / ".a_002.cbf").touch()
    found = [(name.series, name.number) for name, _ in names.files(Listing())]
    assert found == [(1, 0), (1, 1), (2, 0)]


def test_file_that_comes_within_the_grain_of_the_folders_clock_is_found(tmp_path: Path) -> None:
    now = [0.0]
    listing = Listing(clock=lambda: now[0])
    names = FrameNames(f"{tmp_path}/a_{{image}}.cbf")

    def found() -> list[int]:
        return [name.number for name, _ in names.files(listing)]

    (tmp_path / "a_1.cbf").touch()
    os.utime(tmp_path, ns=(10**18, 10**18))
    assert found() == [1]
    (tmp_path / "a_2.cbf").touch()
    # The folder's clock is coarse: its time is the same as before.
    os.utime(tmp_path, ns=(10**18, 10**18))
    now[0] = 1.0
    assert found() == [1, 2]
    now[0] = GRAIN_S + 1.1
    assert found() == []
