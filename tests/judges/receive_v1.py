"""Receive a series with libertem-dectris and keep its frames: for the judges' Python, with address, count and .npy file."""

import sys
import tempfile
from pathlib import Path

import libertem_dectris
import numpy as np

address, n_frames, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
socket = str(Path(tempfile.mkdtemp()) / "frames")
connection = libertem_dectris.DectrisConnection(
    uri=address, frame_stack_size=1, handle_path=socket, num_slots=200, bytes_per_frame=2**16, huge=False
)
connection.start_passive(timeout=60)
sys.stdout.write("ready\n")
sys.stdout.flush()
configuration = connection.wait_for_arm(timeout=60)
client = libertem_dectris.CamClient(connection.get_socket_path())
frames = []
while len(frames) < n_frames:
    stack = connection.get_next_stack(max_size=1)
    if stack is None:
        continue
    frame = np.zeros((len(stack), *stack.get_shape()[::-1]), dtype=stack.get_dtype_string())
    client.decode_range_into_buffer(input=stack, out=frame, start_idx=0, end_idx=len(stack))
    client.done(stack)
    frames.extend(frame)
np.save(path, np.array(frames))
client.close()
connection.close()
sys.stdout.write("received\n")
sys.stdout.flush()
