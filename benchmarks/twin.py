"""Frames of the simulated detector: made on the fly with all effects, and streamed from a prepared scan.

Both are counted where a detector's are, at a socket: REST arms the server, frames are rendered, packed and pushed, a receiver
in a process of its own counts them. The peer on the fly is what a plain script does with NumPy on as many threads: interpolate
the same means, draw Poisson numbers, pack with the same library, no socket. The peer of the prepared scan is a bare loop that
pushes the same blobs through a ZeroMQ socket. ``cpu_ms`` is the processor time of the server for a frame, which a busy computer
does not change: two cores that do nothing else make 2000 / cpu_ms frames a second at best.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import httpx
import numpy as np
import zmq

from acquisition.twin.cable import Pulse
from acquisition.twin.patterns import scan_pulses
from acquisition.twin.prepared import PreparedFrames, prepare
from acquisition.twin.render import expected_frame
from acquisition.twin.sample import SampleFrames, pixel_mask
from acquisition.twin.simplon.bslz4 import pack
from acquisition.twin.simplon.frames import FrameSource
from acquisition.twin.simplon.server import SimplonServer, head_of_profile
from operando.profile import Profile, read_profile

N_DISTINCT = 256
N_FLY, N_STREAMED = 128, 1024
N_TURNS = 3
SHORT = {"n_turns": 1, "n_distinct": 64}
"""What ``operando bench --short`` measures."""
SCENARIO = "aaa-charged-c2"

COUNT = """
import sys, zmq
pull = zmq.Context().socket(zmq.PULL)
pull.rcvhwm = 16
pull.connect(sys.argv[1])
while True:
    n = sum(len(part) for part in pull.recv_multipart())
    sys.stdout.write(f"{n}\\n"); sys.stdout.flush()
"""


class ByImage:
    """Frames of a scan by image id: a detector that runs freely has no pulses."""

    def __init__(self, source: SampleFrames, pulses: list[Pulse]) -> None:
        self._source, self._pulses = source, pulses

    def frame(self, pulse: Pulse | None, image_id: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Give the frame of a pulse of the scan."""
        return self._source.frame(self._pulses[image_id % len(self._pulses)], image_id)


def rows(n_turns: int = N_TURNS, n_distinct: int = N_DISTINCT) -> list[dict[str, Any]]:
    """Give frames/s on the fly and from a prepared scan; higher is better.

    Parameters
    ----------
    n_turns
        How often ours and the peers take turns.
    n_distinct
        Frames of the prepared scan; images are sent again when they are gone.
    """
    profile = read_profile(SCENARIO)
    source = SampleFrames(profile)
    every = [pulse for line in scan_pulses(profile) for pulse in line]
    pulses = [every[i] for i in np.linspace(0, len(every) - 1, n_distinct).astype(int)]
    fly = ByImage(source, pulses)
    prepared = prepare(profile, n_frames=n_distinct)
    turns = [
        (
            _streamed(profile, fly, N_FLY),
            _numpy(source, pulses[:16]),
            _streamed(profile, prepared, N_STREAMED),
            _pushed(prepared, N_STREAMED),
        )
        for _ in range(n_turns)
    ]
    made, plain, streamed, pushed = zip(*turns, strict=True)
    return [
        _row(
            "twin frames on the fly, all effects, 2M",
            made,
            median(plain),
            f"NumPy {np.__version__} interpolation and Poisson, two threads",
            n_distinct,
        ),
        _row(
            "twin frames from a prepared scan, 2M",
            streamed,
            median(pushed),
            f"pyzmq {zmq.__version__}, a bare loop over the same blobs",
            n_distinct,
        ),
    ]


def _row(name: str, turns: Sequence[tuple[float, float]], peer: float, peer_name: str, n_distinct: int) -> dict[str, Any]:
    ours, cpu_s = (median(column) for column in zip(*turns, strict=True))
    return {
        "name": name,
        "ours": round(ours, 1),
        "cpu_ms": round(1e3 * cpu_s, 2),
        "peer": round(peer, 1),
        "peer_name": peer_name,
        "unit": "frames/s",
        "ratio": round(ours / peer, 3),
        "device": f"CPU, {len(os.sched_getaffinity(0))} cores, receiver included; not run on a GPU",
        "better": "higher",
        "distinct_frames": n_distinct,
    }


def _streamed(profile: Profile, source: FrameSource, n_images: int) -> tuple[float, float]:
    """Give frames/s at the receiver, and the processor time that the server spent on each frame, s."""
    head = head_of_profile(profile, pixel_mask=pixel_mask(profile))
    with SimplonServer(head=head, source=source, is_paced=False) as server, _Counter(server.stream_address) as counter:
        with httpx.Client(base_url=server.rest_url, timeout=60) as http:
            config = {"trigger_mode": "ints", "nimages": n_images, "count_time": 1e-3, "frame_time": 2e-3}
            for key, value in config.items():
                http.put(f"/detector/api/1.8.0/config/{key}", json={"value": value}).raise_for_status()
            http.put("/detector/api/1.8.0/command/arm").raise_for_status()
            started, busy_s = perf_counter(), process_time()
            trigger = threading.Thread(target=lambda: http.put("/detector/api/1.8.0/command/trigger", timeout=None))
            trigger.start()
            counter.wait(n_images)
            seconds, busy_s = perf_counter() - started, process_time() - busy_s
            trigger.join()
            http.put("/detector/api/1.8.0/command/disarm").raise_for_status()
    return n_images / seconds, busy_s / n_images


def _numpy(source: SampleFrames, pulses: list[Pulse]) -> float:
    """Do what a plain script does for each frame: pixel means, Poisson numbers, packing."""

    def one(pulse: Pulse) -> int:
        mean = expected_frame(source.canvas, source.mean(pulse))
        counts = np.random.default_rng(pulse.number).poisson(mean).astype(np.uint32)
        return len(pack(counts, "bslz4").blob)

    started = perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, pulses))
    return len(pulses) / (perf_counter() - started)


def _pushed(prepared: PreparedFrames, n_images: int) -> float:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.sndhwm = 64
        port = push.bind_to_random_port("tcp://127.0.0.1")
        with _Counter(f"tcp://127.0.0.1:{port}") as counter:
            started = perf_counter()
            for number in range(n_images):
                packed = prepared.packed(None, number, "bslz4")
                push.send(b"" if packed is None else packed.blob, copy=False)
            counter.wait(n_images)
            return n_images / (perf_counter() - started)


class _Counter:
    """A receiver in a process of its own, which says how large each message was."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", COUNT, address], stdout=subprocess.PIPE, text=True)

    def wait(self, n_images: int) -> None:
        """Wait for as many messages that are large enough to be images."""
        n_seen = 0
        for line in self._process.stdout or ():
            n_seen += int(line) > 100_000
            if n_seen == n_images:
                return

    def __enter__(self) -> "_Counter":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    import json

    sys.path.insert(0, str(Path(__file__).parents[1]))
    print(json.dumps(rows(), indent=1))
