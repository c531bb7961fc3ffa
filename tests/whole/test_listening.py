"""Another control system scans: CBF files in a folder, a scan table and a cycler's file, all growing; operando makes the map.

There is no RunEngine, no SIMPLON detector and no Channel Access but the cell's. The frames are the twin's; the files are
written here as a beamline would, with a torn file, torn rows, a lost image and a cycler whose clock is 90 s ahead.
"""

import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from fabio.cbfimage import CbfImage

from acquisition.twin.cable import Pulse
from acquisition.twin.sample import SampleFrames, make_frame_source
from acquisition.twin.score import AnalysedMap, score_lithium
from acquisition.twin.truth import read_slice
from operando.bus import FeedClient
from operando.cli.ports import on_free_ports
from operando.messages import CellReading, LineWritten, ScanProgress
from operando.profile import Profile, read_profile
from tests.streaming.small_detector import small_profile
from tests.whole.beamtime import processes

N_LINES, N_POINTS, STEP_MM = 16, 21, 0.24
LOST, TORN = (7, 11), (3, 4)
"""(line, point) of an image that is never written, and of one that is whole only at the end."""
CLOCK_AHEAD_S = 90.0


class OtherControlSystem:
    """Scans the twin's sample and writes what a beamline would write."""

    def __init__(self, folder: Path, frames: SampleFrames) -> None:
        self.folder, self.frames = folder, frames
        self.angles_deg = 180.0 * np.arange(N_LINES) / N_LINES
        self.positions_mm = STEP_MM * (np.arange(N_POINTS) - (N_POINTS - 1) / 2)
        (folder / "raw" / "scan_00042").mkdir(parents=True)
        (folder / "tables").mkdir()
        (folder / "cycler").mkdir()

    def scan(self) -> None:
        self._append("tables/scan_00042.csv", "# run: night 1\n# sample: jelly roll\n")
        self._append("tables/scan_00042.csv", "line,angle_deg,position_mm,file,time_s\n")
        self._append("cycler/cell.csv", "epoch;Voltage(V);Current(A);Charge(Ah)\r\n")
        for line in range(N_LINES):
            self._fly(line)
        self._write_image(TORN)

    def _fly(self, line: int) -> None:
        # Zig-zag: the rows say where each frame was.
        for point in range(N_POINTS):
            now_s = time.time()
            place = self._place(line, point)
            self._write_image((line, point), is_torn=(line, point) == TORN)
            row = (
                f"{line},{self.angles_deg[line]:.4f},{place:.4f},scan_00042/a_{self._number(line, point):05d}.cbf,{now_s:.3f}\n"
            )
            self._append("tables/scan_00042.csv", row[:17])
            self._append("tables/scan_00042.csv", row[17:])
        reading = f"{time.time() + CLOCK_AHEAD_S:.3f};3,{600 + line};-0,5;{line / 100:.2f}\r\n".replace(".", ",")
        self._append("cycler/cell.csv", reading[:9])
        self._append("cycler/cell.csv", reading[9:])

    def _write_image(self, at: tuple[int, int], *, is_torn: bool = False) -> None:
        if at == LOST:
            return
        line, point = at
        number = self._number(line, point)
        pulse = Pulse(
            number=number,
            time_s=time.time(),
            exposure_s=0.04,
            fast_mm=self._place(line, point),
            angle_deg=float(self.angles_deg[line]),
            beam=1.0,
        )
        image = self.frames.frame(pulse, number)
        counts = np.where(image == np.iinfo(np.uint32).max, -1, image.astype(np.int64)).astype(np.int32)
        hidden = self.folder / "raw" / "image.tmp"
        CbfImage(data=counts).write(str(hidden))
        content = hidden.read_bytes()
        path = self.folder / f"raw/scan_00042/a_{number:05d}.cbf"
        path.write_bytes(content[: len(content) // 2] if is_torn else content)

    def _place(self, line: int, point: int) -> float:
        return float(self.positions_mm[point if line % 2 == 0 else N_POINTS - 1 - point])

    def _number(self, line: int, point: int) -> int:
        return 1 + line * N_POINTS + point

    def _append(self, name: str, text: str) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(text.encode())


def listening_profile(folder: Path) -> Profile:
    small = small_profile(folder, stream="tcp://127.0.0.1:1", journal="tcp://127.0.0.1:1")
    assert small.twin is not None
    twin = small.twin.model_copy(update={"counts_per_pixel": 60.0})
    values = small.model_dump(mode="json", exclude_none=True)
    values["control"] = {"mode": "listen"}
    values["twin"] = twin.model_dump(mode="json")
    values["scan"].update(n_lines=N_LINES, n_points=N_POINTS, step_mm=STEP_MM, order="sequential", interlaces=1)
    values["integration"].update(q_min=1.1, q_max=4.8, n_radial=600)
    values["detector"].update(source="folder", folder={"template": f"{folder}/raw/scan_{{series}}/a_{{image}}.cbf", "first": 1})
    values["refinement"] = {"enabled": False}
    values["listen"] = {"table": f"{folder}/tables/*.csv", "quiet_s": 5.0}
    values["cell"] = {
        "source": f"tail:{folder}/cycler/*.csv",
        "clock_offset_s": CLOCK_AHEAD_S,
        "capacity_ah": 1.0,
        "start_soc": 0.1,
    }
    demo = read_profile("demo")
    for section, phase in zip(values["phases"], demo.phases, strict=True):
        section["cif"] = str(demo.path(phase.cif))
        if phase.lithium_curve is not None:
            section["lithium_curve"] = str(demo.path(phase.lithium_curve))
    return on_free_ports(Profile.model_validate({**values, "folder": folder}))


@pytest.fixture(scope="module")
def listened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScanProgress]:
    """The folder that following the scan left, and its last word."""
    folder = tmp_path_factory.mktemp("site")
    demo_folder = folder / "site"
    demo_folder.mkdir()
    profile = listening_profile(demo_folder)
    frames = make_frame_source(profile)
    out = folder / "out"
    out.mkdir()
    other = OtherControlSystem(demo_folder, frames)
    with processes(profile, out), FeedClient(profile.addresses.results) as results:
        writer = threading.Thread(target=other.scan)
        writer.start()
        last, deadline = None, time.monotonic() + 90
        while time.monotonic() < deadline and (last is None or last.state != "finished"):
            for entry in results.poll(0.2):
                last = entry.message if isinstance(entry.message, ScanProgress) else last
        writer.join()
        assert last is not None
        assert last.state == "finished", "\n".join(path.read_text()[-1500:] for path in out.glob("*.log"))
        _wait_for_late_image(profile)
    frames.write_truth(out / "truth.h5")
    return out, last


def _wait_for_late_image(profile: Profile) -> None:
    with FeedClient(profile.addresses.reduction) as reduction:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for entry in reduction.poll(0.2):
                message = entry.message
                if isinstance(message, LineWritten) and message.line == TORN[0] and message.n_received == N_POINTS:
                    return
    pytest.fail("the torn image was not taken in when it was whole")


@pytest.mark.slow
@pytest.mark.ioc
@pytest.mark.timeout(200)
def test_every_image_is_in_its_line_but_the_one_that_was_never_written(listened: tuple[Path, ScanProgress]) -> None:
    out, _ = listened
    missing = []
    paths = sorted((out / "lines" / "night_1").glob("*.h5"))
    assert len(paths) == N_LINES
    for path in paths:
        with h5py.File(path, "r") as file:
            line = int(file["entry/line"][()])
            positions = file["entry/patterns/position"][()]
            assert np.sign(positions[-1] - positions[0]) == (1 if line % 2 == 0 else -1)
            missing += [(line, int(point)) for point in np.flatnonzero(~file["entry/patterns/is_received"][()])]
            assert (int(file["entry/series"][()]), int(file["entry/first_image_id"][()])) == (42, line * N_POINTS)
    assert missing == [LOST]


@pytest.mark.slow
@pytest.mark.ioc
@pytest.mark.timeout(200)
def test_the_lithium_map_is_that_of_the_sample(listened: tuple[Path, ScanProgress]) -> None:
    out, progress = listened
    assert progress.lines_done == N_LINES
    with h5py.File(out / "scan.nxs", "r") as file:
        group = file["entry/x_lithium"]
        x_mm, y_mm = group["x"][()], group["y"][()]
        found = AnalysedMap(
            value=group["value"][()],
            sigma=group["value_errors"][()],
            reason=group["reason"][()],
            pixel_mm=float(x_mm[1] - x_mm[0]),
            x_first_mm=float(x_mm[0]),
            y_first_mm=float(y_mm[0]),
        )
    score = score_lithium(found, read_slice(out / "truth.h5"))
    assert score.n_voxels > 30
    assert score.rms < 0.2


@pytest.mark.slow
@pytest.mark.ioc
@pytest.mark.timeout(200)
def test_lines_carry_the_cell_on_the_control_systems_clock(listened: tuple[Path, ScanProgress]) -> None:
    out, _ = listened
    with h5py.File(sorted((out / "lines" / "night_1").glob("*.h5"))[-1], "r") as file:
        cell, start_s = file["entry/cell"], float(file["entry/start"][()])
        reading = CellReading(
            time_s=float(cell["time_s"][()]), voltage_v=float(cell["voltage_v"][()]), current_a=float(cell["current_a"][()])
        )
        assert float(cell["clock_offset_s"][()]) == CLOCK_AHEAD_S
        assert float(cell["soc"][()]) == pytest.approx(0.1 + float(cell["charge_ah"][()]))
        assert cell["source"][()] == b"cell.csv"
    assert reading.voltage_v is not None
    assert 3.6 <= reading.voltage_v < 3.6 + N_LINES / 1000
    assert reading.current_a == -0.5
    assert abs(reading.time_s - start_s) < 30
