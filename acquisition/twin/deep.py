"""What a beam meets, and how deep: mass in each channel and each layer of depth, with what the way through the sample takes.

Receives a slice whose voxels know state, normal and attenuation; gives sums along one beam. A beam at ``s`` passes the sample
where s = x cos(angle) + y sin(angle), and meets a voxel at the depth z = -x sin(angle) + y cos(angle), downstream positive.
Everything runs on one thread in a fixed order: the same beam gives the same bytes.
"""

from dataclasses import dataclass

import numpy as np
from numba import float32, float64, int64, njit, void
from numba.types import UniTuple
from numpy.typing import NDArray

from acquisition.twin.curves import Curves, state_places
from acquisition.twin.footprint import Beam, beam_profile, look_up, shadow_table
from acquisition.twin.projector import MM_PER_CM
from acquisition.twin.slice import Slice
from acquisition.twin.texture import N_HARMONICS

FEWEST_RAYS, MOST_RAYS = 9, 129
"""Rays across a beam for the transmission, two voxels apart within these numbers; between them it is interpolated."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voxels:
    """A slice made ready for the projector; read-only, shared by all threads."""

    density: NDArray[np.float32]
    """Shape (y, x, material), g/cm3."""
    voxel_mm: float
    places: NDArray[np.float32]
    """Place among the states of a material, shape (y, x, variable material)."""
    twice_normal: NDArray[np.float32]
    """Cosine and sine of twice the normal's direction, shape (y, x, 2)."""
    attenuation: NDArray[np.float32]
    """Shape (y, x), 1/mm; all zero where nothing is absorbed."""
    plan: NDArray[np.int64]
    """Of each material: first channel among all, number of states, column of ``places`` or -1, channels of a state."""
    n_channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """How depth is divided: linear weights between neighbouring planes keep the mean depth exact."""

    first_mm: float
    step_mm: float
    n: int

    @property
    def depth_mm(self) -> NDArray[np.float64]:
        """Depth of the planes, shape (layer,)."""
        return np.asarray(self.first_mm + self.step_mm * np.arange(self.n), dtype=np.float64)


def make_voxels(sample: Slice, curves: Curves, attenuation: NDArray[np.float32]) -> Voxels:
    """Make a slice ready; without a normal of its own the layers' normal is radial."""
    places, column_of = state_places(sample, curves)
    normal = sample.normal_rad
    if normal is None:
        axis = sample.axis_mm
        normal = np.arctan2(axis[:, np.newaxis], axis[np.newaxis, :])
    n_plain = curves.plain.shape[0]
    plan = np.array(
        [
            (
                material.first_channel + (n_plain if material.is_textured else 0),
                material.lithium.size,
                column_of[index],
                N_HARMONICS if material.is_textured else 1,
            )
            for index, material in enumerate(curves.materials)
        ],
        dtype=np.int64,
    )
    return Voxels(
        density=sample.density_g_cm3,
        voxel_mm=sample.voxel_mm,
        places=places,
        twice_normal=np.stack([np.cos(2 * normal), np.sin(2 * normal)], axis=-1).astype(np.float32),
        attenuation=np.ascontiguousarray(attenuation, dtype=np.float32),
        plan=plan,
        n_channels=n_plain + curves.textured.shape[0],
    )


def transmissions(voxels: Voxels, beam: Beam) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give even places across the beam, as far as there is anything, mm, and the transmission of the straight ray at each.

    Beyond the first and the last place the transmission is that of the nearest.
    """
    edge = 0.75 * voxels.density.shape[0] * voxels.voxel_mm
    reach = beam.reach_mm + voxels.voxel_mm
    low, high = np.clip([beam.s_mm - reach, beam.s_mm + reach], -edge, edge)
    n = int(np.clip((high - low) / (2 * voxels.voxel_mm), FEWEST_RAYS, MOST_RAYS))
    across = low + np.arange(n) * (max(high - low, voxels.voxel_mm) / (n - 1))
    angle = np.radians(beam.angle_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    paths = [path_integral(voxels.attenuation, voxels.voxel_mm, cosine, sine, s, -edge, 0.0) for s in across]
    return across, np.exp(-np.array(paths))


def mean_transmission(voxels: Voxels, beam: Beam) -> float:
    """Give the part of the beam that passes the sample straight on."""
    places, part = beam_profile(beam.width_mm, beam.sigma_mm, beam.slit_mm)
    return float(part @ np.interp(beam.s_mm + places, *transmissions(voxels, beam)))


def channel_masses(voxels: Voxels, beam: Beam, layers: Layers) -> NDArray[np.float64]:
    """Give the mass per area in each channel and layer, times the ray's transmission; shape (layer, channel), g/cm2."""
    angle = np.radians(beam.angle_deg)
    across, transmission = transmissions(voxels, beam)
    out = np.zeros((layers.n, voxels.n_channels))
    below, reach = shadow_table(beam.angle_deg, voxels.voxel_mm, beam.sigma_mm, beam.slit_mm)
    _deposit(
        voxels.density,
        voxels.places,
        voxels.twice_normal,
        voxels.plan,
        voxels.voxel_mm,
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([beam.s_mm - beam.width_mm / 2, beam.s_mm + beam.width_mm / 2]),
        below,
        reach,
        np.array([across[0], across[1] - across[0]]),
        transmission,
        np.array([layers.first_mm, layers.step_mm]),
        out,
    )
    return out * (voxels.voxel_mm**2 / (beam.width_mm * MM_PER_CM))


@njit(float64(float32[:, ::1], float64, float64, float64, float64, float64, float64), cache=True, nogil=True)
def path_integral(
    values: NDArray[np.float32], voxel: float, cosine: float, sine: float, s: float, z: float, slope: float
) -> float:
    """Integrate ``values`` over z along a ray from (s, z) that gains ``slope`` in s for each mm downstream; bilinear."""
    n = values.shape[0]
    centre = 0.5 * (n - 1)
    end = 0.75 * n * voxel
    total = 0.0
    along = z + 0.5 * voxel
    while along < end:
        across = s + slope * (along - z)
        column = (across * cosine - along * sine) / voxel + centre
        row = (across * sine + along * cosine) / voxel + centre
        if 0 <= row < n - 1 and 0 <= column < n - 1:
            i, j = int(row), int(column)
            a, b = row - i, column - j
            upper = values[i + 1, j] * (1 - b) + values[i + 1, j + 1] * b
            total += (values[i, j] * (1 - b) + values[i, j + 1] * b) * (1 - a) + upper * a
        along += voxel
    return total * voxel


@njit(void(float64, float64[::1], float64[::1]), cache=True, nogil=True)
def _add_moments(weight: float, moments: NDArray[np.float64], channels: NDArray[np.float64]) -> None:
    for j in range(N_HARMONICS):
        channels[j] += weight * moments[j]


@njit(void(float64, float64[::1], int64[::1], float32[::1], int64, float64, float64[:, ::1]), cache=True, nogil=True)
def _spread(
    mass: float,
    moments: NDArray[np.float64],
    plan: NDArray[np.int64],
    places: NDArray[np.float32],
    layer: int,
    deeper: float,
    out: NDArray[np.float64],
) -> None:
    """Add a mass, times its direction's moments, to the two states around its place, in the two layers around its depth."""
    first, n_states, column, n_moments = plan
    state, further = 0, 0.0
    if n_states > 1:
        place = min(max(float64(places[column]), 0.0), n_states - 1.000001)
        state = int(place)
        further = place - state
    first += state * n_moments
    for step in range(2 if deeper > 0 else 1):
        part = mass * (deeper if step else 1 - deeper)
        channels = out[layer + step]
        if n_moments == 1:
            channels[first] += part * (1 - further)
            if further > 0:
                channels[first + 1] += part * further
            continue
        _add_moments(part * (1 - further), moments, channels[first : first + N_HARMONICS])
        if further > 0:
            _add_moments(part * further, moments, channels[first + N_HARMONICS : first + 2 * N_HARMONICS])


@njit(void(float64, float64[::1]), cache=True, nogil=True)
def _fill_moments(twice_cosine: float, moments: NDArray[np.float64]) -> None:
    """Write cos(2 j psi) for each j, by Chebyshev's recurrence from 2 cos(2 psi)."""
    before, now = 0.5 * twice_cosine, 1.0
    for j in range(moments.size):
        moments[j] = now
        before, now = now, twice_cosine * now - before


@njit(UniTuple(int64, 2)(float64, float64, float64, float64, float64, int64), cache=True, nogil=True, error_model="numpy")
def _columns_met(low: float, high: float, along: float, cosine: float, voxel: float, n: int) -> tuple[int, int]:
    """Give first and last column, exclusive, of a row whose voxels may lie between ``low`` and ``high``; a few too many."""
    if abs(cosine) * n * voxel < 1e-6:
        return 0, n
    ends = ((low - along) / cosine / voxel, (high - along) / cosine / voxel)
    first = min(max(min(ends) + 0.5 * (n - 1) - 1, 0.0), float64(n))
    last = min(max(max(ends) + 0.5 * (n - 1) + 2, 0.0), float64(n))
    return int(first), int(last)


@njit(
    void(
        float32[:, :, ::1],
        float32[:, :, ::1],
        float32[:, :, ::1],
        int64[:, ::1],
        float64,
        float64[::1],
        float64[::1],
        float64[::1],
        float64,
        float64[::1],
        float64[::1],
        float64[::1],
        float64[:, ::1],
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _deposit(
    density: NDArray[np.float32],
    places: NDArray[np.float32],
    twice_normal: NDArray[np.float32],
    plan: NDArray[np.int64],
    voxel: float,
    turn: NDArray[np.float64],
    strip: NDArray[np.float64],
    below: NDArray[np.float64],
    reach: float,
    rays: NDArray[np.float64],
    transmission: NDArray[np.float64],
    depth: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add every voxel of the strip to the two layers around its depth and the two states around its place."""
    n_y, n_x, n_materials = density.shape
    cosine, sine = turn
    n_layers = out.shape[0]
    cosine_2, sine_2 = cosine * cosine - sine * sine, 2 * sine * cosine
    moments = np.empty(N_HARMONICS)
    for row in range(n_y):
        y = (row - 0.5 * (n_y - 1)) * voxel
        for column in range(*_columns_met(strip[0] - reach, strip[1] + reach, y * sine, cosine, voxel, n_x)):
            x = (column - 0.5 * (n_x - 1)) * voxel
            s = x * cosine + y * sine
            if s + reach <= strip[0] or s - reach >= strip[1]:
                continue
            share = look_up(strip[1] - s, below, reach) - look_up(strip[0] - s, below, reach)
            at = min(max((s - rays[0]) / rays[1], 0.0), transmission.size - 1.000001)
            share *= transmission[int(at)] + (at - int(at)) * (transmission[int(at) + 1] - transmission[int(at)])
            layer, deeper = 0, 0.0
            if n_layers > 1:
                place = min(max((y * cosine - x * sine - depth[0]) / depth[1], 0.0), n_layers - 1.000001)
                layer = int(place)
                deeper = place - layer
            _fill_moments(2 * (twice_normal[row, column, 0] * cosine_2 + twice_normal[row, column, 1] * sine_2), moments)
            for material in range(n_materials):
                mass = share * density[row, column, material]
                if mass == 0.0:
                    continue
                _spread(mass, moments, plan[material], places[row, column], layer, deeper, out)
