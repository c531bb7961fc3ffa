"""Pins, the questions that they ask, and what is drawn for them; no window."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operando.bus import Entry
from operando.errors import DataError
from operando.messages import Refused, RegionAsked
from tests.viewer.test_history import scan, session_of
from tests.viewer.test_window_voxel import answer as answered
from viewer.inquiry import ASK_S, Inquiry
from viewer.marks import HATCH, Mark, fineness, grown, picture, shrunk
from viewer.oracle import LocalOracle
from viewer.pins import COLOURS, Pins, voxels_inside
from viewer.session import Session
from viewer.stacks import Grid

GRID = Grid(shape=(5, 4), pixel_mm=0.5, x_first_mm=-1.0, y_first_mm=2.0)


def one(row: int, column: int, grid: Grid = GRID) -> np.ndarray:
    voxels = np.zeros(grid.shape, dtype=bool)
    voxels[row, column] = True
    return voxels


class FakeOracle:
    """Answers what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[RegionAsked] = []
        self.answer: Entry | None = None
        self.is_waiting = False

    def ask(self, question: RegionAsked) -> None:
        self.asked.append(question)
        self.is_waiting = True

    def poll(self) -> Entry | None:
        found, self.answer = self.answer, None
        self.is_waiting = self.is_waiting and found is None
        return found

    def close(self) -> None:
        self.is_waiting = False


def test_a_pin_asks_for_its_voxels_by_their_places():
    session = session_of(scan(0, 0.1))
    pin = Pins().pin(GRID, one(2, 3), keep=False)
    question = pin.question(session.shown)
    assert (question.run, question.x_mm, question.y_mm) == ("run-0", [0.5], [3.0])
    assert pin.title == "A\n(+0.50, +3.00) mm"


def test_a_region_beyond_the_bound_of_a_question_is_thinned_out():
    grid = Grid(shape=(300, 300), pixel_mm=0.01, x_first_mm=0, y_first_mm=0)
    pin = Pins().pin(grid, np.ones((300, 300), dtype=bool), keep=False)
    question = pin.question(session_of(scan(0, 0.1)).shown)
    assert 10_000 < len(question.x_mm) <= 20_000
    assert np.mean(question.x_mm) == pytest.approx(1.495, abs=0.01)


def test_pins_have_different_colours_and_the_oldest_makes_room():
    pins = Pins()
    for k in range(len(COLOURS) + 2):
        pins.pin(GRID, one(k % 5, 0), keep=True)
        assert len({pin.colour for pin in pins.items}) == len(pins.items)
    assert len(pins.items) == len(COLOURS)
    pins.pin(GRID, one(0, 0), keep=False)
    assert [pin.label for pin in pins.items] == ["A"]


def test_one_question_at_a_time_and_again_when_the_scan_has_grown():
    session, oracle, now = session_of(scan(0, 0.1)), FakeOracle(), [0.0]
    inquiry = Inquiry(session, oracle, clock=lambda: now[0])
    for row in range(3):
        session.pin(GRID, one(row, 0), keep=True)

    def turn() -> None:
        now[0] += ASK_S
        inquiry.tick()

    for _ in range(4):
        turn()
    assert len(oracle.asked) == 1
    for _ in range(3):
        message, arrays = answered(oracle.asked[-1], is_wanted=lambda: True)
        oracle.answer = Entry(number=1, message=message, arrays=arrays)
        turn()
        turn()
    assert [question.y_mm for question in oracle.asked] == [[2.0], [2.5], [3.0]]
    assert all(pin.answer is not None for pin in session.pins.items)
    turn()
    assert len(oracle.asked) == 3
    for entry in scan(5, 0.2, run="run-0"):
        session.apply(entry)
    turn()
    assert len(oracle.asked) == 4


def test_a_refusal_and_an_answer_that_does_not_fit_are_words_at_the_pin():
    session, oracle = session_of(scan(0, 0.1)), FakeOracle()
    inquiry = Inquiry(session, oracle, clock=iter(range(1000)).__next__)
    session.pin(GRID, one(0, 0), keep=False)
    inquiry.tick()
    oracle.answer = Entry(number=1, message=Refused(text="run run-0 is not known here"))
    assert inquiry.tick()
    assert session.pins.items[0].complaint == "run run-0 is not known here"
    session.pin(GRID, one(1, 0), keep=False)
    inquiry.tick()
    message, arrays = answered(oracle.asked[-1], is_wanted=lambda: True)
    oracle.answer = Entry(number=2, message=message, arrays={**arrays, "fit": np.zeros(3)})
    inquiry.tick()
    assert "3 of fit" in session.pins.items[0].complaint


def test_where_nobody_answers_the_pin_says_so():
    session = session_of(scan(0, 0.1))
    session.pin(GRID, one(0, 0), keep=False)
    Inquiry(session).tick()
    assert "nobody here answers" in session.pins.items[0].complaint


def test_an_answer_for_a_pin_that_is_gone_is_dropped():
    session, oracle = session_of(scan(0, 0.1)), FakeOracle()
    inquiry = Inquiry(session, oracle, clock=iter(range(1000)).__next__)
    session.pin(GRID, one(0, 0), keep=False)
    inquiry.tick()
    session.clear_pins()
    message, arrays = answered(oracle.asked[-1], is_wanted=lambda: True)
    oracle.answer = Entry(number=1, message=message, arrays=arrays)
    assert inquiry.tick()
    assert session.pins.items == []


def test_a_source_that_begins_anew_is_asked_again():
    session = session_of(scan(0, 0.1))
    session.pin(GRID, one(0, 0), keep=False)
    session.pins.items[0].answered_for = ("run-0", 0, 1)
    session.void()
    assert session.pins.items[0].answered_for is None
    assert session.pins.next_question(Session().shown) is None


def test_the_history_of_a_region_is_the_mean_of_its_voxels_in_every_scan():
    session = session_of(scan(0, 0.1), scan(1, 0.2), scan(2, 0.3))
    stack = session.stacks["x"]
    pin = Pins().pin(stack.grid, one(1, 1, stack.grid) | one(2, 1, stack.grid), keep=False)
    value, sigma = pin.history(stack)
    np.testing.assert_allclose(value, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(sigma, 0.03 / np.sqrt(2), rtol=1e-6)
    elsewhere = Pins().pin(GRID, one(0, 0), keep=False)
    assert np.isnan(elsewhere.history(stack)[0]).all()


def test_a_square_path_holds_the_voxels_whose_centres_are_inside():
    inside = voxels_inside(GRID, [(-0.75, 2.25), (0.25, 2.25), (0.25, 3.25), (-0.75, 3.25)])
    assert np.argwhere(inside).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 6)), min_size=1, max_size=12))
def test_any_path_gives_voxels_without_a_fault(path):
    inside = voxels_inside(GRID, path)
    assert inside.shape == GRID.shape
    assert inside.any() or GRID.voxel(x_mm=path[0][0], y_mm=path[0][1]) is None


def test_holes_are_hatched_and_the_rest_is_clear():
    is_hole = np.zeros(GRID.shape, dtype=bool)
    is_hole[1:3, 1:3] = True
    drawn = picture(GRID, is_hole)
    fine = fineness(GRID)
    assert drawn.shape == (5 * fine, 4 * fine, 4)
    hole = drawn[fine : 3 * fine, fine : 3 * fine]
    assert 0 < (hole == HATCH).all(axis=-1).mean() < 1
    drawn[fine : 3 * fine, fine : 3 * fine] = 0
    assert not drawn.any()


def test_a_mark_at_the_border_stays_in_the_picture():
    drawn = picture(GRID, np.zeros(GRID.shape, bool), [Mark(voxels=one(0, 0), colour="#ff0000")])
    fine = fineness(GRID)
    red = np.argwhere(drawn[..., 0] == 255)
    assert red.max() < 2 * fine
    assert not grown(np.zeros((4, 4), bool), width=2).any()
    assert shrunk(np.ones((4, 4), bool), width=1).sum() == 4


def test_a_function_answers_in_its_own_thread_and_ends_with_the_window():
    def slow(question: RegionAsked, *, is_wanted):
        while is_wanted() and question.x_mm[0] > 0:
            time.sleep(0.005)
        if question.x_mm[0] < -5:
            raise DataError("no such place")
        return answered(question, is_wanted=is_wanted)

    oracle = LocalOracle(slow)
    for x_mm in (1.0, 2.0, -1.0):
        oracle.ask(RegionAsked(run="r", x_mm=[x_mm], y_mm=[0.0]))
    assert oracle.is_waiting
    entry = _wait(oracle)
    assert entry.message.n_voxels == 1  # type: ignore[attr-defined]
    assert not oracle.is_waiting
    oracle.ask(RegionAsked(run="r", x_mm=[-9.0], y_mm=[0.0]))
    assert _wait(oracle).message == Refused(text="no such place")
    oracle.close()
    assert "viewer oracle" not in {thread.name for thread in threading.enumerate()}


def _wait(oracle: LocalOracle) -> Entry:
    deadline = time.monotonic() + 30
    while (entry := oracle.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return entry
