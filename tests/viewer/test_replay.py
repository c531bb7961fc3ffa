"""A file gives the same picture as the feed did, or one sentence on why not."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from npe2 import PluginManifest

from operando.errors import DataError, MissingInputError
from operando.messages import MapPublished, PatternPublished, ScanProgress, SinogramPublished
from viewer.freshness import Level, freshness
from viewer.plugin import get_reader, read_maps
from viewer.replay import archives_in, entries_from_archive, entries_from_archives, names_apart
from viewer.sample import write_sample
from viewer.session import Session
from viewer.words import voxel_text

N = 21


def value() -> np.ndarray:
    x = np.linspace(0, 1, N * N, dtype="f4").reshape(N, N)
    x[0, 0] = np.nan
    return x


@pytest.fixture
def archive(tmp_path) -> Path:
    """A scan.nxs as the analysis lays it out."""
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["default"] = "x_lithium"
        entry["run"], entry["state"] = "run-0001", "finished"
        entry["start_time"], entry["end_time"] = "2026-01-01T10:00:00+00:00", "2026-01-01T10:02:00+00:00"
        entry["n_lines"], entry["n_lines_expected"], entry["rotation_centre"] = 4, 4, 0.02
        for name, unit, colormap in [("coverage", "%", "gray"), ("wt_nmc", "wt%", "viridis"), ("x_lithium", "", "lixc6")]:
            group = entry.create_group(name)
            group.attrs.update({"label": name, "low": 0.0, "high": 1.0, "colormap": colormap, "estimator": "live"})
            group["x"] = group["y"] = 0.1 * (np.arange(N) - N // 2)
            group["value"], group["value_errors"] = value(), np.full((N, N), 0.02, "f4")
            group["value"].attrs["units"] = unit
            group["reason"] = np.isnan(value()).astype("u1")
            group["reason"].attrs["meaning"] = '{"1": "nothing of it here"}'
        sinogram = entry.create_group("sinogram")
        sinogram.attrs.update({"signal": "mass", "title": "mass along the beam"})
        sinogram["angle"], sinogram["position"] = [0.0, 90.0, 45.0, 135.0], 0.1 * np.arange(N)
        sinogram["mass"] = np.ones((4, N), "f4")
        pattern = entry.create_group("mean_pattern")
        pattern["q"], pattern["intensity"], pattern["fit"] = np.linspace(1, 6, 50), np.ones(50, "f4"), np.ones(50, "f4")
        lines = entry.create_group("lines")
        lines["n_points"], lines["n_missing"], lines["attempt"] = [N] * 4, [0, 2, 0, 0], [0, 1, 0, 0]
        cell = entry.create_group("cell")
        cell["time"] = 1767261600.0 + 30 * np.arange(4)
        cell["voltage"], cell["current"] = [3.7, 3.71, np.nan, 3.73], [1.0] * 4
        cell["charge"] = cell["temperature"] = [np.nan] * 4
        cell["step"] = ["CC_Chg"] * 4
    return path


def test_a_file_fills_the_session_as_the_feed_did(archive):
    session = Session()
    for entry in entries_from_archive(archive):
        session.apply(entry)
    assert session.n_refused == 0
    assert list(session.tomogram.maps) == ["x_lithium", "wt_nmc", "coverage"]
    shown = session.tomogram.maps["x_lithium"]
    np.testing.assert_array_equal(shown.arrays["value"], value())
    assert shown.message.pixel_mm == pytest.approx(0.1)
    assert shown.message.cell is not None
    assert shown.message.cell.voltage_v == 3.73
    assert len(session.readings) == 4
    assert np.isnan(session.readings.voltage_v[2])
    assert session.tomogram.progress is not None
    assert session.tomogram.progress.frames_missing == 2
    assert session.tomogram.progress.attempts == 5
    assert freshness(session, None).level is Level.ENDED
    assert "none (nothing of it here)" in voxel_text(session.shown, "x_lithium", x_mm=-1.0, y_mm=-1.0)


def test_every_kind_of_panel_finds_its_message_in_a_file(archive):
    kinds = {type(entry.message) for entry in entries_from_archive(archive)}
    assert {MapPublished, SinogramPublished, PatternPublished, ScanProgress} <= kinds


def test_a_file_that_is_no_archive_is_one_sentence(tmp_path, archive):
    with pytest.raises(MissingInputError, match="no file"):
        entries_from_archive(tmp_path / "absent.nxs")
    text = tmp_path / "text.nxs"
    text.write_text("hello")
    with pytest.raises(DataError, match="no archive of operando, or it is damaged"):
        entries_from_archive(text)
    cut = tmp_path / "cut.nxs"
    cut.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(DataError, match="damaged"):
        entries_from_archive(cut)
    with h5py.File(archive, "a") as file:
        for name in ("x_lithium", "wt_nmc", "coverage"):
            del file["entry"][name]
    with pytest.raises(DataError, match="holds no map"):
        entries_from_archive(archive)


def test_the_reader_of_the_plugin_gives_layers_in_millimetres_and_leaves_other_files_alone(archive, tmp_path):
    (tmp_path / "other.nxs").write_text("hello")
    assert get_reader(str(tmp_path / "other.nxs")) is None
    reader = get_reader(str(archive))
    assert reader is read_maps
    layers = reader(str(archive))
    assert [keywords["name"] for _, keywords, _ in layers] == ["coverage (%)", "wt_nmc (wt%)", "x_lithium"]
    assert [keywords["visible"] for _, keywords, _ in layers] == [False, False, True]
    data, keywords, kind = layers[-1]
    assert kind == "image"
    np.testing.assert_array_equal(data, value())
    np.testing.assert_allclose(keywords["scale"], (-0.1, 0.1))


@pytest.mark.parametrize(
    ("here", "there", "names"),
    [
        (["/a/run/pristine.nxs"], ["/a/run/aged.nxs"], ("pristine", "aged")),
        (["/a/run-1/scan.nxs"], ["/a/run-2/scan.nxs"], ("run-1", "run-2")),
        (["/a/x/demo/scan.nxs"], ["/a/y/demo/scan.nxs"], ("x/demo", "y/demo")),
        (["/a/run-1/scan-a.nxs", "/a/run-1/scan.nxs"], ["/a/run-1/scan-a.nxs"], ("run-1", "scan-a")),
        (["/a/scan.nxs"], ["/a/scan.nxs"], ("a", "a")),
        ([], ["/a/aged.nxs"], ("", "aged")),
    ],
)
def test_two_sets_of_files_get_the_shortest_names_that_differ(here, there, names):
    assert names_apart([Path(one) for one in here], [Path(one) for one in there]) == names


def test_the_archives_of_a_folder_are_one_feed_the_earliest_scan_first(archive, tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for name, charge, start_s in (("scan", 0.9, 3000.0), ("scan-a", 0.5, 2000.0), ("scan-b", 0.1, 1000.0)):
        write_sample(folder / f"{name}.nxs", charge=charge, start_s=start_s, run=name)
    session = Session()
    for entry in entries_from_archives(archives_in(folder)):
        session.apply(entry)
    assert [scan.run for scan in session.scans] == ["scan-b", "scan-a", "scan"]
    assert session.n_refused == 0
    with pytest.raises(MissingInputError, match=r"no scan\.nxs"):
        archives_in(tmp_path / "nothing")


def test_the_manifest_names_things_that_exist():
    manifest = PluginManifest.from_file(Path(__file__).parents[2] / "viewer" / "napari.yaml")
    manifest.validate_imports()
    assert manifest.contributions.readers
