"""Phases: receives CIF files, gives the powder pattern that one unit of mass of each phase scatters.

The templates are relative: one constant, the same for all phases, stands for beam, detector and Thomson scattering. So the
amounts that a fit with them finds are mass densities up to that constant, and weight fractions need no further factor.
"""

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from operando.errors import MissingInputError, ProfileError

Array = NDArray[np.float64]

GRAM_PER_CM3 = 1.66053906660
"""One dalton per cubic angstrom, g/cm3 (CODATA 2018)."""

_SAME_Q = 1e-6
"""Reflections whose q differ by less than this, relative, are one line; far below any resolution, far above rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Structure:
    """What the analysis needs of a crystal structure."""

    name: str
    q: Array
    """Reflections in ascending order, shape (n_reflections,), 1/angstrom."""
    strength: Array
    """m |F|^2 of each reflection, thermal motion included, shape (n_reflections,), electrons squared per cell."""
    volume_angstrom3: float
    """Volume of the unit cell."""
    mass_dalton: float
    """Mass of the unit cell."""
    n_carbon: float
    """Carbon atoms in the unit cell."""

    @property
    def density_g_cm3(self) -> float:
        """Density of the crystal."""
        return GRAM_PER_CM3 * self.mass_dalton / self.volume_angstrom3

    @property
    def mass_per_c6_dalton(self) -> float:
        """Mass that goes with six carbon atoms: 72.07 for graphite, 79.01 for LiC6."""
        return 6.0 * self.mass_dalton / self.n_carbon


def read_structure(path: Path, *, name: str, q_max: float) -> Structure:
    """Read a CIF file and list its reflections up to ``q_max`` (1/angstrom).

    Form factors are those of neutral atoms (International Tables 1992, as gemmi holds them); anomalous scattering is left out,
    less than 0.2 % of |F|^2 for 3d metals above 100 keV and growing towards their edges below 20 keV.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it holds no crystal structure.
    """
    structure = read_small_structure(path, name=name)
    sites = structure.get_all_unit_cell_sites()
    q, strength = _reflections(structure, sites, q_max=q_max)
    return Structure(
        name=name,
        q=q,
        strength=strength,
        volume_angstrom3=structure.cell.volume,
        mass_dalton=sum(site.occ * site.element.weight for site in sites),
        n_carbon=sum(site.occ for site in sites if site.element.name == "C"),
    )


def read_small_structure(path: Path, *, name: str) -> gemmi.SmallStructure:
    """Read the crystal structure of a CIF file.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it holds no crystal structure.
    """
    if not path.is_file():
        raise MissingInputError(f"phase {name}: no structure file {path}; correct the phase's cif in the profile")
    try:
        structure = gemmi.read_small_structure(str(path))
    except (RuntimeError, ValueError) as wrong:
        raise ProfileError(f"phase {name}: {path} is not a CIF file: {wrong}") from wrong
    if structure.spacegroup is None or not structure.sites or structure.cell.volume <= 1.0:
        raise ProfileError(f"phase {name}: {path} lacks cell, space group or atoms; give a CIF file with all three")
    return structure


def powder_template(structure: Structure, *, q_edges: Array, wavelength_angstrom: float, fwhm_deg: float) -> Array:
    """Give the intensity per unit solid angle that unit mass of a random powder scatters, averaged over each q bin.

    Integrated over two theta a reflection gives I = m |F|^2 / (V^2 sin(theta) sin(2 theta)) per unit volume of the phase
    (Warren, X-ray Diffraction, 1969, chapter 4, without constants; per steradian and without polarisation, which the
    integration has divided out). Its shape is a Gaussian of ``fwhm_deg`` in two theta. Shape (n_radial,), float64.
    """
    edges = two_theta_from_q(q_edges, wavelength_angstrom=wavelength_angstrom)
    centre = two_theta_from_q(structure.q, wavelength_angstrom=wavelength_angstrom)
    per_volume = structure.strength / (structure.volume_angstrom3**2 * np.sin(centre / 2) * np.sin(centre))
    sigma = np.deg2rad(fwhm_deg) / (2 * np.sqrt(2 * np.log(2)))
    below_edge = 0.5 * erf((edges[None, :] - centre[:, None]) / (np.sqrt(2) * sigma))
    mean_in_bin = np.diff(below_edge, axis=1) / np.diff(edges)
    template: Array = (per_volume @ mean_in_bin) / structure.density_g_cm3
    return template


def two_theta_from_q(q: Array, *, wavelength_angstrom: float) -> Array:
    """Give the scattering angle in radian of q in 1/angstrom."""
    two_theta: Array = 2 * np.arcsin(q * wavelength_angstrom / (4 * np.pi))
    return two_theta


def q_edges_from_centres(q: Array) -> Array:
    """Give the edges of equal bins with these centres, shape (n_radial + 1,), 1/angstrom."""
    step = (q[-1] - q[0]) / (q.size - 1)
    edges: Array = q[0] - step / 2 + step * np.arange(q.size + 1)
    return edges


def _reflections(structure: gemmi.SmallStructure, sites: gemmi.SmallStructure.SiteList, *, q_max: float) -> tuple[Array, Array]:
    # All hkl of the sphere, Friedel mates included: adding up |F|^2 at equal q does what a multiplicity would do.
    hkl = gemmi.make_miller_array(structure.cell, structure.spacegroup, 2 * np.pi / q_max, 0.0, False)
    if len(hkl) == 0:
        return np.empty(0), np.empty(0)
    q = 2 * np.pi * np.sqrt(structure.cell.calculate_1_d2_array(hkl))
    squared = np.abs(structure_factors(hkl, q, sites)) ** 2
    order = np.argsort(q)
    q, squared = q[order], squared[order]
    first = np.flatnonzero(np.r_[True, np.diff(q) > _SAME_Q * q[1:]])
    strength = np.add.reduceat(squared, first)
    is_seen = strength > 1e-9 * strength.max()
    return q[first][is_seen], strength[is_seen]


def structure_factors(hkl: NDArray[np.int32], q: Array, sites: gemmi.SmallStructure.SiteList) -> NDArray[np.complex128]:
    """Give the structure factors of reflections at ``q``, thermal motion included, shape (n_hkl,), electrons per cell."""
    # sin(theta) / lambda squared, the argument of form factors and of thermal motion exp(-8 pi^2 U s^2).
    s2 = (q / (4 * np.pi)) ** 2
    total = np.zeros(len(hkl), dtype=np.complex128)
    for site in sites:
        form_factor = np.array([site.element.it92.calculate_sf(value) for value in s2])
        motion = np.exp(-8 * np.pi**2 * site.u_iso * s2)
        phase = 2j * np.pi * (hkl @ np.array([site.fract.x, site.fract.y, site.fract.z]))
        total += site.occ * form_factor * motion * np.exp(phase)
    return total
