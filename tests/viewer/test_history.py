"""Many scans behind one slider, without a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operando.bus import Entry
from operando.messages import CellReading
from tests.viewer.conftest import cell_reading, map_published, run_started, scan_progress
from viewer.readings import Readings
from viewer.session import Session
from viewer.stacks import Grid, Stack
from viewer.timeline import Timeline
from viewer.words import following_words, scan_words, voxel_text


def scan(number: int, value: float, *, shape: tuple[int, int] = (5, 4), run: str = "", tomogram: int = 0) -> list[Entry]:
    """A scan of one map that holds one value; five minutes after the one before."""
    run = run or f"run-{number}"
    time_s = 1000.0 + 300 * number
    started = run_started(run).model_copy(update={"time_s": time_s})
    message, arrays = map_published(
        "x", np.full(shape, value, "f4"), run=run, tomogram=tomogram, data_time_s=time_s + 120, revision=number
    )
    return [Entry(number=1, message=started), Entry(number=2, message=message, arrays=arrays)]


def session_of(*scans: list[Entry], capacity: int = 4096) -> Session:
    session = Session(clock=lambda: 5000.0, capacity=capacity)
    for entries in scans:
        for entry in entries:
            session.apply(entry)
    return session


def test_every_scan_has_its_place_and_a_revision_stays_in_it():
    session = session_of(scan(0, 0.1), scan(1, 0.2), scan(2, 0.3), scan(1, 0.25))
    assert [s.run for s in session.scans] == ["run-0", "run-1", "run-2"]
    np.testing.assert_allclose(session.stacks["x"].value[:, 0, 0], [0.1, 0.25, 0.3])
    np.testing.assert_allclose(session.stacks["x"].sigma[:, 0, 0], 0.03)
    assert session.scans[1].maps["x"].arrays["value"][0, 0] == np.float32(0.25)


def test_the_tomograms_of_one_run_are_different_scans():
    session = session_of(scan(0, 0.1, run="r"), scan(1, 0.2, run="r", tomogram=1))
    assert [(s.run, s.tomogram) for s in session.scans] == [("r", 0), ("r", 1)]
    assert session.scans[1].started is not None


def test_a_map_that_a_scan_lacks_is_nothing_there():
    session = session_of(scan(0, 0.1))
    message, arrays = map_published("y", np.ones((5, 4), "f4"), run="run-7")
    session.apply(Entry(number=3, message=message, arrays=arrays))
    assert np.isnan(session.stacks["x"].value[1]).all()
    assert np.isnan(session.stacks["y"].value[0]).all()


def test_maps_on_another_grid_begin_a_new_history_and_say_so():
    session = session_of(scan(0, 0.1), scan(1, 0.2, shape=(7, 7)))
    assert session.stacks["x"].value.shape == (2, 7, 7)
    assert np.isnan(session.stacks["x"].value[0]).all()
    assert "another grid" in session.notices[-1].text
    assert session.n_refused == 0


def test_arrays_of_the_session_cannot_be_written_to_by_who_draws_them():
    session = session_of(scan(0, 0.1))
    with pytest.raises(ValueError, match="read-only"):
        session.shown.maps["x"].arrays["value"][0, 0] = 7


def test_the_slider_follows_until_it_is_taken_and_again_when_asked():
    session = session_of(scan(0, 0.1), scan(1, 0.2))
    assert session.shown is session.scans[1]
    session.show(0)
    for entry in [*scan(2, 0.3), *scan(3, 0.4)]:
        session.apply(entry)
    assert session.shown is session.scans[0]
    assert following_words(session).main == "paused · 2 new"
    assert scan_words(session).startswith("scan 1 of 4\n")
    session.follow()
    assert session.shown is session.scans[3]
    assert following_words(session).main == "following"


@given(st.lists(st.one_of(st.just("grow"), st.just("resume"), st.integers(-3, 30)), max_size=60))
def test_the_slider_always_stands_on_a_scan_and_on_the_newest_while_following(actions):
    timeline = Timeline()
    for action in actions:
        if action == "grow":
            timeline.grow(timeline.n + 1)
        elif action == "resume":
            timeline.resume()
        else:
            timeline.take(int(action))
        assert 0 <= timeline.index <= max(timeline.n - 1, 0)
        assert timeline.n_new >= 0
        if timeline.is_following:
            assert timeline.index == max(timeline.n - 1, 0)


def test_when_room_is_short_the_oldest_scans_go_and_the_others_keep_their_values():
    session = session_of(*(scan(k, k / 100) for k in range(11)), capacity=8)
    kept = [int(str(s.run)[4:]) for s in session.scans]
    assert len(kept) <= 8
    assert kept[-1] == 10
    np.testing.assert_allclose(session.stacks["x"].value[:, 0, 0], [k / 100 for k in kept], rtol=1e-6)
    for k, one in zip(kept, session.scans, strict=True):
        assert one.maps["x"].arrays["value"][0, 0] == np.float32(k / 100)


def test_a_time_leads_to_the_scan_whose_middle_is_nearest():
    session = session_of(scan(0, 0.1), scan(1, 0.2), scan(2, 0.3))
    assert session.scans[1].span_s == (1300.0, 1420.0)
    assert [session.scan_at(t) for t in (0, 1205, 1215, 1400, 9999)] == [0, 0, 1, 1, 2]
    assert Session().scan_at(5.0) is None


def test_a_source_that_begins_anew_leaves_no_scan():
    session = session_of(scan(0, 0.1), scan(1, 0.2))
    session.void()
    assert not session.scans
    assert not session.stacks
    assert session.shown.run is None
    assert scan_words(session) == ""


def test_words_of_a_voxel_are_those_of_the_scan_that_is_asked():
    session = session_of(scan(0, 0.1), scan(1, 0.2))
    assert "x: 0.1" not in voxel_text(session.scans[1], "x", x_mm=-2.4, y_mm=-2.4)
    assert ": 0.10 ± 0.03" in voxel_text(session.scans[0], "x", x_mm=-2.4, y_mm=-2.4)


def test_a_large_history_reserves_little_memory():
    stack = Stack(Grid(shape=(550, 550), pixel_mm=0.02, x_first_mm=0, y_first_mm=0))
    stack.put(0, {"value": np.ones((550, 550), "f4")})
    stack.grow(3)
    assert stack.value.shape == (3, 550, 550)
    assert stack.value[0, 0, 0] == 1
    assert np.isnan(stack.value[2]).all()


def test_a_hostile_size_is_kept_with_fewer_scans():
    assert Stack(Grid(shape=(8000, 8000), pixel_mm=0.02, x_first_mm=0, y_first_mm=0)).capacity == 67


def test_steps_of_the_cycler_are_stretches_of_time():
    readings = Readings()
    for second, step, current in [
        (0, "CC_Chg", 1.0),
        (1, "CC_Chg", 1.2),
        (2, "Rest", 0.0),
        (3, "CC_DChg", -1),
        (4, "CC_DChg", -1),
    ]:
        readings.add(CellReading(time_s=second, voltage_v=3.0, current_a=current, step=step))
    found = [(s.name, s.first_s, s.last_s, s.current_a) for s in readings.steps]
    assert found == [("CC_Chg", 0, 2, pytest.approx(1.1)), ("Rest", 2, 3, 0.0), ("CC_DChg", 3, 4, -1.0)]


def test_late_readings_find_their_place_with_all_their_columns():
    readings = Readings()
    for second in (3, 1, 2):
        readings.add(cell_reading(float(second), 3.0 + second / 10))
    np.testing.assert_allclose(readings.column("charge_ah"), 1.234)
    np.testing.assert_allclose(readings.voltage_v, [3.1, 3.2, 3.3])


def test_progress_of_an_earlier_scan_does_not_end_the_newest():
    session = session_of(scan(0, 0.1), scan(1, 0.2))
    session.apply(Entry(number=5, message=scan_progress("run-0", "finished", 48)))
    assert not session.is_over
    session.apply(Entry(number=6, message=scan_progress("run-1", "finished", 48)))
    assert session.is_over
