"""The whole loop as a user starts it: seven processes, a real window on a virtual screen, an archive and a summary."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from operando.cli.summary import frames_in_archive
from operando.profile import read_profile, write_profile

N_LINES, N_POINTS = 12, 13


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a small demo leaves."""
    folder = tmp_path_factory.mktemp("demo")
    profile = read_profile("demo")
    scan = profile.scan.model_copy(update={"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": 0.4, "interlaces": 2})
    # The simulated detector's mixing is known; to look for it takes seconds.
    refinement = profile.refinement.model_copy(update={"lorentz_fraction": 0.1})
    (folder / "small").mkdir()
    write_profile(profile.model_copy(update={"scan": scan, "refinement": refinement}), folder / "small" / "profile.toml")
    command = [
        sys.executable,
        "-m",
        "operando",
        "demo",
        "--headless",
        "--profile",
        str(folder / "small"),
        "--out",
        str(folder / "out"),
    ]
    without_screen = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    result = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=without_screen, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr + _logs(folder / "out" / "logs")
    return folder / "out"


def _logs(folder: Path) -> str:
    return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(folder.glob("*.log")))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_frame_that_the_detector_sent_is_in_the_archive(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text())
    assert summary["frames_sent"] == summary["frames_received"] == N_LINES * N_POINTS
    assert summary["missing_ids"] == []
    assert summary["frames_duplicated"] == 0
    assert summary["lines"] == summary["attempts"] == N_LINES


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_lithium_is_that_of_the_sample(demo: Path) -> None:
    truth = json.loads((demo / "summary.json").read_text())["truth"]["maps"]
    assert truth["x_lithium"]["n_voxels"] > 5
    assert truth["x_lithium"]["rms"] < 0.15


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_archive_opens_on_the_lithium_map_and_holds_the_state_of_the_real_cell(demo: Path) -> None:
    with h5py.File(demo / "scan.nxs", "r") as file:
        default = file[file.attrs["default"]]
        assert default.attrs["default"] == "x_lithium"
        voltage = file["entry/cell/voltage"][()]
        assert voltage.size >= 2
        assert ((voltage > 2.4) & (voltage < 4.3)).all()
        assert file["entry/patterns/mean"].shape[:2] == (N_LINES, N_POINTS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_picture_of_the_window_shows_red_lithium_on_white(demo: Path) -> None:
    with Image.open(demo / "monitor.png") as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    assert np.count_nonzero((red > 150) & (green < 60) & (blue < 60)) > 1000
    assert np.count_nonzero(np.minimum(np.minimum(red, green), blue) > 245) > 100_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_frame_taken_out_of_the_archive_is_reported_missing(demo: Path, tmp_path: Path) -> None:
    run = next((demo / "lines").iterdir())
    copy = tmp_path / "lines" / run.name
    copy.mkdir(parents=True)
    for path in run.glob("*.h5"):
        (copy / path.name).write_bytes(path.read_bytes())
    with h5py.File(sorted(copy.glob("*.h5"))[2], "r+") as file:
        file["entry/patterns/is_received"][4] = False
        expected = [int(file["entry/series"][()]), int(file["entry/first_image_id"][()]) + 4]
    found = frames_in_archive(tmp_path)
    assert found["frames_missing"] == 1
    assert [list(pair) for pair in found["missing_ids"]] == [expected]
