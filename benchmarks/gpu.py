"""The three kernels of the GPU beside those of the processor, on the same data in the same run; *not run* without a GPU.

Frames lie in host memory as decoded, counts of 8 bits; each of some threads copies, launches and reads back in batches. A line
is filtered on the processor, sent, and added with its neighbours' new weights; ``slice_ms`` is what reading the volume takes.
Patterns are refined in one call, covariance included. What the GPU gives is held against the processor in every row.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks import integration, reconstruction, refinement
from operando.profile import read_profile
from operando.scan import TomogramGrid
from streaming.gpu.device import Device, find_gpu
from streaming.gpu.integrator import GpuIntegrator
from streaming.gpu.refiner import GpuRefiner
from streaming.gpu.volume import voxels_on
from streaming.integrate.integrator import make_integrator
from streaming.reconstruct import Reconstruction
from streaming.refine.fit import refine

NAMES = {
    "GPU: trimmed mean (5, 95), 1679 x 1475, from host memory": "frames/s",
    "GPU: one 550-point line into 550 x 550 x 20 live channels": "lines/s",
    "GPU: full profile, per voxel, nine phases, 1,500 points": "voxels/s",
}
N_BATCH, N_TURNS = 8, 5
SHORT = {"n_frames": 1024, "n_patterns": 16_384}
"""What ``operando bench --short`` measures."""


def rows(n_frames: int = 8192, n_patterns: int = 203_000) -> list[dict[str, Any]]:
    """Give a row for each kernel.

    Parameters
    ----------
    n_frames
        Frames of a turn, of 256 distinct ones.
    n_patterns
        Patterns that are refined in a turn.
    """
    device = find_gpu()
    if isinstance(device, str):
        return [_row(name, f"not run: {device}") for name in NAMES]
    measured = [_integrated(device, n_frames), _projected(device), _refined(device, n_patterns)]
    return [_row(name, device.name, *found) for name, found in zip(NAMES, measured, strict=True)]


def _row(
    name: str, device: str, n: int = 0, ours_s: float = 0.0, peer_s: float = 0.0, more: dict[str, Any] | None = None
) -> dict[str, Any]:
    is_run = n > 0
    return {
        "name": name,
        "ours": round(n / ours_s, 1) if is_run else None,
        "peer": round(n / peer_s, 1) if is_run else None,
        "peer_name": f"the same on the processor, {len(os.sched_getaffinity(0))} cores",
        "unit": NAMES[name],
        "ratio": round(peer_s / ours_s, 2) if is_run else None,
        "device": device,
        "better": "higher",
        **(more or {}),
    }


def _integrated(device: Device, n_frames: int) -> tuple[int, float, float, dict[str, Any]]:
    host = make_integrator(integration.whole_detector(read_profile("demo")))
    first, second = integration.draws(host)
    frames = [np.minimum(a + b, 255).astype(np.uint8) for a in first for b in second]
    there = GpuIntegrator(host, device, n_frames=N_BATCH)
    n_threads = min(8, len(os.sched_getaffinity(0)))
    repeated = [frames[k % len(frames)] for k in range(n_frames)]
    with ThreadPoolExecutor(n_threads) as pool:

        def all_there() -> list[Any]:
            shares = [repeated[k::n_threads] for k in range(n_threads)]
            return list(pool.map(lambda share: list(there.integrate_all(share)), shares))

        found = all_there()
        ours_s = _median_s(all_there)
        peer_s = _median_s(lambda: list(pool.map(host.integrate, frames))) * n_frames / len(frames)
    apart = np.nanmax(np.abs(found[0][0].trimmed / host.integrate(repeated[0]).trimmed - 1))
    return n_frames, ours_s, peer_s, {"frames": n_frames, "threads": n_threads, "differs_by": float(apart)}


def _projected(device: Device) -> tuple[int, float, float, dict[str, Any]]:
    n, step_mm = reconstruction.N_POINTS, reconstruction.STEP_MM
    angles = np.arange(reconstruction.N_ANGLES) * 180.0 / reconstruction.N_ANGLES
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-step_mm * (n - 1) / 2, step_mm=step_mm, n_points=n)
    common = {"grid": grid, "n_channels": reconstruction.N_CHANNELS, "centre_mm": 0.0}
    both = [Reconstruction(**common, make_volume=voxels_on(device)), Reconstruction(**common, n_threads=2)]
    random = np.random.default_rng(1)
    lines = {line: reconstruction.projection(random, line, angles[line]) for line in range(8 * N_TURNS)}
    seconds: list[list[float]] = [[], []]
    for one, taken in zip(both, seconds, strict=True):
        one.update({line: lines[line] for line in range(0, len(lines), 2)})
        for line in range(1, len(lines), 2):
            taken.append(_seconds(lambda one=one, line=line: one.update({line: lines[line]})))  # type: ignore[misc]
    here, there = both[1].slice().channels, both[0].slice().channels
    more = {
        "slice_ms": round(1e3 * _median_s(both[0].slice), 2),
        "differs_by": float(np.abs(here - there).max() / np.abs(here).max()),
    }
    return 1, statistics.median(seconds[0]), statistics.median(seconds[1]), more


def _refined(device: Device, n_patterns: int) -> tuple[int, float, float, dict[str, Any]]:
    model, _, patterns, weights = refinement.problem(n_patterns)
    there, few = GpuRefiner(device), slice(0, min(2048, n_patterns))
    noise = np.ones(n_patterns)
    there(model, patterns[few], noise[few], weights)
    found = there(model, patterns, noise, weights).parameter("nmc", "c")
    ours_s = _median_s(lambda: there(model, patterns, noise, weights))
    wanted = refine(model, patterns[few], noise[few], weights).parameter("nmc", "c")
    peer_s = _median_s(lambda: refine(model, patterns[few], noise[few], weights)) * n_patterns / few.stop
    apart = np.nanmax(np.abs(found[0][few] - wanted[0]) / wanted[1])
    return n_patterns, ours_s, peer_s, {"n_patterns": n_patterns, "c_differs_by_sigma": float(apart)}


def _median_s(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(N_TURNS))


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    print(json.dumps(rows(), indent=1))
