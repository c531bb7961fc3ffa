"""The truth file: states that the lines met, also while the scan goes on."""

import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from acquisition.twin.live_truth import LiveTruth, StateLog
from acquisition.twin.slice import Slice
from acquisition.twin.truth import FlownLine, Truth, read_slice, state_at, write_truth

N = 8
CHANGES_S = (100.0, 200.0, 300.0)


def block(n_columns: int) -> Slice:
    density = np.zeros((N, N, 1), dtype=np.float32)
    density[:, :n_columns] = 8.0
    return Slice(name="block", materials=("cu",), density_g_cm3=density, voxel_mm=0.1)


class Growing:
    """A copper block that is wider after each of the changes, and the cell beside it."""

    def __init__(self) -> None:
        self.blocks = [block(n + 1) for n in range(len(CHANGES_S) + 1)]

    def slice_at(self, time_s: float) -> Slice:
        return self.blocks[int(np.searchsorted(CHANGES_S, time_s, side="right"))]

    def cell_at(self, time_s: float) -> dict[str, float]:
        return {"voltage_v": 3.0 + time_s / 1000}


class Flying:
    """What a detector shows, without its frames: lines are flown when the test says so."""

    def __init__(self) -> None:
        self.history = Growing()
        self.flown: list[FlownLine] = []
        self.on_state = StateLog().note

    def fly(self, start_s: float) -> None:
        for time_s in (start_s, start_s + 20):
            self.on_state(time_s, self.history.slice_at(time_s))
        self.flown.append(FlownLine(angle_deg=start_s, start_s=start_s, end_s=start_s + 20, n_pulses=2))

    def sample_at(self, time_s: float) -> Slice:
        return self.history.slice_at(time_s)

    def truth(self, lines: Sequence[FlownLine] | None = None) -> Truth:
        flown = self.flown if lines is None else lines
        return Truth(history=self.history, seed=1, wavelength_angstrom=0.12, follows_lithium=False, lines=flown)


def contents(path: Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


STARTS_S = (90.0, 150.0, 210.0, 330.0)


def test_a_truth_that_grew_is_the_truth_that_was_written_at_once(tmp_path: Path) -> None:
    source = Flying()
    with LiveTruth(source, tmp_path / "live.h5", now_s=90.0, every_s=3600) as live:
        for start_s in STARTS_S:
            source.fly(start_s)
            live.update()
    write_truth(source.truth(), tmp_path / "once.h5")
    live_maps, once = contents(tmp_path / "live.h5"), contents(tmp_path / "once.h5")

    assert live_maps.keys() == once.keys()
    for name, values in once.items():
        np.testing.assert_array_equal(live_maps[name], values, err_msg=name)
    assert once["lines/state"].tolist() == [0, 1, 2, 3]


def test_every_line_finds_its_state_and_the_cell_of_its_time(tmp_path: Path) -> None:
    source = Flying()
    with LiveTruth(source, tmp_path / "truth.h5", now_s=90.0, every_s=3600):
        for start_s in STARTS_S:
            source.fly(start_s)
    for number, start_s in enumerate(STARTS_S):
        state, cell = state_at(tmp_path / "truth.h5", start_s + 10)
        assert state == number
        assert cell["voltage_v"] == pytest.approx(3.0 + (start_s + 10) / 1000)
        np.testing.assert_array_equal(
            read_slice(tmp_path / "truth.h5", state=state).density_g_cm3, source.history.blocks[number].density_g_cm3
        )
    assert state_at(tmp_path / "truth.h5", 5.0) == (0, {})


def test_the_file_grows_by_itself_while_lines_are_flown(tmp_path: Path) -> None:
    source = Flying()
    with LiveTruth(source, tmp_path / "truth.h5", now_s=90.0, every_s=0.01, publish_s=0.0):
        source.fly(90.0)
        source.fly(150.0)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and contents(tmp_path / "truth.h5")["lines/start_s"].size < 2:
            time.sleep(0.02)
        assert contents(tmp_path / "truth.h5")["lines/state"].tolist() == [0, 1]


def test_nothing_but_the_truth_is_left_at_the_end(tmp_path: Path) -> None:
    with LiveTruth(source := Flying(), tmp_path / "truth.h5", now_s=90.0, every_s=3600):
        source.fly(90.0)
    assert [path.name for path in tmp_path.iterdir()] == ["truth.h5"]


def test_before_the_first_line_the_file_holds_the_sample_as_it_is(tmp_path: Path) -> None:
    with LiveTruth(Flying(), tmp_path / "truth.h5", now_s=250.0, every_s=3600):
        np.testing.assert_array_equal(read_slice(tmp_path / "truth.h5").density_g_cm3, block(3).density_g_cm3)


def test_a_pulse_that_comes_late_brings_no_state_back() -> None:
    log, old, new = StateLog(), block(1), block(2)
    for time_s, sample in ((10.0, old), (20.0, new), (19.0, old), (21.0, new), (18.0, block(1))):
        log.note(time_s, sample)

    assert log.take() == [(10.0, old), (20.0, new)]
    assert log.take() == []
