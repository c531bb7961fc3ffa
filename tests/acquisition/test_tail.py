"""The tail of a growing file: whole lines, each once, whatever the writer and the share do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.tail import HOLE_PATIENCE_S, Tail
from operando.errors import DataError

LINES = [f"{k}\t3,{k:04d}E+000\t\u00b5A" for k in range(40)]
CONTENT = "".join(f"{line}\r\n" for line in LINES).encode("latin-1")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@given(st.lists(st.integers(0, len(CONTENT)), max_size=30))
def test_any_chunking_of_the_bytes_gives_the_same_lines(tmp_path_factory: pytest.TempPathFactory, ends: list[int]) -> None:
    path = tmp_path_factory.mktemp("tail") / "growing.txt"
    tail, found, written = Tail(path), list[str](), 0
    for end in sorted([*ends, len(CONTENT)]):
        with path.open("ab") as file:
            file.write(CONTENT[written:end])
        written = end
        found += tail.read().lines
        assert found == LINES[: len(found)]
    assert found == LINES


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 60)), max_size=20))
def test_bytes_that_are_reserved_before_they_are_filled_give_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, filled: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "reserved.txt"
    content = bytearray(len(CONTENT))
    path.write_bytes(content)
    tail, found = Tail(path, clock=Clock()), list[str]()
    for start, length in [*filled, (0, len(CONTENT))]:
        content[start : start + length] = CONTENT[start : start + length]
        path.write_bytes(content)
        found += tail.read().lines
        assert found == LINES[: len(found)]
    found += tail.read().lines
    assert found == LINES


def test_last_line_without_its_end_never_counts(tmp_path: Path) -> None:
    path = tmp_path / "torn.txt"
    path.write_bytes(b"1\t3.70\n2\t3.7")
    tail = Tail(path)
    assert tail.read().lines == ["1\t3.70"]
    assert tail.read().lines == []
    path.write_bytes(b"1\t3.70\n2\t3.71\n")
    assert tail.read().lines == ["2\t3.71"]


def test_zeros_that_stay_cost_their_line_and_are_counted(tmp_path: Path) -> None:
    path, clock = tmp_path / "hole.txt", Clock()
    path.write_bytes(b"first\nse\0\0nd\nthird\n")
    tail = Tail(path, clock=clock)
    assert tail.read().lines == ["first"]
    assert tail.read().lines == []
    clock.now_s = HOLE_PATIENCE_S
    tail.read()
    assert tail.read().lines == ["third"]
    assert tail.n_damaged == 1


def test_file_that_is_written_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "anew.txt"
    path.write_bytes(b"header 1\na\nb\n")
    tail = Tail(path)
    assert tail.read().lines == ["header 1", "a", "b"]
    path.write_bytes(b"header 2\na\nb\nc\n")
    news = tail.read()
    assert news.is_rewritten
    assert news.lines == ["header 2", "a", "b", "c"]
    path.write_bytes(b"header 2\n")
    assert tail.read().lines == ["header 2"]


def test_file_in_another_encoding_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "wide.txt"
    path.write_bytes("Voltage\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16: export it as plain text"):
        Tail(path).read()


def test_absent_file_is_waited_for(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "later.txt")
    with pytest.raises(FileNotFoundError):
        tail.read()
    (tmp_path / "later.txt").write_bytes(b"now\n")
    assert tail.read().lines == ["now"]


def test_large_file_is_read_in_parts_that_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"".join(b"%d %s\n" % (k, b"x" * 90) for k in range(60_000)))
    tail, found = Tail(path), list[str]()
    while True:
        news = tail.read()
        found += news.lines
        if not news.has_more:
            break
    assert [int(line.split()[0]) for line in found] == list(range(60_000))
