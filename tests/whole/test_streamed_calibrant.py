"""The real CeO2 frame through the real wire: what arrives calibrates, and what is wrong with it is refused."""

from pathlib import Path

import numpy as np
import pytest

from acquisition.twin.simplon.server import make_file_server
from operando.errors import CalibrationError
from streaming.bslz4 import array_from_channel
from streaming.calibrate import calibrate
from streaming.detector_message import Image
from streaming.integrate.geometry import load_poni, read_mask
from streaming.simplon_v2 import message_from_cbor
from tests.acquisition.twin.simplon.rig import Bench


@pytest.fixture(scope="module")
def streamed(data_folder: Path) -> np.ndarray:
    """The CeO2 frame as the reduction decodes it, shape (1679, 1475), uint32."""
    bench = Bench(make_file_server([data_folder / "nDTomo" / "CeO2.cbf"], is_paced=False))
    try:
        bench.configure(nimages=1)
        bench.command("arm")
        bench.put("command/trigger")
        messages = [message_from_cbor(bench.receive_parts()[0]) for _ in range(3)]
    finally:
        bench.close()
    image = next(message for message in messages if isinstance(message, Image))
    return array_from_channel(image.channels["threshold_1"])


def test_five_rings_of_the_streamed_frame_predict_the_others(streamed: np.ndarray, data_folder: Path) -> None:
    start = load_poni(data_folder / "nDTomo" / "CeO2.poni")
    result = calibrate(streamed, start, mask=read_mask(data_folder / "nDTomo" / "mask.edf"), calibrant="CeO2")
    assert sum(ring.role == "fitted" for ring in result.rings) == 5
    assert sum(ring.role == "predicted" for ring in result.rings) >= 5
    assert result.predicted_px < 0.1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"flip": True}, "left to right"), ({"calibrant": "LaB6"}, "rings of LaB6"), ({"energy_kev": 60.0}, "energy")],
    ids=["flipped", "LaB6", "energy"],
)
def test_what_does_not_fit_the_streamed_frame_is_refused(
    streamed: np.ndarray, data_folder: Path, wrong: dict[str, object], words: str
) -> None:
    start = load_poni(data_folder / "nDTomo" / "CeO2.poni")
    mask = read_mask(data_folder / "nDTomo" / "mask.edf")
    options = {"calibrant": "CeO2", **wrong}
    image = np.fliplr(streamed) if options.pop("flip", False) else streamed
    with pytest.raises(CalibrationError, match=words):
        calibrate(image, start, mask=mask, **options)
