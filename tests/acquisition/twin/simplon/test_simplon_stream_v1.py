"""V1 messages have the parts, names and axis order that its receivers expect."""

import hashlib
import json

import numpy as np
import pytest

from acquisition.twin.simplon.frames import MASKED
from tests.acquisition.twin.simplon.rig import SHAPE, bench, masked, small_head, unpacked_blob


@pytest.fixture(scope="module")
def series():
    """The multipart messages of a series of three images, full header."""
    with bench(stream_format="v1") as running:
        running.put("config/header_appendix", "who is it", module="stream")
        running.configure(nimages=3)
        running.command("arm")
        running.put("command/trigger")
        return [running.receive_parts() for _ in range(5)]


def test_a_full_header_has_its_nine_parts(series):
    header = series[0]
    assert json.loads(header[0]) == {"htype": "dheader-1.0", "series": 1, "header_detail": "all"}
    assert json.loads(header[1])["x_pixels_in_detector"] == SHAPE[1]
    assert [json.loads(header[n])["htype"] for n in (2, 4, 6)] == ["dflatfield-1.0", "dpixelmask-1.0", "dcountrate_table-1.0"]
    assert json.loads(header[4])["shape"] == list(SHAPE[::-1])
    assert np.array_equal(np.frombuffer(header[5], "<u4").reshape(SHAPE), small_head().pixel_mask)
    assert json.loads(header[8]) == "who is it"


def test_images_have_four_parts_with_the_shape_columns_first(series):
    for image_id, (first, second, blob, times) in enumerate(series[1:4]):
        assert json.loads(first)["frame"] == image_id
        assert json.loads(first)["hash"] == hashlib.md5(blob).hexdigest()
        assert json.loads(second) == {
            "htype": "dimage_d-1.0",
            "shape": list(SHAPE[::-1]),
            "type": "uint32",
            "encoding": "bs32-lz4<",
            "size": len(blob),
        }
        frame = unpacked_blob(blob, "bslz4", SHAPE, np.dtype("<u4"))
        assert np.array_equal(frame, masked(np.full(SHAPE, image_id, np.uint32)))
        assert frame[5, 0] == MASKED
        assert json.loads(times)["htype"] == "dconfig-1.0"
        assert json.loads(times)["real_time"] == 10_000_000


def test_the_end_is_one_part(series):
    assert [json.loads(part) for part in series[4]] == [{"htype": "dseries_end-1.0", "series": 1}]


@pytest.mark.parametrize(("detail", "n_parts"), [("basic", 2), ("none", 1)])
def test_less_header_detail_means_fewer_parts(detail, n_parts):
    with bench(stream_format="v1") as running:
        running.put("config/header_detail", detail, module="stream")
        running.command("arm")
        assert len(running.receive_parts()) == n_parts
