"""Which lines make a map: those of the run and of the run it continues, and only where its frames are for a map."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operando.bus import MemoryStore
from operando.messages import (
    CellReading,
    LineAborted,
    LineFlown,
    LineWritten,
    MapPublished,
    Message,
    Notice,
    PatternPublished,
    RunStarted,
    RunStopped,
    ScanProgress,
)
from operando.scan import LineKey
from streaming.analysis import Analysis
from streaming.answering import KnownTomograms
from streaming.line import Line
from streaming.line_file import write_line
from tests.streaming.phantom import N_LINES, RUN, Phantom, a_run, demo_profile

PROFILE = demo_profile()
N_BROKEN = 20
"""Lines of the run that breaks off; the next one breaks off in flight."""


class Told:
    """An analysis that is told of runs and lines, and what it published."""

    def __init__(self, phantom: Phantom, out: Path) -> None:
        self.out, self.now_s, self.store = out, 100.0, MemoryStore()
        self.analysis = Analysis(
            phantom.profile, phantom.model, out=out, store=self.store, clock=lambda: self.now_s, wall_clock=lambda: 5000.0
        )

    def hear(self, *messages: Message | Line) -> "Told":
        for message in messages:
            if isinstance(message, Line):
                for word in (flown(message), written(message, self.out)):
                    self.analysis.hear(word, {})
            else:
                self.analysis.hear(message, {})
        return self

    def work(self) -> "Told":
        self.analysis.work()
        while self.analysis.is_behind:
            self.analysis.work()
        self.now_s += 60.0
        self.analysis.work()
        return self

    def published(self, kind: type[Any]) -> list[Any]:
        return [entry.message for entry in self.store.since(0, limit=100_000) if isinstance(entry.message, kind)]

    def newest_map(self, run: str) -> np.ndarray[Any, Any]:
        entries = [entry for entry in self.store.since(0, limit=100_000) if isinstance(entry.message, MapPublished)]
        ours = [entry for entry in entries if (entry.message.run, entry.message.name) == (run, "x_lithium")]  # type: ignore[attr-defined]
        return np.asarray(ours[-1].arrays["value"])


def written(line: Line, out: Path) -> LineWritten:
    return LineWritten(
        run=line.key.run, line=line.key.line, attempt=line.key.attempt, path=str(write_line(line, out / "lines")),
        n_points=line.is_received.size, n_received=int(line.is_received.sum()), missing_ids=[], series=line.series,
        last_frame_s=line.end_s, time_s=line.end_s,
    )  # fmt: skip


def flown(line: Line) -> LineFlown:
    return LineFlown(
        run=line.key.run, line=line.key.line, attempt=line.key.attempt, positions_mm=line.positions_mm.tolist(),
        positions_source="captured", angle_deg=line.angle_deg, start_s=line.start_s, end_s=line.end_s,
    )  # fmt: skip


def run_named(name: str, **metadata: Any) -> RunStarted:
    return a_run().model_copy(update={"run": name, "metadata": metadata})


def stopped(run: str, status: Any = "success") -> RunStopped:
    return RunStopped(run=run, exit_status=status, time_s=2000.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(PROFILE, photons=3000)


@pytest.fixture(scope="module")
def whole(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """One run with all its lines, undisturbed; the attempt of each tells its noise."""
    told = Told(phantom, tmp_path_factory.mktemp("whole")).hear(a_run())
    again = [phantom.line(i, attempt=int(i == N_BROKEN)) for i in range(N_LINES)]
    return told.hear(*again, stopped(RUN)).work()


@pytest.fixture(scope="module")
def continued(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A run that broke off in a line, and another that flew that line and those after it."""
    told = Told(phantom, tmp_path_factory.mktemp("continued"))
    first, second = run_named("first"), run_named("second", continues="first", start_line=N_BROKEN)
    told.hear(first, *(phantom.line(i, run=first) for i in range(N_BROKEN))).work()
    told.hear(LineAborted(run="first", line=N_BROKEN, attempt=0, reason="died", time_s=1.0), stopped("first", "fail")).work()
    told.hear(second, phantom.line(N_BROKEN, attempt=1, run=second))
    return told.hear(*(phantom.line(i, run=second) for i in range(N_BROKEN + 1, N_LINES)), stopped("second")).work()


def test_a_run_that_continues_another_ends_in_the_map_of_an_unbroken_one(continued: Told, whole: Told) -> None:
    np.testing.assert_array_equal(continued.newest_map("second"), whole.newest_map(RUN))
    last = continued.published(ScanProgress)[-1]
    assert (last.run, last.state, last.lines_done, last.attempts) == ("second", "finished", N_LINES, N_LINES)


def test_an_analysis_that_comes_back_joins_the_two_runs_again(continued: Told, phantom: Phantom) -> None:
    again = Told(phantom, continued.out)
    first, second = run_named("first"), run_named("second", continues="first", start_line=N_BROKEN)
    again.hear(first, stopped("first", "fail"), second, stopped("second")).work()
    np.testing.assert_array_equal(again.newest_map("second"), continued.newest_map("second"))


def test_the_archive_knows_of_which_run_each_line_is(continued: Told) -> None:
    lines = KnownTomograms(PROFILE, continued.out)("second").lines
    assert {line.key for line in lines} >= {
        LineKey(run="first", line=0, attempt=0),
        LineKey(run="second", line=N_BROKEN, attempt=1),
    }
    assert len(lines) == N_LINES


def test_a_run_whose_predecessor_has_other_angles_or_is_unknown_stands_alone_and_says_so(
    phantom: Phantom, tmp_path: Path
) -> None:
    other = run_named("other").model_copy(update={"angles_deg": [float(i) for i in range(N_LINES)]})
    told = Told(phantom, tmp_path).hear(other, phantom.line(0, run=other)).work()
    for name, earlier in (("second", "other"), ("third", "nobody")):
        run = run_named(name, continues=earlier)
        told.hear(run, phantom.line(1, run=run)).work()
        assert told.published(ScanProgress)[-1].lines_done == 1
        assert f"run {earlier}" in told.published(Notice)[-1].text


def test_dark_frames_make_no_map_and_leave_the_one_before_where_it_is(phantom: Phantom, tmp_path: Path) -> None:
    told = Told(phantom, tmp_path).hear(a_run(), *(phantom.line(i) for i in range(4)), stopped(RUN)).work()
    archive = (tmp_path / "scan.nxs").read_bytes()
    n_maps = len(told.published(MapPublished))
    dark = run_named("dark", purpose="dark").model_copy(update={"angles_deg": [0.0]})
    line = phantom.line(0, run=dark, missing=(3,))
    told.hear(dark, line, stopped("dark")).work()
    assert len(told.published(MapPublished)) == n_maps
    assert (tmp_path / "scan.nxs").read_bytes() == archive
    assert list(tmp_path.glob("scan-*.nxs")) == []
    last = told.published(ScanProgress)[-1]
    assert (last.run, last.state, last.lines_done, last.frames_missing) == ("dark", "finished", 1, 1)
    pattern = told.published(PatternPublished)[-1]
    assert (pattern.run, pattern.label) == ("dark", "mean pattern, dark")
    assert "dark: 30 frames" in told.published(Notice)[-1].text


def test_an_aborted_attempt_of_a_plain_run_counts_for_nothing(phantom: Phantom, tmp_path: Path) -> None:
    run = run_named("p", purpose="point")
    told = Told(phantom, tmp_path).hear(run, phantom.line(0, run=run), phantom.line(1, run=run)).work()
    told.hear(LineAborted(run="p", line=1, attempt=0, reason="paused", time_s=1.0), phantom.line(1, attempt=1, run=run)).work()
    last = told.published(ScanProgress)[-1]
    assert (last.lines_done, last.attempts) == (2, 3)


def test_the_state_of_one_cell_is_not_shown_with_the_maps_of_the_next(phantom: Phantom, tmp_path: Path) -> None:
    first = run_named("a").model_copy(update={"cell": "cell A"})
    second = run_named("b").model_copy(update={"cell": "cell B"})
    told = Told(phantom, tmp_path).hear(first, CellReading(time_s=1001.0, voltage_v=4.1, current_a=0.1))
    told.hear(phantom.line(0, run=first)).work().hear(second, phantom.line(0, run=second)).work()
    cells = {message.run: message.cell for message in told.published(MapPublished)}
    assert cells["a"].voltage_v == 4.1
    assert cells["b"] is None
