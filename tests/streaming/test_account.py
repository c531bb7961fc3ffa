import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.account import MAX_SERIES, Account, FrameKey, IdSet, SeriesKey
from streaming.detector_message import Image, SeriesEnd, SeriesStart
from streaming.series_book import SeriesBook

IDS = st.lists(st.integers(0, 60))
A = SeriesKey(series=1, unique_id="A")


@given(ids=IDS, first=st.integers(0, 60), length=st.integers(0, 20))
def test_an_id_set_is_a_set(ids: list[int], first: int, length: int) -> None:
    found, wanted = IdSet(), set()
    for number in ids:
        assert found.add(number) is (number not in wanted)
        wanted.add(number)
    asked = set(range(first, first + length + 1))
    assert found.add_range(first, first + length) == len(asked - wanted)
    wanted |= asked
    assert {n for a, b in found.ranges for n in range(a, b + 1)} == wanted
    assert len(found) == len(wanted)
    assert all(b1 + 1 < a2 for (_, b1), (a2, _) in zip(found.ranges, found.ranges[1:], strict=False))
    assert [n in found for n in range(70)] == [n in wanted for n in range(70)]


@given(ids=IDS, first=st.integers(0, 70), last=st.integers(0, 70))
def test_missing_ids_are_the_exact_complement(ids: list[int], first: int, last: int) -> None:
    found = IdSet()
    for number in ids:
        found.add(number)
    missing = [n for a, b in found.missing_from(first, last) for n in range(a, b + 1)]
    assert missing == sorted(set(range(first, last + 1)) - set(ids))


def test_a_series_in_order_is_one_range_whatever_its_first_id() -> None:
    ids = IdSet()
    for number in range(65_000, 70_000):
        ids.add(number)
    assert ids.ranges == [(65_000, 69_999)]


def test_exactly_the_dropped_ids_are_missing_and_duplicates_count_once() -> None:
    account = Account()
    dropped = set(range(1000, 1400, 11))
    assert len(dropped) == 37
    for number in [n for n in range(990, 1500) if n not in dropped] * 2:
        account.add(FrameKey(series=A, image_id=number))
    assert account.missing() == []
    account.end(A)
    account.end(A)
    assert account.missing() == [(A, n, n) for n in sorted(dropped)]
    assert (account.n_missing, account.n_usable, account.n_duplicated) == (37, 473, 473)


def test_a_finished_line_is_missing_at_once_and_a_late_image_is_taken_back() -> None:
    account = Account()
    account.expect(A, 5, 9)
    account.add(FrameKey(series=A, image_id=7))
    assert account.missing() == [(A, 5, 6), (A, 8, 9)]
    account.add(FrameKey(series=A, image_id=5))
    assert account.missing() == [(A, 6, 6), (A, 8, 9)]


def test_the_same_number_with_another_unique_id_is_another_series() -> None:
    account = Account()
    for key in (A, SeriesKey(series=1, unique_id="B")):
        assert account.add(FrameKey(series=key, image_id=0))
    assert account.n_duplicated == 0


def test_totals_survive_the_series_that_are_forgotten() -> None:
    account = Account()
    for number in range(MAX_SERIES + 10):
        account.expect(SeriesKey(series=number), 0, 1)
    assert len(account.missing()) == MAX_SERIES
    assert account.n_missing == 2 * (MAX_SERIES + 10)


def key_of(book: SeriesBook, uid: str | None = None, image_id: int = 0) -> SeriesKey:
    return book.image(Image(series=1, unique_id=uid, image_id=image_id, channels={}))


def test_a_missed_start_and_a_doubled_end_change_nothing() -> None:
    book = SeriesBook()
    assert key_of(book, "A") == A
    assert book.end(SeriesEnd(series=1, unique_id="A")) == A
    assert book.end(SeriesEnd(series=1, unique_id="A")) == A
    assert key_of(book, "A") == A


def test_a_series_that_starts_again_after_its_end_is_another_turn() -> None:
    book = SeriesBook()
    for turn in range(3):
        assert book.start(SeriesStart(series=1, unique_id="A")).turn == turn
        assert key_of(book, "A").turn == turn
        book.end(SeriesEnd(series=1, unique_id="A"))


@pytest.mark.parametrize("n_images", [0, 1])
def test_a_doubled_start_is_not_another_turn(n_images: int) -> None:
    book = SeriesBook()
    for _ in range(2):
        assert book.start(SeriesStart(series=1, unique_id="A")) == A
        for _ in range(n_images):
            key_of(book, "A")


def test_v1_images_belong_to_the_last_start_and_a_late_start_to_its_images() -> None:
    book = SeriesBook()
    first = key_of(book)
    assert book.start(SeriesStart(series=1, unique_id="2024-01-01")) == first == key_of(book)
    book.end(SeriesEnd(series=1, unique_id=None))
    second = book.start(SeriesStart(series=1, unique_id="2024-01-02"))
    assert second != first
    assert key_of(book) == second
