"""libertem-dectris, software that we did not write, receives our stream V1 and sends its own to our reduction."""

import queue
from pathlib import Path

import numpy as np

from acquisition.twin.simplon.server import SimplonServer
from operando.messages import LineWritten
from streaming.expected import ExpectedDetector
from streaming.receive import Received, Receiver
from tests.acquisition.twin.simplon.rig import SHAPE, Bench, NumberedFrames, masked, small_head
from tests.judges.judging import script
from tests.streaming.fakes import Rig, announced, flown, ids_in

N_IMAGES = 6
PATIENCE_S = 60.0


def test_it_receives_our_stream_pixel_by_pixel(tmp_path: Path) -> None:
    path = tmp_path / "received.npy"
    server = SimplonServer(head=small_head(), source=NumberedFrames(), is_paced=False, stream_format="v1")
    with script("receive_v1.py", server.stream_address, str(N_IMAGES), str(path)) as judge:
        assert judge.stdout is not None
        assert judge.stdout.readline() == "ready\n"
        running = Bench(server, takes_stream=False)
        running.put("config/header_detail", "basic", module="stream")
        running.configure(nimages=N_IMAGES)
        running.command("arm")
        running.put("command/trigger")
        assert judge.stdout.readline() == "received\n"
        running.close()
    frames = np.load(path)
    assert frames.dtype == np.uint32
    np.testing.assert_array_equal(frames, [masked(np.full(SHAPE, number, np.uint32)) for number in range(N_IMAGES)])


def test_its_simulated_sender_feeds_our_reduction(tmp_path: Path) -> None:
    shape = (512, 512)
    running = Rig(tmp_path, expected=ExpectedDetector(shape=shape, pixel_m=75e-6, energy_ev=12_000.0), limit_bytes=2**22)
    arrived: queue.Queue[Received] = queue.Queue(64)
    with script("send_v1.py", str(N_IMAGES)) as judge:
        assert judge.stdin is not None
        assert judge.stdout is not None
        receiver = Receiver(judge.stdout.readline().strip(), arrived, limit_bytes=2**22)  # type: ignore[arg-type]
        print("send", file=judge.stdin, flush=True)
        messages: list[tuple[bytes, ...]] = []
        while not messages or b"dseries_end" not in messages[-1][0]:
            messages.append(arrived.get(timeout=PATIENCE_S).parts)
        receiver.close()
    running.hear(announced(0, 0, series=34, n_points=N_IMAGES))
    running.receive(*messages)
    running.hear(flown(0, n_points=N_IMAGES))
    running.pass_s(10.0)
    (written,) = running.told(LineWritten)
    assert (written.n_received, written.missing_ids) == (N_IMAGES, [])
    # Every pixel of its frames is the number of the frame.
    (line,) = running.lines().values()
    assert ids_in(line) == [number * shape[0] * shape[1] for number in range(N_IMAGES)]
    # It sends the configuration as a message of its own, which is none of stream V1.
    assert running.status.frames_rejected == {"malformed message": 1}
