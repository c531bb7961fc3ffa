"""What spoils single pixels: bad ones that no mask knows, stray particles, the beam stop's shadow, spots of large grains.

Random numbers come from the counter of :mod:`acquisition.twin.noise`, keyed by seed and exposure, so that a frame has the same
blemishes in any order and from any thread.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.camera import Camera, direct_beam_m
from acquisition.twin.footprint import Beam
from acquisition.twin.noise import stream_key
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import Slice
from acquisition.twin.structures import reflections

Frame = NDArray[np.uint32]

ARM_OF_RADIUS = 0.25
"""Half the width of the beam stop's arm, in radii of the stop."""
HOT_OF_BAD = 0.1
HOT_COUNTS = 50.0
ZINGER_COUNTS = (50, 20_000)
"""Counts of a stray particle: even in their logarithm between these."""
PIXELS_OF_ZINGER = 2
GRAIN_MM = 0.04
ROCKING_DEG = 0.35
"""Standard deviation in rotation over which a grain flashes: mosaic, divergence and bandwidth together."""
SPOT_PIXELS = 1.1
SPOT_HALF_WIDTH = 5


def shadow(camera: Camera, *, radius_mm: float) -> NDArray[np.float64]:
    """Give the transmission of beam stop and arm, shape (row, column): 0 behind them; the arm comes from the first rows."""
    beam_row_m, beam_column_m = direct_beam_m(camera)
    rows = 1e3 * ((np.arange(camera.n_rows)[:, np.newaxis] + 0.5) * camera.pixel_m - beam_row_m)
    columns = 1e3 * ((np.arange(camera.n_columns)[np.newaxis, :] + 0.5) * camera.pixel_m - beam_column_m)
    is_stop = np.hypot(rows, columns) < radius_mm
    is_arm = (np.abs(columns) < ARM_OF_RADIUS * radius_mm) & (rows < 0)
    return np.where(is_stop | is_arm, 0.0, 1.0)


def draw_bad_pixels(shape: tuple[int, int], *, part: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Give which pixels are dead and which are hot, shape (row, column), without the mask knowing."""
    chosen = np.random.Generator(np.random.Philox(key=[seed, 1])).random(shape)
    return chosen < part, chosen > 1 - HOT_OF_BAD * part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """What no blemish changes: masked pixels stay as they are, the others stop at a largest count."""

    is_masked: NDArray[np.bool_]
    """Shape (row, column)."""
    highest: int

    def add(self, frame: Frame, where: Any, counts: NDArray[np.integer]) -> None:
        """Add counts to the pixels ``frame[where]``, in place; an index may stand there once only."""
        total = np.minimum(frame[where].astype(np.int64) + counts, self.highest)
        frame[where] = np.where(self.is_masked[where], frame[where], total).astype(np.uint32)


def generator(*, seed: int, exposure: int, purpose: int) -> np.random.Generator:
    """Give the random numbers of one exposure and purpose."""
    return np.random.Generator(np.random.Philox(key=int(stream_key(seed, exposure, purpose))))


def add_zingers(frame: Frame, limits: Limits, *, mean: float, random: np.random.Generator) -> None:
    """Add stray particles, ``mean`` of them on average, each over a pixel and its neighbour."""
    for _ in range(int(random.poisson(mean))):
        row, column = int(random.integers(frame.shape[0])), int(random.integers(frame.shape[1] - PIXELS_OF_ZINGER))
        counts = np.exp(random.uniform(*np.log(ZINGER_COUNTS)))
        limits.add(frame, np.s_[row, column : column + PIXELS_OF_ZINGER], np.array(int(counts / PIXELS_OF_ZINGER)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flashes:
    """When and where the large grains of a sample diffract: one entry for each reflection in its moment."""

    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    """Rotation at which it flashes."""
    azimuth_rad: NDArray[np.float64]
    q: NDArray[np.float64]
    strength: NDArray[np.float64]
    """Counts at nominal beam when the grain is wholly in it, on the rotation at which it flashes."""


def draw_flashes(sample: Slice, *, n_grains: int, q_max: float, counts: float, seed: int) -> Flashes:
    """Draw grains where the sample has their material, and each one's reflections at random rotations and azimuths.

    A grain that is turned once about the rotation axis brings each of its reflections through the condition of diffraction
    twice, at random rotations where its orientation is random; ``counts`` is what the strongest reflection of a grain of
    GRAIN_MM gives.
    """
    random = np.random.Generator(np.random.Philox(key=[seed, 2]))
    materials = [name for name in sample.materials if name in CRYSTALS and np.any(sample.density_of(name) > 0)]
    columns: list[NDArray[np.float64]] = []
    for material in (materials[int(i)] for i in random.integers(len(materials), size=n_grains)) if materials else ():
        density = sample.density_of(material)
        row, column = np.unravel_index(int(random.choice(density.size, p=_normalised(density))), density.shape)
        lines = reflections(CRYSTALS[material], q_max=q_max)
        n = 2 * lines.q.size
        squared = np.tile(lines.intensity / lines.intensity.max(), 2)
        size = random.uniform(0.3, 1.0) ** 3
        place = np.array([[sample.axis_mm[column]], [sample.axis_mm[row]]]) * np.ones(n)
        turns = random.uniform([[0.0], [-np.pi]], [[360.0], [np.pi]], size=(2, n))
        columns.append(np.vstack([place, turns, np.tile(lines.q, 2), counts * size * squared]))
    x, y, angle, azimuth, q, strength = np.hstack(columns) if columns else np.zeros((6, 0))
    return Flashes(x_mm=x, y_mm=y, angle_deg=angle, azimuth_rad=azimuth, q=q, strength=strength)


def _normalised(density: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = density.astype(np.float64).ravel()
    return weights / weights.sum()


def add_spots(
    frame: Frame,
    limits: Limits,
    flashes: Flashes,
    beam: Beam,
    camera: Camera,
    *,
    has_parallax: bool,
    dose: float,
    random: np.random.Generator,
) -> None:
    """Add the spots that one exposure sees: Poisson counts around the place that the grain's depth gives."""
    angle = np.radians(beam.angle_deg)
    s = flashes.x_mm * np.cos(angle) + flashes.y_mm * np.sin(angle)
    reach = 0.5 * (beam.width_mm + beam.slit_mm) + beam.sigma_mm + 0.5 * GRAIN_MM
    met = np.flatnonzero(np.abs(s - beam.s_mm) < reach)
    off_deg = np.abs((flashes.angle_deg[met] - beam.angle_deg + 180) % 360 - 180)
    counts = dose * flashes.strength[met] * np.exp(-0.5 * (off_deg / ROCKING_DEG) ** 2)
    beam_row_m, beam_column_m = direct_beam_m(camera)
    for i, count in zip(met[counts > 0.5], counts[counts > 0.5], strict=True):
        z_mm = flashes.y_mm[i] * np.cos(angle) - flashes.x_mm[i] * np.sin(angle) if has_parallax else 0.0
        two_theta = 2 * np.arcsin(flashes.q[i] * camera.wavelength_angstrom / (4 * np.pi))
        radius_m = np.tan(two_theta) * (camera.distance_m - 1e-3 * z_mm)
        row = (beam_row_m + radius_m * np.sin(flashes.azimuth_rad[i])) / camera.pixel_m - 0.5
        column = (beam_column_m + radius_m * np.cos(flashes.azimuth_rad[i])) / camera.pixel_m - 0.5
        _add_spot(frame, limits, float(row), float(column), float(count), random)


def _add_spot(frame: Frame, limits: Limits, row: float, column: float, counts: float, random: np.random.Generator) -> None:
    """Add one spot; the parts of it beyond the detector's rim are lost."""
    rows = round(row) + np.arange(-SPOT_HALF_WIDTH, SPOT_HALF_WIDTH + 1)
    columns = round(column) + np.arange(-SPOT_HALF_WIDTH, SPOT_HALF_WIDTH + 1)
    shape = np.exp(-0.5 * ((rows[:, np.newaxis] - row) ** 2 + (columns - column) ** 2) / SPOT_PIXELS**2)
    drawn = random.poisson(counts / (2 * np.pi * SPOT_PIXELS**2) * shape)
    inside = np.ix_((rows >= 0) & (rows < frame.shape[0]), (columns >= 0) & (columns < frame.shape[1]))
    kept_rows, kept_columns = rows[inside[0].ravel()], columns[inside[1].ravel()]
    limits.add(frame, np.ix_(kept_rows, kept_columns), drawn[inside])
