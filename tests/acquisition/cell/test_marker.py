"""A line that the cycler raises at the beginning of a step tells how far its clock is off."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.cell.live import LiveFiles
from acquisition.cell.marker import MarkerOffset
from acquisition.cell.row import Row
from acquisition.cell.signals import EdgeFinder
from operando.profile import Cell
from operando.profile.cell_signals import Marker

STEPS_S = (1000.0, 1900.0, 2500.0, 4000.0)
"""When steps begin, by the control system's clock."""


def rows_of(offset_s: float, *, every_s: float = 10.0, until_s: float = 5000.0) -> list[Row]:
    """Give rows by a clock that is ahead; the first of a step comes up to one row after its beginning."""
    times_s = [k * every_s + 3.0 for k in range(int(until_s / every_s))]
    return [Row(time_s=t + offset_s, step=f"step {sum(t >= s for s in STEPS_S)}") for t in times_s]


@given(offset_s=st.floats(-100, 100))
def test_offset_is_found_within_a_row_from_whatever_the_profile_said(offset_s: float) -> None:
    offset = MarkerOffset(Marker(pv="T"), offset_s=0.0)
    assert offset.offset_s == 0.0
    for row in rows_of(offset_s):
        offset.note(row)
    for edge_s in STEPS_S:
        offset.edge(edge_s)
    assert offset.n_pairs == len(STEPS_S)
    assert offset_s <= offset.offset_s <= offset_s + 10.0


def test_order_of_edges_and_rows_does_not_matter() -> None:
    offset, rows = MarkerOffset(Marker(pv="T"), offset_s=0.0), rows_of(90.0)
    for edge_s in STEPS_S:
        offset.edge(edge_s)
    for row in rows:
        offset.note(row)
    assert offset.n_pairs == len(STEPS_S)
    assert 90 <= offset.offset_s <= 100


def test_missed_edge_and_false_edge_change_nothing() -> None:
    offset = MarkerOffset(Marker(pv="T"), offset_s=0.0)
    for row in rows_of(90.0):
        offset.note(row)
    for edge_s in (STEPS_S[0], STEPS_S[2], 3000.0):
        offset.edge(edge_s)
    assert offset.n_pairs == 2
    assert 90 <= offset.offset_s <= 100


def test_edge_of_a_step_that_is_not_in_the_file_yet_is_not_given_to_the_one_before() -> None:
    offset, rows = MarkerOffset(Marker(pv="T"), offset_s=0.0), rows_of(0.0)
    for row in rows[:186]:
        offset.note(row)
    # Step 0 had no edge; that of step 1 comes while the newest row is of 1853 s.
    offset.edge(STEPS_S[1])
    assert offset.n_pairs == 0
    for row in rows[186:]:
        offset.note(row)
    assert offset.n_pairs == 1
    assert 0 <= offset.offset_s <= 10


def test_steps_that_come_too_soon_after_each_other_are_not_paired() -> None:
    offset = MarkerOffset(Marker(pv="T", window_s=950.0), offset_s=90.0)
    for row in rows_of(90.0, until_s=9000.0):
        offset.note(row)
    for edge_s in STEPS_S[:3]:
        offset.edge(edge_s)
    assert offset.n_pairs == 0
    assert offset.offset_s == 90.0


def test_growing_file_with_a_clock_90_s_ahead_gets_its_true_times_from_the_marker(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    cell = Cell(source=f"tail:{path}", timezone="UTC", units={"time": "epoch"})
    offset = MarkerOffset(Marker(pv="T"), offset_s=0.0)
    rows = [(row.time_s, 3.0 if row.step == "step 0" else 3.5, row.step) for row in rows_of(90.0, until_s=1500.0)]
    path.write_text("Time,Voltage(V),Step\n" + "".join(f"{t},{v},{s}\n" for t, v, s in rows))
    source = LiveFiles(
        path, Cell.model_validate({**cell.model_dump(), "columns": {"time": "Time", "step": "Step"}}), offset=offset
    )
    source.look(1500.0)
    before = source.reading_at(1500.0)
    assert before is not None
    assert "ahead" in before.trouble
    offset.edge(STEPS_S[0])
    with path.open("a") as file:
        file.write(f"{1503.0 + 90},3.6,step 1\n")
    source.look(1503.0)
    after = source.reading_at(1503.0)
    assert after is not None
    assert after.clock_offset_s == pytest.approx(93.0)
    assert after.time_s == pytest.approx(1500.0)
    assert after.trouble == ""


@pytest.mark.parametrize(("edge", "wanted"), [("rising", [2.0]), ("falling", [4.0]), ("both", [2.0, 4.0])])
def test_edges_are_found_and_where_the_line_stands_at_first_is_none(edge: str, wanted: list[float]) -> None:
    seen: list[float] = []
    finder = EdgeFinder(Marker.model_validate({"pv": "T", "edge": edge}), seen.append)
    for time_s, value in enumerate([0, 0, 1, 1, 0]):
        finder(value=float(value), timestamp=float(time_s), pvname="T")
    assert seen == wanted
