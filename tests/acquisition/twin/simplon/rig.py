"""What the tests of the detector share: a small head, frames that say which image they are, a client, a receiver, a judge."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import hdf5plugin
import httpx
import numpy as np
import zmq
from numpy.typing import NDArray

from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.frames import MASKED
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from tests.acquisition.twin.simplon.strict_v2 import Array, read_strictly

PATIENCE_MS = 10_000
SHAPE = (19, 23)
"""Odd on purpose: 437 pixels leave five behind the last group of eight."""

TYPES = {64: "<u1", 69: "<u2", 70: "<u4", 85: "<f4"}


class NumberedFrames:
    """Frames whose every pixel is the image id, but for one that tells the pulse's position in micrometres."""

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        frame = np.full(SHAPE, image_id, dtype=np.uint32)
        if pulse is not None:
            frame[1, 1] = round(pulse.fast_mm * 1000)
        return frame


def small_head() -> DetectorHead:
    mask = np.zeros(SHAPE, dtype=np.uint32)
    mask[5] = 1
    mask[7, 7] = 2
    return DetectorHead(description="small", pixel_mask=mask, saturation_counts=1000)


class Bench:
    """A server with a client and a receiver around it, unless somebody else takes the stream."""

    def __init__(self, server: SimplonServer, *, takes_stream: bool = True) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.rest_url, timeout=20)
        self.pull: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        if takes_stream:
            self.pull.connect(server.stream_address)

    def close(self) -> None:
        self.http.close()
        self.server.close()  # With the receiver still there: the last end message must not wait for one.
        self.pull.close(linger=0)

    def get(self, path: str, module: str = "detector") -> Any:
        answer = self.http.get(f"/{module}/api/1.8.0/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    def put(self, path: str, value: Any = None, module: str = "detector") -> httpx.Response:
        return self.http.put(f"/{module}/api/1.8.0/{path}", json={"value": value})

    def command(self, name: str) -> int:
        answer = self.put(f"command/{name}")
        assert answer.status_code == 200, answer.text
        return answer.json()["sequence id"]

    def configure(self, **values: Any) -> None:
        for name, value in values.items():
            assert self.put(f"config/{name}", value).status_code == 200

    def receive_parts(self) -> list[bytes]:
        assert self.pull.poll(PATIENCE_MS), "no message came"
        return self.pull.recv_multipart()

    def receive(self) -> dict[str, Any]:
        (message,) = self.receive_parts()
        return read_strictly(message)

    def receive_series(self) -> list[dict[str, Any]]:
        messages = [self.receive()]
        while messages[-1]["type"] != "end":
            messages.append(self.receive())
        return messages

    def is_silent(self, for_ms: int = 150) -> bool:
        return not self.pull.poll(for_ms)

    def wait_until(self, path: str, value: Any) -> None:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while (found := self.get(path)) != value:
            assert time.monotonic() < deadline, f"{path} never became {value}, it is {found}"
            time.sleep(0.005)

    def wait_for_state(self, state: str) -> None:
        self.wait_until("status/state", state)


@contextmanager
def bench(**options: Any) -> Iterator[Bench]:
    server = SimplonServer(**({"head": small_head(), "source": NumberedFrames(), "is_paced": False} | options))
    running = Bench(server)
    try:
        yield running
    finally:
        running.close()


def pulse(number: int, **values: float) -> Pulse:
    """Give a pulse whose gate opens now if it is number 0, and 20 ms later for each number more."""
    given = {
        "time_s": time.time() + 0.005 + 0.02 * number,
        "exposure_s": 0.01,
        "fast_mm": number / 1000,
        "angle_deg": 0.0,
        "beam": 1.0,
    }
    return Pulse(number=number, **(given | values))


def unpacked(array: Array) -> NDArray[Any]:
    """Decode an array by HDF5's own filter, which shares nothing with the encoder."""
    dtype = np.dtype(TYPES[array.typed_tag])
    if array.method is None:
        return np.frombuffer(array.blob, dtype).reshape(array.dims)
    return unpacked_blob(array.blob, array.method, array.dims, dtype)


def unpacked_blob(blob: bytes, method: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    filters = hdf5plugin.Bitshuffle(cname="lz4") if method == "bslz4" else hdf5plugin.LZ4()
    with h5py.File("judge", "w", driver="core", backing_store=False) as file:
        stored = file.create_dataset("frame", shape, dtype, chunks=shape, **filters)
        stored.id.write_direct_chunk((0,) * len(shape), blob)
        return stored[()]


def masked(frame: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.where(small_head().pixel_mask != 0, MASKED, frame)
