"""The full volume on demand: every voxel's pattern, 550 x 550 x 1,500, from 400 lines in memory, with its noise.

As the full profile wants it: lines normalised, placed, filtered and back projected onto the voxels inside the circle that the
beam always saw, and half the difference of every other line beside it. The peer reconstructs channel by channel with
scikit-image's ``iradon``; a few channels of it are timed, and the rest is multiplied. Patterns are random, of
eight distinct lines.
"""

import argparse
import json
import resource
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import skimage
from skimage.transform import iradon

from operando.profile.correction import Correction
from operando.scan import LineKey, TomogramGrid
from streaming.refine.voxels import patterns_of_voxels
from streaming.region import CountingLine, Ingredients, Patterns

N_POINTS, N_ANGLES, N_RADIAL, STEP_MM = 550, 400, 1500, 0.02
N_DISTINCT, N_PEER = 8, 2
SHORT = {"n_radial": 256}
"""What ``operando bench --short`` measures."""


def rows(n_points: int = N_POINTS, n_angles: int = N_ANGLES, n_radial: int = N_RADIAL) -> list[dict[str, Any]]:
    """Give the row; volumes an hour, higher is better, and the most memory that the process ever had."""
    angles = np.arange(n_angles) * 180.0 / n_angles
    lines, ingredients = _scan(angles, n_points, n_radial)
    axis = STEP_MM * (np.arange(n_points) - (n_points - 1) / 2)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    inside = np.hypot(x, y) <= axis[-1]
    begin = perf_counter()
    found = patterns_of_voxels(
        ingredients,
        x_mm=x[inside],
        y_mm=y[inside],
        weights=np.ones(n_radial),
        patterns_of=lambda key: replace(lines[key.line % N_DISTINCT], angle_deg=float(angles[key.line])),
        n_threads=2,
    )
    ours_s = perf_counter() - begin
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    peer_s = _peer_s(angles, n_points, n_radial)
    return [
        {
            "name": f"full volume, {n_points} x {n_points} x {n_radial:,}, on demand",
            "ours": 3600 / ours_s,
            "peer": 3600 / peer_s,
            "peer_name": f"scikit-image {skimage.__version__} iradon, {N_PEER} channels timed, without noise and differences",
            "unit": "volumes/h",
            "ratio": peer_s / ours_s,
            "device": "cpu, two threads (scikit-image: one); not run on a GPU",
            "better": "higher",
            "seconds": round(ours_s, 1),
            "peak_gib": round(peak_gib, 2),
            "lines": n_angles,
            "voxels": int(inside.sum()),
            "checksum": f"{float(np.abs(found.patterns[:: max(1, len(found.patterns) // 1000)]).sum()):.6g}",
        }
    ]


def _scan(angles: np.ndarray[Any, Any], n_points: int, n_radial: int) -> tuple[list[Patterns], Ingredients]:
    random = np.random.default_rng(11)
    grid = TomogramGrid(angles_deg=angles, first_position_mm=-STEP_MM * (n_points - 1) / 2, step_mm=STEP_MM, n_points=n_points)
    lines = [
        Patterns(
            angle_deg=0.0,
            mean=random.gamma(4.0, 1.0, (n_points, n_radial)).astype(np.float32),
            variance=np.full((n_points, n_radial), 0.01, np.float32),
            positions_mm=grid.positions_mm,
            is_received=np.ones(n_points, np.bool_),
            ring_current_ma=None,
            monitor=None,
            transmitted=None,
        )
        for k in range(N_DISTINCT)
    ]
    keys = [LineKey(run="bench", line=k, attempt=0) for k in range(angles.size)]
    return lines, Ingredients(
        run="bench",
        grid=grid,
        centre_mm=0.0,
        window="shepp-logan",
        estimator="mean",
        lines=tuple(CountingLine(key=key, weight_rad=np.pi / angles.size) for key in keys),
        reference=keys[0],
        residual=np.zeros(n_radial),
        mean_mass=1.0,
        correction=Correction(),
    )


def _peer_s(angles: np.ndarray[Any, Any], n_points: int, n_radial: int) -> float:
    """Give the seconds of the whole volume, from those of a few channels."""
    sinogram = np.random.default_rng(12).gamma(4.0, 1.0, (n_points, angles.size)).astype(np.float32)
    begin = perf_counter()
    for _ in range(N_PEER):
        iradon(sinogram, theta=angles, filter_name="shepp-logan", circle=True)
    return (perf_counter() - begin) / N_PEER * n_radial


def main() -> None:
    """Print the row of a volume of any size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="*", type=int, help="points, angles, channels")
    print(json.dumps(rows(*parser.parse_args().size), indent=1))


if __name__ == "__main__":
    main()
