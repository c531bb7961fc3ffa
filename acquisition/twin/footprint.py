"""How a beam is spread across the rotation axis: what part of it passes a voxel, and where its middle and flanks are.

While the gate is open the beam sweeps a strip; blurred by the beam's own width, Gaussian or with sharp edges as slits make it,
that is its footprint. A voxel's shadow is a trapezoid; here it is blurred once for each angle, on a table that the projector
looks up, so that a beam much wider than a voxel costs no more than one much narrower.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numba import float64, njit, void
from numpy.typing import NDArray
from scipy.special import erf

from acquisition.twin.projector import part_below

N_CELLS = 1024
"""Of a table: linear interpolation between its points is wrong by less than 1e-5 of a voxel, or of a beam that is wider."""
LEAST_BLUR = 1e-3
"""Of a voxel's shadow: a beam narrower than this is none."""
SIGMAS = 6.0
"""Where a Gaussian beam ends: what lies beyond is 2e-9 of it."""
N_PROFILE = 257

Field = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """Where one exposure looks."""

    s_mm: float
    angle_deg: float
    width_mm: float
    """Of the strip that the beam's middle sweeps while the gate is open."""
    sigma_mm: float = 0.0
    """Of a Gaussian beam; 0 where it has none or ``slit_mm`` is given."""
    slit_mm: float = 0.0
    """Width of a beam with sharp edges."""

    @property
    def blur_mm(self) -> float:
        """How far from its middle the beam reaches."""
        return max(SIGMAS * self.sigma_mm, 0.5 * self.slit_mm)

    @property
    def reach_mm(self) -> float:
        """How far from ``s_mm`` anything of this exposure is."""
        return 0.5 * self.width_mm + self.blur_mm


@functools.lru_cache(maxsize=512)
def shadow_table(angle_deg: float, voxel_mm: float, sigma_mm: float, slit_mm: float) -> tuple[Field, float]:
    """Give the part of a voxel's blurred shadow that lies below t, at even t from -reach to reach.

    Returns
    -------
    below
        From 0 to 1, shape (N_CELLS + 1,).
    reach
        mm.
    """
    angle = np.radians(angle_deg)
    cosine, sine = abs(np.cos(angle)), abs(np.sin(angle))
    outer, inner = 0.5 * (cosine + sine) * voxel_mm, 0.5 * abs(cosine - sine) * voxel_mm
    blur = max(SIGMAS * sigma_mm, 0.5 * slit_mm)
    blur = blur if blur > LEAST_BLUR * outer else 0.0
    reach = 1.01 * (outer + blur) if blur > 0 else outer  # With room for the whole kernel.
    below = np.empty(N_CELLS + 1)
    _fill(np.linspace(-reach, reach, N_CELLS + 1), outer, inner, below)
    if blur > 0:
        below[1:] = np.cumsum(np.convolve(np.diff(below), _kernel(2 * reach / N_CELLS, sigma_mm, slit_mm), mode="same"))
        below /= below[-1]
    return below, float(reach)


@functools.lru_cache(maxsize=16)
def beam_profile(width_mm: float, sigma_mm: float, slit_mm: float) -> tuple[Field, Field]:
    """Give places across a beam, mm from its middle, and the part of it that is at each: both of shape (N_PROFILE,)."""
    reach = 0.5 * width_mm + max(SIGMAS * sigma_mm, 0.5 * slit_mm)
    edges = np.linspace(-reach, reach, N_PROFILE + 1)
    places = 0.5 * (edges[1:] + edges[:-1])
    if sigma_mm > 0:
        part = erf((places + 0.5 * width_mm) / (np.sqrt(2) * sigma_mm)) - erf(
            (places - 0.5 * width_mm) / (np.sqrt(2) * sigma_mm)
        )
    else:
        half_slit, half_strip = 0.5 * slit_mm, 0.5 * width_mm
        overlap = np.minimum(places + half_slit, half_strip) - np.maximum(places - half_slit, -half_strip)
        part = np.clip(overlap, 0, None) if slit_mm > 0 else np.ones(N_PROFILE)
    return places, part / part.sum()


def _kernel(step_mm: float, sigma_mm: float, slit_mm: float) -> Field:
    """Give the beam on cells of a table, symmetric and of odd length."""
    n = int(np.ceil(max(SIGMAS * sigma_mm, 0.5 * slit_mm) / step_mm))
    at = step_mm * np.arange(-n, n + 1)
    if slit_mm > 0:
        kernel = np.clip(0.5 * (slit_mm + step_mm) - np.abs(at), 0, step_mm)
    else:
        kernel = np.exp(-0.5 * (at / sigma_mm) ** 2)
    return np.asarray(kernel / kernel.sum())


@njit(void(float64[::1], float64, float64, float64[::1]), cache=True, nogil=True)
def _fill(at: Field, outer: float, inner: float, below: Field) -> None:
    for i in range(at.size):
        below[i] = part_below(at[i], outer, inner)


@njit(float64(float64, float64[::1], float64), cache=True, nogil=True)
def look_up(t: float, below: Field, reach: float) -> float:
    """Part of a blurred shadow below ``t``."""
    place = (t + reach) * ((below.size - 1) / (2 * reach))
    if place <= 0:
        return 0.0
    if place >= below.size - 1:
        return 1.0
    cell = int(place)
    return below[cell] + (place - cell) * (below[cell + 1] - below[cell])
