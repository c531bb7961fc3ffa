"""Handed over: what other programs read is what the archive is made of, voxel by voxel."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest

from operando.bus import MemoryStore
from operando.errors import DataError, MissingInputError
from operando.messages import RegionAnswered, RegionAsked, RunStopped
from operando.profile import read_profile, write_profile
from streaming.analysis import Analysis
from streaming.answering import RegionAnswerer, ingredients_from_archive
from streaming.handover.deliver import deliver
from streaming.handover.gsas2 import FWHM_OF_SIGMA, instrument_parameters
from streaming.handover.patterns import hand_over, select_voxels
from streaming.handover.topas import topas_input
from streaming.line_file import write_line
from tests.streaming.phantom import RUN, Phantom, a_run, demo_profile

N_LINES = 12
AT_MM = ((0.4, 0.3), (-0.5, 0.3), (0.0, -0.6))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(demo_profile(), photons=3000)


@pytest.fixture(scope="module")
def archive(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    write_profile(phantom.profile, out / "profile.toml")
    run = a_run(n_lines=N_LINES)
    for number in range(N_LINES):
        write_line(phantom.line(number, run=run), out / "lines")
    analysis = Analysis(
        phantom.profile, phantom.model, out=out, store=MemoryStore(), clock=lambda: 0.0, wall_clock=lambda: 5000.0
    )
    analysis.hear(run, {})
    analysis.work()
    analysis.finish()
    analysis.hear(RunStopped(run=RUN, exit_status="success", time_s=2000.0), {})
    analysis.work()
    return out / "scan.nxs"


def test_a_voxel_handed_over_is_the_pattern_that_a_click_on_it_shows(archive: Path, phantom: Phantom) -> None:
    (part,) = hand_over(archive, phantom.profile, select_voxels(archive, at_mm=AT_MM[:1]))
    answer = RegionAnswerer(
        phantom.profile,
        phantom.model,
        lines_folder=archive.parent / "lines",
        ingredients_of=lambda run: ingredients_from_archive(archive, phantom.profile),
    )
    question = RegionAsked(run=RUN, x_mm=[float(part.voxels.x_mm[0])], y_mm=[float(part.voxels.y_mm[0])])
    message, arrays = answer(question, is_wanted=lambda: True)
    assert isinstance(message, RegionAnswered)
    np.testing.assert_allclose(part.q, arrays["q"], rtol=1e-6)
    scale = np.abs(arrays["intensity"]).max()
    np.testing.assert_allclose(part.intensity[0] / scale, arrays["intensity"] / scale, atol=1e-4)
    assert np.median(part.sigma[0] / arrays["sigma"]) == pytest.approx(1.0, abs=0.3)


def test_all_voxels_of_a_map_are_chosen_and_no_others(archive: Path) -> None:
    with h5py.File(archive) as file:
        is_good = file["entry/wt_nmc/reason"][()] == 0
        axis_mm = file["entry/wt_nmc/x"][()]
    voxels = select_voxels(archive, map_name="wt_nmc")
    assert voxels.size == is_good.sum()
    assert is_good[voxels.row, voxels.column].all()
    np.testing.assert_array_equal(voxels.x_mm, axis_mm[voxels.column])


def test_columns_are_read_back_by_numpy(archive: Path, phantom: Phantom, tmp_path: Path) -> None:
    voxels = select_voxels(archive, at_mm=AT_MM)
    (part,) = hand_over(archive, phantom.profile, voxels)
    deliver(archive, phantom.profile, voxels, tmp_path / "q", layout="xye", unit="q")
    deliver(archive, phantom.profile, voxels, tmp_path / "two_theta", layout="xye")
    with (tmp_path / "q" / "index.csv").open() as table:
        index = list(csv.DictReader(table))
    assert [float(row["x_mm"]) for row in index] == pytest.approx([0.4, -0.5, 0.0])
    for k, name in enumerate(row["file"] for row in index):
        q, intensity, sigma = np.loadtxt(tmp_path / "q" / name, unpack=True)
        np.testing.assert_allclose(q, part.q, atol=1e-6)
        np.testing.assert_allclose(intensity, part.intensity[k], rtol=1e-6)
        np.testing.assert_allclose(sigma, part.sigma[k], rtol=1e-3)
        two_theta_deg = np.loadtxt(tmp_path / "two_theta" / name)[:, 0]
        np.testing.assert_allclose(4 * np.pi * np.sin(np.deg2rad(two_theta_deg) / 2) / 0.1197915, q, rtol=2e-6)


def test_the_volume_opens_as_ndtomo_opens_it(archive: Path, phantom: Phantom, tmp_path: Path) -> None:
    voxels = select_voxels(archive, map_name="wt_nmc")
    deliver(archive, phantom.profile, voxels, tmp_path / "volume.h5", layout="ndtomo")
    (part,) = hand_over(archive, phantom.profile, voxels)
    with h5py.File(tmp_path / "volume.h5", "r") as file:
        volume = file["/data"][:]
        # The window takes the first of these that is as long as the last axis.
        labels = [name for name in ("d", "q", "twotheta", "Energy", "tth", "energy") if name in file]
        axis = file[labels[0]][:]
    assert labels[0] == "q"
    assert volume.shape == (31, 31, axis.size)
    np.testing.assert_allclose(volume[voxels.row, voxels.column], part.intensity, rtol=1e-6)
    is_chosen = np.zeros((31, 31), bool)
    is_chosen[voxels.row, voxels.column] = True
    assert not volume[~is_chosen].any()
    assert [path.name for path in tmp_path.iterdir()] == ["volume.h5"]


def test_gsas_gets_the_wavelength_and_the_width_as_a_variance(archive: Path, phantom: Phantom, tmp_path: Path) -> None:
    deliver(archive, phantom.profile, select_voxels(archive, at_mm=AT_MM), tmp_path / "out", layout="gsas2")
    lines = (tmp_path / "out" / "operando.instprm").read_text().splitlines()
    assert lines[0].startswith("#GSAS-II instrument parameter file")
    values = dict(line.split(":", 1) for line in lines[1:])
    assert float(values["Lam"]) == pytest.approx(0.1197915, abs=2e-7)
    assert FWHM_OF_SIGMA * float(values["W"]) ** 0.5 / 100 == pytest.approx(0.045, rel=1e-5)
    assert instrument_parameters(wavelength_angstrom=1.0, fwhm_deg=0.1) != instrument_parameters(
        wavelength_angstrom=1.0, fwhm_deg=0.2
    )


def test_topas_gets_every_pattern_with_every_phase(archive: Path, phantom: Phantom, tmp_path: Path) -> None:
    deliver(archive, phantom.profile, select_voxels(archive, at_mm=AT_MM), tmp_path / "out", layout="topas")
    text = (tmp_path / "out" / "operando.inp").read_text()
    files = [line.split('"')[1] for line in text.splitlines() if line.startswith("xdd")]
    assert len(files) == 3
    assert all((tmp_path / "out" / name).read_text().startswith("' x ") for name in files)
    assert text.count("  str\n") == 3 * len(phantom.profile.phases)
    assert "Hexagonal(@ 2.824500, @ 14.500000)" in text
    assert "Cubic(@ 4.049500)" in text


def test_a_rhombohedral_group_is_named_in_the_hexagonal_setting() -> None:
    profile = read_profile("demo")
    nmc = next(phase for phase in profile.phases if phase.name == "nmc")
    only = profile.model_copy(update={"phases": [nmc]})
    assert 'space_group "R_-3_m' in topas_input(only, ["a.xye"], wavelength_angstrom=0.12)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"map_name": "gold"}, "holds no map 'gold'; it holds .*x_lithium"), ({"at_mm": [(0.0, 9.0)]}, r"\(0, 9\) mm is outside")],
)
def test_what_is_not_there_cannot_be_chosen(archive: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises((DataError, MissingInputError), match=words):
        select_voxels(archive, **options)  # type: ignore[arg-type]


def test_an_archive_without_its_lines_says_so(archive: Path, phantom: Phantom, tmp_path: Path) -> None:
    alone = tmp_path / "scan.nxs"
    alone.write_bytes(archive.read_bytes())
    with pytest.raises(MissingInputError, match="lines beside the archive"):
        list(hand_over(alone, phantom.profile, select_voxels(alone, at_mm=AT_MM)))
    with pytest.raises(MissingInputError, match="no archive"):
        select_voxels(tmp_path / "none.nxs")


def test_nothing_of_the_index_is_lost(archive: Path, phantom: Phantom, tmp_path: Path) -> None:
    voxels = select_voxels(archive, map_name="wt_nmc")
    n_files = deliver(archive, phantom.profile, voxels, tmp_path / "out", layout="xye")
    written = sorted(path.name for path in (tmp_path / "out").glob("*.xye"))
    listed = [line.split(",")[0] for line in (tmp_path / "out" / "index.csv").read_text().splitlines()[1:]]
    assert sorted(listed) == written
    assert n_files == len(written) + 1
