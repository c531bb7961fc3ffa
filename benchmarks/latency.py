"""From the last image of a line to the published map that holds it: reduction and analysis as processes, sender beside them.

Full frames come at the pace of a scan, line after line; whoever shows maps is another process, which takes the results as the
window does. What counts is the time from handing the last image of a line to the socket until a map with this line has come. No
peer can be installed here; RECAST3D's published 0.73 s are for three slices of a tomogram on a GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, time
from typing import Any

import numpy as np

from benchmarks.stream import PATIENCE_S, _free_port, _running_sender, _Sender
from operando.bus import FeedClient, FeedServer, MemoryStore
from operando.messages import LineAnnounced, LineFlown, MapPublished, RunStarted

PERIOD_S = 0.01
N_DISTINCT = 64
SHORT = {"n_lines": 16}
"""What ``operando bench --short`` measures."""
STEP_MM = 0.08


def rows(n_lines: int = 24, n_points: int = 137) -> list[dict[str, Any]]:
    """Give the row; seconds, lower is better.

    Parameters
    ----------
    n_lines
        Lines that are flown; the first four are not counted, since maps begin with them.
    n_points
        Points of a line, and voxels along an edge of the map.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sender = stack.enter_context(_running_sender(N_DISTINCT))
        journal = MemoryStore()
        server = stack.enter_context(FeedServer(journal, "tcp://127.0.0.1:*"))
        reduction, results = (f"tcp://127.0.0.1:{_free_port()}" for _ in range(2))
        profile = Path(folder) / "profile.toml"
        profile.write_text(_profile(server.address, reduction, results, sender.address), encoding="utf-8")
        for role in ("reduce", "analyse"):
            stack.enter_context(_running(role, profile, Path(folder) / "out"))
        client = stack.enter_context(FeedClient(results))
        angles = [180.0 * line / n_lines for line in range(n_lines)]
        journal.append(_run(angles, n_points))
        waits = [_wait(journal, sender, client, line, angles[line], n_points) for line in range(n_lines)]
    counted = waits[4:]
    return [
        {
            "name": f"last frame of a line to the map published, p95, {n_points} x {n_points} voxels",
            "ours": round(float(np.percentile(counted, 95)), 3),
            "peer": 0.73,
            "peer_name": "RECAST3D, published, three slices (not run here)",
            "unit": "s",
            "ratio": round(0.73 / float(np.percentile(counted, 95)), 2),
            "device": f"CPU, {len(os.sched_getaffinity(0))} cores, sender included; not run on a GPU",
            "better": "lower",
            "median_s": round(float(np.median(counted)), 3),
            "longest_s": round(max(counted), 3),
            "lines": len(counted),
            "frames_per_s": 1 / PERIOD_S,
        }
    ]


def _profile(journal: str, reduction: str, results: str, stream: str) -> str:
    return f"""
extends = "demo"
name = "latency"
[addresses]
journal = "{journal}"
reduction = "{reduction}"
results = "{results}"
[detector]
stream = "{stream}"
[integration]
estimator = "trimmed"
[refinement]
enabled = false
"""


def _run(angles: list[float], n_points: int) -> RunStarted:
    return RunStarted(
        run="bench",
        time_s=time(),
        profile="latency",
        plan="tomogram",
        angles_deg=angles,
        first_position_mm=-STEP_MM * (n_points - 1) / 2,
        step_mm=STEP_MM,
        n_points=n_points,
        exposure_s=0.9 * PERIOD_S,
        period_s=PERIOD_S,
        speed_mm_s=STEP_MM / PERIOD_S,
    )


@contextmanager
def _running(role: str, profile: Path, out: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "operando", "start", role, str(profile), "--out", str(out)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait(journal: MemoryStore, sender: _Sender, client: FeedClient, line: int, angle_deg: float, n_points: int) -> float:
    """Fly one line and give the seconds from its last image to its map."""
    common = {"run": "bench", "line": line, "attempt": 0, "angle_deg": angle_deg}
    first_mm = -STEP_MM * (n_points - 1) / 2
    planned = {"series": 1, "first_image_id": line * n_points, "n_points": n_points, "direction": 1}
    journal.append(LineAnnounced(**common, **planned, first_position_mm=first_mm, step_mm=STEP_MM, time_s=time()))
    sender.send(n_points, period_s=PERIOD_S)
    sent_at = sender.sent_at()
    positions = {"positions_mm": [first_mm + STEP_MM * k for k in range(n_points)], "positions_source": "computed"}
    journal.append(LineFlown(**common, **positions, start_s=sent_at - n_points * PERIOD_S, end_s=sent_at))
    begin = perf_counter()
    while perf_counter() - begin < PATIENCE_S:
        for entry in client.poll(0.02):
            if isinstance(entry.message, MapPublished) and entry.message.n_lines > line:
                return time() - sent_at
    raise RuntimeError(f"no map with line {line} after {PATIENCE_S} s")


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="*", type=int, help="lines, points")
    print(json.dumps(rows(*parser.parse_args().size), indent=1))


if __name__ == "__main__":
    main()
