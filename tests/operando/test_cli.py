"""The command line: one clear sentence and the right exit code for everything that can be wrong before a scan."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from operando.cli import main
from operando.cli.demo import forget_earlier_demo
from operando.profile import profiles_folder, read_profile, write_profile

DEMO = profiles_folder() / "demo" / "profile.toml"


class Typed:
    """What a person gets for a command: exit code, output, and the last line of the complaints."""

    def __init__(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        self.code = end.value.code
        self.output, errors = capsys.readouterr()
        self.complaint = (errors.strip().splitlines() or [""])[-1]


@pytest.fixture
def operando(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typed]:
    """Type a command on a machine without a screen."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: Typed(capsys, list(arguments))


@pytest.fixture
def profile_with(tmp_path: Path) -> Callable[[str, str], str]:
    """Write the demo profile with one replacement, and give its path."""

    def write(old: str, new: str) -> str:
        text = DEMO.read_text()
        assert old in text
        text = text.replace(old, new, 1).replace('poni = "', f'poni = "{DEMO.parent}/', 1)
        path = tmp_path / "profile.toml"
        for key in ("cif", "lithium_curve"):
            text = text.replace(f'{key} = "', f'{key} = "{DEMO.parent}/')
        path.write_text(text)
        return str(path)

    return write


def test_help_names_every_command() -> None:
    # As a program of its own: the one test that the package can be started at all.
    result = subprocess.run(
        [sys.executable, "-m", "operando", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    for command in ("demo", "run", "view", "figure", "export", "replay", "calibrate", "check", "bench", "start"):
        assert f" {command} " in result.stdout


def test_the_demo_profile_is_found_good(operando: Callable[..., Typed]) -> None:
    typed = operando("check", "demo")
    assert typed.code == 0, typed.output
    assert "WRONG" not in typed.output
    assert "1960 frames" in typed.output
    assert "simulated jelly-roll, seed 1; effects: none" in typed.output


def test_a_dry_run_tells_frames_time_and_limits(operando: Callable[..., Typed]) -> None:
    typed = operando("run", "demo", "--dry-run")
    assert typed.code == 0
    assert "40 lines of 49 points, 1960 frames" in typed.output


def test_a_dry_run_of_another_plan_counts_all_its_runs(operando: Callable[..., Typed]) -> None:
    typed = operando(
        "run", "demo", "--dry-run", "--plan", "sparse_series", "--set", "n_tomograms=3", "--set", "interval_s=3600"
    )
    assert typed.code == 0, typed.output
    assert "sparse_series: at most 3 runs" in typed.output
    assert "time          2:0" in typed.output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run", "nowhere"], 66, "no profile 'nowhere': give a folder with a profile.toml, or one of"),
        (["run", "demo", "--dry-run", "--plan", "dance"], 78, "there is no plan 'dance': choose one of xrdct"),
        (["run", "demo", "--dry-run", "--set", "n_lines=few"], 78, "n_lines: Input should be a valid integer"),
        (["view", "nothing.nxs"], 66, "no file nothing.nxs"),
        (["replay", "nothing.nxs"], 66, "nothing.nxs"),
        (["calibrate", "demo", "nothing.cbf"], 66, "no image nothing.cbf"),
        (["calibrate", "demo", __file__, "--out", __file__], 73, "exists: choose another --out"),
        (["view", str(DEMO.parent)], 66, "scan.nxs"),
        (["replay", str(DEMO.parent)], 66, "scan.nxs: a replay needs"),
        (["patterns", "demo", "--out", __file__], 73, "is there already: name another file, or say --replace"),
        (
            ["patterns", "demo", "--out", "never.h5", "--calibrated", "no.poni"],
            66,
            "the geometry no.poni: No such file or directory; check --c",
        ),
        (["bench", "--only", "everything"], 66, "no benchmark 'everything': choose one of integration"),
        (["demo", "--out", "never"], 69, "no screen: DISPLAY is not set. Add --headless"),
        (["run", "demo", "--out", "never"], 69, "no screen: DISPLAY is not set. Add --headless"),
        (["view", "tcp://127.0.0.1:9"], 69, "no screen"),
        (["view", "tcp://127.0.0.1:9", "--headless"], 66, "nobody would see it"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_is_missing_is_named(operando: Callable[..., Typed], arguments: list[str], code: int, sentence: str) -> None:
    typed = operando(*arguments)
    assert typed.code == code
    assert sentence in typed.complaint


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("n_lines = 40", "n_linse = 40", "scan.n_lines: missing; add it; scan.n_linse: unknown key"),
        ("n_rows = 1679", "n_rows = 512", "512"),
        ("high = 8.0", "high = 1.0", "WRONG  scan"),
        ("phases/fe.cif", "phases/iron.cif", "WRONG  phases"),
        ("[twin]", '[compute]\ndevice = "cuda"\n\n[twin]', "compute.device"),
        (
            'sample = "jelly-roll"',
            'sample = "swiss-roll"',
            "WRONG  sample: twin.sample: found 'swiss-roll', wanted one of jelly-roll",
        ),
        ('sample = "jelly-roll"', 'sample = "aaa-cell"', "give pybamm: and a history of that cell"),
        ("[twin]", "[twin.winding]\ncan_mm = 9.0\n[twin]", "sample 'jelly-roll' is no wound cell"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_before_any_beam(
    operando: Callable[..., Typed], profile_with: Callable[[str, str], str], old: str, new: str, sentence: str
) -> None:
    typed = operando("check", profile_with(old, new))
    assert typed.code == 78
    assert sentence in typed.output + typed.complaint


def test_a_port_in_use_is_one_sentence(
    operando: Callable[..., Typed], profile_with: Callable[[str, str], str], tmp_path: Path
) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        profile = profile_with('results = "tcp://127.0.0.1:24103"', f'results = "tcp://127.0.0.1:{port}"')
        typed = operando("start", "analyse", profile, "--out", str(tmp_path / "out"))
    assert typed.code == 69
    assert f"cannot serve on tcp://127.0.0.1:{port}: Address already in use" in typed.complaint


def test_a_folder_with_an_earlier_run_is_not_overwritten(operando: Callable[..., Typed], tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("precious\n")
    typed = operando("run", "demo", "--headless", "--out", str(tmp_path))
    assert typed.code == 69
    assert "nothing is overwritten" in typed.complaint
    assert (tmp_path / "journal.jsonl").read_text() == "precious\n"


def test_a_new_demo_removes_what_the_earlier_one_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("old\n")
    (tmp_path / "lines" / "run").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("precious\n")
    write_profile(read_profile("demo"), tmp_path / "profile.toml")
    forget_earlier_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("out", "sentence"),
    [("file/x", "Not a directory: a file stands where a folder is wanted"), ("file", "a file stands where a folder is wanted")],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(
    operando: Callable[..., Typed], tmp_path: Path, out: str, sentence: str
) -> None:
    (tmp_path / "file").touch()
    typed = operando("start", "analyse", "demo", "--out", str(tmp_path / out))
    assert typed.code == 74
    assert typed.complaint.startswith(f"operando: {tmp_path / out}: ")
    assert sentence in typed.complaint


def test_the_version_is_told_as_a_command_and_as_an_option(operando: Callable[..., Typed]) -> None:
    assert operando("--version").output == operando("version").output != ""


@pytest.fixture
def real_profile(profile_with: Callable[[str, str], str], data_folder: Path) -> str:
    """Write a profile whose geometry and mask are those of the real CeO2 frame."""
    path = Path(profile_with("polarization = 0.95", f'polarization = 0.95\nmask = "{data_folder / "nDTomo" / "mask.edf"}"'))
    path.write_text(path.read_text().replace(str(DEMO.parent / "geometry.poni"), str(data_folder / "nDTomo" / "CeO2.poni")))
    return str(path)


def test_the_real_ceo2_frame_calibrates_from_the_command_line(
    operando: Callable[..., Typed], real_profile: str, data_folder: Path, tmp_path: Path
) -> None:
    typed = operando("calibrate", real_profile, str(data_folder / "nDTomo" / "CeO2.cbf"), "--out", str(tmp_path / "new.poni"))
    assert typed.code == 0, typed.complaint
    assert typed.output.count("predicted") >= 5
    assert (tmp_path / "new.poni").is_file()


def test_a_wrong_calibrant_is_refused_from_the_command_line(
    operando: Callable[..., Typed], real_profile: str, data_folder: Path, tmp_path: Path
) -> None:
    image, out = str(data_folder / "nDTomo" / "CeO2.cbf"), tmp_path / "new.poni"
    typed = operando("calibrate", real_profile, image, "--calibrant", "LaB6", "--out", str(out))
    assert typed.code == 65
    assert "rings of LaB6" in typed.complaint
    assert not out.exists()
