"""From a radial curve to a frame: every pixel's mean by interpolation, its counts from the Poisson ladder.

The kernel works in blocks of pixels and small loops, one for each table that is looked up: a compiler turns each into vector
instructions, one loop that does all of it stays scalar and takes twice as long.
"""

from dataclasses import dataclass

import numpy as np
from numba import float32, njit, uint32, uint64, void
from numpy.typing import NDArray

from acquisition.twin.camera import Camera, PixelView
from acquisition.twin.noise import (
    GAMMA,
    HIGHEST_MEAN,
    RUNG,
    SLOT_BITS,
    THRESHOLD_BITS,
    PoissonLadder,
    make_ladder,
    mix,
    stream_key,
)

MASKED = 2**32 - 1
"""What a masked pixel holds, as SIMPLON detectors write it."""
NODES_PER_PIXEL = 4
"""Radial nodes in the width of a pixel; a reflection is sampled by some twenty."""

BLOCK = 1024
"""Pixels at a time: their scratch, 28 bytes each, stays in the first cache."""

# Of the 64 random bits of a pixel the lowest 24 choose between two rungs, then come the threshold's, the highest are the slot.
_DITHER_BITS = np.uint64(0xFFFFFF)
_DITHER_SCALE = np.float32(2.0**-24)
_THRESHOLD_SHIFT = np.uint64(24)
_THRESHOLD_BITS = np.uint64((1 << THRESHOLD_BITS) - 1)
_SLOT_SHIFT = np.uint64(64 - SLOT_BITS)
_ALIAS_BITS = np.uint32((1 << SLOT_BITS) - 1)
_ALIAS_SHIFT = np.uint32(SLOT_BITS)
_START_BITS = np.uint64(0xFFFFFFFF)
_LOWEST_SHIFT = np.uint64(32)
_LOWEST_BITS = np.uint64(0xFFFF)
_SLOT_TRIM_SHIFT = np.uint64(48)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """What is the same in all frames; read-only, shared by all threads."""

    two_theta_rad: NDArray[np.float64]
    """Radial nodes, even in tan(two theta), shape (node,)."""
    place: NDArray[np.float32]
    """Each pixel's place among the nodes, flat, shape (pixel,)."""
    root_weight: NDArray[np.float32]
    """Square root of solid angle times polarisation, divided by RUNG; 0 where the pixel is masked; shape (pixel,)."""
    mean_weight: NDArray[np.float64]
    """Mean over unmasked pixels of the pixel's value is the dot product of this with a curve, shape (node,)."""
    shape: tuple[int, int]
    ladder: PoissonLadder


def make_canvas(camera: Camera, view: PixelView, *, polarisation: NDArray[np.float64], is_masked: NDArray[np.bool_]) -> Canvas:
    """Prepare a detector for drawing."""
    radius = np.tan(view.two_theta_rad) * camera.distance_m / camera.pixel_m * NODES_PER_PIXEL
    n_nodes = int(radius.max()) + 3
    nodes = np.arctan(np.arange(n_nodes) / NODES_PER_PIXEL * camera.pixel_m / camera.distance_m)
    weight = np.where(is_masked, 0.0, view.solid_angle * polarisation)
    below = radius.astype(np.int64)
    part = radius - below
    mean_weight = np.bincount(below.ravel(), weights=(weight * (1 - part)).ravel(), minlength=n_nodes)
    mean_weight += np.bincount(below.ravel() + 1, weights=(weight * part).ravel(), minlength=n_nodes)
    return Canvas(
        two_theta_rad=nodes,
        place=radius.astype(np.float32).ravel(),
        root_weight=(np.sqrt(weight) / RUNG).astype(np.float32).ravel(),
        mean_weight=mean_weight / np.count_nonzero(~is_masked),
        shape=(camera.n_rows, camera.n_columns),
        ladder=make_ladder(),
    )


def draw_frame(canvas: Canvas, curve: NDArray[np.float64], *, seed: int, exposure: int) -> NDArray[np.uint32]:
    """Draw a frame whose pixels have the mean ``curve`` (shape (node,), counts at unit weight); shape (row, column).

    ``seed`` and ``exposure`` name the random stream: the same two give the same bytes, in any order and from any thread.
    """
    highest = curve.max() * (canvas.root_weight.max() * RUNG) ** 2
    n_draws = max(1, int(np.ceil(highest / (0.99 * HIGHEST_MEAN))))
    root = np.sqrt(curve / n_draws).astype(np.float32)
    frame = np.empty(canvas.place.size, dtype=np.uint32)
    ladder = canvas.ladder
    _draw(root, canvas.place, canvas.root_weight, ladder.rungs, ladder.entries, stream_key(seed, exposure, 0), frame)
    for draw in range(1, n_draws):
        more = np.empty_like(frame)
        _draw(root, canvas.place, canvas.root_weight, ladder.rungs, ladder.entries, stream_key(seed, exposure, draw), more)
        frame = np.where(frame == MASKED, frame, frame + more)
    return frame.reshape(canvas.shape)


@njit(void(float32[::1], float32[::1], float32[::1], float32[::1]), cache=True, nogil=True)
def _interpolate(
    root: NDArray[np.float32], place: NDArray[np.float32], weight: NDArray[np.float32], height: NDArray[np.float32]
) -> None:
    """Give each pixel's height on the ladder: the square root of its mean, in rungs."""
    for i in range(place.size):
        # Unsigned, because a signed index costs a test for negative ones.
        node = np.int32(place[i])
        low, high = root[np.uint32(node)], root[np.uint32(node) + np.uint32(1)]
        height[i] = (low + (place[i] - np.float32(node)) * (high - low)) * weight[i]


@njit(void(float32[::1], uint64[::1], uint64[::1], uint32[::1], uint64[::1]), cache=True, nogil=True)
def _choose_tables(
    height: NDArray[np.float32],
    random: NDArray[np.uint64],
    rungs: NDArray[np.uint64],
    rung: NDArray[np.uint32],
    table: NDArray[np.uint64],
) -> None:
    """Choose the rung below or above with the probability that makes the mean height^2: (h^2 - k^2) / ((k + 1)^2 - k^2)."""
    for i in range(rung.size):
        below = np.int32(height[i])
        low = np.float32(below)
        dither = np.float32(np.int32(random[i] & _DITHER_BITS)) * _DITHER_SCALE
        is_above = dither * (low + low + np.float32(1.0)) < height[i] * height[i] - low * low
        rung[i] = np.uint32(below) + np.uint32(is_above)
    for i in range(rung.size):
        table[i] = rungs[rung[i]]


@njit(void(uint64[::1], uint64[::1], uint32[::1], uint32[::1]), cache=True, nogil=True)
def _look_up(
    table: NDArray[np.uint64], random: NDArray[np.uint64], entries: NDArray[np.uint32], counts: NDArray[np.uint32]
) -> None:
    """Draw a count from each pixel's alias table."""
    for i in range(counts.size):
        slot = (random[i] >> _SLOT_SHIFT) >> (table[i] >> _SLOT_TRIM_SHIFT)
        counts[i] = np.uint32((table[i] & _START_BITS) + slot)
    for i in range(counts.size):
        counts[i] = entries[counts[i]]
    for i in range(counts.size):
        slot = np.uint32((random[i] >> _SLOT_SHIFT) >> (table[i] >> _SLOT_TRIM_SHIFT))
        threshold = np.uint32((random[i] >> _THRESHOLD_SHIFT) & _THRESHOLD_BITS)
        chosen = slot if threshold < counts[i] >> _ALIAS_SHIFT else counts[i] & _ALIAS_BITS
        counts[i] = np.uint32((table[i] >> _LOWEST_SHIFT) & _LOWEST_BITS) + chosen


@njit(void(float32[::1], float32[::1], float32[::1], uint64[::1], uint32[::1], uint64, uint32[::1]), cache=True, nogil=True)
def _draw(
    root: NDArray[np.float32],
    place: NDArray[np.float32],
    root_weight: NDArray[np.float32],
    rungs: NDArray[np.uint64],
    entries: NDArray[np.uint32],
    key: np.uint64,
    frame: NDArray[np.uint32],
) -> None:
    random = np.empty(BLOCK, dtype=np.uint64)
    height = np.empty(BLOCK, dtype=np.float32)
    table = np.empty(BLOCK, dtype=np.uint64)
    for first in range(0, frame.size, BLOCK):
        here = slice(first, min(first + BLOCK, frame.size))
        counts = frame[here]
        for i in range(counts.size):
            random[i] = mix(key + np.uint64(first + i) * GAMMA)
        _interpolate(root, place[here], root_weight[here], height)
        _choose_tables(height, random, rungs, counts, table)
        _look_up(table, random, entries, counts)
        weight = root_weight[here]
        for i in range(counts.size):
            if weight[i] == 0:
                counts[i] = uint32(MASKED)
