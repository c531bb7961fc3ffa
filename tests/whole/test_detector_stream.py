"""What the detector server sends is what the reduction reads, in both formats and every compression."""

from pathlib import Path

import fabio
import numpy as np
import pytest

from acquisition.twin.simplon.frames import MASKED
from acquisition.twin.simplon.server import make_file_server
from streaming.bslz4 import array_from_channel
from streaming.detector_message import Image, SeriesEnd, SeriesStart
from streaming.simplon_v1 import message_from_parts
from streaming.simplon_v2 import message_from_cbor
from tests.acquisition.twin.simplon.rig import SHAPE, Bench, bench, masked, small_head

READERS = {"v2": lambda parts: message_from_cbor(parts[0]), "v1": message_from_parts}


def series_of(running, reader, **values):
    running.configure(**values)
    running.command("arm")
    running.put("command/trigger")
    return [reader(running.receive_parts()) for _ in range(values["nimages"] + 2)]


@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
@pytest.mark.parametrize("stream_format", READERS)
def test_the_reduction_reads_every_format_and_compression(stream_format, compression):
    with bench(stream_format=stream_format) as running:
        start, *images, end = series_of(running, READERS[stream_format], nimages=3, compression=compression)
    assert isinstance(start, SeriesStart)
    assert (start.series, start.shape, start.n_images, start.oddities) == (1, SHAPE, 3, ())
    assert start.energy_ev == pytest.approx(12398.42)
    assert np.array_equal(array_from_channel(start.pixel_mask["threshold_1"]), small_head().pixel_mask)
    assert isinstance(end, SeriesEnd)
    for image_id, image in enumerate(images):
        assert isinstance(image, Image)
        assert (image.image_id, image.oddities) == (image_id, ())
        assert np.array_equal(array_from_channel(image.channels["threshold_1"]), masked(np.full(SHAPE, image_id, np.uint32)))


@pytest.mark.parametrize("stream_format", READERS)
def test_the_real_ceo2_frame_arrives_as_it_was_measured(data_folder: Path, stream_format):
    path = data_folder / "nDTomo" / "CeO2.cbf"
    running = Bench(make_file_server([path], stream_format=stream_format, is_paced=False))
    try:
        _, image, _ = series_of(running, READERS[stream_format], nimages=1)
    finally:
        running.close()
    real = fabio.open(str(path)).data
    expected = np.where(real < 0, MASKED, real).astype(np.uint32)
    assert np.array_equal(array_from_channel(image.channels["threshold_1"]), expected)
