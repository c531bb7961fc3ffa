import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from operando.bus import FeedClient, FeedServer
from operando.errors import ProfileError, ServiceError
from operando.journal import Journal
from operando.messages import CakePreview, FrameGeometry, FramePreview, LineWritten, Message, Notice, StreamStatus
from operando.profile import Profile, write_profile
from operando.scan import LineKey
from streaming.line_file import line_path, read_line
from streaming.reduction import serve
from tests.streaming.chaos import Chaos, ChaosProxy, chosen
from tests.streaming.fakes import announced, flown
from tests.streaming.small_detector import SHAPE, flat_frame, small_profile
from tests.streaming.wire import tagged_array, v1_image, v2_end, v2_image, v2_start

PATIENCE_S = 25.0
N = 10


class Beamline:
    """A detector's socket and a journal, as a test wants them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.push = zmq.Context.instance().socket(zmq.PUSH)
        self.push.linger = 0
        self.push.bind("tcp://127.0.0.1:*")
        self.stream = self.push.getsockopt_string(zmq.LAST_ENDPOINT)
        self.journal = Journal(folder / "journal.jsonl")
        self.server = FeedServer(self.journal, "tcp://127.0.0.1:*")
        self.profile = self._profile(self.stream)

    def behind(self, proxy: ChaosProxy) -> Profile:
        return self._profile(proxy.address)

    def _profile(self, stream: str) -> Profile:
        return small_profile(
            self.folder, stream=stream, journal=self.server.address, reduction=f"tcp://127.0.0.1:{free_port()}"
        )

    def send(self, *messages: bytes | list[bytes]) -> None:
        for message in messages:
            self.push.send_multipart([message] if isinstance(message, bytes) else message)

    def say(self, *words: Message) -> None:
        for word in words:
            self.journal.append(word)

    def close(self) -> None:
        self.push.close()
        self.server.close()
        self.journal.close()


class Running:
    """The reduction in a thread, with a client of its feed."""

    def __init__(self, profile: Profile, out: Path) -> None:
        ready, self._stop = threading.Event(), threading.Event()
        arguments = {"out": out, "ready": ready.set, "stop": self._stop}
        self._thread = threading.Thread(target=serve, args=(profile,), kwargs=arguments)
        self._thread.start()
        assert ready.wait(PATIENCE_S)
        self.client = FeedClient(profile.addresses.reduction)
        self.heard: list[Message] = []

    def wait_for(self, is_wanted: Callable[[Message], bool]) -> Message:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for told in self.heard:
                if is_wanted(told):
                    return told
            self.heard += [entry.message for entry in self.client.poll(0.1)]
        pytest.fail(f"not told within {PATIENCE_S} s; heard {self.heard[-5:]}")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self.client.close()
        assert not self._thread.is_alive()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def image(number: int, **changes: object) -> bytes:
    data = {"threshold_1": tagged_array(flat_frame(number + 1))}
    return v2_image(number, flat_frame(0), data=data, **changes)


@pytest.fixture
def beamline(tmp_path: Path) -> Iterator[Beamline]:
    beamline = Beamline(tmp_path)
    yield beamline
    beamline.close()


@pytest.fixture
def running(beamline: Beamline, tmp_path: Path) -> Iterator[Running]:
    running = Running(beamline.profile, tmp_path)
    yield running
    running.stop()


def is_line(line: int, *, n_received: int | None = None) -> Callable[[Message], bool]:
    return lambda told: (
        isinstance(told, LineWritten) and told.line == line and (n_received is None or told.n_received == n_received)
    )


def test_images_on_a_socket_become_line_files_with_their_own_patterns(beamline: Beamline, running: Running) -> None:
    beamline.say(announced(0, 0, n_points=N), announced(1, N, n_points=N))
    beamline.send(v2_start(shape=SHAPE), *(image(k) for k in range(2 * N)), v2_end())
    beamline.say(flown(0, n_points=N), flown(1, n_points=N))
    running.wait_for(is_line(0))
    written = running.wait_for(is_line(1))
    line = read_line(Path(written.path))
    level = np.nanmedian(line.mean, axis=1)
    np.testing.assert_allclose(level / level[0], np.arange(N + 1, 2 * N + 1) / (N + 1), rtol=1e-5)
    assert (written.n_received, written.missing_ids) == (N, [])
    status = running.wait_for(lambda told: isinstance(told, StreamStatus) and told.frames_received == 2 * N)
    assert status.queue_capacity > 0
    for small_picture in (FramePreview, CakePreview, FrameGeometry):
        running.wait_for(lambda told, kind=small_picture: isinstance(told, kind))


def test_thirty_seven_drops_behind_a_proxy_are_exactly_the_missing_ids(beamline: Beamline, tmp_path: Path) -> None:
    messages = [v2_start(shape=SHAPE), *(image(k) for k in range(20 * N)), v2_end()]
    dropped = chosen(5, [(1, k) for k in range(20 * N)], 37)
    chaos = Chaos(seed=5, dropped=dropped, duplicated=0.1, reach=20)
    proxy = ChaosProxy(beamline.stream, chaos, n_messages=len(messages))
    running = Running(beamline.behind(proxy), tmp_path)
    beamline.send(*messages)
    for n in range(20):
        beamline.say(announced(n, n * N, n_points=N), flown(n, n_points=N))
    told = running.wait_for(lambda told: isinstance(told, StreamStatus) and told.frames_missing == 37)
    assert {(s, k) for s, first, last in told.missing_ids for k in range(first, last + 1)} == dropped
    assert told.frames_received == 20 * N - 37
    running.stop()
    proxy.close()
    for n in range(20):
        line = read_line(line_path(LineKey(run="r", line=n, attempt=0), tmp_path / "lines"))
        wanted = [(1, k) not in dropped for k in range(n * N, n * N + N)]
        assert line.is_received.tolist() == wanted


def test_noise_and_v1_and_another_detector_leave_the_stream_running(beamline: Beamline, running: Running) -> None:
    beamline.say(announced(0, 0, n_points=3))
    beamline.send(b"noise", v2_start(shape=(10, 10), series=2), image(0, series_id=2))
    beamline.send(*(v1_image(k, flat_frame(k + 1)) for k in range(3)))
    beamline.say(flown(0, n_points=3))
    running.wait_for(is_line(0, n_received=3))
    wanted = {"malformed message": 1, "another detector": 1}
    running.wait_for(lambda told: isinstance(told, StreamStatus) and told.frames_rejected == wanted)
    assert any(isinstance(told, Notice) and "10 x 10 pixels" in told.text for told in running.heard)


def test_the_mask_of_the_stream_reaches_the_patterns(beamline: Beamline, running: Running) -> None:
    mask, frame = np.zeros(SHAPE, np.uint32), flat_frame(1)
    mask[:, ::2], frame[:, ::2] = 1, 1000
    beamline.say(announced(0, 0, n_points=1), announced(1, 1, n_points=1))
    data = {"threshold_1": tagged_array(frame)}
    beamline.send(v2_start(shape=SHAPE, pixel_mask={"threshold_1": tagged_array(mask)}), v2_image(0, frame, data=data))
    beamline.send(v2_image(1, frame, data={"threshold_1": tagged_array(flat_frame(1))}))
    beamline.say(flown(0, n_points=1), flown(1, n_points=1))
    one, two = (read_line(Path(running.wait_for(is_line(n)).path)) for n in (0, 1))
    np.testing.assert_array_equal(one.mean, two.mean)
    assert one.geometry_sha256 == two.geometry_sha256


def test_stopping_reduces_what_has_come(beamline: Beamline, running: Running, tmp_path: Path) -> None:
    beamline.say(announced(0, 0, n_points=N))
    beamline.send(v2_start(shape=SHAPE), *(image(k) for k in range(N)))
    running.wait_for(lambda told: isinstance(told, StreamStatus) and told.frames_received > 0)
    running.stop()
    kept = [read_line(path).is_received.sum() for path in (tmp_path / "lines").rglob("*.h5")]
    assert kept == [N]


def test_misconfiguration_stops_before_ready(beamline: Beamline, tmp_path: Path) -> None:
    ready = threading.Event()
    arguments = {"out": tmp_path, "ready": ready.set, "stop": threading.Event()}
    wrong = beamline.profile.detector.model_copy(update={"n_rows": 100})
    with pytest.raises(ProfileError):
        serve(beamline.profile.model_copy(update={"detector": wrong}), **arguments)
    taken = beamline.profile.addresses.model_copy(update={"reduction": beamline.server.address})
    with pytest.raises(ServiceError, match="another operando"):
        serve(beamline.profile.model_copy(update={"addresses": taken}), **arguments)
    assert not ready.is_set()


PROCESS = """
import sys, threading
from pathlib import Path
from operando.profile import read_profile
from streaming.reduction import serve
folder = Path(sys.argv[1])
serve(read_profile(str(folder)), out=folder, ready=lambda: print("ready", flush=True), stop=threading.Event())
"""


def start_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in process.stdout:
        if line.strip() == "ready":
            return process
    pytest.fail("the process ended before it was ready")


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_kill_9_in_mid_line_loses_that_line_at_most_and_states_it(beamline: Beamline, tmp_path: Path) -> None:
    write_profile(beamline.profile, tmp_path / "profile.toml")
    beamline.say(announced(0, 0, n_points=N), flown(0, n_points=N), announced(1, N, n_points=N))
    first = start_process(tmp_path)
    beamline.send(v2_start(shape=SHAPE), *(image(k) for k in range(N + 3)))
    with FeedClient(beamline.profile.addresses.reduction) as client:
        received = 0
        while received < N + 3:
            received = max([received, *(e.message.frames_received for e in client.poll(0.2) if e.key == "status")])
    kill(first)
    path = line_path(LineKey(run="r", line=0, attempt=0), tmp_path / "lines")
    content = path.read_bytes()

    second = start_process(tmp_path)
    beamline.send(*(image(k) for k in range(N + 3, 2 * N)))
    beamline.say(flown(1, n_points=N))
    told = []
    with FeedClient(beamline.profile.addresses.reduction) as client:
        while len(told) < 2:
            told += [e.message for e in client.poll(0.2) if isinstance(e.message, LineWritten)]
    kill(second)
    assert [(written.line, written.missing_ids) for written in told] == [(0, []), (1, [(N, N + 2)])]
    assert path.read_bytes() == content
