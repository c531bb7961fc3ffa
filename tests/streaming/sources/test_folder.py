"""A growing folder: every image once, under the identity in its name, however it is written."""

import queue
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fabio.cbfimage import CbfImage

from operando.profile import FrameFolder
from streaming.account import IdSet
from streaming.arrival import Arrival, Told
from streaming.bslz4 import array_from_channel
from streaming.detector_message import DetectorMessage, Image, SeriesEnd, SeriesStart
from streaming.events import Rejected
from streaming.sources.cbf import CbfFiles
from streaming.sources.folder import PATIENCE_S, FolderSource

SHAPE = (12, 17)


class Rig:
    """A folder with a source on it, and what that told."""

    def __init__(self, folder: Path, *, known: dict[int, IdSet] | None = None, capacity: int = 100, **keys: object) -> None:
        self.folder = folder
        template = f"{folder}/scan_{{series}}/a_{{image}}.cbf"
        self.queue: queue.Queue[Arrival] = queue.Queue(capacity)
        self.rejected: list[Rejected] = []
        self.messages: list[DetectorMessage] = []
        self.now_s = 0.0
        self.source = FolderSource(
            FrameFolder.model_validate({"template": template, **keys}),
            CbfFiles(),
            self.queue,
            known=known or {},
            reject=self.rejected.append,
            clock=lambda: self.now_s,
        )

    def content(self, value: int) -> bytes:
        path = self.folder / "unwatched.cbf"
        CbfImage(data=np.full(SHAPE, value, dtype=np.int32)).write(str(path))
        return path.read_bytes()

    def path(self, series: int, number: int) -> Path:
        path = self.folder / f"scan_{series:05d}" / f"a_{number:05d}.cbf"
        path.parent.mkdir(exist_ok=True)
        return path

    def write(self, series: int, number: int) -> None:
        self.path(series, number).write_bytes(self.content(1000 * series + number))

    def wait(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            while not self.queue.empty():
                told = self.queue.get()
                assert isinstance(told, Told)
                self.messages.append(told.message)
            if is_done():
                return
            time.sleep(0.02)
        pytest.fail(f"not told: {self.messages}, {self.rejected}")

    @property
    def images(self) -> list[tuple[int, int]]:
        return [(message.series, message.image_id) for message in self.messages if isinstance(message, Image)]


@pytest.fixture
def make_rig(tmp_path: Path):
    rigs: list[Rig] = []

    def make(**keys) -> Rig:
        rigs.append(Rig(tmp_path, **keys))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.source.close()


def test_images_have_the_identity_of_their_names_and_their_own_counts(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    for number in (3, 1, 2):
        rig.write(7, number)
    rig.wait(lambda: len(rig.images) == 3)
    assert isinstance(rig.messages[0], SeriesStart)
    assert (rig.messages[0].series, rig.messages[0].shape) == (7, SHAPE)
    assert sorted(rig.images) == [(7, 1), (7, 2), (7, 3)]
    for image in rig.messages[1:]:
        assert isinstance(image, Image)
        assert (array_from_channel(image.channels["image"]) == 7000 + image.image_id).all()


def test_numbers_count_from_the_first_of_the_profile(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(first=1)
    for number in (0, 1, 2):
        rig.write(0, number)
    rig.wait(lambda: len(rig.images) == 2 and len(rig.rejected) == 1)
    assert rig.images == [(0, 0), (0, 1)]
    assert rig.rejected[0].reason == "image before the first"


def test_half_written_file_is_tried_until_it_is_whole_while_later_ones_go_ahead(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    content = rig.content(5)
    rig.path(0, 0).write_bytes(content[: len(content) // 2])
    rig.write(0, 1)
    rig.wait(lambda: rig.images == [(0, 1)])
    rig.path(0, 0).write_bytes(content)
    rig.wait(lambda: rig.images == [(0, 1), (0, 0)])
    assert rig.rejected == []


def test_file_that_stays_torn_is_told_of_once_and_tried_on(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    content = rig.content(5)
    rig.path(0, 0).write_bytes(content[:-200])
    time.sleep(0.3)
    rig.now_s = PATIENCE_S + 1
    rig.wait(lambda: len(rig.rejected) == 1)
    assert "a_00000.cbf is not whole after 60 s" in rig.rejected[0].detail
    time.sleep(0.5)
    assert len(rig.rejected) == 1
    rig.path(0, 0).write_bytes(content)
    rig.wait(lambda: rig.images == [(0, 0)])


def test_file_of_another_kind_is_refused_once(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.path(0, 0).write_bytes(b"GIF89a" + b"x" * 100)
    rig.write(0, 1)
    rig.wait(lambda: len(rig.images) == 1 and bool(rig.rejected))
    time.sleep(0.5)
    assert [rejected.reason for rejected in rig.rejected] == ["unreadable file"]


def test_images_of_line_files_are_not_read_again(make_rig: Callable[..., Rig]) -> None:
    known = IdSet()
    known.add_range(0, 3)
    rig = make_rig(known={4: known})
    for number in range(6):
        rig.write(4, number)
    rig.wait(lambda: len(rig.images) == 2)
    assert rig.images == [(4, 4), (4, 5)]


def test_series_ends_when_the_next_has_begun_and_none_of_its_files_is_awaited(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    content = rig.content(1)
    rig.path(1, 0).write_bytes(content)
    rig.path(1, 1).write_bytes(content[:-100])
    rig.write(2, 0)
    rig.wait(lambda: len(rig.images) == 2)
    assert not any(isinstance(message, SeriesEnd) for message in rig.messages)
    rig.path(1, 1).write_bytes(content)
    rig.wait(lambda: SeriesEnd(series=1, unique_id="") in rig.messages)
    assert sum(isinstance(message, SeriesStart) for message in rig.messages) == 2


def test_slow_workers_hold_up_the_folder_and_lose_nothing(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(capacity=2)
    for number in range(20):
        rig.write(0, number)
    deadline = time.monotonic() + 10
    while not rig.queue.full() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert rig.queue.full()
    rig.wait(lambda: len(rig.images) == 20)
    assert rig.images == [(0, number) for number in range(20)]


def test_folder_that_is_moved_away_and_comes_back_is_read_on(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.write(0, 0)
    rig.wait(lambda: len(rig.images) == 1)
    away = rig.folder / "away"
    shutil.move(rig.folder / "scan_00000", away)
    time.sleep(0.3)
    shutil.move(away, rig.folder / "scan_00000")
    rig.write(0, 1)
    rig.wait(lambda: rig.images == [(0, 0), (0, 1)])
