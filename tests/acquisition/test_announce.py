import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from acquisition.announce import Announcer, stop_torn_runs
from acquisition.plans.layout import layout_of
from operando.journal import Journal, read_journal
from operando.messages import Document, LineAborted, LineAnnounced, Message, RunStarted, RunStopped
from operando.profile import read_profile
from operando.profile.surroundings import Dose


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.jsonl")) as opened:
        yield opened


@pytest.fixture
def announcer(journal: Journal) -> Announcer:
    profile = read_profile("demo")
    return Announcer(journal, profile=profile, layout=layout_of(profile), clock=lambda: 1.7e9)


def messages(journal: Journal, *kinds: type[Message]) -> list[Message]:
    journal.close()
    return [message for message in read_journal(journal.path) if isinstance(message, kinds)]


def test_documents_become_plain_json_whatever_numpy_is_in_them(announcer: Announcer, journal: Journal) -> None:
    document = {"data": {"a": np.arange(3), "b": np.float32(0.5)}, "shape": (1, np.int64(2)), "ok": np.bool_(True)}
    announcer.document("event", document)
    kept = messages(journal, Document)[0]
    assert isinstance(kept, Document)
    assert kept.document == {"data": {"a": [0, 1, 2], "b": 0.5}, "shape": [1, 2], "ok": True}
    assert json.loads(kept.model_dump_json())


def test_run_is_laid_out_before_its_first_line(announcer: Announcer, journal: Journal) -> None:
    announcer.document("start", {"uid": "abc"})
    started = messages(journal, RunStarted)[0]
    assert isinstance(started, RunStarted)
    grid = layout_of(read_profile("demo")).grid
    assert started.run == "abc"
    assert started.angles_deg == grid.angles_deg.tolist()
    assert (started.n_points, started.first_position_mm, started.step_mm) == (49, pytest.approx(-2.4), 0.1)
    assert started.speed_mm_s == pytest.approx(2.5)
    assert started.estimated_dose_gy is None, "the demo's profile knows no beam"


def test_a_run_tells_the_dose_that_it_will_leave_where_the_beam_is_known(journal: Journal) -> None:
    beam = Dose(
        flux_photons_s=1e11, energy_kev=70.0, beam_width_mm=0.1, beam_height_mm=0.1, absorption_cm2_g=0.03, limit_gy=None
    )
    profile = read_profile("demo").model_copy(update={"dose": beam})
    Announcer(journal, profile=profile, layout=layout_of(profile)).document("start", {"uid": "abc"})
    started = messages(journal, RunStarted)[0]
    assert isinstance(started, RunStarted)
    # 40 lines of 49 gates of 39 ms; photons times energy, spread over 4.9 mm by 0.1 mm, as far as it is absorbed.
    flown_s = layout_of(profile).flight.train_s * len(started.angles_deg)
    assert flown_s == pytest.approx(40 * 49 * started.period_s, rel=0.05)
    by_hand_gy = 1000 * 1e11 * flown_s * 70 * 1.602e-16 * 0.03 / (4.9 * 0.1 / 100)
    assert started.estimated_dose_gy == pytest.approx(by_hand_gy, rel=1e-3)


def test_run_that_ends_in_mid_line_aborts_the_line_first(announcer: Announcer, journal: Journal) -> None:
    announcer.document("start", {"uid": "abc"})
    announcer.announce_line(layout_of(read_profile("demo")).lines[0], series=3, first_image_id=0)
    announcer.document("stop", {"uid": "x", "run_start": "abc", "exit_status": "abort", "reason": "enough"})
    ends = messages(journal, LineAborted, RunStopped)
    assert [type(one) for one in ends] == [LineAborted, RunStopped]
    assert isinstance(ends[1], RunStopped)
    assert (ends[1].run, ends[1].exit_status, ends[1].reason) == ("abc", "abort", "enough")


def test_each_announcement_of_a_line_is_the_next_attempt(announcer: Announcer, journal: Journal) -> None:
    announcer.document("start", {"uid": "abc"})
    line = layout_of(read_profile("demo")).lines[5]
    for series in (1, 2, 3):
        announcer.announce_line(line, series=series, first_image_id=0)
        assert announcer.abort_line("again")
        assert not announcer.abort_line("nothing is open any more")
    kept = messages(journal, LineAnnounced)
    assert [(one.line, one.attempt, one.series) for one in kept] == [(5, 0, 1), (5, 1, 2), (5, 2, 3)]  # type: ignore[attr-defined]


def test_line_that_was_never_announced_cannot_have_flown(announcer: Announcer) -> None:
    with pytest.raises(RuntimeError, match="never announced"):
        announcer.line_flown([0.0], source="captured", angle_deg=0.0, ring_current_ma=None, cell=None, start_s=0.0, end_s=1.0)


def test_run_that_a_dead_process_left_open_is_stopped_by_the_next_one(announcer: Announcer, journal: Journal) -> None:
    announcer.document("start", {"uid": "finished"})
    announcer.document("stop", {"exit_status": "success"})
    announcer.document("start", {"uid": "torn"})
    announcer.announce_line(layout_of(read_profile("demo")).lines[0], series=3, first_image_id=0)
    journal.close()
    with closing(Journal(journal.path)) as again:
        assert stop_torn_runs(again, clock=lambda: 1.8e9) == 1
        assert stop_torn_runs(again) == 0
        stopped = messages(again, RunStopped, LineAborted)
    assert [one.run for one in stopped] == ["finished", "torn", "torn"]  # type: ignore[attr-defined]
    assert "died" in stopped[-1].reason  # type: ignore[attr-defined]


def test_a_simulated_sample_and_a_replayed_cell_are_called_so(announcer: Announcer, journal: Journal) -> None:
    announcer.document("start", {"uid": "abc"})
    started = messages(journal, RunStarted)[0]
    assert isinstance(started, RunStarted)
    assert started.sample == "simulated jelly-roll"
    assert started.cell.endswith("(replayed 60 times fast)")


def test_a_run_that_continues_others_counts_their_attempts_on(announcer: Announcer, journal: Journal) -> None:
    profile = read_profile("demo")
    layout = layout_of(profile)
    for run, continues, lines in (("a", "", (0, 1, 1)), ("b", "a", (1,)), ("c", "b", (0, 1, 2)), ("d", "", (1,))):
        announcer.lay_out(profile=profile, layout=layout, metadata={"continues": continues} if continues else {})
        announcer.document("start", {"uid": run})
        for line in lines:
            announcer.announce_line(layout.lines[line], series=1, first_image_id=0)
        announcer.document("stop", {"uid": "x", "run_start": run, "exit_status": "abort"})
    kept = [(one.run, one.line, one.attempt) for one in messages(journal, LineAnnounced)]  # type: ignore[attr-defined]
    assert kept == [("a", 0, 0), ("a", 1, 0), ("a", 1, 1), ("b", 1, 2), ("c", 0, 1), ("c", 1, 3), ("c", 2, 0), ("d", 1, 0)]


def test_the_newest_tomogram_is_not_that_of_dark_frames(announcer: Announcer) -> None:
    layout = layout_of(read_profile("demo"))
    assert announcer.newest_tomogram() == ""
    for run, purpose in (("a", "tomogram"), ("b", "tomogram"), ("c", "dark")):
        announcer.lay_out(profile=read_profile("demo"), layout=layout, metadata={"purpose": purpose})
        announcer.document("start", {"uid": run})
        announcer.document("stop", {"uid": "x", "run_start": run, "exit_status": "abort"})
    assert announcer.newest_tomogram() == "b"
