"""Attenuation that the phase maps imply: receives amounts, gives linear attenuation and with it the gain of every ray.

Amounts are densities in an unknown unit. What the unit is, a transmission measured through the rotation axis says; without one,
the assumption that crystals fill a stated part of the densest places. Electrolyte, binder and separator diffract nothing and
are not in it: at 100 keV they are a tenth of a jelly roll's attenuation, which a measured transmission puts back in the mean.
"""

from dataclasses import dataclass

import numpy as np
import xraydb
from numpy.typing import NDArray

from operando.errors import ProfileError
from operando.profile import Profile
from operando.profile.correction import Correction
from streaming.channels import wavelength_of
from streaming.correct.transmission import LEAST_TRANSMISSION, transmission_of_map
from streaming.phases import read_small_structure
from streaming.projection import Rays

Array = NDArray[np.float64]

HC_EV_ANGSTROM = 12398.419843320026
_DENSEST_PERCENTILE = 95.0
_LEAST_PART = 0.05
"""Of the densest places, below which a voxel holds nothing but streaks."""
_N_ANGLES = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseAttenuation:
    """What a unit of each phase attenuates."""

    per_mass_cm2_g: Array
    """Total mass attenuation, coherent scattering included, shape (n_phases,)."""
    density_g_cm3: Array
    """Of the crystals, shape (n_phases,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attenuation:
    """A map of linear attenuation about the rotation axis."""

    per_mm: Array
    """Shape (y, x), 1/mm."""
    pixel_mm: float
    density_from: str
    """What the unit of the amounts was taken from, in words."""

    def gain(self, angle_deg: float, *, first_s_mm: float, step_mm: float, n_points: int) -> Array:
        """Give 1 / transmission of the rays of a line, shape (n_points,)."""
        rays = self._rays(np.array([angle_deg]), first_s_mm=first_s_mm, step_mm=step_mm, n_points=n_points)
        gain: Array = 1 / np.maximum(transmission_of_map(self.per_mm, rays)[0], LEAST_TRANSMISSION)
        return gain

    def _rays(self, angles_deg: Array, *, first_s_mm: float, step_mm: float, n_points: int) -> Rays:
        return Rays(
            angles_deg=angles_deg,
            first_s_mm=first_s_mm,
            step_mm=step_mm,
            n_points=n_points,
            pixel_mm=self.pixel_mm,
            n_voxels=self.per_mm.shape[0],
        )


def phase_attenuation(profile: Profile) -> PhaseAttenuation:
    """Read what the phases of a profile attenuate at its energy, by xraydb (Elam's tables).

    Raises
    ------
    ProfileError
        If an element has no value there.
    """
    energy_ev = HC_EV_ANGSTROM / wavelength_of(profile)
    per_mass, density = [], []
    for phase in profile.phases:
        structure = read_small_structure(profile.path(phase.cif), name=phase.name)
        grams: dict[str, float] = {}
        for site in structure.get_all_unit_cell_sites():
            grams[site.element.name] = grams.get(site.element.name, 0.0) + site.occ * site.element.weight
        try:
            mu = {element: float(xraydb.mu_elam(element, energy_ev, kind="total")) for element in grams}
        except Exception as wrong:  # xraydb raises whatever its tables trip over
            raise ProfileError(f"phases.{phase.name}: no attenuation at {energy_ev:.0f} eV: {wrong}") from wrong
        mass = sum(grams.values())
        per_mass.append(sum(grams[element] * mu[element] for element in grams) / mass)
        density.append(1.66053906660 * mass / structure.cell.volume)
    return PhaseAttenuation(per_mass_cm2_g=np.array(per_mass), density_g_cm3=np.array(density))


def attenuation_from_amounts(
    amounts: Array, *, phases: PhaseAttenuation, pixel_mm: float, correction: Correction, is_first: bool = False
) -> Attenuation | None:
    """Give the attenuation that amounts imply; None where there is nothing of any phase.

    Parameters
    ----------
    amounts
        Relative densities, shape (y, x, phase); NaN counts as nothing.
    phases
        What each phase attenuates.
    pixel_mm
        Edge of a voxel.
    correction
        Says what the unit of the amounts is taken from.
    is_first
        Whether the amounts still lack the correction: they are then too small in the middle, and the sample is better taken
        for uniform.
    """
    # Corners are seen from some angles only; what stands there is no sample.
    axis = np.arange(amounts.shape[0]) - (amounts.shape[0] - 1) / 2
    is_seen = np.hypot(axis[:, None], axis[None, :]) <= amounts.shape[0] / 2
    held = np.where(is_seen[..., None], np.maximum(np.nan_to_num(amounts), 0.0), 0.0)
    relative = 0.1 * held @ phases.per_mass_cm2_g
    volume = held @ (1 / phases.density_g_cm3)
    if not (volume > 0).any():
        return None
    densest = float(np.percentile(volume[volume > 0.01 * volume.max()], _DENSEST_PERCENTILE))
    # Streaks beside the sample are none of it.
    is_sample = volume > _LEAST_PART * densest
    relative = np.where(is_sample, relative, 0.0)
    if is_first:
        relative = np.where(is_sample, relative[is_sample].mean(), 0.0)
    if correction.transmission_middle is not None:
        middle = Rays(
            angles_deg=np.arange(_N_ANGLES) * 180.0 / _N_ANGLES,
            first_s_mm=0.0,
            step_mm=pixel_mm,
            n_points=1,
            pixel_mm=pixel_mm,
            n_voxels=relative.shape[0],
        )
        scale = -np.log(correction.transmission_middle) / float(middle.project(relative[..., None]).mean())
        words = f"the transmission of {correction.transmission_middle:g} measured through the axis"
    else:
        scale = correction.fill / densest
        words = f"crystals filling {100 * correction.fill:.0f} % of the densest places, assumed"
    return Attenuation(per_mm=relative * scale, pixel_mm=pixel_mm, density_from=words)
