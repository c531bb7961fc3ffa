"""Archives that grow, break or come late."""

import fcntl
from pathlib import Path

import pytest

from viewer.archive_follower import LOOK_S, ArchiveFollower
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
    follower = ArchiveFollower(path, clock=clock)
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
    follower = ArchiveFollower(path, clock=clock)
    assert follower.poll() is None
    assert "scan.nxs" in follower.complaint
    assert "damaged" in follower.complaint
    path.write_bytes(whole)
    clock.now_s += LOOK_S
    assert follower.poll()
    assert follower.complaint == ""


def test_a_file_that_another_program_is_writing_is_explained(path, clock):
    replace(path)
    follower = ArchiveFollower(path, clock=clock)
    with path.open("r+b") as writer:
        # HDF5 locks what it writes in this way.
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert follower.poll() is None
        assert "another program is writing" in follower.complaint
    path.touch()
    clock.now_s += LOOK_S
    assert follower.poll()


def test_a_file_that_is_not_there_yet_is_waited_for(path, clock):
    follower = ArchiveFollower(path, clock=clock)
    assert follower.poll() is None
    assert "no file" in follower.complaint
    replace(path)
    clock.now_s += LOOK_S
    assert follower.poll()


def test_a_window_on_an_empty_file_does_not_pretend_to_show_a_scan():
    assert freshness(Session(), None).text == "nothing to show"
