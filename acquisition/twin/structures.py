"""Crystal structures of the twin's phases and their reflections: plain sums over the atoms of a unit cell.

Receives a structure, gives |F|^2 against q. Form factors are those of neutral atoms (Waasmaier and Kirfel, through xraydb),
without anomalous terms: at 100 keV f' of Cu is 0.03 electrons of 29, of Ce 0.12 of 58. The analysis has code of its own.
"""

from dataclasses import dataclass

import numpy as np
import xraydb
from numpy.typing import NDArray

AVOGADRO_PER_MOL = 6.02214076e23
CM3_PER_ANGSTROM3 = 1e-24


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Equivalent atoms of a unit cell."""

    occupants: dict[str, float]
    """Occupancy of each element."""
    b_iso: float
    """Debye-Waller factor B in exp(-B (sin(theta)/lambda)^2), angstrom^2."""
    positions: tuple[tuple[float, float, float], ...]
    """Fractional coordinates of every atom of the cell on this site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A crystal, cubic or hexagonal."""

    a_angstrom: float
    c_angstrom: float
    is_hexagonal: bool
    sites: tuple[Site, ...]

    @property
    def volume_angstrom3(self) -> float:
        """Volume of the unit cell."""
        return self.a_angstrom**2 * self.c_angstrom * (np.sqrt(0.75) if self.is_hexagonal else 1.0)

    @property
    def contents(self) -> dict[str, float]:
        """Atoms of each element in a unit cell."""
        atoms: dict[str, float] = {}
        for site in self.sites:
            for element, occupancy in site.occupants.items():
                atoms[element] = atoms.get(element, 0.0) + occupancy * len(site.positions)
        return atoms

    @property
    def mass_g(self) -> float:
        """Mass of a unit cell."""
        grams_per_mol = sum(count * float(xraydb.atomic_mass(element)) for element, count in self.contents.items())
        return grams_per_mol / AVOGADRO_PER_MOL

    @property
    def density_g_cm3(self) -> float:
        """Density of the perfect crystal."""
        return self.mass_g / (self.volume_angstrom3 * CM3_PER_ANGSTROM3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reflections:
    """All reflections of a crystal, those of equal q taken together."""

    q: NDArray[np.float64]
    """Ascending, shape (n,), 1/angstrom."""
    intensity: NDArray[np.float64]
    """Sum of |F|^2 over the hkl of this q (multiplicity times |F|^2), shape (n,), electrons^2."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diffraction:
    """Every hkl of a crystal by itself."""

    q: NDArray[np.float64]
    """Shape (n,), 1/angstrom."""
    squared: NDArray[np.float64]
    """|F|^2, shape (n,), electrons^2."""
    direction: NDArray[np.float64]
    """Unit vector of the scattering vector, shape (n, 3), on axes along a, in the plane of a and b, and along c."""


def diffraction(structure: Structure, *, q_max: float) -> Diffraction:
    """Give every hkl up to ``q_max``, 1/angstrom; what texture needs, since equal q may lie in different directions."""
    hkl = _indices(structure, q_max=q_max)
    q = 2 * np.pi / _spacing(structure, hkl)
    hkl, q = hkl[q <= q_max], q[q <= q_max]
    h, k, index_l = hkl.T.astype(np.float64)
    across = (h + 2 * k) / np.sqrt(3) if structure.is_hexagonal else k
    vector = np.stack([h / structure.a_angstrom, across / structure.a_angstrom, index_l / structure.c_angstrom], axis=-1)
    return Diffraction(
        q=q,
        squared=np.abs(_structure_factor(structure, hkl, q)) ** 2,
        direction=vector / np.linalg.norm(vector, axis=1, keepdims=True),
    )


def reflections(structure: Structure, *, q_max: float) -> Reflections:
    """Give the reflections of a crystal up to ``q_max``, 1/angstrom; extinct ones are left out."""
    every = diffraction(structure, q_max=q_max)
    groups, group_of = np.unique(np.round(every.q, 9), return_inverse=True)
    intensity = np.bincount(group_of, weights=every.squared, minlength=groups.size)
    is_visible = intensity > 1e-9 * intensity.max()
    return Reflections(q=groups[is_visible], intensity=intensity[is_visible])


def form_factor(element: str, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the form factor of a neutral atom at ``q``, shape (n,), 1/angstrom; electrons."""
    return np.asarray(xraydb.f0(element, np.atleast_1d(q) / (4 * np.pi)), dtype=np.float64)


def _indices(structure: Structure, *, q_max: float) -> NDArray[np.int64]:
    reach_a = int(q_max * structure.a_angstrom / (2 * np.pi) * (2 / np.sqrt(3) if structure.is_hexagonal else 1)) + 1
    reach_c = int(q_max * structure.c_angstrom / (2 * np.pi)) + 1
    axes = (np.arange(-reach_a, reach_a + 1), np.arange(-reach_a, reach_a + 1), np.arange(-reach_c, reach_c + 1))
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return hkl[np.any(hkl != 0, axis=1)]


def _spacing(structure: Structure, hkl: NDArray[np.int64]) -> NDArray[np.float64]:
    h, k, index_l = hkl.T.astype(np.float64)
    in_plane = 4 / 3 * (h * h + h * k + k * k) if structure.is_hexagonal else h * h + k * k
    return 1 / np.sqrt(in_plane / structure.a_angstrom**2 + index_l**2 / structure.c_angstrom**2)


def _structure_factor(structure: Structure, hkl: NDArray[np.int64], q: NDArray[np.float64]) -> NDArray[np.complex128]:
    total = np.zeros(q.shape, dtype=np.complex128)
    # Few different q, many hkl: form factors are looked up once for each.
    distinct, which = np.unique(np.round(q, 9), return_inverse=True)
    for site in structure.sites:
        phases = np.exp(2j * np.pi * (hkl @ np.asarray(site.positions, dtype=np.float64).T)).sum(axis=1)
        atom = sum(occupancy * form_factor(element, distinct)[which] for element, occupancy in site.occupants.items())
        total += phases * atom * np.exp(-site.b_iso * (q / (4 * np.pi)) ** 2)
    return total
