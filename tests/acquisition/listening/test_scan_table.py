"""Scan tables of another control system: rows of lines and of frames, growing, torn, restarted; each word once."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from acquisition.listening.follow import Follower, describe_table
from operando.bus.store import MemoryStore
from operando.errors import DataError, ProfileError
from operando.messages import (
    CellReading,
    LineAborted,
    LineAnnounced,
    LineFlown,
    Message,
    Notice,
    RunStarted,
    RunStopped,
)
from operando.profile import Profile, read_profile

N_LINES, N_POINTS = 3, 4
LINES = "line,angle_deg,first_position_mm,last_position_mm,n_points,file,start_s,end_s,ring_current_ma\n"
FRAMES = "line;angle_deg;position_mm;series;image;time_s;voltage_v;current_a\n"


def listening_profile(folder: Path, **keys: object) -> Profile:
    demo = read_profile("demo").model_dump(mode="json", exclude_none=True)
    demo["control"] = {"mode": "listen"}
    demo["detector"].update(source="folder", folder={"template": f"{folder}/raw/scan_{{series}}/p_{{image}}.cbf", "first": 1})
    demo["scan"].update(n_lines=N_LINES, n_points=N_POINTS, step_mm=0.1, interlaces=1, order="sequential")
    demo["listen"] = {"table": f"{folder}/*.csv", **keys}
    del demo["twin"]
    return Profile.model_validate({**demo, "folder": read_profile("demo").folder})


class Rig:
    """A follower with its journal and clock."""

    def __init__(self, folder: Path, *, journal: MemoryStore | None = None, **keys: object) -> None:
        self.folder, self.now_s = folder, 0.0
        self.journal = journal or MemoryStore()
        self.follower = Follower(
            listening_profile(folder, **keys),
            self.journal,
            cell_at=lambda time_s: CellReading(time_s=time_s, voltage_v=3.9, current_a=0.1, source="bridge"),
            metadata={"geometry_sha256": "ab"},
            clock=lambda: self.now_s,
            wall_clock=lambda: 5000.0,
        )

    def write(self, text: str, name: str = "scan_7.csv") -> None:
        with (self.folder / name).open("ab") as file:
            file.write(text.encode())

    def look(self) -> None:
        self.follower.look()

    def heard(self, kind: type[Message]) -> list[Message]:
        return [entry.message for entry in self.journal.since(0, limit=1000) if isinstance(entry.message, kind)]


def line_row(line: int, *, image: int, backward: bool = False) -> str:
    first, last = (0.15, -0.15) if backward else (-0.15, 0.15)
    return f"{line},{60.0 * line},{first},{last},4,scan_00007/p_{image:05d}.cbf,{100 + line},{100.5 + line},99.5\n"


def frame_row(line: int, point: int, *, image: int) -> str:
    return f"{line};{60 * line},0;{-0.15 + 0.1 * point:.2f};7;{image};{100 + image / 10};3,7{image};-0,5\n".replace(".", ",")


def test_rows_of_lines_become_announced_and_flown_lines(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.write("# run: night 1\n# sample: cell 4\n" + LINES + line_row(0, image=1) + line_row(1, image=5, backward=True))
    rig.look()
    started = rig.heard(RunStarted)[0]
    assert isinstance(started, RunStarted)
    assert (started.run, started.sample, started.plan, started.n_points) == ("night 1", "cell 4", "listen", 4)
    assert started.angles_deg == [0.0, 60.0, 120.0]
    assert started.first_position_mm == pytest.approx(-0.15)
    announced = rig.heard(LineAnnounced)
    assert [(a.line, a.series, a.first_image_id, a.n_points, a.direction) for a in announced] == [  # type: ignore[attr-defined]
        (0, 7, 0, 4, 1),
        (1, 7, 4, 4, -1),
    ]
    flown = rig.heard(LineFlown)[1]
    assert isinstance(flown, LineFlown)
    assert flown.positions_mm == pytest.approx([0.15, 0.05, -0.05, -0.15])
    assert (flown.positions_source, flown.ring_current_ma, flown.start_s, flown.end_s) == ("computed", 99.5, 101.0, 101.5)
    assert flown.cell is not None
    assert (flown.cell.time_s, flown.cell.source) == (101.25, "bridge")
    assert not rig.heard(RunStopped)
    rig.write(line_row(2, image=9))
    rig.look()
    stopped = rig.heard(RunStopped)[0]
    assert isinstance(stopped, RunStopped)
    assert stopped.exit_status == "success"


def test_rows_of_frames_become_a_line_when_it_is_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.write(FRAMES + "".join(frame_row(0, k, image=1 + k) for k in range(3)))
    rig.look()
    assert not rig.heard(LineAnnounced)
    rig.write(frame_row(0, 3, image=4))
    rig.look()
    flown = rig.heard(LineFlown)[0]
    assert isinstance(flown, LineFlown)
    assert flown.positions_mm == pytest.approx([-0.15, -0.05, 0.05, 0.15])
    assert flown.positions_source == "captured"
    # The rows tell the state of the cell: in the middle between those of images 2 and 3.
    assert flown.cell is not None
    assert flown.cell.voltage_v == pytest.approx(3.725)
    assert flown.cell.source == "scan_7.csv"


def test_short_line_is_over_when_the_next_begins_or_nothing_comes_for_a_while(tmp_path: Path) -> None:
    rig = Rig(tmp_path, quiet_s=20.0)
    rig.write(FRAMES + frame_row(0, 0, image=1) + frame_row(0, 1, image=2) + frame_row(1, 0, image=5))
    rig.look()
    assert [(a.line, a.n_points) for a in rig.heard(LineAnnounced)] == [(0, 2)]  # type: ignore[attr-defined]
    rig.now_s = 19.0
    rig.look()
    assert len(rig.heard(LineFlown)) == 1
    rig.now_s = 21.0
    rig.look()
    assert len(rig.heard(LineFlown)) == 2


def test_beam_before_and_behind_the_sample_is_told_where_every_frame_has_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rows = [
        f"{line},{60.0 * line},{0.1 * k:.1f},7,{1 + 4 * line + k},{51000 + k},{25000 - k if (line, k) != (0, 3) else ''}"
        for line in (0, 1)
        for k in range(4)
    ]
    rig.write("line,angle_deg,position_mm,series,image,monitor,transmitted\n" + "\n".join(rows) + "\n")
    rig.look()
    first, second = (flown for flown in rig.heard(LineFlown) if isinstance(flown, LineFlown))
    assert first.monitor == second.monitor == [51000.0, 51001.0, 51002.0, 51003.0]
    assert (first.transmitted, second.transmitted) == (None, [25000.0, 24999.0, 24998.0, 24997.0])


def test_frame_without_a_row_shifts_no_other(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.write(FRAMES + "".join(frame_row(0, k, image=1 + k) for k in (0, 1, 3)) + frame_row(1, 0, image=5))
    rig.look()
    announced, flown = rig.heard(LineAnnounced)[0], rig.heard(LineFlown)[0]
    assert isinstance(announced, LineAnnounced)
    assert isinstance(flown, LineFlown)
    assert (announced.first_image_id, announced.n_points) == (0, 4)
    assert flown.positions_mm == pytest.approx([-0.15, -0.05, 0.05, 0.15])
    assert flown.positions_source == "computed"


def test_state_of_a_line_is_followed_from_start_to_done_or_abort(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    head = "line,attempt,state,angle_deg,first_position_mm,last_position_mm,image\n"
    rig.write(head + "0,0,start,0,-0.15,0.15,1\n")
    rig.look()
    assert (len(rig.heard(LineAnnounced)), len(rig.heard(LineFlown))) == (1, 0)
    rig.write("0,0,aborted,0,-0.15,0.15,1\n0,1,start,0,-0.15,0.15,5\n0,1,done,0,-0.15,0.15,5\n")
    rig.look()
    aborted, flown = rig.heard(LineAborted)[0], rig.heard(LineFlown)[0]
    assert isinstance(aborted, LineAborted)
    assert isinstance(flown, LineFlown)
    assert (aborted.attempt, flown.attempt) == (0, 1)
    assert [(a.attempt, a.first_image_id) for a in rig.heard(LineAnnounced)] == [(0, 0), (1, 4)]  # type: ignore[attr-defined]


def test_torn_row_waits_for_its_rest(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    row = line_row(0, image=1)
    for k in range(len(LINES + row)):
        rig.write((LINES + row)[k])
        rig.look()
        assert len(rig.heard(LineFlown)) == (1 if k == len(LINES + row) - 1 else 0)
    assert not [notice for notice in rig.heard(Notice) if "no scan table" not in notice.text]  # type: ignore[attr-defined]


def test_listener_that_died_says_nothing_twice(tmp_path: Path) -> None:
    first = Rig(tmp_path)
    first.write(LINES + line_row(0, image=1) + line_row(1, image=5))
    first.look()
    n_said = first.journal.head
    second = Rig(tmp_path, journal=first.journal)
    second.look()
    assert first.journal.head == n_said
    second.write(line_row(2, image=9))
    second.look()
    assert len(second.heard(LineFlown)) == 3
    assert len(second.heard(RunStopped)) == 1


def test_next_table_is_the_next_run_and_ends_the_one_before(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.write(LINES + line_row(0, image=1))
    rig.look()
    rig.write(line_row(1, image=5))
    rig.write("# run: second\n" + LINES + line_row(0, image=21), name="scan_8.csv")
    rig.look()
    assert [(f.run, f.line) for f in rig.heard(LineFlown)] == [("scan_7", 0), ("scan_7", 1), ("second", 0)]  # type: ignore[attr-defined]
    stopped = rig.heard(RunStopped)[0]
    assert isinstance(stopped, RunStopped)
    assert (stopped.run, stopped.exit_status, stopped.reason) == ("scan_7", "abort", "the table scan_8.csv began")


def test_table_may_say_how_the_run_ended_and_what_its_grid_is(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.write("# angles_deg: 0 90\n# step_mm: 0.05\n# n_points: 4\n" + LINES + line_row(0, image=1))
    rig.look()
    started = rig.heard(RunStarted)[0]
    assert isinstance(started, RunStarted)
    assert (started.angles_deg, started.step_mm, started.first_position_mm) == ([0.0, 90.0], 0.05, pytest.approx(-0.075))
    rig.write("# end: aborted\n")
    rig.look()
    stopped = rig.heard(RunStopped)[0]
    assert isinstance(stopped, RunStopped)
    assert stopped.exit_status == "abort"


def test_bad_row_is_told_of_once_and_costs_itself_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    bad = line_row(0, image=1).replace("scan_00007", "elsewhere")
    rig.write(LINES + bad + bad + line_row(1, image=5))
    rig.look()
    notices = [n.text for n in rig.heard(Notice)]  # type: ignore[attr-defined]
    assert len(notices) == 1
    assert "file 'elsewhere/p_00001.cbf' is none of" in notices[0]
    assert [f.line for f in rig.heard(LineFlown)] == [1]  # type: ignore[attr-defined]


def test_columns_and_units_of_the_site_are_mapped(tmp_path: Path) -> None:
    columns = {"line": "scan", "angle": "omega", "position": "samx_um", "image": "frame"}
    rig = Rig(tmp_path, columns=columns, position_factor=-1e-3, angle_factor=-1.0)
    rig.write("scan,omega,samx_um,frame\n" + "".join(f"0,-60,{150 - 100 * k},{k + 1}\n" for k in range(4)))
    rig.look()
    flown = rig.heard(LineFlown)[0]
    assert isinstance(flown, LineFlown)
    assert flown.angle_deg == 60.0
    assert flown.positions_mm == pytest.approx([-0.15, -0.05, 0.05, 0.15])


def test_hdf5_table_that_grows_column_by_column_gives_whole_rows(tmp_path: Path) -> None:
    rig = Rig(tmp_path, table=f"{tmp_path}/*.h5")
    columns = {
        "line": [0, 0, 0, 0],
        "angle_deg": [30.0] * 4,
        "position_mm": [-0.15, -0.05, 0.05, 0.15],
        "file": [f"/x/raw/scan_7/p_{k}.cbf".replace("/x", str(tmp_path)) for k in range(1, 5)],
    }
    with h5py.File(tmp_path / "scan.h5", "w", locking=False) as file:
        group = file.create_group("scan")
        group.attrs["run"] = "from hdf5"
        group.attrs["angles_deg"] = np.array([30.0, 90.0])
        for name in columns:
            dtype = h5py.string_dtype() if name == "file" else np.dtype(float)
            group.create_dataset(name, (0,), maxshape=(None,), dtype=dtype)
        for n_rows in (2, 4):
            for name, values in columns.items():
                group[name].resize((n_rows,))
                group[name][:] = values[:n_rows]
                file.flush()
                rig.look()
                is_whole = n_rows == 4 and name == "file"
                assert len(rig.heard(LineFlown)) == (1 if is_whole else 0)
    started, flown = rig.heard(RunStarted)[0], rig.heard(LineFlown)[0]
    assert isinstance(started, RunStarted)
    assert isinstance(flown, LineFlown)
    assert (started.run, started.angles_deg) == ("from hdf5", [30.0, 90.0])
    assert flown.positions_mm == pytest.approx(columns["position_mm"])


def test_check_says_what_the_table_holds(tmp_path: Path) -> None:
    profile = listening_profile(tmp_path)
    assert "no scan table" in describe_table(profile)
    (tmp_path / "scan_1.csv").write_text(LINES + line_row(0, image=1) + line_row(1, image=5))
    assert describe_table(profile) == "scan_1.csv: 2 rows, a table of lines, 2 lines"
    (tmp_path / "scan_1.csv").write_text("line,angle_deg,image\n0,0,1\n")
    with pytest.raises(DataError, match="no position: wanted position_mm, or first_position_mm"):
        describe_table(profile)


def test_profile_that_listens_needs_a_table_and_no_motors(tmp_path: Path) -> None:
    assert listening_profile(tmp_path).control.fast.pv == "none"
    broken = listening_profile(tmp_path).model_copy(update={"listen": None})
    with pytest.raises(ProfileError, match="listen"):
        Follower(broken, MemoryStore(), cell_at=lambda time_s: None, metadata={})
