"""Patterns of regions: the same reconstruction as that of the maps, run backwards."""

from pathlib import Path

import numpy as np
import pytest

from operando.bus import MemoryStore, SupersededError
from operando.errors import DataError
from operando.messages import Notice, RegionAnswered, RegionAsked, RunStopped
from operando.scan import LineKey
from streaming.amounts import Amounts
from streaming.analysis import Analysis
from streaming.answering import KnownTomograms, RegionAnswerer, ingredients_from_archive
from streaming.channels import make_live_channels
from streaming.correct.points import typical_variance
from streaming.line import Line
from streaming.region import fit_region, patterns_from_line
from streaming.tomogram import Result, Tomogram
from tests.streaming.phantom import N_LINES, RUN, Phantom, a_run, demo_profile
from tests.streaming.test_analysis import written

PROFILE = demo_profile()
MISSING = {3: (7, 8), 11: (0, 1, 2), 20: tuple(range(31))}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(PROFILE, photons=3000)


@pytest.fixture(scope="module")
def lines(phantom: Phantom) -> dict[LineKey, Line]:
    flown = [phantom.line(i, missing=MISSING.get(i, ()), offset_mm=0.03, ring_current_ma=100.0 + i) for i in range(N_LINES)]
    return {line.key: line for line in flown}


@pytest.fixture(scope="module")
def result(phantom: Phantom, lines: dict[LineKey, Line]) -> Result:
    tomogram = Tomogram(profile=PROFILE, model=phantom.model, run=a_run(), read_again=lines.__getitem__)
    for line in lines.values():
        tomogram.add(line)
    found = tomogram.result()
    assert found is not None
    return found


def test_channels_of_a_voxels_pattern_are_the_reconstructed_channels_of_that_voxel(phantom, lines, result):
    live = make_live_channels(phantom.model, typical_variance(lines[result.ingredients.reference]))
    largest = np.abs(result.slice.channels).max(axis=(0, 1))
    for row, column in [(15, 15), (20, 19), (9, 15), (2, 3)]:
        fit = fit_region(
            result.ingredients,
            x_mm=result.axis_mm[[column]],
            y_mm=result.axis_mm[[row]],
            live=live,
            patterns_of=lambda key: patterns_from_line(lines[key], estimator="mean"),
        )
        channels = live.channels(np.nan_to_num(fit.pattern)[None])[0]
        np.testing.assert_allclose(channels, result.slice.channels[row, column], atol=1e-6 * largest.max())
        np.testing.assert_allclose(fit.amounts.phases[0], result.amounts.phases[row, column], rtol=1e-4, atol=1e-5)


def test_the_mean_of_voxels_is_the_pattern_of_their_region(phantom, lines, result):
    live = make_live_channels(phantom.model, typical_variance(lines[result.ingredients.reference]))

    def pattern(columns: list[int], rows: list[int]) -> np.ndarray:
        return fit_region(
            result.ingredients,
            x_mm=result.axis_mm[columns],
            y_mm=result.axis_mm[rows],
            live=live,
            patterns_of=lambda key: patterns_from_line(lines[key], estimator="mean"),
        ).pattern

    single = [pattern([column], [row]) for column, row in [(15, 14), (16, 14), (19, 20)]]
    region = pattern([15, 16, 19], [14, 14, 20])
    np.testing.assert_allclose(region, np.mean(single, axis=0), atol=1e-9 * np.nanmax(np.abs(region)))


def test_one_voxel_scatters_between_halves_as_its_map_does_and_a_region_of_many_less(phantom, lines, result):
    live = make_live_channels(phantom.model, typical_variance(lines[result.ingredients.reference]))

    def amounts_of(columns: list[int], rows: list[int]) -> Amounts:
        return fit_region(
            result.ingredients,
            x_mm=result.axis_mm[columns],
            y_mm=result.axis_mm[rows],
            live=live,
            patterns_of=lambda key: patterns_from_line(lines[key], estimator="mean"),
        ).amounts

    assert result.amounts.scatter is not None
    for row, column in [(15, 15), (20, 19), (9, 15)]:
        expected = result.amounts.scatter[row, column]
        np.testing.assert_allclose(amounts_of([column], [row]).scatter[0], expected, rtol=1e-6, atol=1e-9 * expected.max())
    columns, rows = (found.ravel().tolist() for found in np.meshgrid(range(13, 18), range(13, 18)))
    many, one = amounts_of(columns, rows), amounts_of([15], [15])
    gradient = np.ones(many.n_phases)
    assert many.sigma(gradient)[0] < 0.5 * one.sigma(gradient)[0]


def process(phantom: Phantom, lines: dict[LineKey, Line], out: Path) -> tuple[Analysis, MemoryStore]:
    store, clock = MemoryStore(), iter(range(100, 10_000)).__next__
    analysis = Analysis(PROFILE, phantom.model, out=out, store=store, clock=clock, wall_clock=lambda: 5000.0)
    analysis.hear(a_run(), {})
    for line in list(lines.values())[:8]:
        analysis.hear(written(line, out), {})
    analysis.hear(RunStopped(run=RUN, exit_status="success", time_s=2000.0), {})
    for _ in range(14):
        analysis.work()
    return analysis, store


def test_the_archive_gives_the_same_answer_as_the_running_analysis(phantom, lines, tmp_path):
    analysis, store = process(phantom, lines, tmp_path)
    question = RegionAsked(run=RUN, x_mm=[0.4, 0.5], y_mm=[0.3, 0.3])
    answers = []
    for known in (analysis.tomograms, KnownTomograms(PROFILE, tmp_path)):
        answerer = RegionAnswerer(PROFILE, phantom.model, lines_folder=tmp_path / "lines", ingredients_of=known)
        answers.append(answerer(question, is_wanted=lambda: True))
    (live, live_arrays), (later, later_arrays) = answers
    assert isinstance(live, RegionAnswered)
    assert isinstance(later, RegionAnswered)
    assert live.n_lines == later.n_lines == 8
    assert live.n_voxels == 2
    assert [share.name for share in live.phases] == [phase.name for phase in PROFILE.phases]
    assert live.x_lithium == pytest.approx(later.x_lithium, rel=1e-5)
    assert live.x_lithium_sigma == pytest.approx(later.x_lithium_sigma, rel=1e-3)
    for name, array in live_arrays.items():
        np.testing.assert_allclose(array, later_arrays[name], rtol=1e-4, atol=1e-6 * np.nanmax(np.abs(array)))
    np.testing.assert_allclose(
        live_arrays["fit"], live_arrays["background"] + live_arrays["phases"].sum(axis=0), rtol=1e-4, atol=1e-5
    )
    assert not [
        entry for entry in store.since(0, limit=1000) if isinstance(entry.message, Notice) and entry.message.level != "info"
    ]


def test_what_cannot_be_answered_is_one_sentence(phantom, lines, tmp_path):
    analysis, _ = process(phantom, lines, tmp_path)
    answerer = RegionAnswerer(PROFILE, phantom.model, lines_folder=tmp_path / "lines", ingredients_of=analysis.tomograms)
    for question, sentence in [
        (RegionAsked(run="other", x_mm=[0.0], y_mm=[0.0]), "nothing is known here of run other"),
        (RegionAsked(run=RUN, tomogram=3, x_mm=[0.0], y_mm=[0.0]), "has one tomogram"),
        (RegionAsked(run=RUN, x_mm=[0.0, 1.0], y_mm=[0.0]), "as many x as y"),
        (Notice(level="info", origin="test", text="hello", time_s=0), "answers questions for regions"),
    ]:
        with pytest.raises(DataError, match=sentence):
            answerer(question, is_wanted=lambda: True)
    with pytest.raises(SupersededError):
        answerer(RegionAsked(run=RUN, x_mm=[0.0], y_mm=[0.0]), is_wanted=lambda: False)
    for path in (tmp_path / "lines").rglob("line-00000-*.h5"):
        path.unlink()
    fresh = RegionAnswerer(PROFILE, phantom.model, lines_folder=tmp_path / "lines", ingredients_of=analysis.tomograms)
    with pytest.raises(DataError, match="cannot be read"):
        fresh(RegionAsked(run=RUN, x_mm=[0.0], y_mm=[0.0]), is_wanted=lambda: True)
    (tmp_path / "cut.nxs").write_bytes((tmp_path / "scan.nxs").read_bytes()[:4000])
    with pytest.raises(DataError, match="cannot be asked for regions"):
        ingredients_from_archive(tmp_path / "cut.nxs", PROFILE)
