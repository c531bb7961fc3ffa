import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from operando.messages import FramePreview, LineWritten, Notice
from operando.scan import LineKey
from streaming.collect import DEADLINE_S, HELD_CAPACITY, RETRY_S
from streaming.events import JournalBeganAnew, Previewed
from streaming.line_file import read_line
from tests.streaming.chaos import Chaos, chosen, identity, interleaved
from tests.streaming.fakes import N_POINTS, Rig, aborted, announced, flown, frame_of, ids_in, measured, run_started, run_stopped
from tests.streaming.wire import tagged_array, v2_end, v2_image, v2_start

FIRST = 65_500
"""Image ids of the series below start here, to cross 65,535."""


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def stream(n_lines: int, *, series: int = 1, uid: str = "A", first: int = FIRST) -> list[bytes]:
    images = [
        v2_image(k, frame_of(k), series=series, uid=uid, data={"threshold_1": tagged_array(frame_of(k), compression=None)})
        for k in range(first, first + n_lines * N_POINTS)
    ]
    return [v2_start(series=series, uid=uid), *images, v2_end(series=series, uid=uid)]


def hear_lines(
    rig: Rig, n_lines: int, *, series: int = 1, first: int = FIRST, first_line: int = 0, n_points: int = N_POINTS
) -> None:
    for n in range(n_lines):
        word = announced(first_line + n, first + n * n_points, series=series, n_points=n_points)
        rig.hear(word, flown(first_line + n, n_points=n_points))


def missing(rig: Rig) -> set[tuple[int, int]]:
    return {(series, k) for series, first, last in rig.status.missing_ids for k in range(first, last + 1)}


def test_a_quiet_stream_becomes_lines_and_every_id_is_accounted_for(rig: Rig) -> None:
    hear_lines(rig, 4)
    rig.receive(*stream(4))
    status = rig.status
    assert [ids_in(line) for line in rig.lines().values()] == [list(range(FIRST + 5 * n, FIRST + 5 * n + 5)) for n in range(4)]
    assert (status.frames_received, status.frames_missing, status.missing_ids) == (20, 0, [])
    assert [written.n_received for written in rig.told(LineWritten)] == [5, 5, 5, 5]


@pytest.mark.parametrize("seed", range(4))
def test_thirty_seven_drops_in_chaos_are_exactly_the_missing_ids(rig: Rig, seed: int) -> None:
    messages = stream(60)
    ids = [found for message in messages if (found := identity(message))]
    dropped = chosen(seed, ids, 37)
    chaos = Chaos(seed=seed, dropped=dropped, duplicated=0.1, reach=30)
    rig.receive(*chaos.disturb(messages))
    hear_lines(rig, 10, n_points=30)
    rig.pass_s(DEADLINE_S + 1)
    status = rig.status
    assert missing(rig) == dropped
    assert (status.frames_missing, status.frames_received) == (37, 263)
    assert status.frames_duplicated > 5
    found = {(1, int(value)) for line in rig.lines().values() for value in ids_in(line) if np.isfinite(value)}
    assert found == set(ids) - dropped
    for line in rig.lines().values():
        wanted = np.arange(line.first_image_id, line.first_image_id + 30, dtype=float)
        np.testing.assert_equal(ids_in(line), np.where(line.is_received, wanted, np.nan))


def test_interleaved_series_with_drops_do_not_mix(rig: Rig) -> None:
    one, two = stream(10, first=0), stream(10, series=2, uid="B", first=0)
    dropped = chosen(7, [(series, k) for series in (1, 2) for k in range(50)], 9)
    hear_lines(rig, 10, first=0)
    hear_lines(rig, 10, series=2, first=0, first_line=10)
    rig.receive(*Chaos(seed=3, dropped=dropped, reach=8).disturb(interleaved(5, one, two)))
    rig.pass_s(DEADLINE_S + 1)
    assert missing(rig) == dropped
    assert len(rig.lines()) == 20


def test_images_seven_hundred_ahead_of_their_lines_are_held_and_found(rig: Rig) -> None:
    rig.receive(*stream(140))
    assert rig.status.frames_unannounced == 700
    hear_lines(rig, 10, n_points=70)
    assert rig.status.frames_unannounced == 0
    assert len(rig.lines()) == 10


def test_a_series_without_lines_tells_its_gaps_when_it_ends(rig: Rig) -> None:
    rig.receive(*(message for message in stream(4) if identity(message) != (1, FIRST + 3)))
    assert missing(rig) == {(1, FIRST + 3)}


@pytest.mark.parametrize("wrong", [{"series": 2**60}, {"number": 2**60}], ids=str)
def test_an_endless_id_is_refused_and_the_status_goes_on(rig: Rig, wrong: dict[str, int]) -> None:
    number, series = wrong.get("number", 1), wrong.get("series", 1)
    rig.receive(v2_start(), v2_image(0, frame_of(0)), v2_image(number, frame_of(1), series=series), v2_end())
    status = rig.status
    assert (status.frames_received, status.frames_missing) == (1, 0)
    assert status.frames_rejected == {"malformed message": 1}


def test_a_restart_in_mid_line_keeps_what_is_on_disk_and_states_the_loss(rig: Rig, tmp_path: Path) -> None:
    messages = stream(3, first=0)
    words = [run_started(), announced(0, 0), flown(0), announced(1, 5), flown(1), announced(2, 10), flown(2)]
    rig.hear(*words)
    rig.receive(*messages[:8])
    rig.pass_s(0.1)
    files = {path: path.read_bytes() for path in (tmp_path / "lines").rglob("*.h5")}
    assert len(files) == 1

    # What the first life had taken off the wire and not written is gone.
    second = Rig(tmp_path)
    second.hear(*words)
    second.receive(*messages[8:])
    second.pass_s(DEADLINE_S + 1)
    assert {path: path.read_bytes() for path in files} == files
    assert missing(second) == {(1, 5), (1, 6)}
    assert [(w.line, w.n_received, w.missing_ids) for w in second.told(LineWritten)] == [
        (0, 5, []),
        (1, 3, [(5, 6)]),
        (2, 5, []),
    ]
    assert second.status.frames_received == 13


def test_an_aborted_attempt_lies_apart_and_counts_for_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.hear(announced(0, 0), aborted(0), announced(0, 0, attempt=1, series=2), flown(0, attempt=1))
    rig.receive(*stream(1, first=0)[:3], *stream(1, series=2, uid="B", first=0))
    rig.pass_s(DEADLINE_S + 1)
    assert list(rig.lines()) == [LineKey(run="r", line=0, attempt=1)]
    assert [written.attempt for written in rig.told(LineWritten)] == [1]
    (kept,) = (tmp_path / "lines" / "r" / "aborted").iterdir()
    assert (read_line(kept).aborted, read_line(kept).is_received.sum()) == ("beam lost", 2)
    assert rig.status.frames_missing == 0


def test_an_aborted_attempt_without_images_leaves_no_file(rig: Rig, tmp_path: Path) -> None:
    rig.hear(announced(0, 0), run_stopped())
    rig.pass_s(DEADLINE_S + 1)
    assert not list(tmp_path.rglob("*.h5"))


def test_a_late_image_is_added_to_the_line_that_was_written(rig: Rig) -> None:
    messages = stream(1, first=0)
    hear_lines(rig, 1, first=0)
    rig.receive(*messages[:3], *messages[4:])
    rig.pass_s(DEADLINE_S + 1)
    assert missing(rig) == {(1, 2)}
    rig.receive(messages[3])
    assert missing(rig) == set()
    assert [ids_in(line) for line in rig.lines().values()] == [[0, 1, 2, 3, 4]]
    assert [written.n_received for written in rig.told(LineWritten)] == [4, 5]


def test_an_image_that_comes_again_after_its_line_was_written_is_a_duplicate_and_nothing_else(rig: Rig) -> None:
    messages = stream(1, first=0)
    hear_lines(rig, 1, first=0)
    rig.receive(*messages)
    rig.pass_s(0.1)
    rig.receive(*messages[1:-1])
    status = rig.status
    assert (status.frames_received, status.frames_duplicated, status.frames_unannounced) == (5, 5, 0)
    assert len(rig.told(LineWritten)) == 1


def test_images_that_nobody_announces_are_bounded_in_memory_and_kept_on_disk(rig: Rig, tmp_path: Path) -> None:
    n = HELD_CAPACITY + 10
    for k in range(n):
        rig.collector.handle(measured(k))
    assert rig.status.frames_unannounced == n
    (path,) = (tmp_path / "unannounced").iterdir()
    rig.collector.close()
    kept = []
    for path in (tmp_path / "unannounced").iterdir():
        with h5py.File(path) as file:
            kept += list(zip(file["image_id"][()], file["mean"][()][:, 0], strict=True))
    assert sorted(kept) == [(k, float(k)) for k in range(n)]
    assert rig.status.frames_unannounced == n
    assert any("belong to no announced line" in notice.text for notice in rig.told(Notice))


def test_stopping_in_mid_line_keeps_its_images(rig: Rig, tmp_path: Path) -> None:
    rig.hear(announced(0, 0), announced(1, 5))
    rig.receive(*stream(1, first=0)[:-1])
    rig.collector.close()
    (path,) = (tmp_path / "lines" / "r" / "aborted").iterdir()
    assert read_line(path).is_received.all()
    assert rig.told(LineWritten) == []


def test_a_disk_that_refuses_is_tried_again_and_nothing_is_lost(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("in the way")
    hear_lines(rig, 1, first=0)
    rig.receive(*stream(1, first=0))
    rig.pass_s(0.1)
    assert any("cannot write" in notice.text for notice in rig.told(Notice))
    (tmp_path / "lines").unlink()
    rig.pass_s(RETRY_S)
    assert len(rig.lines()) == 1


def test_a_damaged_line_file_is_reported_and_left_alone(rig: Rig, tmp_path: Path) -> None:
    hear_lines(rig, 1, first=0)
    rig.receive(*stream(1, first=0))
    rig.pass_s(0.1)
    (path,) = (tmp_path / "lines" / "r").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    second = Rig(tmp_path)
    hear_lines(second, 1, first=0)
    second.pass_s(DEADLINE_S + 1)
    assert path.stat().st_size == 1000
    assert any("damaged" in notice.text for notice in second.told(Notice))


def test_another_journal_ends_the_lines_of_the_one_before(rig: Rig) -> None:
    rig.hear(announced(0, 0))
    rig.receive(*stream(1, first=0)[:3])
    rig.collector.handle(JournalBeganAnew())
    rig.pass_s(DEADLINE_S + 1)
    assert rig.lines() == {}
    assert len(list(rig.out.rglob("aborted/*.h5"))) == 1


def test_the_newest_preview_replaces_the_one_before(rig: Rig) -> None:
    for k in range(3):
        preview = FramePreview(time_s=k, series=1, image_id=k, binning=4, n_saturated=0)
        rig.collector.handle(Previewed(message=preview, image=np.zeros((2, 2), np.uint32)))
    assert [preview.image_id for preview in rig.told(FramePreview)] == [2]


def test_the_same_complaint_is_said_once_and_counted_always(rig: Rig) -> None:
    rig.receive(*[b"noise"] * 20)
    assert rig.status.frames_rejected == {"malformed message": 20}
    assert len(rig.told(Notice)) == 1


def test_the_rate_is_that_of_the_last_second(rig: Rig) -> None:
    rig.pass_s(0)
    rig.receive(*stream(5)[:-1])
    assert rig.status.frames_per_s == pytest.approx(25 / 1.001)
    assert rig.status.frames_per_s == 0


def test_lines_are_found_again_after_their_folder_moved(rig: Rig, tmp_path: Path) -> None:
    hear_lines(rig, 1, first=0)
    rig.receive(*stream(1, first=0))
    rig.pass_s(0.1)
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "lines", moved / "lines")
    again = Rig(moved)
    hear_lines(again, 1, first=0)
    assert [Path(written.path).parents[2] for written in again.told(LineWritten)] == [moved]
