"""Maps in other programs' hands: what is read back is what was measured, to the last bit."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from operando.cli import main
from viewer.export import axes_mm, write_csv, write_tiff
from viewer.sample import write_sample
from viewer.scan_file import ScanFile, read_scan


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.nxs"
    write_sample(path)
    return path


@pytest.fixture(scope="module")
def scan(archive) -> ScanFile:
    return read_scan(archive)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[object, str]:
    """Type a command; give its exit code and what it complained of, which must be one line."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    errors = capsys.readouterr().err.strip()
    assert len(errors.splitlines()) == 1, errors
    return end.value.code, errors


def test_a_table_gives_every_number_back(scan, tmp_path):
    shown = scan.maps_named("x_lithium")[0]
    write_csv(tmp_path / "x.csv", shown, scan.cell)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    rows = list(csv.DictReader(lines[len(head) :]))
    for name in ("value", "sigma", "reason"):
        column = np.array([float(row[name]) for row in rows], dtype=np.float32)
        np.testing.assert_array_equal(column.reshape(shown.arrays["value"].shape), shown.arrays[name])
    x_mm, y_mm = axes_mm(shown)
    np.testing.assert_allclose([float(row["x_mm"]) for row in rows[: len(x_mm)]], x_mm, atol=1e-9)
    np.testing.assert_allclose([float(row["y_mm"]) for row in rows[:: len(x_mm)]], y_mm, atol=1e-9)
    assert "# unit of value and sigma: 1" in head
    assert '# reason: {"0": "good", "1": "nothing of it here", "2": "not measured yet"}' in head
    assert any(line.startswith("# voltage in the middle of the scan: 3.9") for line in head)


def test_a_tiff_gives_every_number_back_with_its_scale(scan, tmp_path):
    shown = scan.maps_named("wt_lic6")[0]
    write_tiff(tmp_path / "lic6.tif", shown, scan.cell)
    with tifffile.TiffFile(tmp_path / "lic6.tif") as file:
        channels, words, page = file.asarray(), file.imagej_metadata, file.pages[0]
        per_mm = page.tags["XResolution"].value
    assert channels.dtype == np.float32
    for name, channel in zip(("value", "sigma", "reason"), channels, strict=True):
        np.testing.assert_array_equal(channel[::-1], shown.arrays[name])
    assert words["unit"] == "mm"
    assert words["Labels"] == ["value", "sigma", "reason"]
    assert words["Ranges"][:2] == (0.0, 100.0)
    assert per_mm[0] / per_mm[1] == pytest.approx(1 / shown.message.pixel_mm)
    # In ImageJ a point's coordinate is (pixel - origin) / resolution: the middle of the phantom is the rotation axis.
    assert words["xorigin"] == pytest.approx(30)
    assert words["yorigin"] == pytest.approx(30)
    assert "unit of value and sigma = wt%" in words["Info"]


def test_the_command_writes_what_it_says(archive, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["export", str(archive), "--map", "x_lithium", "--csv", str(tmp_path / "a"), "--tiff", str(tmp_path / "b")])
    assert end.value.code == 0
    written = [Path(line) for line in capsys.readouterr().out.split()]
    assert written == [tmp_path / "a" / "x_lithium.csv", tmp_path / "b" / "x_lithium.tif"]
    assert all(path.stat().st_size > 1000 for path in written)


def test_all_maps_are_written_when_none_is_named(archive, scan, tmp_path):
    with pytest.raises(SystemExit):
        main(["export", str(archive), "--csv", str(tmp_path)])
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(scan.names)


def test_what_cannot_be_exported_is_one_sentence(archive, tmp_path, capsys):
    cut = tmp_path / "cut.nxs"
    cut.write_bytes(archive.read_bytes()[:3000])
    assert refusal(capsys, "export", cut, "--csv", tmp_path) == (
        65,
        f"operando: {cut} is no archive of operando, or it is damaged: Unable to synchronously open file (truncated file: "
        f"eof = 3000, sblock->base_addr = 0, stored_eof = {archive.stat().st_size})",
    )
    code, words = refusal(capsys, "export", archive, "--map", "gold", "--csv", tmp_path)
    assert (code, "holds no map 'gold'; it holds x_lithium, wt_cu" in words) == (66, True)
    code, words = refusal(capsys, "export", archive, "--csv", cut / "below")
    assert (code, "choose a folder that you may write to" in words) == (73, True)
    assert refusal(capsys, "export", archive)[0] == 66
    assert refusal(capsys, "figure", tmp_path / "absent.nxs", "-o", tmp_path / "f.png")[0] == 66
    assert refusal(capsys, "figure", archive, "-o", tmp_path / "f.gif")[0] == 73


def test_an_archive_that_contradicts_itself_is_refused(archive, tmp_path, capsys):
    path = tmp_path / "odd.nxs"
    path.write_bytes(archive.read_bytes())
    with h5py.File(path, "a") as file:
        del file["entry/wt_nmc/value_errors"]
        file["entry/wt_nmc/value_errors"] = np.zeros((3, 3), "f4")
    code, words = refusal(capsys, "export", path, "--csv", tmp_path)
    assert (code, "contradicts itself: map 'wt_nmc' has shape (61, 61), its sigma (3, 3)" in words) == (65, True)
