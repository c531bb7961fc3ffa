"""Processing a recorded measurement: the same numbers as live for the same settings, and clear words where it cannot."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from operando.bus import MemoryStore
from operando.cli.process import compare_maps
from operando.errors import DataError, MissingInputError, OutputError, ProfileError
from operando.journal import Journal
from operando.messages import CellReading, LineAborted, LineWritten, RunStopped
from operando.profile import read_profile, write_profile
from operando.profile.settings import changed_keys, with_settings
from streaming.analysis import Analysis
from streaming.line import Line
from streaming.line_file import write_line
from streaming.process import check_settings, process
from streaming.recorded import find_recorded
from tests.streaming.phantom import RUN, Phantom, a_run, demo_profile

N_LINES = 9
RAN = a_run(n_lines=N_LINES)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(demo_profile(), photons=3000)


def measure(phantom: Phantom, out: Path, *, n_lines: int = N_LINES, is_closed: bool = True) -> Path:
    """Analyse a scan as it runs, one line after the other, the third flown twice and the fifth's second attempt aborted."""
    out.mkdir()
    write_profile(phantom.profile, out / "profile.toml")
    analysis = Analysis(
        phantom.profile, phantom.model, out=out, store=MemoryStore(), clock=iter(range(10**6)).__next__, wall_clock=lambda: 5e3
    )
    analysis.hear(RAN, {})
    analysis.hear(reading(1003.0), {})
    for number in range(n_lines):
        for attempt in range(2 if number in (2, 4) else 1):
            line = phantom.line(number, attempt=attempt, run=RAN, missing=(7,) if number == 3 else ())
            analysis.hear(written(line, write_line(line, out / "lines")), {})
            analysis.work()
    analysis.hear(LineAborted(run=RUN, line=4, attempt=1, reason="beam lost", time_s=1020.0), {})
    if is_closed:
        analysis.hear(RunStopped(run=RUN, exit_status="success", time_s=2000.0), {})
    analysis.work()
    return out / "scan.nxs"


@pytest.fixture(scope="module")
def live(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measure(phantom, tmp_path_factory.mktemp("beamtime") / "run")


def numbers(path: Path) -> Iterator[tuple[str, Any]]:
    """Everything in an archive that is a number, by name, the links to raw patterns included."""
    found: list[tuple[str, Any]] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append((name, item[()])) if isinstance(item, h5py.Dataset) else None)
    return ((name, value) for name, value in found if np.asarray(value).dtype.kind in "fiub")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_settings_give_the_same_numbers_as_live(live: Path, tmp_path: Path) -> None:
    before = contents(live.parent)
    recorded = find_recorded(live)
    done = process(recorded, recorded.profile, tmp_path / "new")
    again, was = dict(numbers(done.archive)), dict(numbers(live))
    assert len(was) > 60
    assert again.keys() == was.keys()
    for name, value in was.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-12, atol=0, err_msg=name)
    assert contents(live.parent) == before
    assert (done.n_lines, done.n_lines_expected) == (N_LINES, N_LINES)


def test_other_settings_give_other_numbers_and_are_recorded(live: Path, tmp_path: Path) -> None:
    recorded = find_recorded(live)
    profile = with_settings(recorded.profile, ["reconstruction.filter=hann", "phases.nmc.fwhm_deg=0.07"], without=["fe"])
    done = process(recorded, profile, tmp_path / "new")
    rows = compare_maps(live, done.archive)
    assert not rows["x_lithium"]["is_same"]
    assert rows["x_lithium"]["largest"] > 1e-3
    assert "wt_fe" not in rows
    with h5py.File(done.archive) as file:
        group = file["entry/process"]
        changed = json.loads(group["changed_settings"][()])
        assert changed["reconstruction.filter"] == {"was": "shepp-logan", "is": "hann"}
        assert changed["phases.nmc.fwhm_deg"] == {"was": 0.055, "is": 0.07}
        assert group["input"].asstr()[()] == str(live)
        assert len(json.loads(group["input_lines"][()])) == N_LINES
        assert {"numpy", "scipy", "python", "operando"} <= json.loads(group["versions"][()]).keys()


def test_what_was_processed_can_be_processed_again(live: Path, tmp_path: Path) -> None:
    recorded = find_recorded(live)
    first = process(recorded, recorded.profile, tmp_path / "first")
    again = find_recorded(first.archive)
    second = process(again, again.profile, tmp_path / "second")
    assert all(row["is_same"] for row in compare_maps(live, second.archive).values())


def test_lines_can_be_chosen(live: Path, tmp_path: Path) -> None:
    recorded = find_recorded(live)
    done = process(recorded.between(3, 8), recorded.profile, tmp_path / "new")
    assert done.n_lines == 5
    with h5py.File(done.archive) as file:
        assert file["entry/lines/line"][()].tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(DataError, match="numbered 0 to 8"):
        recorded.between(20, 30)


def test_the_attempts_that_counted_live_count(live: Path) -> None:
    attempts = {key.line: key.attempt for key in find_recorded(live).files}
    assert attempts[2] == 1
    assert attempts[4] == 0
    assert len(attempts) == N_LINES


def test_windows_of_q_leave_the_rest_of_the_pattern_out(live: Path, tmp_path: Path) -> None:
    recorded = find_recorded(live)
    phases = [phase.name for phase in recorded.profile.phases if phase.name not in ("nmc", "lic6")]
    profile = with_settings(recorded.profile, ["reconstruction.q_windows=[[1.2, 2.0]]"], without=phases)
    done = process(recorded, profile, tmp_path / "new")
    assert not compare_maps(live, done.archive)["wt_nmc"]["is_same"]
    narrow = with_settings(recorded.profile, ["reconstruction.q_windows=[[1.2, 2.0]]"])
    with pytest.raises(DataError, match="hold no reflection of fe, cu, al"):
        process(recorded, narrow, tmp_path / "other")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("integration.q_min=1.4", r"integration\.q_min was used when frames became lines"),
        ("detector.saturation_counts=5", "integrate them again"),
        ("scan.n_lines=3", "changes nothing in the maps"),
        ("reconstruction.filtr=hann", "filtr: unknown key"),
        ("reconstruction.filter=sharp", "filter: Input should be"),
        ("reconstruction.filter", "wanted KEY=VALUE"),
        ("phases.gold.fwhm_deg=1", "there is no 'gold'"),
        ("reconstruction.q_windows=[[2.0, 1.0]]", "must be ascending"),
    ],
)
def test_a_setting_that_means_nothing_here_is_refused(setting: str, words: str) -> None:
    profile = read_profile("demo")
    with pytest.raises(ProfileError, match=words):
        check_settings(profile, with_settings(profile, [setting]))


def test_changed_keys_name_what_differs_and_nothing_else() -> None:
    profile = read_profile("demo")
    assert changed_keys(profile, profile) == {}
    changed = with_settings(profile, ["scan.centre_mm=0.5"])
    assert changed_keys(profile, changed) == {"scan.centre_mm": (0.0, 0.5)}


def test_nothing_is_overwritten(live: Path) -> None:
    recorded = find_recorded(live)
    with pytest.raises(OutputError, match="holds a run already"):
        process(recorded, recorded.profile, live.parent)


def test_missing_and_damaged_lines_are_named_and_left_out_on_demand(phantom: Phantom, tmp_path: Path) -> None:
    archive = measure(phantom, tmp_path / "run")
    recorded = find_recorded(archive)
    files = {key.line: path for key, path in recorded.files.items()}
    files[1].unlink()
    files[5].write_bytes(files[5].read_bytes()[:-3000])
    with pytest.raises(DataError, match=r"2 of 9 lines cannot be used: line 1, attempt 0: there is no .*; line 5.*damaged"):
        process(recorded, recorded.profile, tmp_path / "new")
    done = process(recorded, recorded.profile, tmp_path / "new", is_partial=True)
    assert done.n_lines == 7
    assert done.notices[0].startswith("2 of 9 lines cannot be used")


def test_lines_of_another_profile_or_run_are_refused(live: Path, phantom: Phantom, tmp_path: Path) -> None:
    coarse = phantom.profile.model_copy(
        update={"integration": phantom.profile.integration.model_copy(update={"n_radial": 700})}
    )
    write_profile(coarse, tmp_path / "profile.toml")
    recorded = find_recorded(live, profile=str(tmp_path))
    with pytest.raises(DataError, match=r"9 of 9 lines .* has 750 bins .* the profile 700"):
        process(recorded, recorded.profile, tmp_path / "new")
    archive = measure(phantom, tmp_path / "run", n_lines=5)
    here = find_recorded(archive)
    files = {key.line: path for key, path in here.files.items()}
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(DataError, match=r"1 of 5 lines .* it holds line 1, attempt 0"):
        process(here, here.profile, tmp_path / "new")


def test_a_line_of_another_geometry_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    archive = measure(phantom, tmp_path / "run", n_lines=5)
    with h5py.File(archive.parent / "lines" / RUN / "line-00003-attempt-00.h5", "r+") as file:
        file["entry/geometry_sha256"][()] = "1" * 64
    recorded = find_recorded(archive)
    with pytest.raises(DataError, match=r"line 3, attempt 0: it was integrated with another geometry"):
        process(recorded, recorded.profile, tmp_path / "new")


def test_an_archive_that_is_cut_off_or_missing_is_one_sentence(live: Path, tmp_path: Path) -> None:
    cut = tmp_path / "scan.nxs"
    cut.write_bytes(live.read_bytes()[:5000])
    with pytest.raises(DataError, match="cut off"):
        find_recorded(cut)
    with pytest.raises(MissingInputError, match=r"give the scan\.nxs"):
        find_recorded(tmp_path / "none.nxs")
    cut.write_bytes(live.read_bytes())
    with pytest.raises(MissingInputError, match=r"no .*profile\.toml"):
        find_recorded(cut)
    with pytest.raises(MissingInputError, match="the lines of run phantom"):
        find_recorded(cut, profile="demo")


def test_a_run_that_never_ended_is_taken_with_all_lines_on_disk(phantom: Phantom, tmp_path: Path) -> None:
    archive = measure(phantom, tmp_path / "run", n_lines=6, is_closed=False)
    write_line(phantom.line(6, run=RAN), tmp_path / "run" / "lines")
    recorded = find_recorded(archive)
    assert any("never closed" in note for note in recorded.notes)
    done = process(recorded, recorded.profile, tmp_path / "new")
    assert done.n_lines == 7
    with h5py.File(done.archive) as file:
        assert file["entry/state"].asstr()[()] == "aborted"


def test_the_journal_brings_the_readings_of_the_run_and_no_others(live: Path, phantom: Phantom, tmp_path: Path) -> None:
    archive = measure(phantom, tmp_path / "run", n_lines=5)
    journal = Journal(tmp_path / "run" / "journal.jsonl")
    assert find_recorded(archive).readings == (reading(1003.0),)
    for message in (
        reading(1.0),
        RAN,
        reading(1002.0),
        RunStopped(run=RUN, exit_status="fail", time_s=1003.0),
        reading(1003.0),
    ):
        journal.append(message)
    journal.close()
    recorded = find_recorded(archive)
    assert [one.time_s for one in recorded.readings] == [1002.0]
    assert recorded.stopped is not None
    assert recorded.stopped.exit_status == "fail"
    (tmp_path / "run" / "journal.jsonl").write_text("no journal\n")
    assert any("journal is not used" in note for note in find_recorded(archive).notes)


def test_a_profile_that_changed_since_is_told(phantom: Phantom, tmp_path: Path) -> None:
    archive = measure(phantom, tmp_path / "run", n_lines=4)
    write_profile(with_settings(phantom.profile, ["reconstruction.filter=ramp"]), archive.parent / "profile.toml")
    assert find_recorded(archive).notes == (
        "profile.toml beside the archive is not what the archive was made with: reconstruction.filter differ",
    )


def test_the_time_of_processing_is_recorded(live: Path, tmp_path: Path) -> None:
    recorded = find_recorded(live)
    at = datetime.datetime(2026, 5, 4, 3, 2, 1, tzinfo=datetime.UTC)
    done = process(recorded.between(0, 4), recorded.profile, tmp_path / "new", wall_clock=lambda: at)
    with h5py.File(done.archive) as file:
        assert file["entry/process/made_at"].asstr()[()] == "2026-05-04T03:02:01+00:00"


def written(line: Line, path: Path) -> LineWritten:
    return LineWritten(
        run=line.key.run,
        line=line.key.line,
        attempt=line.key.attempt,
        path=str(path),
        n_points=line.is_received.size,
        n_received=int(line.is_received.sum()),
        missing_ids=[],
        series=line.series,
        last_frame_s=line.end_s,
        time_s=line.end_s,
    )


def reading(time_s: float) -> CellReading:
    return CellReading(time_s=time_s, voltage_v=3.7, current_a=0.1)
