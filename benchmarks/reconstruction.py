"""One 550-point line into 550 x 550 x 20 live channels, beside NumPy in the same run.

Ours takes a line that arrives between two others: filter, and three back projections, since the neighbours' weights change.
NumPy takes what a plain script does: the same filter, and one back projection. Medians of interleaved pairs; random lines.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from operando.scan import LineKey, TomogramGrid
from streaming.reconstruct import Reconstruction, convolved, filter_kernel
from streaming.sinogram import Projection

Array = NDArray[np.float64]

N_POINTS, N_CHANNELS, N_ANGLES, N_PAIRS, STEP_MM = 550, 20, 400, 7, 0.02
SHORT: dict[str, object] = {}
"""What ``operando bench --short`` measures."""


def rows() -> list[dict[str, object]]:
    """Give the benchmark's one row; lines per second, higher is better."""
    angles = np.arange(N_ANGLES) * 180.0 / N_ANGLES
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-STEP_MM * (N_POINTS - 1) / 2, step_mm=STEP_MM, n_points=N_POINTS)
    reconstruction = Reconstruction(grid=grid, n_channels=N_CHANNELS, centre_mm=0.0, n_threads=2)
    random = np.random.default_rng(1)
    even = {line: projection(random, line, angles[line]) for line in range(0, 4 * N_PAIRS, 2)}
    reconstruction.update(even)
    volume = np.zeros((N_POINTS, N_POINTS, N_CHANNELS))
    ours, peer = [], []
    for line in range(1, 2 * N_PAIRS, 2):
        coming = projection(random, line, angles[line])
        ours.append(_seconds(lambda p=coming, n=line: reconstruction.update({n: p})))  # type: ignore[misc]
        peer.append(_seconds(lambda p=coming, n=line: _numpy_line(volume, p.channels, angles[n])))  # type: ignore[misc]
    ours_per_s, peer_per_s = 1 / statistics.median(ours), 1 / statistics.median(peer)
    return [
        {
            "name": "one 550-point line into 550 x 550 x 20 live channels",
            "ours": ours_per_s,
            "peer": peer_per_s,
            "peer_name": f"NumPy {np.__version__}, float64, linear interpolation, one back projection",
            "unit": "lines/s",
            "ratio": ours_per_s / peer_per_s,
            "device": "cpu, two threads",
        }
    ]


def projection(random: np.random.Generator, line: int, angle_deg: float) -> Projection:
    """Give a line of random channels."""
    return Projection(
        key=LineKey(run="bench", line=line, attempt=0),
        angle_deg=angle_deg,
        channels=random.normal(size=(N_POINTS, N_CHANNELS)),
        variance=np.ones(N_POINTS),
        unit_variance=np.ones(N_CHANNELS),
        is_measured=np.ones(N_POINTS, dtype=np.bool_),
        pattern_sum=np.zeros(1),
        variance_sum=np.zeros(1),
        n_received=N_POINTS,
        n_points=N_POINTS,
    )


def _numpy_line(volume: Array, channels: Array, angle_deg: float) -> None:
    filtered = convolved(channels, filter_kernel(N_POINTS, window="shepp-logan"))
    axis = np.arange(N_POINTS) - (N_POINTS - 1) / 2
    angle = np.deg2rad(angle_deg)
    place = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle) + (N_POINTS - 1) / 2
    lower = np.floor(place).astype(np.intp)
    inside = (lower >= 0) & (lower < N_POINTS - 1)
    fraction = (place - lower)[inside][:, None]
    below = filtered[lower[inside]]
    volume[inside] += below + fraction * (filtered[lower[inside] + 1] - below)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
