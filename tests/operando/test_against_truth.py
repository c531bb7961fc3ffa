"""Runs beside the truth: each with the state that its middle met, with or without lithium."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from acquisition.twin.slice import Slice
from acquisition.twin.truth import FlownLine, Truth, Unchanging, write_truth
from operando.cli.against_truth import read_maps, runs_against_truth, scores, truths, verdict
from operando.cli.summary import add_truth

N, PIXEL_MM = 20, 0.1


class Melting:
    """A copper block of which half is gone from time 100 on."""

    def __init__(self) -> None:
        density = np.zeros((N, N, 1), dtype=np.float32)
        density[5:15, 5:15] = 8.0
        half = density.copy()
        half[:, 10:] = 0.0
        self.whole, self.half = (
            Slice(name="block", materials=("cu",), density_g_cm3=part, voxel_mm=PIXEL_MM) for part in (density, half)
        )

    def slice_at(self, time_s: float) -> Slice:
        return self.whole if time_s < 100 else self.half

    def cell_at(self, time_s: float) -> dict[str, float]:
        return {"voltage_v": 4.0 if time_s < 100 else 3.0}


def write_archive(path: Path, sample: Slice, *, start_s: float) -> None:
    """Write what an analysis would that finds this sample in a run of 50 s."""
    axis = sample.axis_mm
    with h5py.File(path, "w") as file:
        amounts = file.create_group("entry/amounts")
        amounts["amounts"] = np.moveaxis(sample.density_g_cm3, -1, 0) / 3
        amounts["amounts_errors"] = np.full((1, N, N), 0.01)
        amounts["phase_name"] = [b"cu"]
        amounts["x"], amounts["y"] = axis, axis
        lines = file.create_group("entry/lines")
        lines["start"], lines["end"] = [start_s, start_s + 40], [start_s + 10, start_s + 50]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    history = Melting()
    flown = [FlownLine(angle_deg=0.0, start_s=at, end_s=at + 8, n_pulses=3) for at in (0.0, 40.0, 200.0, 240.0)]
    truth = Truth(history=history, seed=1, wavelength_angstrom=0.12, follows_lithium=False, lines=flown)
    write_truth(truth, tmp_path / "truth.h5")
    write_archive(tmp_path / "scan-first.nxs", history.whole, start_s=0.0)
    write_archive(tmp_path / "scan.nxs", history.half, start_s=200.0)
    return tmp_path


def test_each_run_is_compared_with_the_state_that_it_met(folder: Path) -> None:
    runs = runs_against_truth(folder)

    assert [(run["archive"], run["state"], run["cell"]["voltage_v"]) for run in runs] == [
        ("scan-first.nxs", 0, 4.0),
        ("scan.nxs", 1, 3.0),
    ]
    for run in runs:
        assert run["maps"]["amount_cu"]["rms"] == pytest.approx(0, abs=1e-5)


def test_a_run_beside_the_state_of_another_time_is_wrong(folder: Path) -> None:
    write_archive(folder / "scan.nxs", Melting().half, start_s=0.0)
    (folder / "scan-first.nxs").unlink()
    [run] = runs_against_truth(folder)

    assert run["maps"]["amount_cu"]["precision"] == 1
    assert run["maps"]["amount_cu"]["recall"] == 0.5


def test_a_sample_without_lithium_has_a_verdict_on_its_amounts(folder: Path) -> None:
    assert "cu recall 1.00, precision 1.00" in verdict(runs_against_truth(folder)[0])


def test_a_run_without_maps_says_so() -> None:
    assert "no map" in verdict({"maps": {}})


def test_maps_of_the_full_profile_have_their_own_scores(tmp_path: Path) -> None:
    density = np.full((N, N, 2), 1.0, dtype=np.float32)
    lithium_y = np.full((N, N), 0.40, dtype=np.float32)
    sample = Slice(name="both", materials=("nmc", "lic6"), density_g_cm3=density, voxel_mm=PIXEL_MM, lithium_y=lithium_y)
    truth = Truth(history=Unchanging(sample=sample), seed=1, wavelength_angstrom=0.12, follows_lithium=True)
    write_truth(truth, tmp_path / "truth.h5")
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        for name, value in {"x_lithium": 0.9, "refined_x_lithium": 0.98, "y_nmc": 0.45, "refined_wt_lic6": 60.0}.items():
            group = file.create_group(f"entry/{name}")
            group["value"] = np.full((N, N), value)
            group["x"], group["y"] = sample.axis_mm, sample.axis_mm
        file.create_group("entry/trend")["value"] = np.zeros(3)
    rows = scores(read_maps(tmp_path / "scan.nxs"), sample, tmp_path / "truth.h5", 0)

    found = {name: row["bias"] for name, row in rows.items()}
    assert found == pytest.approx({"x_lithium": -0.1, "refined_x_lithium": -0.02, "y_nmc": 0.05, "refined_wt_lic6": -0.4})


def test_y_is_compared_for_the_oxide_of_the_sample_by_either_estimator(tmp_path: Path) -> None:
    density = np.full((N, N, 1), 1.0, dtype=np.float32)
    lithium_y = np.tile(np.linspace(0.4, 0.8, N, dtype=np.float32), (N, 1))
    sample = Slice(name="one", materials=("nmc811",), density_g_cm3=density, voxel_mm=PIXEL_MM, lithium_y=lithium_y)
    truth = Truth(history=Unchanging(sample=sample), seed=1, wavelength_angstrom=0.12, follows_lithium=True)
    write_truth(truth, tmp_path / "truth.h5")
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        for name, off in {"y_nmc811": 0.03, "refined_y_nmc811": -0.01, "y_nmc811_second": 0.2, "y_nmc": 0.1}.items():
            group = file.create_group(f"entry/{name}")
            group["value"] = lithium_y + off
            group["x"], group["y"] = sample.axis_mm, sample.axis_mm
    maps = read_maps(tmp_path / "scan.nxs")
    rows, true = (give(maps, sample, tmp_path / "truth.h5", 0) for give in (scores, truths))

    assert {name: row["bias"] for name, row in rows.items()} == pytest.approx({"y_nmc811": 0.03, "refined_y_nmc811": -0.01})
    assert set(true) == set(rows)
    assert true["y_nmc811"] == pytest.approx(lithium_y, abs=1e-6)


def test_each_run_of_a_series_is_told_with_the_cell_in_its_middle(folder: Path) -> None:
    (folder / "summary.json").write_text('{"frames_sent": 7}', encoding="utf-8")
    sentences = add_truth(folder)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    assert [sentence.partition(":")[0] for sentence in sentences] == ["run 1 of 2 (4.00 V)", "run 2 of 2 (3.00 V)"]
    assert summary["frames_sent"] == 7
    assert [run["state"] for run in summary["runs"]] == [0, 1]
    assert summary["truth"] == summary["runs"][-1]


def test_a_folder_without_a_truth_is_left_as_it_is(tmp_path: Path) -> None:
    assert add_truth(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
