"""What is wrong with a source is told inside a real window, and what was on the screen stays there."""

import fcntl
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from operando.bus import Entry
from tests.viewer.conftest import jelly_roll, map_published
from viewer.app import open_window
from viewer.archive_follower import LOOK_S, ArchiveFollower
from viewer.freshness import Level
from viewer.mailbox import Receiver
from viewer.sample import write_sample
from viewer.window import Monitor


@pytest.fixture(scope="module")
def window(screen, qapp) -> Iterator[Monitor]:
    monitor = open_window(None)
    yield monitor
    monitor.viewer.close()


class Clock:
    """Of the follower alone: each look is due."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += LOOK_S
        return self.now_s


def test_a_damaged_a_locked_and_an_absent_archive_are_explained_and_a_whole_one_is_shown(window, tmp_path, qtbot):
    path = tmp_path / "scan.nxs"
    write_sample(path, charge=0.5)
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    window.follower = ArchiveFollower([path], clock=Clock())
    qtbot.waitUntil(lambda: "damaged" in window.header.notices, timeout=60_000)
    assert window.header.pill.text == "nothing to show"

    path.write_bytes(whole)
    qtbot.waitUntil(lambda: "x_lithium" in window.layers.names, timeout=60_000)
    qtbot.waitUntil(lambda: "damaged" not in window.header.notices, timeout=60_000)
    shown = window.layers.layer("x_lithium").data

    with path.open("r+b") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        path.touch()
        qtbot.waitUntil(lambda: "another program is writing" in window.header.notices, timeout=60_000)
    path.unlink()
    qtbot.waitUntil(lambda: "no file" in window.header.notices, timeout=60_000)
    np.testing.assert_array_equal(window.layers.layer("x_lithium").data, shown)
    assert window.n_faults == 0
    window.follower = None


def test_messages_of_a_wrong_shape_are_counted_and_the_map_stays(window, qtbot):
    window.header.note_file("")
    window.feed([entry({})])
    qtbot.waitUntil(
        lambda: np.array_equal(window.layers.layer("x_lithium").data[-1], jelly_roll(), equal_nan=True), timeout=60_000
    )
    n_refused = window.session.n_refused
    wrong = [np.zeros(3), np.zeros((2, 2, 2)), np.zeros((0, 5)), np.zeros((2, 2), complex), np.zeros((2, 2), "S3")]
    window.feed([entry({"value": array}) for array in wrong])
    window.feed([entry({"sigma": np.zeros((3, 3), "f4")}), entry({"value": None})])
    assert window.session.n_refused == n_refused + 7
    qtbot.waitUntil(lambda: f"{n_refused + 7} messages refused, last: " in window.header.notices, timeout=60_000)
    np.testing.assert_array_equal(window.layers.layer("x_lithium").data[-1], jelly_roll())
    assert window.n_faults == 0


def entry(changes: dict[str, object]) -> Entry:
    """A map of a run of its own, some of its arrays replaced or taken away."""
    message, arrays = map_published("x_lithium", jelly_roll(), run="live", data_time_s=time.time())
    kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    return Entry(number=1, message=message, arrays=kept)  # type: ignore[arg-type]


def test_nobody_there_and_a_server_of_another_version_are_told_apart(window, qtbot):
    with zmq.Context.instance().socket(zmq.ROUTER) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        window.receiver = Receiver(f"tcp://127.0.0.1:{port}")
        qtbot.waitUntil(lambda: "waiting for tcp://127.0.0.1" in window.header.pill.text, timeout=60_000)
        assert window.header.pill.level is Level.WAITING
        assert socket.poll(30_000)
        client, _ = socket.recv_multipart()
        socket.send_multipart([client, b'{"protocol": 7}'])
        qtbot.waitUntil(lambda: "is not understood" in window.header.pill.text, timeout=60_000)
        assert window.header.pill.level is Level.STALE
        qtbot.waitUntil(
            lambda: "the server speaks protocol 7, this client 1: update one of them" in window.header.notices, timeout=60_000
        )
        assert window.n_faults == 0
