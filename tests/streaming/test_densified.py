"""A disc that was flown again at half the step: its lines and those of the run before make one map."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from operando.cli.process import compare_maps
from operando.messages import Notice, RunStarted, ScanProgress
from streaming.archive import run_of_archive
from streaming.densified import DensifiedTomogram
from streaming.line import Line
from streaming.line_file import read_line, write_line
from streaming.line_shelf import LineShelf
from streaming.process import process
from streaming.recorded import find_recorded
from streaming.tomogram import Result, Tomogram
from tests.streaming.analysing import Beamtime
from tests.streaming.phantom import CENTRE_MM, Disc, Phantom, a_run, demo_profile

N_LINES, N_FEW = 24, 6
REGION = (0.45, 0.35, 0.3)
"""x, y and radius (mm) of what flies again: it holds a ring of steps that the coarse points cannot tell apart."""
DISCS = (
    Disc(x=0.0, y=0.0, radius=1.0, amounts={"al": 0.15}),
    Disc(x=0.45, y=0.35, radius=0.22, amounts={"lic12": 0.8}),
    Disc(x=0.45, y=0.35, radius=0.10, amounts={"lic6": 0.9}),
    Disc(x=-0.5, y=-0.3, radius=0.25, amounts={"lic6": 0.7}),
)
COARSE = a_run(n_lines=N_LINES).model_copy(update={"run": "coarse"})
FINE = COARSE.model_copy(
    update={
        "run": "fine",
        "step_mm": COARSE.step_mm / 2,
        "n_points": 2 * COARSE.n_points - 1,
        "time_s": 2000.0,
        "metadata": {"densifies": "coarse", "n_frames_of_map": 12345},
    }
)
FEW = a_run(n_lines=N_FEW).model_copy(update={"run": "coarse"})
FEW_FINE = FINE.model_copy(update={"angles_deg": FEW.angles_deg})


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(demo_profile(), discs=DISCS)


def fine_line(phantom: Phantom, number: int, *, run: RunStarted = COARSE) -> Line:
    """Fly the disc at an angle of a run, on the points of the fine grid."""
    x, y, radius = REGION
    angle = np.deg2rad(run.angles_deg[number])
    middle = round((CENTRE_MM + x * np.cos(angle) + y * np.sin(angle) - FINE.first_position_mm) / FINE.step_mm)
    reach = round((radius + COARSE.step_mm) / FINE.step_mm)
    part = FINE.model_copy(
        update={
            "first_position_mm": FINE.first_position_mm + (middle - reach) * FINE.step_mm,
            "n_points": 2 * reach + 1,
            "angles_deg": run.angles_deg,
        }
    )
    return phantom.line(number, attempt=1, run=part)


def amount_of_lic6(phantom: Phantom, result: Result) -> np.ndarray[Any, Any]:
    amount = result.amounts.phases[..., [phase.name for phase in phantom.profile.phases].index("lic6")]
    return amount / amount.max()


def misfit(phantom: Phantom, result: Result, at: Result, *, x_mm: float, y_mm: float, radius_mm: float) -> float:
    """Give the RMS error of the amount of LiC6 in a disc, at the voxels of another result, in parts of the highest amount."""
    truth = phantom.truth(at.axis_mm)[..., [phase.name for phase in phantom.profile.phases].index("lic6")]
    found = amount_of_lic6(phantom, result)
    places = np.array(np.meshgrid(at.axis_mm, at.axis_mm, indexing="ij"))
    index = (places - result.axis_mm[0]) / (result.axis_mm[1] - result.axis_mm[0])
    shown = map_coordinates(np.nan_to_num(found), index, order=1, mode="nearest")
    inside = np.hypot(at.axis_mm[None, :] - x_mm, at.axis_mm[:, None] - y_mm) < radius_mm
    scale = float((shown * truth).sum() / (shown**2).sum())
    return float(np.sqrt(np.mean((scale * shown - truth)[inside] ** 2)) / truth.max())


@pytest.fixture(scope="module")
def coarse_lines(phantom: Phantom) -> list[Line]:
    return [phantom.line(number, run=COARSE) for number in range(N_LINES)]


@pytest.fixture(scope="module")
def results(phantom: Phantom, coarse_lines: list[Line], tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Result]:
    """The coarse tomogram, and the one with the disc that flew again."""
    folder = tmp_path_factory.mktemp("lines")
    shelf = LineShelf(FINE.run, folder, continues=[COARSE.run])
    options = {"profile": phantom.profile, "model": phantom.model}
    coarse = Tomogram(run=COARSE, read_again=shelf, **options)  # type: ignore[arg-type]
    dense = DensifiedTomogram(run=FINE, shelf=shelf, lines_folder=folder, **options)  # type: ignore[arg-type]
    for line in coarse_lines:
        write_line(line, folder)
        coarse.add(line)
        dense.add(line)
    for number in range(N_LINES):
        line = fine_line(phantom, number)
        write_line(line, folder)
        dense.add(line)
    found = coarse.result(), dense.result()
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


def test_the_disc_is_sharper_and_the_rest_as_it_was(phantom: Phantom, results: tuple[Result, Result]) -> None:
    coarse, dense = results
    x, y, radius = REGION
    disc, beside = {"x_mm": x, "y_mm": y, "radius_mm": radius}, {"x_mm": -0.5, "y_mm": -0.3, "radius_mm": 0.4}
    assert misfit(phantom, dense, dense, **disc) < 0.8 * misfit(phantom, coarse, dense, **disc)
    assert misfit(phantom, dense, dense, **beside) < 1.05 * misfit(phantom, coarse, dense, **beside)
    assert dense.is_measured.all()


@pytest.fixture(scope="module")
def flown(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    """The analysis of a coarse scan of few lines and of a denser one over it."""
    beamtime = Beamtime(phantom, tmp_path_factory.mktemp("beamtime") / "run")
    beamtime.fly(FEW, [phantom.line(number, run=FEW) for number in range(N_FEW)])
    beamtime.fly(FEW_FINE, [fine_line(phantom, number, run=FEW) for number in range(N_FEW)])
    beamtime.journal.close()
    return beamtime


def test_the_map_has_every_line_and_names_its_frames(flown: Beamtime) -> None:
    beamtime = flown
    last = beamtime.of(ScanProgress)[-1]
    assert (last.run, last.state, last.lines_done, last.frames_missing) == ("fine", "finished", N_FEW, 0)
    assert last.frames_expected == 12345
    assert not [one.text for one in beamtime.of(Notice) if "maps" in one.text]
    assert run_of_archive(beamtime.out / "scan.nxs") == "fine"
    assert (beamtime.out / "scan-coarse.nxs").is_file()


def test_a_line_that_was_put_together_has_the_points_of_both_runs_each_place_once(flown: Beamtime) -> None:
    whole = read_line(flown.out / "lines" / "fine-denser" / "line-00003-attempt-01.h5")
    steps = np.diff(np.sort(whole.positions_mm)) / FINE.step_mm
    assert set(np.round(steps).astype(int)) == {1, 2}
    assert np.round(steps).sum() == FINE.n_points - 1
    assert whole.is_received.all()


def test_processing_it_again_gives_the_same_maps(flown: Beamtime, tmp_path: Path) -> None:
    recorded = find_recorded(flown.out)
    assert {key.run for key in recorded.files} == {"coarse", "fine"}
    done = process(recorded, recorded.profile, tmp_path / "again")
    rows = compare_maps(flown.out / "scan.nxs", done.archive)
    assert len(rows) > 3
    assert all(row["is_same"] or row["largest"] < 1e-6 for row in rows.values()), rows


def test_the_order_in_which_lines_come_changes_nothing_and_an_aborted_one_leaves_what_was(
    phantom: Phantom, coarse_lines: list[Line], tmp_path: Path
) -> None:
    fine = [fine_line(phantom, number) for number in range(0, N_LINES, 3)]
    shelf = LineShelf(FINE.run, tmp_path, continues=[COARSE.run])
    for line in (*fine, *coarse_lines):
        write_line(line, tmp_path)
    found = {}
    for name, lines in {"last": [*coarse_lines, *fine], "first": [*fine, *coarse_lines], "none": coarse_lines}.items():
        tomogram = DensifiedTomogram(profile=phantom.profile, model=phantom.model, run=FINE, shelf=shelf, lines_folder=tmp_path)
        for line in lines:
            tomogram.add(line)
        found[name] = amount_of_lic6(phantom, tomogram.result())  # type: ignore[arg-type]
        if name == "first":
            for line in fine:
                tomogram.abort(line=line.key.line, attempt=line.key.attempt)
            found["aborted"] = amount_of_lic6(phantom, tomogram.result())  # type: ignore[arg-type]
    np.testing.assert_allclose(found["first"], found["last"], rtol=1e-6, atol=1e-9)
    assert np.abs(found["last"] - found["none"]).max() > 0.02
    np.testing.assert_allclose(found["aborted"], found["none"], rtol=1e-6, atol=1e-9)


def test_a_run_of_other_angles_cannot_be_made_denser_and_that_is_said(phantom: Phantom, tmp_path: Path) -> None:
    beamtime = Beamtime(phantom, tmp_path / "run")
    other = COARSE.model_copy(update={"angles_deg": COARSE.angles_deg[:-1]})
    beamtime.hear(other)
    beamtime.hear(FINE)
    beamtime.journal.close()
    assert any("has other angles or positions" in one.text for one in beamtime.of(Notice))
