"""How cost grows: with frames, pixels, channels, voxels and angles; and memory over a million patterns.

Each row is a series of sizes with the processor time of one step, which a busy computer hardly changes, and the exponent of the
power law through them: 1 is in proportion, 0 is no growth at all. The patterns go through what joins, writes and publishes in
the reduction, with few bins, so that what is left behind per pattern shows and not the pattern itself.
"""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import psutil
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from operando.bus import MemoryStore
from operando.messages import LineAnnounced, LineFlown
from operando.scan import LineKey, TomogramGrid
from streaming.account import FrameKey, SeriesKey
from streaming.back_projection import add_back_projections
from streaming.collect import Collector
from streaming.events import Heard
from streaming.integrate.geometry import make_geometry
from streaming.integrate.integrator import Integrator, Pattern
from streaming.measured import Measured
from streaming.reconstruct import Reconstruction
from streaming.sinogram import Projection

N_PATTERNS, N_POINTS, N_RADIAL = 1_000_000, 550, 16
REPEATS = 5
SHORT = {"n_patterns": 55_000}
"""What ``operando bench --short`` measures."""


def rows(n_patterns: int = N_PATTERNS) -> list[dict[str, Any]]:
    """Give the rows of growth and of memory."""
    return [
        _row("frames, 1679 x 1475, trimmed", "frame", [(n, _frames((1679, 1475), n)) for n in (8, 16, 32, 64)], 1),
        _row("pixels, trimmed", "pixel", [(a * b, _frames((a, b), 4) / 4) for a, b in _shapes()], 1),
        _row("channels, 275 x 275 voxels, one line", "channel", [(n, _line(275, n)) for n in (8, 16, 32, 64, 128)], 1),
        _row("voxels, 24 channels, one line", "voxel", [(n * n, _line(n, 24)) for n in (69, 138, 275, 550)], 1),
        _row("angles present, one line more", "line", list(_updates((25, 50, 100, 200, 400))), 0),
        _memory(n_patterns),
    ]


def _row(name: str, step: str, series: list[tuple[int, float]], wanted: float) -> dict[str, Any]:
    sizes, seconds = np.array(series).T
    exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return {
        "name": f"growth with {name}",
        "ours": round(exponent, 3),
        "peer": wanted,
        "peer_name": "in proportion" if wanted else "no growth",
        "unit": f"exponent of cost in number of {step}s",
        "ratio": "-",
        "device": "cpu, processor time of one thread; not run on a GPU",
        "better": "lower",
        "series": [[int(size), round(1e3 * second, 4)] for size, second in series],
        "series_unit": "ms",
    }


def _cpu_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        begin = thread_time()
        work()
        seconds.append(thread_time() - begin)
    return float(np.median(seconds))


def _shapes() -> list[tuple[int, int]]:
    return [(420, 369), (594, 521), (840, 738), (1187, 1043), (1679, 1475), (2374, 2086)]


def _frames(shape: tuple[int, int], n_frames: int) -> float:
    """Give the seconds of as many frames of a detector of 250 x 250 mm, whatever its pixels are."""
    pixel_m = 0.25 / shape[0]
    detector = AzimuthalIntegrator(dist=1.0, poni1=0.12, poni2=0.11, wavelength=1.2e-11, pixel1=pixel_m, pixel2=pixel_m)
    geometry = make_geometry(detector, np.zeros(shape, np.bool_), polarization=0.95)
    integrator = Integrator(geometry, q_min=float(geometry.q.min()), q_max=float(geometry.q.max()), n_radial=1500)
    random = np.random.default_rng(3)
    frames = [random.poisson(2.0 + 20.0 / (1.0 + geometry.q), shape).astype(np.uint8) for _ in range(4)]
    return _cpu_s(lambda: [integrator.integrate(frames[k % 4]) for k in range(n_frames)], repeats=3)


def _line(n_voxels: int, n_channels: int) -> float:
    rows_ = np.random.default_rng(4).normal(size=(1, n_voxels, n_channels))
    volume = np.zeros((n_voxels, n_voxels, n_channels))
    return _cpu_s(
        lambda: add_back_projections(
            volume, rows_, angles_deg=np.array([33.0]), pixel_mm=0.02, step_mm=0.02, centre_index=(n_voxels - 1) / 2
        )
    )


def _updates(counts: tuple[int, ...]) -> Iterable[tuple[int, float]]:
    """Give the seconds that one line more costs when so many are there."""
    angles = np.arange(counts[-1] + REPEATS + 1) * 180.0 / (counts[-1] + REPEATS + 1)
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-1.0, step_mm=0.02, n_points=100)
    reconstruction = Reconstruction(grid=grid, n_channels=20, centre_mm=0.0)
    done = 0
    for count in counts:
        reconstruction.update({line: _projection(line, float(angles[line])) for line in range(done, count - REPEATS - 1)})
        coming = iter(range(max(done, count - REPEATS - 1), count))
        yield count, _cpu_s(lambda coming=coming: _one_more(reconstruction, next(coming), angles))  # type: ignore[misc]
        done = count


def _one_more(reconstruction: Reconstruction, line: int, angles: Any) -> None:
    reconstruction.update({line: _projection(line, float(angles[line]))})


def _projection(line: int, angle_deg: float) -> Projection:
    return Projection(
        key=LineKey(run="bench", line=line, attempt=0),
        angle_deg=angle_deg,
        channels=np.random.default_rng(line).normal(size=(100, 20)),
        variance=np.ones(100),
        unit_variance=np.ones(20),
        is_measured=np.ones(100, dtype=np.bool_),
        pattern_sum=np.zeros(1),
        variance_sum=np.zeros(1),
        n_received=100,
        n_points=100,
    )


def _memory(n_patterns: int) -> dict[str, Any]:
    """Give the slope of resident memory, MiB for 100,000 patterns, over the second half of them."""
    process, store, seen = psutil.Process(), MemoryStore(), []
    with tempfile.TemporaryDirectory() as folder:
        collector = Collector(
            q=np.arange(N_RADIAL, dtype=np.float64),
            out=Path(folder),
            store=store,
            queue_state=lambda: (0, 64),
            clock=lambda: 0.0,
            wall_clock=lambda: 0.0,
        )
        for line in range(n_patterns // N_POINTS):
            _fly(collector, line)
            if line % max(1, n_patterns // N_POINTS // 50) == 0:
                seen.append((line * N_POINTS, process.memory_info().rss / 2**20))
            for path in (Path(folder) / "lines").rglob("*.h5"):
                path.unlink()
    n, mib = np.array(seen[len(seen) // 2 :]).T
    slope = float(np.polyfit(n, mib, 1)[0]) * 1e5
    return {
        "name": f"memory over {n_patterns:,} patterns",
        "ours": round(slope, 4),
        "peer": 1.0,
        "peer_name": "what is allowed",
        "unit": "MiB for 100,000 patterns",
        "ratio": "-",
        "device": "cpu",
        "better": "lower",
        "series": [[int(count), round(float(size), 2)] for count, size in seen],
        "series_unit": "MiB",
    }


def _fly(collector: Collector, line: int) -> None:
    common = {"run": "bench", "line": line, "attempt": 0, "angle_deg": 0.0}
    planned = {"series": 1, "first_image_id": line * N_POINTS, "n_points": N_POINTS, "direction": 1}
    collector.handle(Heard(message=LineAnnounced(**common, **planned, first_position_mm=0.0, step_mm=0.1, time_s=0.0)))
    values = np.ones(N_RADIAL, np.float32)
    series = SeriesKey(series=1)
    for point in range(N_POINTS):
        pattern = Pattern(mean=values.copy(), variance=values.copy(), trimmed=values.copy(), n_saturated=0, n_masked=0)
        frame = FrameKey(series=series, image_id=line * N_POINTS + point)
        collector.handle(Measured(frame=frame, pattern=pattern, geometry_sha256="", received_s=0.0))
    positions = {"positions_mm": [0.1 * k for k in range(N_POINTS)], "positions_source": "computed"}
    collector.handle(Heard(message=LineFlown(**common, **positions, start_s=0.0, end_s=1.0)))
    collector.tick()


if __name__ == "__main__":
    print(json.dumps(rows(), indent=1))
