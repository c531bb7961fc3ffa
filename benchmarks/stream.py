"""From the socket to the line files, trimmed, with the sender on the same machine and every image accounted for.

A sender process holds distinct Poisson images, compressed beforehand, and pushes them with ascending ids as fast as they are
taken. The reduction, as its process runs it, receives, decodes, integrates, joins and writes. The clock runs from the first
image that is sent to the last line file that is told of. The peer decodes the same blobs with the published libraries and trims
with pyFAI, in memory, without socket and files, which favours it. The two take turns; figures are medians over the turns.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, sleep, time
from typing import IO, Any, cast

import cbor2
import imagecodecs
import numpy as np
import zmq
from cbor2 import CBORTag
from numpy.typing import NDArray

from acquisition.twin.simplon.bslz4 import pack
from operando.bus import FeedClient, FeedServer, MemoryStore
from operando.messages import LineAnnounced, LineFlown, LineWritten
from operando.profile import Profile, read_profile
from streaming.integrate.geometry import load_poni, read_geometry
from streaming.line_file import read_line
from streaming.reduction import serve

N_POINTS = 128
TURN = 256
"""Images of one turn: a few seconds, so that both sides meet the same load."""
PEER_SHARE = 16
"""One image in so many goes through the peer, which is about as many times slower."""
PATIENCE_S = 600.0
SHORT = {"n_images": 512}
"""What ``operando bench --short`` measures."""


def rows(n_images: int = 1024) -> list[dict[str, Any]]:
    """Give the row of the whole reduction, frames/s.

    Parameters
    ----------
    n_images
        Images to send, a multiple of 256; the 256 distinct ones are sent again under new ids.
    """
    profile = _trimming(read_profile("demo"))
    with tempfile.TemporaryDirectory() as folder, _running_sender() as sender:
        blobs = _blobs(sender)
        with _running_reduction(profile, sender.address, Path(folder)) as run:
            seconds = [(run.turn(sender, number), _peer_turn(profile, blobs)) for number in range(n_images // TURN)]
            checksum, n_missing = run.check(n_images)
    ours = TURN / np.median([mine for mine, _ in seconds])
    peer = (TURN // PEER_SHARE) / np.median([theirs for _, theirs in seconds])
    n_cores = len(os.sched_getaffinity(0))
    return [
        {
            "name": "ZeroMQ frame to line file, 2M, trimmed",
            "ours": round(float(ours), 1),
            "peer": round(float(peer), 1),
            "peer_name": f"imagecodecs {version('imagecodecs')} decode + pyFAI {version('pyFAI')} medfilt1d_ng, no split, csr, "
            f"cython, {n_cores} cores, without socket and files",
            "unit": "frames/s",
            "ratio": round(float(np.median([PEER_SHARE * theirs / mine for mine, theirs in seconds])), 2),
            "device": f"CPU, {n_cores} cores, sender included; not run on a GPU",
            "better": "higher",
            "frames": n_images,
            "distinct_frames": len(blobs),
            "bytes_per_frame": round(float(np.mean([len(blob) for blob in blobs]))),
            "missing": n_missing,
            "checksum": f"{checksum:08x}",
        }
    ]


# --- the sender, in its own process ---------------------------------------------------------------------------------


def send_for_ever(n_distinct: int) -> None:
    """Make images, write their blobs to the file that the first line of input names, then send as each further line asks.

    Such a line holds how many images, and seconds from one to the next; when they are gone the time is printed. Messages are
    made beforehand but for the image id, as a detector's network card would have them.
    """
    push = zmq.Context.instance().socket(zmq.PUSH)
    # Far fewer than there are distinct images: a message has left before its buffer gets the next id.
    push.sndhwm = 16
    port = push.bind_to_random_port("tcp://127.0.0.1")
    blobs = [pack(image, "bslz4").blob for image in _images(n_distinct)]
    with Path(sys.stdin.readline().strip()).open("wb") as file:
        np.save(file, np.array([len(blob) for blob in blobs]))
        file.write(b"".join(blobs))
    messages = [_message(blob) for blob in blobs]
    print(port, flush=True)
    push.send(_signed({"type": "start", "series_id": 1, "series_unique_id": "bench", "channels": ["threshold_1"]}))
    image_id = 0
    for line in sys.stdin:
        n_images, period_s = line.split()
        begin = perf_counter()
        for number in range(int(n_images)):
            sleep(max(0.0, begin + number * float(period_s) - perf_counter()))
            message = messages[image_id % n_distinct]
            message[_ID_PLACE : _ID_PLACE + 4] = image_id.to_bytes(4, "big")
            push.send(message, copy=False)
            image_id += 1
        print(time(), flush=True)


_ID_PLACE = len(b"\xd9\xd9\xf7\xa5dtypeeimagehimage_id\x1a")


def _message(blob: bytes) -> bytearray:
    """Give an image message whose id, of four bytes, stands at a known place."""
    compressed = CBORTag(56500, ["bslz4", 4, blob])
    data = {"threshold_1": CBORTag(40, [list(_geometry_shape()), CBORTag(70, compressed)])}
    header = {"type": "image", "image_id": 2**32 - 1, "series_id": 1, "series_unique_id": "bench", "data": data}
    message = bytearray(_signed(header))
    if message[_ID_PLACE - 1 : _ID_PLACE + 4] != b"\x1a\xff\xff\xff\xff":
        raise RuntimeError("the image id is not where it was thought to be")
    return message


def _signed(value: dict[str, Any]) -> bytes:
    return b"\xd9\xd9\xf7" + cbor2.dumps(value)


def _geometry_shape() -> tuple[int, int]:
    detector = read_profile("demo").detector
    return detector.n_rows, detector.n_columns


def _images(n_distinct: int) -> Iterator[NDArray[np.uint32]]:
    """Give Poisson images of 2 to 50 counts by rings; a sum of two draws is a draw, so 16 and 16 make 256."""
    rng = np.random.default_rng(20260102)
    geometry = read_geometry(read_profile("demo"))
    ring = np.round(500 * geometry.q).astype(np.int64)
    level = (2.0 + 48.0 * rng.random(ring.max() + 1) ** 3)[ring]
    first, second = ([rng.poisson(0.5 * level).astype(np.uint32) for _ in range(16)] for _ in range(2))
    for number in range(n_distinct):
        image = first[number // 16 % 16] + second[number % 16]
        image[geometry.mask] = np.iinfo(np.uint32).max
        yield image


class _Sender:
    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self.blobs_path = folder / "blobs"
        self._say(str(self.blobs_path))
        self.address = f"tcp://127.0.0.1:{int(cast(IO[str], process.stdout).readline())}"

    def send(self, n_images: int, *, period_s: float = 0.0) -> None:
        self._say(f"{n_images} {period_s}")

    def sent_at(self) -> float:
        """Give when the last image of the oldest order was handed over, Unix epoch; waits for it."""
        return float(cast(IO[str], self._process.stdout).readline())

    def _say(self, line: str) -> None:
        stdin = cast(IO[str], self._process.stdin)
        stdin.write(line + "\n")
        stdin.flush()


@contextmanager
def _running_sender(n_distinct: int = TURN) -> Iterator[_Sender]:
    command = [sys.executable, "-m", "benchmarks.stream", "--send", str(n_distinct)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            yield _Sender(process, Path(folder))
        finally:
            process.kill()


def _blobs(sender: _Sender) -> list[bytes]:
    with sender.blobs_path.open("rb") as file:
        sizes = np.load(file)
        return [file.read(int(size)) for size in sizes]


# --- ours -----------------------------------------------------------------------------------------------------------


class _Run:
    def __init__(self, journal: MemoryStore, client: FeedClient) -> None:
        self._journal = journal
        self._client = client
        self._written: dict[int, LineWritten] = {}

    def turn(self, sender: _Sender, number: int) -> float:
        """Send one turn and give the seconds until its last line file is told of."""
        lines = range(number * TURN // N_POINTS, (number + 1) * TURN // N_POINTS)
        for line in lines:
            self._announce(line)
        begin = perf_counter()
        sender.send(TURN)
        while any(line not in self._written or self._written[line].n_received < N_POINTS for line in lines):
            told = [entry.message for entry in self._client.poll(0.05)]
            self._written.update({word.line: word for word in told if isinstance(word, LineWritten)})
            if perf_counter() - begin > PATIENCE_S:
                raise RuntimeError(f"lines {list(lines)} are not complete after {PATIENCE_S} s: {self._written}")
        return perf_counter() - begin

    def check(self, n_images: int) -> tuple[int, int]:
        """Give a checksum of all trimmed patterns on disk, and how many images are missing of those sent."""
        checksum, n_received = 0, 0
        for word in sorted(self._written.values(), key=lambda word: word.line):
            line = read_line(Path(word.path))
            checksum = zlib.crc32(line.trimmed.tobytes(), checksum)
            n_received += int(line.is_received.sum())
        return checksum, n_images - n_received

    def _announce(self, number: int) -> None:
        common = {"run": "bench", "line": number, "attempt": 0, "angle_deg": 0.0}
        planned = {"series": 1, "first_image_id": number * N_POINTS, "n_points": N_POINTS, "direction": 1}
        self._journal.append(LineAnnounced(**common, **planned, first_position_mm=0.0, step_mm=0.1, time_s=0.0))
        positions = {"positions_mm": [0.1 * k for k in range(N_POINTS)], "positions_source": "computed"}
        self._journal.append(LineFlown(**common, **positions, start_s=0.0, end_s=1.0))


@contextmanager
def _running_reduction(profile: Profile, stream: str, out: Path) -> Iterator[_Run]:
    journal = MemoryStore()
    with FeedServer(journal, "tcp://127.0.0.1:*") as server:
        reduction = f"tcp://127.0.0.1:{_free_port()}"
        addresses = profile.addresses.model_copy(update={"journal": server.address, "reduction": reduction})
        detector = profile.detector.model_copy(update={"stream": stream})
        profile = profile.model_copy(update={"addresses": addresses, "detector": detector})
        ready, stop = threading.Event(), threading.Event()
        arguments = {"out": out, "ready": ready.set, "stop": stop}
        thread = threading.Thread(target=serve, args=(profile,), kwargs=arguments)
        thread.start()
        try:
            ready.wait(PATIENCE_S)
            with FeedClient(reduction) as client:
                yield _Run(journal, client)
        finally:
            stop.set()
            thread.join()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- the peer -------------------------------------------------------------------------------------------------------


def _peer_turn(profile: Profile, blobs: list[bytes]) -> float:
    """Give the seconds that the published libraries need for their share of a turn."""
    integrator, geometry = _peer(profile)
    settings = profile.integration
    begin = perf_counter()
    for blob in blobs[::PEER_SHARE]:
        integrator.medfilt1d_ng(
            _published_decode(blob, geometry.shape),
            settings.n_radial,
            percentile=(5, 95),
            unit="q_A^-1",
            radial_range=(settings.q_min, settings.q_max),
            mask=geometry.mask,
            polarization_factor=profile.geometry.polarization,
            method=("no", "csr", "cython"),
        )
    return perf_counter() - begin


_PEERS: dict[str, Any] = {}


def _peer(profile: Profile) -> Any:
    """Give pyFAI's integrator, warmed up, and the geometry; once."""
    if not _PEERS:
        integrator, geometry = load_poni(profile.path(profile.geometry.poni)), read_geometry(profile)
        geometry.mask.flags.writeable = True
        _PEERS["peer"] = (integrator, geometry)
        _peer_turn(profile, _warm_blobs(geometry.shape))
    return _PEERS["peer"]


def _warm_blobs(shape: tuple[int, int]) -> list[bytes]:
    return [pack(np.ones(shape, dtype=np.uint32), "bslz4").blob]


def _published_decode(blob: bytes, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Decode as anyone would with imagecodecs: LZ4, bitshuffle, and the raw tail of fewer than eight elements."""
    n_tail = shape[0] * shape[1] % 8 * 4
    n_bytes = shape[0] * shape[1] * 4 - n_tail
    end = len(blob) - n_tail
    shuffled = imagecodecs.lz4h5_decode(n_bytes.to_bytes(8, "big") + blob[8:end])
    content = imagecodecs.bitshuffle_decode(shuffled, itemsize=4, blocksize=2048) + blob[end:]
    return np.frombuffer(content, dtype=np.uint32).reshape(shape)


def _trimming(profile: Profile) -> Profile:
    """Give the profile with the whole detector's range of q and the trimmed mean."""
    q = read_geometry(profile).q
    update = {"q_min": float(q.min()), "q_max": float(q.max()), "estimator": "trimmed", "trim": (0.05, 0.95)}
    return profile.model_copy(update={"integration": profile.integration.model_copy(update=update)})


def main() -> None:
    """Print the row, or be the sender of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_images", nargs="?", type=int, default=1024)
    parser.add_argument("--send", type=int, metavar="N", help="be the sender, with N distinct images")
    arguments = parser.parse_args()
    if arguments.send:
        send_for_ever(arguments.send)
    else:
        print(json.dumps(rows(arguments.n_images), indent=2))


if __name__ == "__main__":
    main()
