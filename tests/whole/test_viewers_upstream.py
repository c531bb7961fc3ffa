"""Whatever is done to those who look, those who measure write the same files and count the same frames."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operando.messages import LineWritten, StreamStatus
from streaming.line_file import read_line
from tests.streaming.fakes import announced, flown
from tests.streaming.small_detector import SHAPE
from tests.streaming.test_reduction import Beamline, N, Running, image, is_line
from tests.streaming.wire import v2_end, v2_start

N_LINES = 6
LOST = 2 * N + 3
"""A frame that the detector never sends: its loss must be counted the same, too."""

VIEWER = """
import sys, time
from viewer.mailbox import Receiver
from viewer.session import Session
receiver, session, is_told = Receiver(sys.argv[1]), Session(), False
while True:
    for entry in receiver.mailbox.empty().entries:
        session.apply(entry)
    if session.status is not None and not is_told:
        is_told = not print("shown", flush=True)
    time.sleep(float(sys.argv[2]))
"""
"""The window without its pixels: all of it that its source can notice."""


@contextmanager
def viewer(address: str, *, look_s: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", VIEWER, address, str(look_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "shown\n"
            yield process
        finally:
            process.kill()


@contextmanager
def nobody(address: str) -> Iterator[None]:
    yield


@contextmanager
def one_killed_one_stopped_one_slow(address: str) -> Iterator[None]:
    with viewer(address, look_s=0.01) as killed, viewer(address, look_s=0.01) as stopped, viewer(address, look_s=5.0):
        killed.kill()
        stopped.send_signal(signal.SIGSTOP)
        yield
        stopped.send_signal(signal.SIGCONT)


def measured(folder: Path, watched_by: Any) -> tuple[dict[int, tuple[dict[str, Any], int]], StreamStatus]:
    """Measure some lines while the results are watched, and give each line's file and count, and the last status."""
    folder.mkdir()
    beamline = Beamline(folder)
    running = Running(beamline.profile, folder)
    try:
        with watched_by(beamline.profile.addresses.reduction):
            ids = [k for k in range(N_LINES * N) if k != LOST]
            beamline.say(*(announced(line, line * N, n_points=N) for line in range(N_LINES)))
            beamline.send(v2_start(shape=SHAPE), *(image(k) for k in ids), v2_end())
            beamline.say(*(flown(line, n_points=N) for line in range(N_LINES)))
            written = [running.wait_for(is_line(line)) for line in range(N_LINES)]
            status = running.wait_for(lambda told: isinstance(told, StreamStatus) and told.frames_received == len(ids))
            newest = {told.line: told for told in [*written, *running.heard] if isinstance(told, LineWritten)}
            lines = {number: (contents(Path(told.path)), told.n_received) for number, told in newest.items()}
    finally:
        running.stop()
        beamline.close()
    assert isinstance(status, StreamStatus)
    return lines, status


def contents(path: Path) -> dict[str, Any]:
    line = read_line(path)
    return {field.name: getattr(line, field.name) for field in fields(line)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, tuple[dict[str, Any], int]], StreamStatus]:
    return measured(tmp_path_factory.mktemp("undisturbed") / "out", nobody)


def test_killing_stopping_and_slowing_viewers_changes_no_line_file_and_no_count(tmp_path, undisturbed):
    lines, status = measured(tmp_path / "out", one_killed_one_stopped_one_slow)
    expected, expected_status = undisturbed
    assert lines.keys() == expected.keys() == set(range(N_LINES))
    for number, (line, n_received) in lines.items():
        reference, n_reference = expected[number]
        assert n_received == n_reference == N - (number == LOST // N)
        for name, value in reference.items():
            np.testing.assert_array_equal(line[name], value, err_msg=f"{name} of line {number}")
    assert status.frames_received == expected_status.frames_received == N_LINES * N - 1
    assert status.frames_rejected == expected_status.frames_rejected
    assert status.frames_duplicated == expected_status.frames_duplicated
