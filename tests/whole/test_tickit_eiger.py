"""The detector of tickit-devices, software that we did not write, is armed by our device and reduced by our reduction.

Its quirks are the test: two END messages, one unique id for all series, no count of its images, the same 16M image for ever;
after a change of size its header speaks of the new one, its images stay as they are.
"""

import os
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from acquisition.devices.detector import Exposure, SimplonDetector
from operando.cli.ports import free_ports
from operando.messages import LineWritten, Notice
from operando.profile import Detector
from streaming.detector_message import Image, SeriesEnd, SeriesStart
from streaming.expected import ExpectedDetector
from streaming.intake import _message
from streaming.receive import Received, Receiver
from tests.judges.judging import tickit
from tests.streaming.fakes import Rig, announced, flown

pytestmark = pytest.mark.skipif(
    "OPERANDO_TICKIT_EIGER" not in os.environ,
    reason="on a quiet computer tickit's Eiger does not always answer an arm or a trigger: set OPERANDO_TICKIT_EIGER to try it",
)

SHAPE = (4362, 4148)
OUR_SHAPE = (1679, 1475)
N_IMAGES = 4
PATIENCE_S = 60.0
EXPOSURE = Exposure(exposure_s=0.02, period_s=0.03, n_images=N_IMAGES, trigger_mode="ints")
CONFIGURATION = """
- {{type: bound_eiger.BoundEiger, name: eiger, inputs: {{}}, rest_port: {0}, legacy_port: {1}, cbor_port: {2}}}
"""


@dataclass
class Eiger:
    """The running detector, its stream taken off the wire by our receiver."""

    device: SimplonDetector
    arrived: "queue.Queue[Received]"

    def take(self) -> list[Received]:
        """Take one series, and give its messages to the second END."""
        self.device.prepare(EXPOSURE).wait(PATIENCE_S)
        self.device.kickoff().wait(PATIENCE_S)
        self.device.trigger().wait(PATIENCE_S)
        self.device.complete().wait(PATIENCE_S)
        self.device.disarm().wait(PATIENCE_S)
        found: list[Received] = []
        while sum(isinstance(_message(one.parts), SeriesEnd) for one in found) < 2:
            found.append(self.arrived.get(timeout=PATIENCE_S))
        return found

    def resize(self, shape: tuple[int, int]) -> None:
        for axis, n_pixels in zip("yx", shape, strict=True):
            self.device.client.configure(f"{axis}_pixels_in_detector", n_pixels)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Received]]:
    """Series of both protocols by what went before: nothing, a change of size, its undoing, a second life of the detector."""
    found = {}
    for eiger, stream_format in started(tmp_path_factory.mktemp("eiger"), ("v1", "v2")):
        found[stream_format] = eiger.take()
        if stream_format == "v1":
            eiger.resize(OUR_SHAPE)
            found["changed"] = eiger.take()
            eiger.resize(SHAPE)
        found[f"{stream_format} again"] = eiger.take()
    for eiger, _ in started(tmp_path_factory.mktemp("eiger"), ("v2",)):
        # On to the number that was the first of this stream.
        for _ in range(start_of(found["v2"]).series - 1):
            eiger.device.client.command("arm")
            eiger.device.client.command("disarm")
            for _ in ("START", "END"):
                eiger.arrived.get(timeout=PATIENCE_S)
        found["second life"] = eiger.take()
    return found


def started(folder: Path, formats: tuple[str, ...]) -> Iterator[tuple[Eiger, str]]:
    ports = free_ports(3)
    with tickit(CONFIGURATION.format(*ports), folder):
        for stream_format, port in [("v1", ports[1]), ("v2", ports[2])][-len(formats) :]:
            stream = f"tcp://127.0.0.1:{port}"
            described = {"model": "Eiger 16M", "n_rows": SHAPE[0], "n_columns": SHAPE[1], "pixel_m": 75e-6, "readout_s": 1e-5}
            rest = f"http://127.0.0.1:{ports[0]}"
            detector = Detector.model_validate({**described, "rest": rest, "stream": stream, "stream_format": stream_format})
            arrived: queue.Queue[Received] = queue.Queue(64)
            receiver = Receiver(stream, arrived, limit_bytes=2**27)  # type: ignore[arg-type]
            device = SimplonDetector(name="detector", detector=detector, back_s=PATIENCE_S)
            try:
                # As it comes, its pixels are 10 mm wide.
                device.prepare(EXPOSURE).wait(PATIENCE_S)
                for axis in "xy":
                    device.client.configure(f"{axis}_pixel_size", 75e-6)
                yield Eiger(device=device, arrived=arrived), stream_format
            finally:
                receiver.close()
                device.client.close()


@pytest.fixture
def rig(tmp_path: Path) -> Callable[..., Rig]:
    numbers = count()
    return lambda shape, energy_ev: Rig(
        tmp_path / str(next(numbers)),
        expected=ExpectedDetector(shape=shape, pixel_m=75e-6, energy_ev=energy_ev),
        limit_bytes=2**27,
    )


def start_of(series: list[Received]) -> SeriesStart:
    start = _message(series[0].parts)
    assert isinstance(start, SeriesStart)
    return start


def reduce(rig: Rig, series: list[Received], *, line: int) -> None:
    rig.hear(announced(line, 0, series=start_of(series).series, n_points=N_IMAGES))
    rig.receive(*(one.parts for one in series))
    rig.hear(flown(line, n_points=N_IMAGES))
    rig.pass_s(10.0)


@pytest.mark.parametrize("stream_format", ["v1", "v2"])
def test_every_image_is_counted_and_a_line_is_written_once_in_spite_of_two_ends(
    recorded: dict[str, list[Received]], rig: Callable[..., Rig], stream_format: str
) -> None:
    first, second = recorded[stream_format], recorded[f"{stream_format} again"]
    running = rig(SHAPE, start_of(first).energy_ev)
    reduce(running, first, line=0)
    reduce(running, second, line=1)
    running.receive(first[-1].parts, second[-1].parts)
    running.pass_s(10.0)
    kinds = [type(_message(one.parts)) for one in first]
    assert kinds == [SeriesStart, *[Image] * N_IMAGES, SeriesEnd, SeriesEnd]
    assert [(one.line, one.n_received) for one in running.told(LineWritten)] == [(0, N_IMAGES), (1, N_IMAGES)]
    status = running.status
    assert (status.frames_received, status.frames_missing, status.frames_duplicated) == (2 * N_IMAGES, 0, 0)
    assert status.frames_rejected == {}


def test_series_of_a_second_life_with_the_same_number_and_unique_id_is_a_series_of_its_own(
    recorded: dict[str, list[Received]], rig: Callable[..., Rig]
) -> None:
    first, again = recorded["v2"], recorded["second life"]
    assert (start_of(again).series, start_of(again).unique_id) == (start_of(first).series, start_of(first).unique_id)
    running = rig(SHAPE, start_of(first).energy_ev)
    reduce(running, first, line=0)
    reduce(running, again, line=1)
    assert [(one.line, one.n_received) for one in running.told(LineWritten)] == [(0, N_IMAGES), (1, N_IMAGES)]
    assert running.status.frames_duplicated == 0


def test_header_that_speaks_of_another_size_is_named_and_the_next_series_works(
    recorded: dict[str, list[Received]], rig: Callable[..., Rig]
) -> None:
    changed, back = recorded["changed"], recorded["v1 again"]
    assert start_of(changed).shape == OUR_SHAPE
    running = rig(SHAPE, start_of(back).energy_ev)
    reduce(running, changed, line=0)
    reduce(running, back, line=1)
    assert [(one.line, one.n_received) for one in running.told(LineWritten)] == [(0, 0), (1, N_IMAGES)]
    assert running.status.frames_rejected == {"another detector": N_IMAGES}
    said = " ".join(one.text for one in running.told(Notice))
    assert "the detector sends 1679 x 1475 pixels, the profile has 4362 x 4148" in said


def test_image_that_is_larger_than_its_header_says_is_named_and_costs_only_itself(
    recorded: dict[str, list[Received]], rig: Callable[..., Rig]
) -> None:
    changed = recorded["changed"]
    running = rig(OUR_SHAPE, start_of(changed).energy_ev)
    reduce(running, changed, line=0)
    assert running.status.frames_rejected == {"undecodable image": N_IMAGES}
    n_bytes = 2 * SHAPE[0] * SHAPE[1]
    assert any("undecodable image" in one.text and str(n_bytes) in one.text for one in running.told(Notice))
