"""``operando score`` on an archive made of the truth itself, and on one that is wrong by a known amount."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib import colormaps, pyplot

from acquisition.twin.sample import make_sample, write_truth
from acquisition.twin.score import AnalysedMap, average_over, true_lithium
from operando.cli import main
from operando.profile import read_profile

PHASES = ("fe", "cu", "al", "nmc", "graphite", "lic12", "lic6")
N, PIXEL_MM = 48, 0.1


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a truth, and an archive whose lithium is 0.02 too high and whose amounts are the truth in another unit."""
    folder = tmp_path_factory.mktemp("run")
    write_truth(read_profile("demo"), folder / "truth.h5")
    sample = make_sample(read_profile("demo"))
    first = -(N - 1) / 2 * PIXEL_MM
    blank = AnalysedMap(
        value=np.zeros((N, N)),
        sigma=None,
        reason=np.zeros((N, N), np.uint8),
        pixel_mm=PIXEL_MM,
        x_first_mm=first,
        y_first_mm=first,
    )
    axis = first + PIXEL_MM * np.arange(N)
    with h5py.File(folder / "scan.nxs", "w") as file:
        lithium = file.create_group("entry/x_lithium")
        lithium["value"] = true_lithium(blank, sample) + 0.02
        lithium["value_errors"] = np.full((N, N), 0.015)
        amounts = file.create_group("entry/amounts")
        amounts["amounts"] = np.stack([average_over(sample, sample.density_of(name), like=blank) / 3 for name in PHASES])
        amounts["amounts_errors"] = np.full((len(PHASES), N, N), 0.01)
        amounts["phase_name"] = [name.encode() for name in PHASES]
        lattice = file.create_group("entry/c_nmc")
        lattice["value"] = np.full((N, N), 14.503)
        for group in (lithium, amounts, lattice):
            group["x"], group["y"] = axis, axis
    return folder


def scores(folder: Path, *more: str) -> dict[str, dict[str, float]]:
    main(["score", str(folder / "scan.nxs"), str(folder / "truth.h5"), "--json", str(folder / "score.json"), *more])
    found: dict[str, dict[str, float]] = json.loads((folder / "score.json").read_text())["maps"]
    return found


@pytest.fixture(scope="module")
def found(run_folder: Path) -> dict[str, dict[str, float]]:
    with pytest.raises(SystemExit) as end:
        scores(run_folder, "--plots", str(run_folder / "plots"))
    assert end.value.code == 0
    maps: dict[str, dict[str, float]] = json.loads((run_folder / "score.json").read_text())["maps"]
    return maps


def test_a_known_bias_is_found_with_its_coverage(found: dict[str, dict[str, float]]) -> None:
    assert found["x_lithium"]["bias"] == pytest.approx(0.02, abs=1e-6)
    assert (found["x_lithium"]["coverage_68"], found["x_lithium"]["coverage_95"]) == (0, 1)


def test_true_amounts_score_zero_and_are_all_detected(found: dict[str, dict[str, float]]) -> None:
    for name in PHASES:
        assert found[f"amount_{name}"]["rms"] == pytest.approx(0, abs=1e-5)
        assert (found[f"amount_{name}"]["recall"], found[f"amount_{name}"]["precision"]) == (1, 1)


def test_lattice_parameters_are_compared_in_angstrom(found: dict[str, dict[str, float]]) -> None:
    assert found["c_nmc"]["bias"] == pytest.approx(0.003, abs=1e-5)


def test_pictures_are_drawn_of_every_map_that_has_a_truth(found: dict[str, dict[str, float]], run_folder: Path) -> None:
    drawn = {path.stem for path in (run_folder / "plots").glob("*.png")}

    assert drawn == {"x_lithium", "c_nmc", *(f"amount_{name}" for name in PHASES)} == set(found)


@pytest.mark.parametrize(("name", "off"), [("x_lithium", 0.02 / 0.3), ("c_nmc", 1.0)])
def test_the_third_picture_is_map_minus_truth(
    found: dict[str, dict[str, float]], run_folder: Path, name: str, off: float
) -> None:
    """In the colour that its bar has for what the map is off; what it would have for the opposite is nowhere."""
    assert found[name]["bias"] > 0
    right = pyplot.imread(run_folder / "plots" / f"{name}.png")[30:-40, 700:860, :3]
    n_right, n_opposite = (
        np.count_nonzero(np.all(np.abs(right - np.array(colormaps["RdBu_r"](0.5 + sign * off / 2)[:3])) < 0.015, axis=-1))
        for sign in (1, -1)
    )

    assert n_right > 1000
    assert n_opposite < 0.02 * n_right


def test_an_archive_that_is_none_is_said(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["score", str(run_folder / "truth.h5"), str(run_folder / "truth.h5")])
    assert end.value.code != 0
    assert "not the archive of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("nothing.nxs", "truth.h5"), 66, "no file"),
        (("truth.h5", "scan.nxs"), 65, "give scan.nxs first"),
        (("scan.nxs", "truth.h5", "--state", "3"), 65, "has no state 3: its states are 0 to 0"),
        (("foreign.nxs", "truth.h5"), 65, "is of the simulated another, "),
    ],
)
def test_files_that_do_not_belong_together_are_refused_in_words(
    run_folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    with h5py.File(run_folder / "foreign.nxs", "w") as file:
        file["entry/sample/name"] = "simulated another"
    with pytest.raises(SystemExit) as end:
        main(["score", *(str(run_folder / one) if "." in one else one for one in arguments)])
    assert end.value.code == code
    assert sentence in " ".join(capsys.readouterr().err.split())
