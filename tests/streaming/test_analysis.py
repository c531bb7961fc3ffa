"""The analysis process: from messages and line files to the results feed and the archive, over crashes and late comers."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import silx.io
import silx.io.nxdata
from numpy.typing import NDArray

from operando.bus import Asker, Entry, FeedClient, FeedServer, MemoryStore
from operando.messages import (
    CakePreview,
    CellReading,
    FrameGeometry,
    FramePreview,
    LineAborted,
    LineFlown,
    LineWritten,
    MapPublished,
    Message,
    Notice,
    PatternPublished,
    RegionAnswered,
    RegionAsked,
    RunStarted,
    RunStopped,
    ScanProgress,
    ScanState,
    ServicesOffered,
    SinogramPublished,
    StreamStatus,
)
from operando.profile import Profile
from streaming.analysis import PUBLISH_INTERVAL_S, Analysis, serve
from streaming.archivist import ARCHIVE_RETRY_S
from streaming.line import Line
from streaming.line_file import write_line
from streaming.run_state import PATIENCE_S
from tests.streaming.phantom import N_LINES, RUN, Phantom, a_run, demo_profile

PROFILE = demo_profile()


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Process:
    """An analysis with its clock and what it published, as one process would have them."""

    def __init__(self, phantom: Phantom, out: Path) -> None:
        self.clock, self.store = Clock(), MemoryStore()
        self.analysis = Analysis(
            phantom.profile, phantom.model, out=out, store=self.store, clock=self.clock, wall_clock=lambda: 5000.0
        )

    def hear(self, *messages: Message) -> None:
        for message in messages:
            self.analysis.hear(message, {})

    def work(self, n_times: int = 1) -> None:
        """Work at once, except for the last time: then a second has passed and what is due is published."""
        for _ in range(n_times - 1):
            self.analysis.work()
        self.clock.now_s += 1.0
        self.analysis.work()

    def published(self, kind: type[Message]) -> list[Entry]:
        return [entry for entry in self.store.since(0, limit=100_000) if isinstance(entry.message, kind)]

    def newest_map(self, name: str) -> Entry:
        return next(entry for entry in reversed(self.published(MapPublished)) if getattr(entry.message, "name", "") == name)

    @property
    def progress(self) -> ScanProgress:
        message = self.published(ScanProgress)[-1].message
        assert isinstance(message, ScanProgress)
        return message


def written(line: Line, out: Path) -> LineWritten:
    path = write_line(line, out / "lines")
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


def flown(line: Line) -> LineFlown:
    return LineFlown(
        run=line.key.run,
        line=line.key.line,
        attempt=line.key.attempt,
        positions_mm=line.positions_mm.tolist(),
        positions_source="captured",
        angle_deg=line.angle_deg,
        start_s=line.start_s,
        end_s=line.end_s,
    )


def stopped(status: Any = "success") -> RunStopped:
    return RunStopped(run=RUN, exit_status=status, time_s=2000.0)


def scan_state(state: Any, reason: str = "") -> ScanState:
    return ScanState(state=state, plan="xrdct", reason=reason, time_s=2000.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(PROFILE, photons=3000)


@pytest.fixture(scope="module")
def lines(phantom: Phantom) -> list[Line]:
    return [phantom.line(i) for i in range(N_LINES)]


def test_map_grows_line_by_line_and_ends_with_the_run(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run())
    seen = []
    for line in lines[:6]:
        process.hear(flown(line), written(line, tmp_path))
        process.work()
        seen.append(process.newest_map("x_lithium").message.n_lines)  # type: ignore[attr-defined]
    assert seen == [1, 2, 3, 4, 5, 6]
    assert process.progress.state == "scanning"
    assert process.progress.frames_received == 6 * 31
    process.hear(stopped())
    process.work()
    assert process.progress.state == "finished"
    assert process.progress.lines_done == 6
    assert process.progress.archive == str(tmp_path / "scan.nxs")


def test_end_of_a_run_tells_where_the_rotation_centre_is(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), *(written(line, tmp_path) for line in lines), stopped())
    process.work(N_LINES + 1)
    notices = [entry.message for entry in process.published(Notice)]
    assert len(notices) == 1
    assert isinstance(notices[0], Notice)
    assert notices[0].level == "info"
    assert notices[0].text.startswith("rotation centre (mm): centre of mass 0.0")


def test_messages_describe_every_layer(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), *(written(line, tmp_path) for line in lines))
    process.work(N_LINES + 1)
    names = {entry.message.name for entry in process.published(MapPublished)}  # type: ignore[attr-defined]
    assert names == {"x_lithium", *(f"wt_{phase.name}" for phase in PROFILE.phases), "coverage"}
    entry = process.newest_map("x_lithium")
    message = entry.message
    assert isinstance(message, MapPublished)
    assert (message.label, message.colormap, message.low, message.high) == ("x in LixC6", "lixc6", 0.0, 1.0)
    assert message.pixel_mm == pytest.approx(0.1)
    assert message.x_first_mm == pytest.approx(-1.5)
    assert entry.arrays["value"].shape == entry.arrays["sigma"].shape == entry.arrays["reason"].shape == (31, 31)
    assert entry.arrays["value"].dtype == np.float32
    np.testing.assert_array_equal(np.isnan(entry.arrays["value"]), entry.arrays["reason"] != 0)
    assert set(np.unique(entry.arrays["reason"])) <= set(message.reasons)
    sinogram = process.published(SinogramPublished)[-1]
    assert sinogram.arrays["sinogram"].shape == (N_LINES, 31)
    pattern = process.published(PatternPublished)[-1]
    assert set(pattern.arrays) == {"q", "intensity", "fit"}
    assert set(pattern.message.reflections) == {phase.name for phase in PROFILE.phases}  # type: ignore[attr-defined]


def test_catching_up_publishes_at_most_three_times_a_second(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), *(written(line, tmp_path) for line in lines[:12]))
    for _ in range(12):
        process.clock.now_s += PUBLISH_INTERVAL_S / 6
        process.analysis.work()
    revision = process.newest_map("coverage").message.revision  # type: ignore[attr-defined]
    assert revision == 2
    process.work()
    assert process.newest_map("coverage").message.n_lines == 12  # type: ignore[attr-defined]


def test_process_that_died_comes_back_with_the_same_maps(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    first = Process(phantom, tmp_path)
    first.hear(a_run(), *(written(line, tmp_path) for line in reversed(lines[:20])))
    first.work(21)
    second = Process(phantom, tmp_path)
    second.hear(a_run())
    second.work(21)
    for name in ("x_lithium", "wt_nmc", "coverage"):
        one, other = first.newest_map(name).arrays, second.newest_map(name).arrays
        np.testing.assert_array_equal(one["reason"], other["reason"])
        np.testing.assert_allclose(one["value"], other["value"], rtol=1e-5, atol=1e-6)


def test_what_comes_twice_changes_nothing(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    reading = CellReading(time_s=1.0, voltage_v=3.7, current_a=0.1)
    messages = [a_run(), reading, *(written(line, tmp_path) for line in lines[:4])]
    process.hear(*messages)
    process.work(5)
    revision = process.newest_map("coverage").message.revision  # type: ignore[attr-defined]
    process.hear(*messages)
    process.work(5)
    assert process.newest_map("coverage").message.revision == revision  # type: ignore[attr-defined]
    assert len(process.published(RunStarted)) == len(process.published(CellReading)) == 1


def test_lines_that_came_before_their_run_are_kept(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(written(lines[0], tmp_path), written(lines[1], tmp_path))
    process.work(2)
    assert not process.published(MapPublished)
    process.hear(a_run())
    process.work(3)
    assert process.progress.lines_done == 2


def test_damaged_line_is_told_and_the_next_one_counts(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    damaged = written(lines[3], tmp_path)
    content = Path(damaged.path).read_bytes()
    Path(damaged.path).write_bytes(content[: len(content) // 2])
    gone = written(lines[4], tmp_path)
    Path(gone.path).unlink()
    process.hear(a_run(), damaged, gone, written(lines[5], tmp_path))
    process.work(4)
    notices = [entry.message.text for entry in process.published(Notice)]  # type: ignore[attr-defined]
    assert len(notices) == 2
    assert "line 3, attempt 0 is not in the maps" in notices[0]
    assert process.progress.lines_done == 1


def test_images_that_come_late_reach_the_maps(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process, batch = Process(phantom, tmp_path), Process(phantom, tmp_path / "batch")
    process.hear(a_run(), *(written(line, tmp_path) for line in lines[:5]), written(phantom.line(5, missing=(3, 4)), tmp_path))
    process.work(7)
    assert process.progress.frames_missing == 2
    process.hear(written(lines[5], tmp_path))
    process.work(2)
    batch.hear(a_run(), *(written(line, tmp_path / "batch") for line in lines[:6]))
    batch.work(7)
    assert process.progress.frames_missing == 0
    found, wanted = (one.newest_map("x_lithium").arrays["value"] for one in (process, batch))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_archive_that_cannot_be_written_costs_no_map_and_is_written_later(
    phantom: Phantom, lines: list[Line], tmp_path: Path
) -> None:
    process = Process(phantom, tmp_path)
    in_the_way = tmp_path / ".scan.nxs.partial"
    in_the_way.mkdir()
    process.hear(a_run(), *(written(line, tmp_path) for line in lines[:3]), stopped())
    process.work(4)
    assert process.progress.lines_done == 3
    notices = [entry.message.text for entry in process.published(Notice)]  # type: ignore[attr-defined]
    assert sum("cannot write" in text for text in notices) == 1
    in_the_way.rmdir()
    process.clock.now_s += ARCHIVE_RETRY_S
    process.work()
    with h5py.File(tmp_path / "scan.nxs", "r") as file:
        assert file["entry/n_lines"][()] == 3
        correlation = file["entry/noise_correlation/correlation"][()]
    assert correlation[3, 3] == 1.0
    assert np.abs(correlation).max() == 1.0


def test_line_file_that_is_gone_at_a_rebuild_is_told_and_counts_no_more(
    phantom: Phantom, lines: list[Line], tmp_path: Path
) -> None:
    process, batch = Process(phantom, tmp_path), Process(phantom, tmp_path / "batch")
    process.hear(a_run(), *(written(line, tmp_path) for line in lines[1:6]))
    process.work(6)
    (tmp_path / "lines" / RUN / "line-00003-attempt-00.h5").unlink()
    process.hear(written(lines[0], tmp_path))
    process.work(2)
    batch.hear(a_run(), *(written(lines[i], tmp_path / "batch") for i in (0, 1, 2, 4, 5)))
    batch.work(6)
    assert "line 3, attempt 0 is no longer in the maps" in process.published(Notice)[-1].message.text  # type: ignore[attr-defined]
    assert process.progress.lines_done == batch.progress.lines_done == 5
    found, wanted = (one.newest_map("x_lithium").arrays["value"] for one in (process, batch))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_aborted_attempt_is_taken_out_of_the_maps(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), *(written(line, tmp_path) for line in lines[:4]))
    process.work(5)
    process.hear(LineAborted(run=RUN, line=2, attempt=0, reason="beam lost", time_s=1.0))
    process.work()
    assert process.progress.lines_done == 3


def test_run_stays_open_until_its_last_line_is_reduced(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), flown(lines[0]), flown(lines[1]), written(lines[0], tmp_path), stopped())
    process.work(3)
    assert process.progress.state == "scanning"
    process.hear(written(lines[1], tmp_path))
    process.work()
    assert process.progress.state == "finished"


def test_run_whose_lines_never_come_is_closed_and_they_are_named(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), flown(lines[0]), flown(lines[1]), written(lines[0], tmp_path), stopped("abort"))
    process.work(2)
    process.clock.now_s += PATIENCE_S
    process.work()
    assert process.progress.state == "aborted"
    assert "[(1, 0)]" in process.published(Notice)[-1].message.text  # type: ignore[attr-defined]


def test_status_frame_and_readings_pass_through(phantom: Phantom, tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    status = StreamStatus(
        time_s=1.0,
        series=1,
        frames_received=3,
        frames_duplicated=0,
        frames_rejected={},
        frames_unannounced=0,
        missing_ids=[],
        frames_missing=0,
        queue_depth=0,
        queue_capacity=8,
        frames_per_s=25.0,
    )
    image: NDArray[np.uint32] = np.arange(12, dtype=np.uint32).reshape(3, 4)
    preview = FramePreview(time_s=1.0, series=1, image_id=2, binning=4, n_saturated=0)
    for _ in range(3):
        process.hear(status)
        process.analysis.hear(preview, {"image": image})
        process.analysis.hear(FrameGeometry(binning=4, time_s=1.0), {"q": image.astype(np.float32)})
        cake = CakePreview(time_s=1.0, series=1, image_id=2, eta_first_deg=0.0, eta_step_deg=4.0, q_first=1.0, q_step=0.1)
        process.analysis.hear(cake, {"cake": image.astype(np.float32)})
    process.hear(Notice(level="info", origin="acquire", text="beam is back", time_s=1.0))
    assert len(process.published(FrameGeometry)) == len(process.published(CakePreview)) == 1
    assert len(process.published(StreamStatus)) == len(process.published(FramePreview)) == 1
    np.testing.assert_array_equal(process.published(FramePreview)[0].arrays["image"], image)
    assert len(process.published(Notice)) == 1


def test_archive_opens_on_the_lithium_map_and_reaches_the_patterns(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    holed = phantom.line(5, missing=(4,))
    process.hear(a_run(), *(written(line, tmp_path) for line in (*lines[:5], holed)))
    process.work(7)
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved"))
    with silx.io.open(str(moved / "scan.nxs")) as file:
        shown = silx.io.nxdata.get_default(file)
        assert shown is not None
        assert shown.is_image
        assert shown.signal.name == "/entry/x_lithium/value"
        assert shown.axes_dataset_names == ["y", "x"]
        np.testing.assert_array_equal(shown.signal[()], process.newest_map("x_lithium").arrays["value"])
        patterns = file["entry/patterns/mean"]
        np.testing.assert_array_equal(patterns[3], lines[3].mean)
        np.testing.assert_array_equal(patterns[5], holed.mean)
        assert np.isnan(patterns[6]).all()
        assert file["entry/lines/missing_ids"][5].tolist() == [5 * 31 + 4]


def test_archive_can_be_read_at_any_moment(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), *(written(line, tmp_path) for line in lines[:12]))
    process.work()
    is_over, counts, errors = threading.Event(), [], []

    def read_again_and_again() -> None:
        while not is_over.is_set():
            try:
                with h5py.File(tmp_path / "scan.nxs", "r") as file:
                    counts.append(int(file["entry/n_lines"][()]))
                    assert file["entry/x_lithium/value"].shape == (31, 31)
            except (OSError, KeyError, AssertionError) as wrong:
                errors.append(wrong)

    reader = threading.Thread(target=read_again_and_again)
    reader.start()
    for _ in range(12):
        process.work()
    is_over.set()
    reader.join()
    assert not errors
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_archive_of_an_earlier_run_is_kept(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), written(lines[0], tmp_path))
    process.work(2)
    process.hear(a_run().model_copy(update={"run": "next"}))
    process.work()
    assert (tmp_path / f"scan-{RUN}.nxs").is_file()
    assert not (tmp_path / "scan.nxs").exists()


@pytest.fixture
def feeds() -> Iterator[tuple[MemoryStore, MemoryStore, Profile]]:
    journal, reduction = MemoryStore(), MemoryStore()
    with FeedServer(journal, "tcp://127.0.0.1:*") as one, FeedServer(reduction, "tcp://127.0.0.1:*") as other:
        with FeedServer(MemoryStore(), "tcp://127.0.0.1:*") as free:
            results = free.address
        addresses = PROFILE.addresses.model_copy(
            update={"journal": one.address, "reduction": other.address, "results": results, "questions": "tcp://127.0.0.1:*"}
        )
        yield journal, reduction, PROFILE.model_copy(update={"addresses": addresses})


def test_process_follows_its_feeds_and_serves_results(
    feeds: tuple[MemoryStore, MemoryStore, Profile], lines: list[Line], tmp_path: Path
) -> None:
    journal, reduction, profile = feeds
    stop, ready = threading.Event(), threading.Event()
    process = threading.Thread(target=serve, args=(profile,), kwargs={"out": tmp_path, "ready": ready.set, "stop": stop})
    process.start()
    try:
        assert ready.wait(30)
        journal.append(a_run())
        for line in lines[:5]:
            journal.append(flown(line))
            reduction.append(written(line, tmp_path))
        journal.append(stopped())
        with FeedClient(profile.addresses.results) as client:
            found = _until(client, lambda message: isinstance(message, ScanProgress) and message.state == "finished")
        with FeedClient(profile.addresses.results) as client:
            offered = _until(client, lambda message: isinstance(message, ServicesOffered))
        assert isinstance(found, ScanProgress)
        assert found.lines_done == 5
        assert isinstance(offered, ServicesOffered)
        assert _region_of(offered.questions).n_lines == 5
    finally:
        stop.set()
        process.join(10)
    assert not process.is_alive()
    assert (tmp_path / "scan.nxs").is_file()


def _region_of(address: str) -> RegionAnswered:
    asker = Asker(address)
    asker.ask(RegionAsked(run=RUN, x_mm=[0.5], y_mm=[0.3]))
    deadline = time.monotonic() + 30
    while (entry := asker.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    asker.close()
    assert isinstance(entry.message, RegionAnswered), entry.message
    return entry.message


def _until(client: FeedClient, is_wanted: Callable[[Message], bool]) -> Message:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for entry in client.poll(0.2):
            if is_wanted(entry.message):
                return entry.message
    raise AssertionError("nothing of it within 30 s")


@pytest.mark.parametrize("held", ["paused", "suspended"])
def test_a_run_that_is_held_is_shown_so_until_it_goes_on(
    phantom: Phantom, lines: list[Line], tmp_path: Path, held: str
) -> None:
    process = Process(phantom, tmp_path)
    process.hear(a_run(), flown(lines[0]), written(lines[0], tmp_path), scan_state(held, "wished by Ada"))
    process.work(2)
    assert process.progress.state == held
    assert process.progress.lines_done == 1
    assert process.progress.seconds_left is None
    assert process.published(ScanState)[-1].message == scan_state(held, "wished by Ada")
    process.hear(scan_state("running"))
    process.work()
    assert process.progress.state == "scanning"
    process.hear(scan_state(held), stopped("abort"))
    process.work()
    assert process.progress.state == "aborted"


def test_where_questions_are_answered_and_commands_are_taken_stands_in_one_message(phantom: Phantom, tmp_path: Path) -> None:
    process = Process(phantom, tmp_path)
    process.hear(ServicesOffered(commands="tcp://127.0.0.1:6", time_s=1.0))
    process.analysis.forward.offer(questions="tcp://127.0.0.1:5")
    services = process.published(ServicesOffered)[-1].message
    assert isinstance(services, ServicesOffered)
    assert (services.questions, services.commands) == ("tcp://127.0.0.1:5", "tcp://127.0.0.1:6")
    process.hear(ServicesOffered(time_s=2.0))
    services = process.published(ServicesOffered)[-1].message
    assert isinstance(services, ServicesOffered)
    assert (services.questions, services.commands) == ("tcp://127.0.0.1:5", "")
