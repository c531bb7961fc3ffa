from pathlib import Path

import pytest

from acquisition.cell.clock import FollowedClock, claim_origin, write_state
from operando.profile import Cell

CELL = Cell(source="pybamm:small-2c", speed=20.0, start_s=100.0)


def test_whoever_comes_second_goes_on_with_the_replay_of_the_first(tmp_path: Path) -> None:
    assert claim_origin(tmp_path, CELL, "a", now_s=1000.0) == 1000.0
    assert claim_origin(tmp_path, CELL, "a", now_s=1030.0) == 1000.0
    assert FollowedClock(tmp_path, CELL, "a", now_s=1040.0).recorded_s(1050.0) == pytest.approx(100 + 50 * 20)


def test_follower_that_came_first_goes_over_to_the_bridge_that_came_late(tmp_path: Path) -> None:
    clock = FollowedClock(tmp_path, CELL, "a", now_s=1000.0)
    assert clock.recorded_s(1000.0) == 100.0

    assert claim_origin(tmp_path, CELL, "a", now_s=1500.0) == 1500.0
    assert clock.recorded_s(1500.0) == 100.0


def test_replay_that_is_kept_alive_goes_on_for_ever(tmp_path: Path) -> None:
    claim_origin(tmp_path, CELL, "a", now_s=1000.0)
    write_state(tmp_path, CELL, "a", origin_s=1000.0, now_s=9000.0)

    assert claim_origin(tmp_path, CELL, "a", now_s=9030.0) == 1000.0


def test_another_recording_begins_anew(tmp_path: Path) -> None:
    claim_origin(tmp_path, CELL, "a", now_s=1000.0)

    assert claim_origin(tmp_path, CELL, "b", now_s=1010.0) == 1010.0


def test_torn_state_does_not_stop_a_replay(tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text('{"recording": "a"')

    assert claim_origin(tmp_path, CELL, "a", now_s=1010.0) == 1010.0
