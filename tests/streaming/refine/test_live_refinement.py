"""The full profile beside the live analysis: from line files to maps, trends, archive and the end of a run."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from operando.bus import Entry, MemoryStore
from operando.cli import app
from operando.errors import DataError, OperandoError
from operando.messages import (
    CellReading,
    LineWritten,
    MapPublished,
    Notice,
    PatternPublished,
    RunStopped,
    ScanProgress,
    TrendPublished,
)
from operando.profile import write_profile
from operando.scan import LineKey
from streaming.analysis import Analysis
from streaming.line import Line
from streaming.line_file import write_line
from streaming.pattern_cache import PatternCache
from streaming.plain_run import PlainRun
from streaming.process import process
from streaming.recorded import find_recorded
from streaming.refine.job import Refinery
from streaming.refine.live import withdrawn
from streaming.refine.phase_list import PhaseList
from streaming.refine.to_refine import RefineJob, job_from_plain, job_from_result
from streaming.refine.worker import Failed, RefineWorker
from streaming.region import Patterns, fit_region, patterns_from_line
from streaming.tomogram import Tomogram
from tests.streaming.phantom import RUN, Phantom, a_run, demo_profile

N_LINES = 18
RAN = a_run(n_lines=N_LINES)
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(demo_profile(refines=True), photons=3000)


@pytest.fixture(scope="module")
def lines(phantom: Phantom) -> list[Line]:
    return [phantom.line(number, run=RAN) for number in range(N_LINES)]


def written(line: Line, path: Path) -> LineWritten:
    return LineWritten(
        run=RUN, line=line.key.line, attempt=0, path=str(path), n_points=31, n_received=31, missing_ids=[], series=7,
        last_frame_s=line.end_s, time_s=line.end_s,
    )  # fmt: skip


class Beamtime:
    """An analysis with a worker, driven by hand."""

    def __init__(self, phantom: Phantom, out: Path, worker: RefineWorker | None) -> None:
        self.store, self.out, self.phantom = MemoryStore(), out, phantom
        self.analysis = Analysis(
            phantom.profile, phantom.model, out=out, store=self.store, clock=time.monotonic, wall_clock=lambda: 5e3,
            refiner=worker,
        )  # fmt: skip

    def fly(self, lines: list[Line]) -> None:
        self.analysis.hear(RAN, {})
        for line in lines:
            self.analysis.hear(written(line, write_line(line, self.out / "lines")), {})
            self.analysis.work()

    def stop(self) -> None:
        self.analysis.hear(RunStopped(run=RUN, exit_status="success", time_s=2000.0), {})

    def work_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "it never came to that"
            self.analysis.work()
            time.sleep(0.005)

    def newest(self, kind: type[Any], name: str) -> Entry | None:
        found = [one for one in self.store.since(0, limit=100_000) if isinstance(one.message, kind)]
        return next((one for one in reversed(found) if getattr(one.message, "name", "") == name), None)

    @property
    def state(self) -> str:
        found = [one.message for one in self.store.since(0, limit=100_000) if isinstance(one.message, ScanProgress)]
        return found[-1].state if found else ""


@pytest.fixture(scope="module")
def finished(phantom: Phantom, lines: list[Line], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beamtime]:
    out = tmp_path_factory.mktemp("beamtime") / "run"
    out.mkdir()
    write_profile(phantom.profile, out / "profile.toml")
    patterns = PatternCache(out / "lines", phantom.model.q, estimator="mean")
    with RefineWorker(Refinery(phantom.profile), patterns) as worker:
        beamtime = Beamtime(phantom, out, worker)
        beamtime.fly(lines)
        beamtime.stop()
        beamtime.work_until(lambda: beamtime.state == "finished")
        yield beamtime


def test_lattice_maps_come_with_the_end_of_the_run_and_are_right(finished: Beamtime) -> None:
    entry = finished.newest(MapPublished, "c_nmc")
    assert entry is not None
    message = entry.message
    assert isinstance(message, MapPublished)
    assert (message.estimator, message.unit, message.n_lines) == ("full profile", "angstrom", N_LINES)
    good = entry.arrays["reason"] == 0
    error = (entry.arrays["value"] - 14.5)[good] / entry.arrays["sigma"][good]
    assert good.sum() > 30
    assert np.median(entry.arrays["value"][good]) == pytest.approx(14.5, abs=0.003)
    assert 0.45 < np.mean(np.abs(error) < 1) < 0.99
    assert set(np.unique(entry.arrays["reason"])) <= set(message.reasons)
    np.testing.assert_array_equal(np.isnan(entry.arrays["value"]), entry.arrays["reason"] != 0)


def test_lithium_of_the_oxide_is_that_of_its_lattice(finished: Beamtime) -> None:
    entry = finished.newest(MapPublished, "y_nmc")
    assert entry is not None
    good = entry.arrays["reason"] == 0
    assert np.median(entry.arrays["value"][good]) == pytest.approx(0.5, abs=0.01)


def test_the_full_profile_finds_the_lithium_that_the_phantom_has(finished: Beamtime) -> None:
    entry = finished.newest(MapPublished, "refined_x_lithium")
    assert entry is not None
    value = entry.arrays["value"]
    right, left = value[18:20, 19:21], value[17:19, 9:11]
    assert np.nanmean(right) == pytest.approx(0.8 / 75.54 * 0.5 / (0.8 / 75.54 + 0.2 / 72.07), abs=0.03)
    assert np.nanmean(left) == pytest.approx((0.25 / 75.54 + 0.7 / 79.01) / (0.5 / 75.54 + 0.7 / 79.01), abs=0.03)


def test_trends_have_a_point_for_each_line(finished: Beamtime) -> None:
    entry = finished.newest(TrendPublished, "c_nmc")
    assert entry is not None
    assert isinstance(entry.message, TrendPublished)
    assert entry.message.against == "time"
    assert entry.arrays["value"].shape == (N_LINES,)
    assert np.abs(entry.arrays["value"] - 14.5).max() < 0.01
    assert entry.message.slope is not None
    assert entry.message.slope_sigma is not None
    assert abs(entry.message.slope) < 4 * entry.message.slope_sigma


def test_the_mean_pattern_is_published_with_its_fit(finished: Beamtime) -> None:
    entry = finished.newest(PatternPublished, "refined_mean")
    assert entry is not None
    fit, intensity = entry.arrays["fit"], entry.arrays["intensity"]
    assert np.sqrt(np.mean((fit - intensity) ** 2)) < 0.01 * intensity.max()


def test_the_archive_holds_maps_lattices_and_trends(finished: Beamtime) -> None:
    with h5py.File(finished.out / "scan.nxs") as file:
        entry = file["entry"]
        assert entry["c_nmc"].attrs["estimator"] == "full profile"
        assert entry["x_lithium"].attrs["estimator"] == "live: phase amounts"
        assert entry["c_nmc"].attrs["n_lines"] == N_LINES
        assert entry["lattices/nmc/c"][()] == pytest.approx(14.5, abs=1e-3)
        assert entry["trends/c_nmc/value"].shape == (N_LINES,)


def test_the_same_lines_processed_again_give_the_same_maps(finished: Beamtime, tmp_path: Path) -> None:
    recorded = find_recorded(finished.out / "scan.nxs")
    done = process(recorded, recorded.profile, tmp_path / "again")
    with h5py.File(finished.out / "scan.nxs") as live, h5py.File(done.archive) as again:
        for name in ("c_nmc", "y_nmc", "refined_x_lithium", "refined_wt_cu", "trends/c_nmc"):
            for column in ("value", "value_errors"):
                np.testing.assert_array_equal(again[f"entry/{name}/{column}"][()], live[f"entry/{name}/{column}"][()], name)


def test_maps_grow_while_lines_come(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    patterns = PatternCache(tmp_path / "lines", phantom.model.q, estimator="mean")
    with RefineWorker(Refinery(phantom.profile), patterns) as worker:
        beamtime = Beamtime(phantom, tmp_path, worker)
        beamtime.fly(lines[:8])
        beamtime.work_until(lambda: beamtime.newest(PatternPublished, "refined_mean") is not None)
        assert beamtime.state == "scanning"


class Stuck:
    """A refiner that never ends."""

    is_busy = True

    def submit(self, job: RefineJob) -> None:
        pass

    def take(self) -> None:
        return None


def test_a_refinement_that_hangs_holds_up_neither_lines_nor_for_ever_the_end(
    phantom: Phantom, lines: list[Line], tmp_path: Path
) -> None:
    now = [0.0]
    store = MemoryStore()
    analysis = Analysis(
        phantom.profile, phantom.model, out=tmp_path, store=store, clock=lambda: now[0], wall_clock=lambda: 5e3,
        refiner=Stuck(),
    )  # fmt: skip
    analysis.hear(RAN, {})
    for line in lines[:5]:
        analysis.hear(written(line, write_line(line, tmp_path / "lines")), {})
        now[0] += 1.0
        analysis.work()
    analysis.hear(RunStopped(run=RUN, exit_status="success", time_s=2000.0), {})
    analysis.work()

    def progress() -> ScanProgress:
        return [one.message for one in store.since(0, limit=10_000) if isinstance(one.message, ScanProgress)][-1]

    assert (progress().lines_done, progress().state) == (5, "scanning")
    now[0] += 301.0
    analysis.work()
    assert progress().state == "finished"


def a_job(phantom: Phantom, lines: list[Line]) -> RefineJob:
    tomogram = Tomogram(profile=phantom.profile, model=phantom.model, run=RAN, read_again=lambda key: lines[key.line])
    for line in lines:
        tomogram.add(line)
    result = tomogram.result()
    assert result is not None
    return job_from_result(result, is_last=True)


def kept(lines: list[Line]) -> Callable[[LineKey], Patterns]:
    patterns = {line.key: patterns_from_line(line, estimator="mean") for line in lines}
    return patterns.__getitem__


def test_a_line_file_that_is_gone_is_said_and_costs_the_refinement_only(
    phantom: Phantom, lines: list[Line], tmp_path: Path
) -> None:
    patterns = PatternCache(tmp_path / "nothing", phantom.model.q, estimator="mean")
    with RefineWorker(Refinery(phantom.profile), patterns) as worker:
        worker.submit(a_job(phantom, lines))
        done, deadline = None, time.monotonic() + DEADLINE_S
        while done is None and time.monotonic() < deadline:
            done = worker.take()
            time.sleep(0.005)
    assert isinstance(done, Failed)
    assert "cannot be read" in done.reason


def test_too_few_angles_and_an_empty_mask_give_a_sentence_and_no_map(phantom: Phantom, lines: list[Line]) -> None:
    refinery = Refinery(phantom.profile)
    few = refinery(a_job(phantom, lines[:2]), patterns_of=kept(lines))
    assert (few.maps, few.refined) == ([], None)
    assert "2 angle(s)" in few.remarks[0]
    whole = a_job(phantom, lines)
    assert whole.slice is not None
    empty = replace(whole, slice=replace(whole.slice, base=np.ones_like(whole.slice.base)))
    nothing = refinery(empty, patterns_of=kept(lines))
    assert nothing.maps == []
    assert "no voxel" in nothing.remarks[0]


def test_the_pattern_of_a_voxel_is_that_which_a_question_for_it_gives(phantom: Phantom, lines: list[Line]) -> None:
    from streaming.channels import make_live_channels
    from streaming.correct.points import typical_variance
    from streaming.refine.mean_pattern import weights_from_variance
    from streaming.refine.voxels import patterns_of_voxels

    job = a_job(phantom, lines)
    assert job.slice is not None
    x_mm, y_mm = np.array([0.45]), np.array([0.35])
    weights = weights_from_variance(job.mean_variance, job.mean_pattern)
    mine = patterns_of_voxels(job.slice.ingredients, x_mm=x_mm, y_mm=y_mm, weights=weights, patterns_of=kept(lines))
    live = make_live_channels(phantom.model, typical_variance(lines[0]))
    asked = fit_region(job.slice.ingredients, x_mm=x_mm, y_mm=y_mm, live=live, patterns_of=kept(lines))
    np.testing.assert_allclose(mine.patterns[0], asked.pattern, atol=1e-5 * np.abs(asked.pattern).max())
    # One number for the noise, with the course of the scan's mean variance, against the noise of every bin.
    predicted = mine.noise[0] / weights
    assert np.median(predicted / asked.sigma**2) == pytest.approx(1.0, abs=0.35)


def test_a_phase_that_is_missing_from_the_profile_is_noticed_by_its_peaks(phantom: Phantom, lines: list[Line]) -> None:
    without = phantom.profile.model_copy(update={"phases": [one for one in phantom.profile.phases if one.name != "nmc"]})
    job = a_job(phantom, lines)
    missed = Refinery(without)(job, patterns_of=kept(lines)).peaks
    assert any(abs(peak.spacing_angstrom - 14.5 / 3) < 0.03 for peak in missed)
    assert Refinery(phantom.profile)(job, patterns_of=kept(lines)).peaks == []


def test_a_worker_ends_though_a_job_waits(phantom: Phantom, lines: list[Line]) -> None:
    has_begun = threading.Event()

    def slow(key: LineKey) -> Patterns:
        has_begun.set()
        return kept(lines)(key)

    worker = RefineWorker(Refinery(phantom.profile), slow)
    with worker:
        worker.submit(a_job(phantom, lines))
        assert has_begun.wait(DEADLINE_S)
    assert not worker._thread.is_alive()


def test_a_cache_gives_a_file_anew_when_it_has_changed(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    import os

    path = write_line(lines[0], tmp_path)
    cache = PatternCache(tmp_path, phantom.model.q, estimator="mean")
    first = cache(lines[0].key)
    assert cache(lines[0].key) is first
    write_line(phantom.line(0, run=RAN, missing=(4,)), tmp_path)
    os.utime(path, (1.0, 1.0))
    assert np.isnan(cache(lines[0].key).mean[4]).all()
    with pytest.raises(DataError, match="cannot be read"):
        cache(lines[1].key)


def test_notices_say_a_thing_once(finished: Beamtime) -> None:
    texts = [one.message.text for one in finished.store.since(0, limit=100_000) if isinstance(one.message, Notice)]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refine": ["a", "b"]}, "its cell has a and c"),
        ({"refine": ["a"]}, "c is not in refine"),
        ({"lithium_curve": Path("curves/none.csv")}, "no lithium curve"),
    ],
)
def test_a_phase_that_cannot_be_refined_as_the_profile_says_is_refused_at_the_start(
    changes: dict[str, Any], words: str
) -> None:
    profile = demo_profile(refines=True)
    phases = [phase.model_copy(update=changes) if phase.name == "nmc" else phase for phase in profile.phases]
    with pytest.raises(OperandoError, match=words):
        Refinery(profile.model_copy(update={"phases": phases}))


def test_phases_are_added_and_removed_while_it_runs(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    write_profile(phantom.profile, out / "profile.toml")
    refinery = Refinery(phantom.profile, phase_list=PhaseList(phantom.profile, out / "phases.toml"))
    job = a_job(phantom, lines)

    def names() -> set[str]:
        maps = refinery(job, patterns_of=kept(lines)).maps
        return {one.name.removeprefix("refined_wt_") for one in maps if one.name.startswith("refined_wt_")}

    assert "fe" in names()
    lic30 = Path(__file__).parents[3] / "profiles/aaa-charged-c2/phases/lic30.cif"
    done = CliRunner().invoke(app, ["phases", str(out), "--remove", "fe", "--add", f"lic30={lic30}"])
    assert done.exit_code == 0, done.output
    assert names() == {phase.name for phase in phantom.profile.phases} - {"fe"} | {"lic30"}
    (out / "phases.toml").write_text("[[phases]]\nname = 'x'\n")
    with pytest.raises(OperandoError, match="stay as they were"):
        names()
    assert "lic30" in names()


def test_maps_of_phases_that_are_gone_become_maps_of_nothing(finished: Beamtime) -> None:
    refinement = finished.analysis._refinement.newest
    assert refinement is not None
    maps = refinement.maps
    (gone,) = withdrawn(maps, [one for one in maps if one.name != "c_nmc"])
    assert gone.name == "c_nmc"
    assert np.isnan(gone.value).all()
    assert withdrawn(maps, maps) == []


def test_a_point_against_time_gives_its_lattice_against_the_state_of_charge(phantom: Phantom) -> None:
    run = RAN.model_copy(update={"angles_deg": [0.0] * 3, "metadata": {"purpose": "line"}})
    plain = PlainRun(run)
    for number in range(3):
        reading = CellReading(time_s=1000.0, voltage_v=3.7, current_a=0.1, charge_ah=1.0 * number, soc=0.2 + 0.1 * number)
        plain.add(replace(phantom.line(number, run=run), cell=reading))
    job = job_from_plain(plain, is_last=True)
    assert job is not None
    found = Refinery(phantom.profile)(job, patterns_of=kept([]))
    trend = next(one for one in found.trends if one.name == "c_nmc")
    assert (trend.against, trend.place.tolist()) == ("state of charge", pytest.approx([0.2, 0.3, 0.4]))
    assert np.abs(trend.value - 14.5).max() < 0.01
    assert found.maps == []
    dark = PlainRun(run.model_copy(update={"metadata": {"purpose": "dark"}}))
    dark.add(phantom.line(0, run=run))
    assert job_from_plain(dark, is_last=True) is None


def test_the_next_run_of_a_series_leaves_the_one_before_refined_and_finished(
    phantom: Phantom, lines: list[Line], tmp_path: Path
) -> None:
    patterns = PatternCache(tmp_path / "lines", phantom.model.q, estimator="mean")
    with RefineWorker(Refinery(phantom.profile), patterns) as worker:
        beamtime = Beamtime(phantom, tmp_path, worker)
        beamtime.fly(lines[:9])
        beamtime.stop()
        beamtime.analysis.hear(RAN.model_copy(update={"run": "next"}), {})
        beamtime.work_until(lambda: (tmp_path / "scan-phantom.nxs").exists())
    with h5py.File(tmp_path / "scan-phantom.nxs") as file:
        assert file["entry/state"].asstr()[()] == "finished"
        assert file["entry/c_nmc"].attrs["n_lines"] == 9
