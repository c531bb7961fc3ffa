"""Whatever is done to those who look, those who measure write the same files and count the same frames."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operando.bus import FeedClient
from operando.messages import LineWritten, StreamStatus
from operando.profile import Profile, read_profile
from operando.screen import VirtualScreen
from streaming.analysis import serve as analyse
from streaming.line_file import read_line
from tests.streaming.fakes import announced, flown
from tests.streaming.small_detector import SHAPE
from tests.streaming.test_reduction import Beamline, N, Running, free_port, image, is_line
from tests.streaming.wire import v2_end, v2_start

N_LINES = 6
PATIENCE_S = 100.0
LOST = 2 * N + 3
"""A frame that the detector never sends: its loss must be counted the same, too."""

SLOW = """
import sys, time
from viewer.mailbox import Receiver
from viewer.session import Session
receiver, session = Receiver(sys.argv[1]), Session()
while True:
    for entry in receiver.mailbox.empty().entries:
        session.apply(entry)
    time.sleep(5)
"""
"""A window that takes five seconds for each picture, without the pixels: all of it that its source can notice."""

Doings = tuple[Callable[[], object], ...]
"""What is done to those who look, each before another part of the frames comes."""


@contextmanager
def nobody(results: str) -> Iterator[Doings]:
    yield (lambda: None,)


@contextmanager
def a_window_stopped_then_killed_and_one_that_is_slow(results: str) -> Iterator[Doings]:
    """Open a real window on the results: it looks at a third of the frames, is stopped for a third, dead for the last."""
    with (
        VirtualScreen() as screen,
        tempfile.NamedTemporaryFile("w+") as log,
        process("-m", "operando", "view", results, stderr=log, env=os.environ | screen.environment) as window,
        process("-c", SLOW, results),
    ):
        deadline = time.monotonic() + PATIENCE_S
        while "source met" not in (told := Path(log.name).read_text()):
            assert time.monotonic() < deadline, told
            assert window.poll() is None, told
            time.sleep(0.1)
        yield (lambda: None, lambda: window.send_signal(signal.SIGSTOP), window.kill)
        assert window.wait(PATIENCE_S) == -signal.SIGKILL, "it had been there until it was killed"


@contextmanager
def process(*words: str, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, **how) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def analysed(profile: Profile, out: Path) -> Iterator[None]:
    """Analyse what is measured, and serve the results."""
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=analyse, args=(profile,), kwargs={"out": out, "ready": ready.set, "stop": stop})
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def beamline_with_phases(folder: Path) -> tuple[Beamline, Profile]:
    """Give a small detector, and a profile with which its patterns can be analysed, too."""
    beamline = Beamline(folder)
    for name in ("phases", "curves"):
        (folder / name).symlink_to(read_profile("demo").folder / name)
    own = {"results": f"tcp://127.0.0.1:{free_port()}", "questions": "tcp://127.0.0.1:*"}
    changes = {
        "addresses": beamline.profile.addresses.model_copy(update=own),
        "refinement": beamline.profile.refinement.model_copy(update={"enabled": False}),
    }
    return beamline, beamline.profile.model_copy(update=changes)


def measured(folder: Path, watched_by: Any) -> tuple[dict[int, tuple[dict[str, Any], int]], StreamStatus]:
    """Measure some lines while the results are watched, and give each line's file and count, and the last status."""
    folder.mkdir()
    beamline, profile = beamline_with_phases(folder)
    running = Running(profile, folder)
    try:
        with (
            analysed(profile, folder),
            FeedClient(profile.addresses.results) as results,
            watched_by(profile.addresses.results) as doings,
        ):
            beamline.say(*(announced(line, line * N, n_points=N) for line in range(N_LINES)))
            beamline.send(v2_start(shape=SHAPE))
            n_sent = 0
            for part, do in zip(np.array_split(np.arange(N_LINES * N), len(doings)), doings, strict=True):
                do()
                ids = [int(k) for k in part if k != LOST]
                beamline.send(*(image(k) for k in ids))
                n_sent += len(ids)
                wait_until_shown(results, n_sent)
            beamline.send(v2_end())
            beamline.say(*(flown(line, n_points=N) for line in range(N_LINES)))
            written = [running.wait_for(is_line(line)) for line in range(N_LINES)]
            status = running.wait_for(lambda told: isinstance(told, StreamStatus) and told.frames_received == n_sent)
            newest = {told.line: told for told in [*written, *running.heard] if isinstance(told, LineWritten)}
            lines = {number: (contents(Path(told.path)), told.n_received) for number, told in newest.items()}
    finally:
        running.stop()
        beamline.close()
    assert isinstance(status, StreamStatus)
    return lines, status


def wait_until_shown(results: FeedClient, n_frames: int) -> None:
    """Wait until the results tell those who look of so many frames."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        told = [entry.message for entry in results.poll(0.1)]
        if any(isinstance(one, StreamStatus) and one.frames_received >= n_frames for one in told):
            return
        assert time.monotonic() < deadline, f"the results never told of {n_frames} frames"


def contents(path: Path) -> dict[str, Any]:
    line = read_line(path)
    return {field.name: getattr(line, field.name) for field in fields(line)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, tuple[dict[str, Any], int]], StreamStatus]:
    return measured(tmp_path_factory.mktemp("undisturbed") / "out", nobody)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_stopping_and_killing_a_window_and_a_slow_one_change_no_line_file_and_no_count(tmp_path, undisturbed):
    lines, status = measured(tmp_path / "out", a_window_stopped_then_killed_and_one_that_is_slow)
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
