"""From a polar grid to a frame: every pixel's mean by interpolation, its counts from the Poisson ladder.

The kernel works in blocks of pixels and small loops, one for each table that is looked up: a compiler turns each into vector
instructions, one loop that does all of it stays scalar and takes twice as long.
"""

from dataclasses import dataclass

import numpy as np
from numba import float32, njit, uint32, uint64, void
from numpy.typing import NDArray

from acquisition.twin.camera import Camera, PixelView
from acquisition.twin.grid import PolarGrid, azimuth_places, make_grid, node_places
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
SMALLEST_WEIGHT = 1e-9
"""Of an unmasked pixel: one that is dead or in a shadow counts nothing, but is not marked."""

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

    grid: PolarGrid
    place: NDArray[np.float32]
    """Each pixel's place among the radial nodes, flat, shape (pixel,)."""
    corner: NDArray[np.uint32]
    """Each pixel's node below in radius and azimuth, in the flat grid; of size 1, as the two below, if there is one azimuth."""
    along: NDArray[np.float32]
    """How far beyond that node the pixel is in radius, 0 to 1, flat."""
    across: NDArray[np.float32]
    """And in azimuth."""
    root_weight: NDArray[np.float32]
    """Square root of solid angle times polarisation, divided by RUNG; 0 where the pixel is masked; shape (pixel,)."""
    mean_weight: NDArray[np.float64]
    """Mean over unmasked pixels of the pixel's value is the sum of this times a grid, shape (azimuth, node)."""
    azimuth_rad: NDArray[np.float32]
    """Each pixel's azimuth, flat."""
    pixel_m: float
    shape: tuple[int, int]
    ladder: PoissonLadder


def make_canvas(
    camera: Camera,
    view: PixelView,
    *,
    polarisation: NDArray[np.float64],
    is_masked: NDArray[np.bool_],
    response: NDArray[np.float64] | None = None,
    depends_on_azimuth: bool = False,
) -> Canvas:
    """Prepare a detector for drawing; ``response`` is what each pixel makes of a photon, 1 where it is None."""
    grid = make_grid(camera, view, depends_on_azimuth=depends_on_azimuth)
    place, azimuth = node_places(camera, view), azimuth_places(view, grid)
    corner, along, across = _corners(place, azimuth, grid)
    seen = view.solid_angle * polarisation * (1.0 if response is None else response)
    weight = np.where(is_masked, 0.0, np.maximum(seen, SMALLEST_WEIGHT))
    return Canvas(
        grid=grid,
        place=place.astype(np.float32).ravel(),
        corner=corner,
        along=along,
        across=across,
        root_weight=(np.sqrt(weight) / RUNG).astype(np.float32).ravel(),
        mean_weight=_spread_to_nodes(place, azimuth, weight, grid) / np.count_nonzero(~is_masked),
        azimuth_rad=view.azimuth_rad.astype(np.float32).ravel(),
        pixel_m=camera.pixel_m,
        shape=(camera.n_rows, camera.n_columns),
        ladder=make_ladder(),
    )


def draw_frame(
    canvas: Canvas, mean: NDArray[np.floating], *, seed: int, exposure: int, highest: int = MASKED - 1
) -> NDArray[np.uint32]:
    """Draw a frame whose pixels have the mean ``mean``, counts at unit weight; shape (row, column).

    ``mean`` has the shape (azimuth, node) of the canvas's grid, or (node,) where nothing depends on azimuth. ``seed`` and
    ``exposure`` name the random stream: the same two give the same bytes, in any order and from any thread. A pixel stops at
    the count ``highest``.
    """
    largest = mean.max() * (canvas.root_weight.max() * RUNG) ** 2
    n_draws = max(1, int(np.ceil(largest / (0.99 * HIGHEST_MEAN))))
    root = np.atleast_2d(np.sqrt(mean / n_draws if n_draws > 1 else mean, dtype=np.float32))
    frame = np.empty(canvas.place.size, dtype=np.uint32)
    where = (canvas.place, canvas.corner, canvas.along, canvas.across, canvas.root_weight)
    tables = (canvas.ladder.rungs, canvas.ladder.entries)
    _draw(root, *where, *tables, stream_key(seed, exposure, 0), frame)
    for draw in range(1, n_draws):
        more = np.empty_like(frame)
        _draw(root, *where, *tables, stream_key(seed, exposure, draw), more)
        frame = np.where(frame == MASKED, frame, frame + more)
    if 2 * largest + 100 > highest:  # Far above what the tables can draw: most frames need not be looked through.
        np.copyto(frame, np.uint32(highest), where=(frame > highest) & (frame != MASKED))
    return frame.reshape(canvas.shape)


def expected_frame(canvas: Canvas, mean: NDArray[np.floating]) -> NDArray[np.float32]:
    """Give every pixel's mean, shape (row, column), counts; 0 where the pixel is masked."""
    height = np.empty(canvas.place.size, dtype=np.float32)
    root = np.atleast_2d(np.sqrt(mean).astype(np.float32, copy=False))
    if root.shape[0] == 1:
        _interpolate(root[0], canvas.place, canvas.root_weight, height)
    else:
        _interpolate_polar(root, canvas.corner, canvas.along, canvas.across, canvas.root_weight, height)
    return np.asarray((height * np.float32(RUNG)) ** 2).reshape(canvas.shape)


def _corners(
    place: NDArray[np.float64], azimuth: NDArray[np.float64], grid: PolarGrid
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    n_azimuths = grid.azimuths_rad.size
    if n_azimuths == 1:
        return np.zeros(1, dtype=np.uint32), np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
    node, sector = place.astype(np.int64), np.minimum(azimuth.astype(np.int64), n_azimuths - 2)
    corner = (sector * grid.two_theta_rad.size + node).astype(np.uint32).ravel()
    return corner, (place - node).astype(np.float32).ravel(), (azimuth - sector).astype(np.float32).ravel()


def _spread_to_nodes(
    place: NDArray[np.float64], azimuth: NDArray[np.float64], weight: NDArray[np.float64], grid: PolarGrid
) -> NDArray[np.float64]:
    """Give the transpose of the interpolation, applied to ``weight``; shape (azimuth, node)."""
    n_azimuths, n_nodes = grid.azimuths_rad.size, grid.two_theta_rad.size
    total = np.zeros(n_azimuths * n_nodes)
    node, sector = place.astype(np.int64), np.minimum(azimuth.astype(np.int64), max(n_azimuths - 2, 0))
    for turn in range(min(n_azimuths, 2)):
        across = (azimuth - sector if turn else 1 - (azimuth - sector)) if n_azimuths > 1 else 1.0
        for step in range(2):
            along = place - node if step else 1 - (place - node)
            index = (sector + turn) * n_nodes + node + step
            total += np.bincount(index.ravel(), weights=(weight * along * across).ravel(), minlength=total.size)
    return total.reshape(n_azimuths, n_nodes)


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


@njit(void(float32[:, ::1], uint32[::1], float32[::1], float32[::1], float32[::1], float32[::1]), cache=True, nogil=True)
def _interpolate_polar(
    root: NDArray[np.float32],
    corner: NDArray[np.uint32],
    along: NDArray[np.float32],
    across: NDArray[np.float32],
    weight: NDArray[np.float32],
    height: NDArray[np.float32],
) -> None:
    """Give each pixel's height on the ladder from the four nodes around it."""
    inner = root.reshape(-1)
    outer = inner[root.shape[1] :]
    for i in range(corner.size):
        here = corner[i]
        there = here + np.uint32(1)
        low = inner[here] + along[i] * (inner[there] - inner[here])
        high = outer[here] + along[i] * (outer[there] - outer[here])
        height[i] = (low + across[i] * (high - low)) * weight[i]


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


@njit(
    void(
        float32[:, ::1],
        float32[::1],
        uint32[::1],
        float32[::1],
        float32[::1],
        float32[::1],
        uint64[::1],
        uint32[::1],
        uint64,
        uint32[::1],
    ),
    cache=True,
    nogil=True,
)
def _draw(
    root: NDArray[np.float32],
    place: NDArray[np.float32],
    corner: NDArray[np.uint32],
    along: NDArray[np.float32],
    across: NDArray[np.float32],
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
        if root.shape[0] == 1:
            _interpolate(root[0], place[here], root_weight[here], height)
        else:
            _interpolate_polar(root, corner[here], along[here], across[here], root_weight[here], height)
        _choose_tables(height, random, rungs, counts, table)
        _look_up(table, random, entries, counts)
        weight = root_weight[here]
        for i in range(counts.size):
            if weight[i] == 0:
                counts[i] = uint32(MASKED)
