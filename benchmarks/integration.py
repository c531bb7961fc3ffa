"""Integration against pyFAI on the same frames in the same run.

Each pair is one group of frames through ours and through pyFAI, one after the other; the figures are medians over the pairs.
Every frame is a Poisson draw: the sum of one of n draws and one of m others is again Poisson, so n + m draws give n x m
distinct frames without holding them all. Ours integrates as many frames at once as there are cores, pyFAI uses them all for one
frame. The range of q is the whole detector's, so that every pixel outside the gaps counts.
"""

import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from operando.profile import Profile, read_profile
from streaming.integrate.geometry import load_poni, read_geometry
from streaming.integrate.integrator import Integrator, make_integrator

Frame = NDArray[np.uint32]
GROUP = 8
"""Frames of a pair: long enough for the clock and the threads, short enough that the machine's other load hits both alike."""
DRAWS = 16
SHORT: dict[str, Any] = {}
"""What ``operando bench --short`` measures."""


def rows(n_frames: int = 256) -> list[dict[str, Any]]:
    """Give the rows of mean and trimmed integration of full frames, frames/s.

    Parameters
    ----------
    n_frames
        Distinct frames, at most 256 of 1679 x 1475 x 4 bytes.
    """
    profile = whole_detector(read_profile("demo"))
    trimming = make_integrator(profile)
    summing = make_integrator(
        profile.model_copy(update={"integration": profile.integration.model_copy(update={"trim": (0.0, 1.0)})})
    )
    rejecting = make_integrator(
        profile.model_copy(update={"integration": profile.integration.model_copy(update={"estimator": "rejected"})})
    )
    peer = load_poni(profile.path(profile.geometry.poni))
    first, second = draws(trimming)
    cases: list[tuple[str, Integrator, Callable[[Frame], Any], str]] = [
        ("mean integration, 1679 x 1475", summing, _mean_of(peer, profile, summing), "integrate1d_ng"),
        ("mean without spots and zingers, 1679 x 1475", rejecting, _clip_of(peer, profile, rejecting), "sigma_clip_ng"),
        ("trimmed mean (5, 95), 1679 x 1475", trimming, _trim_of(peer, profile, trimming), "medfilt1d_ng"),
    ]
    return [
        _row(name, ours, theirs, method, _groups(first, second, n_frames), n_frames) for name, ours, theirs, method in cases
    ]


def _row(
    name: str, ours: Integrator, theirs: Callable[[Frame], Any], method: str, groups: Iterator[list[Frame]], n_frames: int
) -> dict[str, Any]:
    n_cores = len(os.sched_getaffinity(0))
    seconds: list[tuple[float, float]] = []
    checksum, shares = 0, []
    with ThreadPoolExecutor(n_cores) as pool:
        for number, frames in enumerate(groups):
            if number == 0:
                list(pool.map(ours.integrate, frames))
                theirs(frames[0])
            begin = perf_counter()
            patterns = list(pool.map(ours.integrate, frames))
            middle = perf_counter()
            wanted = [theirs(frame) for frame in frames]
            seconds.append((middle - begin, perf_counter() - middle))
            for pattern, intensity in zip(patterns, wanted, strict=True):
                checksum = zlib.crc32(pattern.trimmed.tobytes(), checksum)
                shares.append(_share_that_agrees(pattern.trimmed, intensity))
    mine, peers = (GROUP / np.median(column) for column in zip(*seconds, strict=True))
    return {
        "name": name,
        "ours": round(float(mine), 1),
        "peer": round(float(peers), 1),
        "peer_name": f"pyFAI {version('pyFAI')} {method}, no split, csr, cython, {n_cores} cores",
        "unit": "frames/s",
        "ratio": round(float(np.median([theirs_s / ours_s for ours_s, theirs_s in seconds])), 2),
        "device": f"CPU, {n_cores} cores; not run on a GPU",
        "better": "higher",
        "frames": n_frames,
        "bytes_per_frame": 1679 * 1475 * 4,
        "checksum": f"{checksum:08x}",
        "bins_within_1e-5": round(float(np.mean(shares)), 6),
    }


def _share_that_agrees(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Give the part of the bins that agree within 1e-5.

    Only bins above four counts are compared: below, the lower cut falls among pixels of zero counts, whose order pyFAI leaves
    open. Of the others, one in ten thousand differs by a pixel, because pyFAI places its cuts by sums rounded to float32.
    """
    compared = theirs > 4.0
    return float(np.mean(np.abs(ours[compared] - theirs[compared]) < 1e-5 * theirs[compared]))


def whole_detector(profile: Profile) -> Profile:
    """Give a profile with the range of q that the detector sees."""
    q = read_geometry(profile).q
    grid = profile.integration.model_copy(update={"q_min": float(q.min()), "q_max": float(q.max())})
    return profile.model_copy(update={"integration": grid})


def draws(integrator: Integrator) -> tuple[list[Frame], list[Frame]]:
    """Give two sets of Poisson frames whose sums have 2 to 50 counts a pixel, by rings; gaps hold the largest value."""
    rng = np.random.default_rng(20260101)
    bins = integrator.bins
    level = np.append(2.0 + 48.0 * rng.random(bins.n_radial) ** 3, 2.0)[bins.bin].reshape(integrator.geometry.shape)
    return [rng.poisson(0.5 * level).astype(np.uint32) for _ in range(DRAWS)], [
        rng.poisson(0.5 * level).astype(np.uint32) for _ in range(DRAWS)
    ]


def _groups(first: list[Frame], second: list[Frame], n_frames: int) -> Iterator[list[Frame]]:
    for begin in range(0, n_frames, GROUP):
        numbers = range(begin, begin + GROUP)
        yield [first[number // DRAWS % DRAWS] + second[number % DRAWS] for number in numbers]


def _settings(profile: Profile, ours: Integrator) -> dict[str, Any]:
    return {
        "unit": "q_A^-1",
        "radial_range": (profile.integration.q_min, profile.integration.q_max),
        "mask": ours.geometry.mask.copy(),
        "polarization_factor": profile.geometry.polarization,
        "method": ("no", "csr", "cython"),
    }


def _mean_of(peer: AzimuthalIntegrator, profile: Profile, ours: Integrator) -> Callable[[Frame], Any]:
    settings = _settings(profile, ours)
    return lambda frame: peer.integrate1d_ng(frame, profile.integration.n_radial, **settings).intensity


def _clip_of(peer: AzimuthalIntegrator, profile: Profile, ours: Integrator) -> Callable[[Frame], Any]:
    settings = _settings(profile, ours) | {"error_model": "poisson", "thres": 4.0, "max_iter": 5}
    return lambda frame: peer.sigma_clip_ng(frame, profile.integration.n_radial, **settings).intensity


def _trim_of(peer: AzimuthalIntegrator, profile: Profile, ours: Integrator) -> Callable[[Frame], Any]:
    settings = _settings(profile, ours)
    return lambda frame: peer.medfilt1d_ng(frame, profile.integration.n_radial, percentile=(5, 95), **settings).intensity


if __name__ == "__main__":
    print(json.dumps(rows(int(sys.argv[1]) if len(sys.argv) > 1 else 256), indent=2))
