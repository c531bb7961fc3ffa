"""An input for TOPAS: the patterns of voxels with wavelength and all phases, as an ``.inp`` to begin from.

Written after the macros of TOPAS 5 and later; there is no copy of TOPAS to try it with. ``LP_Factor(90)`` leaves the Lorentz
factor alone, since the patterns are corrected for polarisation.
"""

from collections.abc import Sequence
from pathlib import Path

import gemmi

from operando.profile import Phase, Profile
from streaming.phases import read_small_structure

_ONE_LENGTH, _TWO_LENGTHS = {"cubic": "Cubic"}, {"hexagonal": "Hexagonal", "trigonal": "Hexagonal", "tetragonal": "Tetragonal"}


def topas_input(profile: Profile, patterns: Sequence[str], *, wavelength_angstrom: float) -> str:
    """Give the content of an ``.inp`` that fits every pattern with all phases of a profile.

    Parameters
    ----------
    profile
        Names the phases.
    patterns
        Names of the ``.xye`` files, as TOPAS is to find them.
    wavelength_angstrom
        Of the beam.
    """
    phases = [_phase(phase, profile.path(phase.cif)) for phase in profile.phases]
    blocks = [_pattern(name, wavelength_angstrom) + "".join(phases) for name in patterns]
    return "' Written by operando; a start, not a result.\nr_wp 0 r_exp 0 gof 0\n" + "".join(blocks)


def _pattern(name: str, wavelength_angstrom: float) -> str:
    return (
        f'\nxdd "{name}"\n'
        "  bkg @ 0 0 0 0 0 0\n"
        "  LP_Factor(90)\n"
        f"  lam ymin_on_ymax 0.0001 la 1 lo {wavelength_angstrom:.8f} lh 0.0001\n"
        "  Zero_Error(, 0)\n"
    )


def _phase(phase: Phase, cif: Path) -> str:
    structure = read_small_structure(cif, name=phase.name)
    group = structure.spacegroup
    sites = "".join(_site(site) for site in structure.sites)
    return (
        f'  str\n    phase_name "{phase.label}"\n    space_group "{_symbol(group)}"\n    {_cell(structure.cell, group)}\n'
        f"    scale @ 0.0001\n    gauss_fwhm {phase.fwhm_deg:g}\n    MVW(0, 0, 0)\n{sites}"
    )


def _symbol(group: gemmi.SpaceGroup) -> str:
    return str(group.hm).replace(" ", "_")


def _cell(cell: gemmi.UnitCell, group: gemmi.SpaceGroup) -> str:
    system = group.crystal_system_str()
    if system in _ONE_LENGTH:
        return f"{_ONE_LENGTH[system]}(@ {cell.a:.6f})"
    if system in _TWO_LENGTHS and group.ext != "R":
        return f"{_TWO_LENGTHS[system]}(@ {cell.a:.6f}, @ {cell.c:.6f})"
    return f"a {cell.a:.6f} b {cell.b:.6f} c {cell.c:.6f} al {cell.alpha:.4f} be {cell.beta:.4f} ga {cell.gamma:.4f}"


def _site(site: gemmi.SmallStructure.Site) -> str:
    x, y, z = site.fract.x, site.fract.y, site.fract.z
    beq = 8.0 * 3.141592653589793**2 * site.u_iso
    place = f"x {x:.6f} y {y:.6f} z {z:.6f}"
    return f"    site {site.label} {place} occ {site.element.name} {site.occ:g} beq {beq:.4f}\n"
