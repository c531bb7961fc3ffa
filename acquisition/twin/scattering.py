"""How strongly a gram of each material scatters into two theta: reflections, thermal diffuse, amorphous and Compton scattering.

All curves are differential cross-sections without the polarisation factor, which is the detector's business; cm^2/sr/g.
Absorption along the paths and the parallax of a deep sample are not here: they need the place of a voxel, not its material
(:mod:`acquisition.twin.deep`). Texture is in :mod:`acquisition.twin.curves`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xraydb
from numpy.typing import NDArray

from acquisition.twin.incoherent import incoherent_electrons
from acquisition.twin.phases import AMORPHOUS, CRYSTALS, WIDTHS_DEG, Amorphous
from acquisition.twin.structures import AVOGADRO_PER_MOL, CM3_PER_ANGSTROM3, Reflections, Structure, form_factor, reflections

CLASSICAL_RADIUS_CM2 = (2.8179403262e-13) ** 2
"""Square of the classical electron radius."""
LORENTZ_FRACTION = 0.1
"""Part of the area of a reflection that is Lorentzian."""
REACH_IN_WIDTHS = 60.0
"""Beyond this many full widths a reflection is cut: 0.05 % of its area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """Which kinds of smooth scattering there are; all, unless a study wants to see what one of them does."""

    halo: bool = True
    """Coherent scattering of what is not crystalline: separator, electrolyte, air."""
    compton: bool = True
    thermal: bool = True
    """What the Debye-Waller factors take from the reflections."""


ALL = Smooth()


def cross_section(
    material: str, two_theta_rad: NDArray[np.float64], *, wavelength_angstrom: float, smooth: Smooth = ALL
) -> NDArray[np.float64]:
    """Give the differential cross-section of a material at ``two_theta_rad``, shape (n,); cm^2/sr/g.

    Raises
    ------
    KeyError
        If the twin has no such material.
    """
    if material in AMORPHOUS:
        return _amorphous(AMORPHOUS[material], 4 * np.pi / wavelength_angstrom * np.sin(two_theta_rad / 2), smooth)
    structure = CRYSTALS[material]
    peaks = powder(structure, two_theta_rad, wavelength_angstrom=wavelength_angstrom, width_deg=WIDTHS_DEG[material])
    return peaks + diffuse(structure, two_theta_rad, wavelength_angstrom=wavelength_angstrom, smooth=smooth)


def diffuse(
    structure: Structure, two_theta_rad: NDArray[np.float64], *, wavelength_angstrom: float, smooth: Smooth = ALL
) -> NDArray[np.float64]:
    """Give what a crystal scatters outside its reflections at ``two_theta_rad``, shape (n,); cm^2/sr/g."""
    q = 4 * np.pi / wavelength_angstrom * np.sin(two_theta_rad / 2)
    thermal = _thermal_diffuse(structure, q) if smooth.thermal else np.zeros_like(q)
    return thermal + compton(structure.contents, q) if smooth.compton else thermal


def powder(
    structure: Structure, two_theta_rad: NDArray[np.float64], *, wavelength_angstrom: float, width_deg: float
) -> NDArray[np.float64]:
    """Give the reflections of a powder at ascending ``two_theta_rad``, shape (n,); cm^2/sr/g.

    The integral of a reflection over two theta is r_e^2 lambda^3 m |F|^2 / (8 pi Vcell^2 sin(theta) sin(2 theta)) for a unit of
    volume (Warren, X-ray Diffraction, chapter 4, with the polarisation factor taken out).
    """
    lines = reflections(structure, q_max=4 * np.pi / wavelength_angstrom * np.sin(two_theta_rad[-1] / 2))
    return draw_reflections(
        lines, structure, two_theta_rad, wavelength_angstrom=wavelength_angstrom, width_rad=np.radians(width_deg)
    )


def draw_reflections(
    lines: Reflections,
    structure: Structure,
    two_theta_rad: NDArray[np.float64],
    *,
    wavelength_angstrom: float,
    width_rad: float,
) -> NDArray[np.float64]:
    """Draw given reflections of a crystal as :func:`powder` does; their intensities may be weighted, and negative."""
    theta = np.arcsin(lines.q * wavelength_angstrom / (4 * np.pi))
    volume = structure.volume_angstrom3 * CM3_PER_ANGSTROM3
    per_volume = CLASSICAL_RADIUS_CM2 * (wavelength_angstrom * 1e-8) ** 3 / (8 * np.pi * volume**2)
    areas = per_volume / structure.density_g_cm3 * lines.intensity / (np.sin(theta) * np.sin(2 * theta))
    curve = np.zeros_like(two_theta_rad)
    for centre, area in zip(2 * theta, areas, strict=True):
        near = slice(
            *np.searchsorted(two_theta_rad, [centre - REACH_IN_WIDTHS * width_rad, centre + REACH_IN_WIDTHS * width_rad])
        )
        curve[near] += area * pseudo_voigt(two_theta_rad[near] - centre, width=width_rad)
    return curve


def pseudo_voigt(offset: NDArray[np.float64], *, width: float) -> NDArray[np.float64]:
    """Give a peak of unit area and full width at half maximum ``width``, in the unit of ``offset``."""
    gaussian = np.sqrt(4 * np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * (offset / width) ** 2)
    lorentzian = 2 / (np.pi * width) / (1 + (2 * offset / width) ** 2)
    return (1 - LORENTZ_FRACTION) * gaussian + LORENTZ_FRACTION * lorentzian


def compton(contents: Mapping[str, float], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give incoherent scattering of free atoms; cm^2/sr/g.

    The loss of energy is left out: 0.1 % at 6 degrees and 100 keV, 0.9 % at 40 degrees and 19 keV.
    """
    electrons = sum(count * incoherent_electrons(element, q) for element, count in contents.items())
    return np.asarray(electrons * _per_gram(contents))


def _thermal_diffuse(structure: Structure, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scatter outside the reflections what the Debye-Waller factors take from them (Einstein model)."""
    total = np.zeros_like(q)
    for site in structure.sites:
        lost = 1 - np.exp(-2 * site.b_iso * (q / (4 * np.pi)) ** 2)
        for element, occupancy in site.occupants.items():
            total += occupancy * len(site.positions) * form_factor(element, q) ** 2 * lost
    return total * _per_gram(structure.contents)


def _amorphous(material: Amorphous, q: NDArray[np.float64], smooth: Smooth) -> NDArray[np.float64]:
    recoil = compton(material.contents, q) if smooth.compton else np.zeros_like(q)
    if not smooth.halo:
        return recoil
    coherent = sum(count * form_factor(element, q) ** 2 for element, count in material.contents.items())
    # Correlations suppress scattering below the first maximum; the shape is a model.
    rise = 1 / (1 + np.exp(-(q - 0.75 * material.hump_q) / (0.1 * material.hump_q)))
    hump = material.hump_height * np.exp(-0.5 * ((q - material.hump_q) / material.hump_sigma_q) ** 2)
    return coherent * rise * (1 + hump) * _per_gram(material.contents) + recoil


def _per_gram(contents: Mapping[str, float]) -> float:
    grams_per_mol = sum(count * float(xraydb.atomic_mass(element)) for element, count in contents.items())
    return CLASSICAL_RADIUS_CM2 * AVOGADRO_PER_MOL / grams_per_mol
