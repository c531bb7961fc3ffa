from pathlib import Path

import pytest

from streaming.events import Rejected
from streaming.measured import Measured
from tests.streaming.fakes import Rig, announced, flown, frame_of, ids_in
from tests.streaming.hostile.corpus import CORPUS
from tests.streaming.wire import v1_image, v2_image, v2_start


@pytest.mark.parametrize("name", CORPUS)
def test_after_a_hostile_message_the_next_good_image_still_gives_a_pattern(name: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.receive(v2_start())
    events = rig.receive(CORPUS[name])
    assert len(events) <= 2
    (good,) = rig.receive(v2_image(1, frame_of(1)))
    assert isinstance(good, Measured)
    assert good.pattern.mean[0] == 1.0


def test_every_hostile_image_is_counted_and_none_becomes_a_pixel(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.hear(announced(0, 0))
    rig.receive(v2_start())
    n_rejected = 0
    for number, message in enumerate(CORPUS.values()):
        n_rejected += sum(isinstance(event, Rejected) for event in rig.receive(message))
        if number < 5:
            rig.receive(v2_image(number, frame_of(number)))
    rig.hear(flown(0))
    status = rig.status
    (line,) = rig.lines().values()
    assert ids_in(line) == [0, 1, 2, 3, 4]
    assert sum(status.frames_rejected.values()) == n_rejected
    assert n_rejected > 55
    assert not any("internal" in reason for reason in status.frames_rejected)


def test_a_capture_with_cut_blobs_is_rejected_image_by_image(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for image_id in range(3):
        *head, blob, config, appendix = v1_image(image_id, frame_of(image_id))
        (*_, event) = rig.receive([*head, blob[: len(blob) // 3], config, appendix])
        assert event.reason == "undecodable image"
    assert rig.status.frames_rejected == {"undecodable image": 3}
