"""The journal: append-only, numbered, whole after any crash."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operando.bus import FeedClient, FeedServer
from operando.errors import DataError
from operando.journal import Journal, read_journal
from operando.messages import Message, Notice


def notice(text: str) -> Message:
    return Notice(level="info", origin="test", text=text, time_s=1.0)


def test_a_journal_goes_on_where_it_stopped_with_the_same_numbering(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.jsonl")
    first.append(notice("a"))
    first.close()
    second = Journal(tmp_path / "journal.jsonl")
    assert second.append(notice("b")) == 2
    assert second.epoch == first.epoch
    second.close()
    assert read_journal(tmp_path / "journal.jsonl") == [notice("a"), notice("b")]


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_cut_off_and_the_rest_kept(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    journal = Journal(path)
    journal.append(notice("kept"))
    n_kept = path.stat().st_size
    journal.append(notice("torn by the crash"))
    journal.close()
    with path.open("rb+") as file:
        file.truncate(n_kept + cut)
    again = Journal(path)
    assert again.head == 1
    again.append(notice("next"))
    again.close()
    assert read_journal(path) == [notice("kept"), notice("next")]


def test_damage_in_the_middle_is_reported_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for text in "abc":
        journal.append(notice(text))
    journal.close()
    damaged = path.read_bytes().replace(b'"number":2', b'"number":9')
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="expected entry 2, found 9"):
        Journal(path)
    assert path.read_bytes() == damaged


def test_a_foreign_file_is_not_taken_for_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"name": "something else"}\n')
    with pytest.raises(DataError, match="is not an operando journal"):
        Journal(path)


def test_a_journal_refuses_what_it_could_not_keep(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match="words only"):
        journal.append(notice("a"), key="newest")
    journal.close()


def test_a_client_finds_the_whole_journal_after_the_writer_came_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(notice("before the crash"))
    journal.close()
    journal = Journal(tmp_path / "journal.jsonl")
    with FeedServer(journal, "tcp://127.0.0.1:*") as server, FeedClient(server.address) as client:
        journal.append(notice("after it"))
        entries = []
        while len(entries) < 2:
            entries += client.poll(5.0)
    journal.close()
    assert [entry.message for entry in entries] == [notice("before the crash"), notice("after it")]


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Let files of this process grow to so many bytes and no further, which a writer sees as it sees a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_a_whole_journal_that_goes_on_later(tmp_path: Path, full_disk: Callable[[int], None]) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(notice("before"))
    room = path.stat().st_size
    full_disk(room + 20)
    with pytest.raises(OSError, match=r"free the disk|too large"):
        journal.append(notice("does not fit"))
    assert (journal.head, path.stat().st_size) == (1, room)
    full_disk(2**30)
    journal.append(notice("after"))
    journal.close()
    assert read_journal(path) == [notice("before"), notice("after")]
