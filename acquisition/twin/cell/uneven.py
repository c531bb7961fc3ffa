"""How a wound cell differs from place to place: fields over its voxels, drawn from a seed.

Modelled, not measured: sizes and shapes are such as maps of working cells show.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.rolls import RollMake
from acquisition.twin.cell.spiral import Layer
from acquisition.twin.cell.voxels import Voxels

Field = NDArray[np.float64]

N_BLOBS = 14
"""That the dead regions are made of."""
MOST_SECONDARY = 0.9
"""Of the cathode at any place."""
TAB_SHARPNESS = 3.0
"""Of the sector in which the tab's lag is felt: half of it is gone 39 degrees away."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unevenness:
    """Fields over the voxels, each of shape (y, x)."""

    lag: Field
    """How far a place is behind its electrode's mean, in units of what that changed in the last hour."""
    loading: Field
    """Density of the coatings beside their mean."""
    secondary: Field
    """Part of the cathode that is inactive."""
    is_dead: NDArray[np.bool_]
    """Where the cell no longer takes part."""


def draw_unevenness(make: RollMake, voxels: Voxels, *, seed: int) -> Unevenness:
    """Draw what is uneven in a roll; the same seed gives the same."""
    random = np.random.Generator(np.random.Philox(key=seed))
    radius, angle = voxels.polar
    phase = random.uniform(0, 2 * np.pi)
    places = _places(make, random, make.n_spots)
    spots = _blobs(voxels, places, np.full(make.n_spots, make.spot_mm))
    return Unevenness(
        lag=_lag(make, radius, angle),
        loading=1 + make.loading * np.sin(2 * angle + phase),
        secondary=_secondary(spots, cathode=voxels.parts[Layer.CATHODE_IN] + voxels.parts[Layer.CATHODE_OUT], make=make),
        is_dead=_dead(make, voxels, random),
    )


def _secondary(spots: Field, *, cathode: Field, make: RollMake) -> Field:
    """Scale spots for the whole cathode to hold the make's part of inactive oxide."""
    if make.secondary_part == 0:
        return np.zeros_like(spots)
    mean = float((spots * cathode).sum() / cathode.sum())
    return np.clip(spots * (make.secondary_part / mean), 0, MOST_SECONDARY)


def _lag(make: RollMake, radius: Field, angle: Field) -> Field:
    spiral = make.spiral
    lag = make.lag_can * np.exp((radius - spiral.inner_mm) / make.lag_reach_mm)
    lag = lag + make.lag_core * np.exp((spiral.core_mm - radius) / make.lag_reach_mm)
    if spiral.al_tab is not None:
        lag = lag + make.lag_tab * np.exp(TAB_SHARPNESS * (np.cos(angle - spiral.angle_of(spiral.al_tab.turn)) - 1))
    return lag


def _dead(make: RollMake, voxels: Voxels, random: np.random.Generator) -> NDArray[np.bool_]:
    """Choose the highest places of a sum of blobs, so many that the dead part of the faced anode is that of the make."""
    reach_mm = 0.15 * make.spiral.roll_mm
    height = _blobs(voxels, _places(make, random, N_BLOBS), random.uniform(0.5, 1.5, N_BLOBS) * reach_mm)
    if make.cell.living >= 1 or not make.has_dead_regions:
        return np.zeros(height.shape, dtype=np.bool_)
    amount = np.bincount(voxels.anode.voxel, weights=voxels.anode.part, minlength=height.size)
    order = np.argsort(-height, axis=None)
    is_dead = np.zeros(height.size, dtype=np.bool_)
    is_dead[order[np.cumsum(amount[order]) <= (1 - make.cell.living) * amount.sum()]] = True
    return is_dead.reshape(height.shape)


def _places(make: RollMake, random: np.random.Generator, n: int) -> tuple[Field, Field]:
    """Draw places in the wound part, uniform over its area, shape (n,) each, mm."""
    radius = np.sqrt(random.uniform((1.2 * make.spiral.core_mm) ** 2, (0.95 * make.spiral.roll_mm) ** 2, n))
    angle = random.uniform(0, 2 * np.pi, n)
    return radius * np.cos(angle), radius * np.sin(angle)


def _blobs(voxels: Voxels, places: tuple[Field, Field], sigma_mm: Field) -> Field:
    axis = (np.arange(voxels.n) - (voxels.n - 1) / 2) * voxels.voxel_mm
    height = np.zeros((voxels.n, voxels.n))
    for x_mm, y_mm, sigma in zip(*places, sigma_mm, strict=True):
        along_x, along_y = (np.exp(-(((axis - centre) / sigma) ** 2) / 2) for centre in (x_mm, y_mm))
        height += along_y[:, np.newaxis] * along_x
    return height
