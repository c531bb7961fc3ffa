"""A film of a growing map: as many frames as lines, each with the colours of its moment, the same bytes again."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from operando.bus import Entry
from operando.cli import main
from operando.errors import OutputError
from operando.journal import Journal
from operando.messages import CellReading, LineFlown, RunStopped
from operando.profile import write_profile
from streaming.archive import write_scan
from streaming.line_file import write_line
from streaming.tomogram import Tomogram
from tests.streaming.phantom import RUN, Phantom, a_run, demo_profile
from tests.viewer.conftest import map_published
from viewer.movie import FRAMES_PER_S, HEIGHT, HOLD_S, WIDTH, frames, write_movie

N_STEPS = 3
N_HELD = round(HOLD_S * FRAMES_PER_S)
READINGS = [CellReading(time_s=1000.0 + k, voltage_v=3.5 + 0.01 * k, current_a=1.0) for k in range(10)]


def grown(share: float) -> np.ndarray:
    """x = share in the left half, nothing in the right."""
    x = np.full((20, 20), share, dtype=np.float32)
    x[:, 10:] = np.nan
    return x


def steps() -> Iterator[list[Entry]]:
    for k in range(N_STEPS):
        fixed = {"cell": None, "data_time_s": 1000.0 + 4 * k, "time_s": 1000.0, "revision": k, "n_lines": k + 1}
        scale = {"label": "x in LixC6", "colormap": "lixc6", "n_lines_expected": N_STEPS}
        message, arrays = map_published("x_lithium", grown(k / (N_STEPS - 1)), **fixed, **scale)
        yield [Entry(number=k + 1, message=message, arrays=arrays)]


def shares_of_colour(frame: np.ndarray) -> dict[str, float]:
    """How much of the large map's place is red, black and white."""
    part = frame[int(0.1 * HEIGHT) : int(0.68 * HEIGHT), int(0.03 * WIDTH) : int(0.37 * WIDTH)].astype(int)
    colours = {"red": (255, 0, 0), "black": (0, 0, 0), "half": (128, 0, 0), "white": (255, 255, 255)}
    return {name: float((np.abs(part - rgb).max(axis=-1) < 12).mean()) for name, rgb in colours.items()}


def test_each_frame_shows_the_map_of_its_moment():
    first, middle, last = (shares_of_colour(frame) for frame in frames(steps(), readings=READINGS))
    assert first["black"] > 0.4 > 0.1 > first["red"] + first["half"]
    assert middle["half"] > 0.4 > 0.1 > middle["red"] + middle["black"]
    assert last["red"] > 0.4 > 0.1 > last["black"] + last["half"]
    assert min(first["white"], middle["white"], last["white"]) > 0.4


def test_the_cursor_of_the_strip_moves_with_the_maps():
    first, _, last = frames(steps(), readings=READINGS)
    strip = slice(int(0.74 * HEIGHT), int(0.83 * HEIGHT))

    def cursor(frame: np.ndarray) -> int:
        return int(frame[strip].sum(axis=(0, 2)).argmin())

    # Eight of nine seconds lie between the first frame and the last.
    assert cursor(last) - cursor(first) == pytest.approx(0.92 * WIDTH * 8 / 9 / 1.02, abs=12)


def test_a_film_plays_as_many_frames_as_there_are_lines_and_holds_the_last(tmp_path):
    n_frames = write_movie(tmp_path / "m.mp4", steps(), readings=READINGS)
    assert n_frames == N_STEPS + N_HELD
    n_counted, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "m.mp4"))
    assert (n_counted, seconds) == (n_frames, pytest.approx(n_frames / FRAMES_PER_S, abs=0.1))
    decoder = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "m.mp4"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(decoder, capture_output=True, check=True, timeout=60)
    assert re.search(rf"Video: h264 .*yuv420p.* {WIDTH}x{HEIGHT}.* {FRAMES_PER_S} fps", decoded.stderr.decode())
    pictures = np.frombuffer(decoded.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    assert shares_of_colour(pictures[0])["black"] > 0.4
    assert shares_of_colour(pictures[-1])["red"] > 0.4


def test_the_same_run_gives_the_same_film(tmp_path):
    for name in ("one.mp4", "two.mp4"):
        write_movie(tmp_path / name, steps(), readings=READINGS)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_run_without_cell_readings_has_a_film_too():
    assert len(list(frames(steps(), readings=[]))) == N_STEPS


def test_what_cannot_be_filmed_is_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match=r"a film is an \.mp4"):
        write_movie(tmp_path / "m.gif", steps(), readings=[])
    with pytest.raises(OutputError, match="the run has no map"):
        write_movie(tmp_path / "m.mp4", [[]], readings=[])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose a folder that you may write to"):
        write_movie(tmp_path / "file" / "m.mp4", steps(), readings=[])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def recorded(tmp_path) -> Path:
    """The folder of a run of three lines, as acquisition, reduction and analysis leave it."""
    phantom, run, folder = Phantom(demo_profile()), a_run(), tmp_path / "run"
    folder.mkdir()
    write_profile(phantom.profile, folder / "profile.toml")
    tomogram = Tomogram(profile=phantom.profile, model=phantom.model, run=run, read_again=phantom.line)
    journal = Journal(folder / "journal.jsonl")
    journal.append(run)
    files = []
    for number in range(3):
        line = phantom.line(number)
        files.append(write_line(line, folder / "lines"))
        tomogram.add(line)
        for k in range(3):
            journal.append(CellReading(time_s=line.start_s + k, voltage_v=3.6, current_a=1.0))
        journal.append(
            LineFlown(
                run=RUN,
                line=number,
                attempt=0,
                positions_mm=line.positions_mm.tolist(),
                positions_source="captured",
                angle_deg=line.angle_deg,
                start_s=line.start_s,
                end_s=line.end_s,
            )
        )
    journal.append(RunStopped(run=RUN, exit_status="success", time_s=1010.0))
    journal.close()
    result = tomogram.result()
    assert result is not None
    archive = folder / "scan.nxs"
    write_scan(archive, result, run=run, profile=phantom.profile, model=phantom.model, line_files=files, state="finished")
    return archive


def test_the_command_films_a_recorded_run_line_by_line_without_a_screen(recorded, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["view", str(recorded), "--movie", str(tmp_path / "m.mp4")])
    assert end.value.code == 0
    assert f"{tmp_path / 'm.mp4'}: {3 + N_HELD} frames" in capsys.readouterr().out
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "m.mp4"))[0] == 3 + N_HELD


def test_a_film_without_what_it_needs_says_what_is_missing(recorded, tmp_path, capsys):
    def refusal(source: Path | str, movie: Path) -> tuple[object, str]:
        with pytest.raises(SystemExit) as end:
            main(["view", str(source), "--movie", str(movie)])
        return end.value.code, capsys.readouterr().err.strip().splitlines()[-1]

    code, words = refusal("tcp://127.0.0.1:9", tmp_path / "m.mp4")
    assert (code, "a film is made of a file" in words) == (66, True)
    (recorded.parent / "profile.toml").rename(tmp_path / "profile.toml")
    code, words = refusal(recorded, tmp_path / "m.mp4")
    assert (code, "profile.toml: maps that grow are computed anew" in words) == (66, True)
    (recorded.parent / "journal.jsonl").unlink()
    code, words = refusal(recorded, tmp_path / "m.mp4")
    assert (code, "journal.jsonl" in words) == (66, True)
    assert not (tmp_path / "m.mp4").exists()
