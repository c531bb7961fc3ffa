"""Archives that grow, break or come late."""

import fcntl
from pathlib import Path

import pytest

from operando.messages import ScanProgress
from viewer.archive_follower import LOOK_S, ArchiveFollower, News
from viewer.freshness import freshness
from viewer.sample import write_sample
from viewer.session import Session


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.nxs"


def replace(path: Path) -> None:
    """Write a sample archive as the analysis does: under another name, then in one step."""
    other = path.with_name("new.nxs")
    write_sample(other)
    other.replace(path)


def test_an_archive_is_read_once_and_again_when_it_is_replaced(path, clock):
    follower = ArchiveFollower([path], clock=clock)
    replace(path)
    assert follower.poll()
    clock.now_s += LOOK_S
    assert follower.poll() is None
    replace(path)
    assert follower.poll() is None, "it is not looked at all the time"
    clock.now_s += LOOK_S
    assert follower.poll()


@pytest.mark.parametrize("n_bytes", [0, 7, 2000, -1000])
def test_an_archive_that_was_cut_off_is_explained_and_shown_when_it_is_whole(path, clock, n_bytes):
    replace(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:n_bytes])
    follower = ArchiveFollower([path], clock=clock)
    assert follower.poll() is None
    assert "scan.nxs" in follower.complaint
    assert "damaged" in follower.complaint
    path.write_bytes(whole)
    clock.now_s += LOOK_S
    assert follower.poll()
    assert follower.complaint == ""


def test_a_file_that_another_program_is_writing_is_explained(path, clock):
    replace(path)
    follower = ArchiveFollower([path], clock=clock)
    with path.open("r+b") as writer:
        # HDF5 locks what it writes in this way.
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert follower.poll() is None
        assert "another program is writing" in follower.complaint
    path.touch()
    clock.now_s += LOOK_S
    assert follower.poll()


def test_a_file_that_is_not_there_yet_is_waited_for(path, clock):
    follower = ArchiveFollower([path], clock=clock)
    assert follower.poll() is None
    assert "no file" in follower.complaint
    replace(path)
    clock.now_s += LOOK_S
    assert follower.poll()


def runs(news: News | None) -> list[str]:
    assert news is not None
    return [entry.message.run for entry in news.entries if isinstance(entry.message, ScanProgress)]


def test_a_folder_is_followed_its_new_archives_join_and_those_that_are_renamed_are_not_read_again(tmp_path, clock):
    newest = tmp_path / "scan.nxs"
    follower, session = ArchiveFollower([tmp_path], clock=clock), Session()
    for k, run in enumerate(["one", "two", "three"]):
        if k:
            newest.rename(tmp_path / f"scan-{k}.nxs")
        write_sample(newest, run=run, start_s=1.7e9 + 1000 * k)
        news = follower.poll()
        assert runs(news) == [run]
        for entry in news.entries:
            session.apply(entry)
        clock.now_s += LOOK_S
        assert follower.poll() is None
        clock.now_s += LOOK_S
    assert [scan.run for scan in session.scans] == ["one", "two", "three"]
    session.show(0)
    write_sample(newest, run="three", start_s=1.7e9 + 2000, charge=0.9)
    news = follower.poll()
    assert not news.is_all, "a scan that grows leaves the others, and the slider, where they are"
    for entry in news.entries:
        session.apply(entry)
    assert len(session.scans) == 3
    assert session.timeline.index == 0

    clock.now_s += LOOK_S
    write_sample(tmp_path / "scan-0.nxs", run="zero", start_s=1.6e9)
    news = follower.poll()
    assert news.is_all, "it belongs before the others"
    assert runs(news) == ["zero", "one", "two", "three"]


def test_one_damaged_archive_of_several_is_explained_and_the_others_are_shown(tmp_path, clock):
    for k in range(3):
        write_sample(tmp_path / f"scan-{k}.nxs", run=f"run-{k}", start_s=1.7e9 + k)
    (tmp_path / "scan-1.nxs").write_bytes((tmp_path / "scan-0.nxs").read_bytes()[:2000])
    follower = ArchiveFollower([tmp_path], clock=clock)
    assert runs(follower.poll()) == ["run-0", "run-2"]
    assert "scan-1.nxs" in follower.complaint
    assert "damaged" in follower.complaint
    (tmp_path / "scan-2.nxs").unlink()
    clock.now_s += LOOK_S
    assert follower.poll() is None, "what was seen stays"
    write_sample(tmp_path / "scan-1.nxs", run="run-1", start_s=1.7e9 + 1)
    clock.now_s += LOOK_S
    assert "run-1" in runs(follower.poll())
    assert follower.complaint == ""


def test_a_window_on_an_empty_file_does_not_pretend_to_show_a_scan():
    assert freshness(Session(), None).text == "nothing to show"
