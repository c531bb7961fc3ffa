"""Texture: receives how a phase's crystals lie, gives by what factor each of its reflections is stronger than that of a powder.

Coated, rolled and calendered layers are fibres: one crystal axis is spread about the layers' normal, the crystals are turned
about it at random. In a wound cell the normal lies in the slice and turns with the sample. In a window of azimuth about the
rotation axis the scattering vector stands on the normal at every rotation: a voxel is then as bright at all angles, only not as
bright as a powder, and that by another factor for each reflection. In other windows it flashes twice a turn and the
reconstruction makes a false fall-off along the radius of it; the factor is then that of the mean over the turn.

The scattering vector is taken to lie in the detector's plane: it is tilted by half of two theta, a degree at 100 keV.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operando.profile import Phase, Profile
from streaming.refine.crystal import Crystal

Array = NDArray[np.float64]

Fibre = tuple[int, int, int]
"""Indices of the lattice planes that lie along the layers."""
Window = tuple[float, float]
"""Centre and half width of a window of azimuth, degrees from the projected rotation axis."""

FULL_RING: Window = (0.0, 90.0)
_N_BETA, _N_TURN, _N_ETA, _N_PSI = 46, 48, 12, 24
"""Nodes: twice as many change a factor by less than 0.1 % down to a March parameter of 0.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """The March parameters of the fibres of a sample, and the window of azimuth that they are seen through."""

    window: Window = FULL_RING
    march: Mapping[Fibre, float]
    """1 is random; below 1 the axis is preferred along the normal."""

    def of(self, crystal: Crystal, phase: Phase) -> Crystal:
        """Give a crystal with the strengths of its texture; as it is, if the phase has none."""
        if phase.fibre is None:
            return crystal
        march = phase.march or self.march.get(phase.fibre, 1.0)
        if march == 1.0:
            return crystal
        factor = fibre_factors(crystal.cosine_to(phase.fibre), march=march, window=self.window)
        weighted = factor * crystal.member_strength
        strength = np.bincount(crystal.member, weights=weighted, minlength=crystal.strength.size).astype(np.float64)
        return replace(crystal, strength=strength)


def window_of(profile: Profile) -> Window:
    """Give the window of azimuth that a profile analyses."""
    return profile.integration.sector or FULL_RING


def march_density(cosine: Array, march: float) -> Array:
    """Give the density of an axis at an angle from the normal, 1 on average over the sphere.

    W = (r^2 cos^2 + sin^2 / r)^(-3/2): W. A. Dollase, J. Appl. Cryst. 19 (1986) 267, eq. 4.
    """
    squared = cosine**2
    density: Array = (march**2 * squared + (1 - squared) / march) ** -1.5
    return density


def fibre_factors(cosine_beta: Array, *, march: float, window: Window = FULL_RING) -> Array:
    """Give the mean density of poles, 1 for a powder, of planes whose normals stand at beta from the fibre's axis.

    With the scattering vector at alpha from the layers' normal, the axis lies on a cone of half angle beta about it:
    its cosine to the normal is cos(beta) cos(alpha) + sin(beta) sin(alpha) cos(phi), phi taking all values alike. At eta from
    the rotation axis and psi from where the normal stands across the beam, cos(alpha) = sin(eta) cos(psi).
    """
    nodes, factors = _table(round(march, 6), window)
    interpolated: Array = np.interp(np.abs(cosine_beta), nodes, factors)
    return interpolated


@functools.lru_cache(maxsize=256)
def _table(march: float, window: Window) -> tuple[Array, Array]:
    centre_deg, half_width_deg = window
    beta = np.linspace(np.pi / 2, 0, _N_BETA)
    turn = np.pi * (np.arange(_N_TURN) + 0.5) / _N_TURN
    eta = np.deg2rad(centre_deg + half_width_deg * (2 * (np.arange(_N_ETA) + 0.5) / _N_ETA - 1))
    psi = np.pi * (np.arange(_N_PSI) + 0.5) / _N_PSI
    cosine = np.outer(np.sin(eta), np.cos(psi)).ravel()
    sine = np.sqrt(1 - cosine**2)
    factors = np.empty(_N_BETA)
    for k, angle in enumerate(beta):
        across = np.sin(angle) * sine[:, None] * np.cos(turn)
        factors[k] = march_density(np.cos(angle) * cosine[:, None] + across, march).mean()
    return np.cos(beta), factors
