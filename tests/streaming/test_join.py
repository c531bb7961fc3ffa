import itertools
from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operando.messages import Message
from operando.scan import LineKey
from streaming.join import N_KEPT, Join
from streaming.measured import Measured
from streaming.open_line import OpenLine
from tests.streaming.fakes import N_POINTS, FakeClock, Q, aborted, announced, flown, measured, run_started, run_stopped

DEADLINE_S = 3.0


class Bench:
    """A join with its clock, which takes patterns and words alike."""

    def __init__(self, *, on_disk: Iterable[LineKey] = ()) -> None:
        self.clock = FakeClock()
        self.join = Join(deadline_s=DEADLINE_S, is_on_disk=set(on_disk).__contains__, clock=self.clock)

    def take(self, *things: Measured | Message) -> None:
        for thing in things:
            if isinstance(thing, Measured):
                self.join.add(thing)
            else:
                self.join.hear(thing)

    def write(self) -> list[OpenLine]:
        lines = self.join.finished()
        for line in lines:
            self.join.written(line)
        return lines


def ids_of(line: OpenLine) -> list[float]:
    return [float(value) for value in line.to_line(Q).mean[:, 0]]


def key(line: int, attempt: int = 0) -> LineKey:
    return LineKey(run="r", line=line, attempt=attempt)


def with_words_in_order(shuffled: list[Measured | Message]) -> list[Measured | Message]:
    """Put the journal's words back into their order, where words came: it is numbered, images are not."""
    kinds = ["line_announced", "line_flown"]
    words = [thing for thing in shuffled if not isinstance(thing, Measured)]
    words.sort(key=lambda word: (word.line, kinds.index(word.kind)))  # type: ignore[attr-defined]
    in_order = iter(words)
    return [thing if isinstance(thing, Measured) else next(in_order) for thing in shuffled]


LINE_0 = [announced(0, 0), flown(0), *(measured(k) for k in range(5))]


@settings(max_examples=100)
@given(shuffled=st.permutations(LINE_0))
def test_a_line_is_the_same_in_every_order_of_arrival(shuffled: list[Measured | Message]) -> None:
    bench = Bench()
    bench.take(*with_words_in_order(shuffled))
    (line,) = bench.write()
    assert ids_of(line) == [0, 1, 2, 3, 4]
    assert line.missing_ids() == []
    np.testing.assert_allclose(line.to_line(Q).positions_mm, [-0.99, -0.49, 0.01, 0.51, 1.01])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_missing_image_costs_its_own_pixel_and_nothing_else(data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(70_000, 70_019)))
    words = [announced(n, 70_000 + 5 * n) for n in range(4)] + [flown(n) for n in range(4)]
    images = [measured(k) for k in range(70_000, 70_020) if k not in lost]
    bench = Bench()
    bench.take(*with_words_in_order(data.draw(st.permutations([*words, *images]))))
    bench.clock.pass_s(DEADLINE_S + 1)
    lines = bench.write() + bench.write()
    found = {line.key.line: line for line in lines}
    assert sorted(found) == [0, 1, 2, 3]
    assert {k for line in lines for a, b in line.missing_ids() for k in range(a, b + 1)} == lost
    for number, line in found.items():
        wanted = [float("nan") if k in lost else k for k in range(70_000 + 5 * number, 70_005 + 5 * number)]
        np.testing.assert_equal(ids_of(line), wanted)
        np.testing.assert_array_equal(line.to_line(Q).is_received, np.isfinite(wanted))


def test_patterns_seven_hundred_ahead_of_their_lines_find_them() -> None:
    bench = Bench()
    bench.take(*(measured(k) for k in range(700)))
    assert bench.join.n_held == 700
    for n in range(140):
        bench.take(announced(n, 5 * n), flown(n))
    assert [ids_of(line) for line in bench.write()] == [list(range(5 * n, 5 * n + 5)) for n in range(140)]
    assert bench.join.n_held == 0


def test_the_way_back_is_in_the_positions_and_not_in_the_order() -> None:
    bench = Bench()
    bench.take(announced(1, 5), *(measured(k) for k in range(5, 10)), flown(1))
    line = bench.write()[0].to_line(Q)
    assert line.mean[:, 0].tolist() == [5, 6, 7, 8, 9]
    assert line.direction == -1
    assert (np.diff(line.positions_mm) < 0).all()


def test_nothing_is_written_before_the_line_has_flown() -> None:
    bench = Bench()
    bench.take(announced(0, 0), *(measured(k) for k in range(5)))
    bench.clock.pass_s(1000)
    assert bench.write() == []
    bench.take(flown(0))
    assert len(bench.write()) == 1


def test_the_deadline_counts_from_the_last_progress_of_this_line_or_an_earlier_one() -> None:
    bench = Bench()
    bench.take(announced(0, 0), announced(1, 5), announced(2, 10), flown(0), flown(1), flown(2))
    for k in range(3):
        bench.clock.pass_s(DEADLINE_S - 1)
        bench.take(measured(k))
    assert bench.write() == []
    for k in range(10, 14):
        bench.clock.pass_s(DEADLINE_S - 1)
        bench.take(measured(k))
    assert [line.key.line for line in bench.write()] == [0, 1]


def test_a_late_image_opens_its_line_again() -> None:
    bench = Bench()
    bench.take(announced(0, 0), flown(0), *(measured(k) for k in (0, 1, 2, 4)))
    bench.clock.pass_s(DEADLINE_S + 1)
    assert [line.missing_ids() for line in bench.write()] == [[(3, 3)]]
    assert bench.write() == []
    bench.take(measured(3))
    assert [ids_of(line) for line in bench.write()] == [[0, 1, 2, 3, 4]]


def test_memory_of_incomplete_lines_is_bounded() -> None:
    bench = Bench()
    for n in range(N_KEPT + 5):
        bench.take(announced(n, 5 * n), measured(5 * n), flown(n))
        bench.clock.pass_s(DEADLINE_S + 1)
        assert len(bench.write()) == 1
    bench.take(measured(1))
    assert bench.join.n_held == 1
    bench.take(measured(5 * (N_KEPT + 4) + 1))
    assert bench.join.n_held == 1


def test_an_aborted_attempt_is_kept_with_its_reason_and_the_next_is_a_line() -> None:
    bench = Bench()
    bench.take(announced(0, 0), measured(0), aborted(0), announced(0, 0, attempt=1, series=2))
    bench.take(*(measured(k, series=2, uid="B", value=50 + k) for k in range(5)), flown(0, attempt=1))
    bench.clock.pass_s(DEADLINE_S + 1)
    first, second = bench.write()
    assert (first.key.attempt, first.to_line(Q).aborted, first.n_received) == (0, "beam lost", 1)
    assert (second.key.attempt, second.to_line(Q).aborted, ids_of(second)) == (1, "", [50, 51, 52, 53, 54])


def test_a_line_whose_end_nobody_tells_is_ended_by_what_follows() -> None:
    for ending in (announced(0, 0, attempt=1, series=2), run_stopped(), run_started("next")):
        bench = Bench()
        bench.take(announced(0, 0), measured(0), ending)
        bench.clock.pass_s(DEADLINE_S + 1)
        (line,) = bench.write()
        assert line.aborted


def test_a_flown_line_without_any_image_is_a_line_of_missing_pixels() -> None:
    bench = Bench()
    bench.take(announced(0, 7), flown(0))
    bench.clock.pass_s(DEADLINE_S + 1)
    (line,) = bench.write()
    assert line.missing_ids() == [(7, 11)]
    assert np.isnan(line.to_line(Q).mean).all()


def test_lines_on_disk_are_not_opened_again() -> None:
    bench = Bench(on_disk=[key(0), key(1)])
    bench.take(run_started())
    for n in range(3):
        bench.take(announced(n, 5 * n), flown(n))
    bench.take(*(measured(k) for k in range(10, 15)))
    assert [line.key.line for line in bench.write()] == [2]


def test_hearing_the_journal_again_changes_nothing() -> None:
    bench = Bench()
    bench.take(*LINE_0)
    assert len(bench.write()) == 1
    bench.take(announced(0, 0), flown(0))
    bench.clock.pass_s(DEADLINE_S + 1)
    assert bench.write() == []


def test_a_series_number_used_again_after_a_restart_does_not_mix() -> None:
    bench = Bench()
    bench.take(announced(0, 0), announced(1, 5), measured(0), measured(5), aborted(1))
    again = [measured(k, uid="B", value=100 + k) for k in range(5)]
    bench.take(again[0], announced(1, 0, attempt=1), *again[1:], measured(1), flown(0), flown(1, attempt=1))
    bench.clock.pass_s(DEADLINE_S + 1)
    found = {line.key: line for line in bench.write()}
    np.testing.assert_equal(ids_of(found[key(0)])[:3], [0, 1, np.nan])
    assert ids_of(found[key(1, 1)]) == [100, 101, 102, 103, 104]
    assert bench.join.n_held == 0


def test_ids_that_an_aborted_line_did_not_use_belong_to_the_next_one() -> None:
    for early in (False, True):
        bench = Bench()
        attempt = announced(0, 3, attempt=1)
        bench.take(announced(0, 0), *(measured(k) for k in range(3)), aborted(0))
        images = [measured(k) for k in range(3, 8)]
        bench.take(*([*images, attempt] if early else [attempt, *images]), flown(0, attempt=1))
        bench.clock.pass_s(DEADLINE_S + 1)
        found = {line.key: ids_of(line) for line in bench.write()}
        assert found[key(0, 1)] == [3, 4, 5, 6, 7]
        np.testing.assert_equal(found[key(0)], [0, 1, 2, np.nan, np.nan])


def test_an_attempt_without_any_trigger_leaves_its_ids_to_the_next() -> None:
    bench = Bench()
    bench.take(announced(0, 0), *(measured(k) for k in range(5)), flown(0), announced(1, 5), aborted(1))
    bench.take(announced(1, 5, attempt=1), *(measured(k) for k in range(5, 10)), flown(1, attempt=1))
    assert ids_of(next(line for line in bench.write() if line.key.attempt)) == [5, 6, 7, 8, 9]


def test_positions_of_the_wrong_number_are_not_guessed_but_computed() -> None:
    for number, sense in ((0, 1), (1, -1)):
        bench = Bench()
        bench.take(announced(number, 0), *(measured(k) for k in range(5)), flown(number, n_points=N_POINTS - 1))
        (line,) = bench.write()
        assert line.has_wrong_positions
        assert line.to_line(Q).positions_source == "computed"
        np.testing.assert_allclose(line.to_line(Q).positions_mm, sense * np.array([-1.0, -0.5, 0.0, 0.5, 1.0]))


def test_interleaved_series_do_not_mix() -> None:
    bench = Bench()
    bench.take(announced(0, 0), announced(1, 0, series=2))
    pairs = ((measured(k), measured(k, series=2, uid="B", value=100 + k)) for k in range(5))
    bench.take(*itertools.chain.from_iterable(pairs), flown(0), flown(1))
    assert [ids_of(line) for line in bench.write()] == [[0, 1, 2, 3, 4], [100, 101, 102, 103, 104]]


def test_held_patterns_are_given_up_oldest_first() -> None:
    bench = Bench()
    bench.take(*(measured(k) for k in range(10)))
    oldest = bench.join.oldest_held(n_left=7)
    assert [m.frame.image_id for m in oldest] == [0, 1, 2]
    bench.join.release(oldest)
    assert bench.join.n_held == 7
