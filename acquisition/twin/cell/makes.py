"""The simulated makes of cells: a published set of electrochemical parameters, scaled to a size.

The cathode's y is counted in sites of the crystal. A set that fits its maximum concentration to the lithium in use has fewer
sites than the crystal: those left out stay full, y = 1 - (1 - s) c_max / c_crystal at the set's stoichiometry s. For NMC532
of Mohtat et al. this gives y = 0.92 empty and 0.30 at 4.2 V, which is what the lattice of the published AAA cells says.
"""

from dataclasses import dataclass
from math import pi
from typing import Literal

NMC532_SITES_MOL_M3 = 49_040.0
"""Formula units in a volume of the crystal: three in a unit cell of 101.58 A3, the pristine a = 2.870, c = 14.240 angstrom."""
FARADAY_AH_MOL = 96485.33212 / 3600
NMC811_THEORETICAL_AH_G = 0.2755
"""Charge of all lithium of NMC811, 1 Li in a formula unit of 97.3 g/mol."""
NMC811_G_CM3 = 4.77
"""Of the crystal: three formula units in a unit cell of 101.4 A3, a = 2.872, c = 14.20 angstrom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMake:
    """A cell of one make. Areas and thicknesses are those of the electrodes where anode and cathode face each other."""

    name: str
    parameters: Literal["Mohtat2020", "Chen2020"]
    """Name of the published set in PyBaMM: Mohtat2020 is graphite and NMC532, Chen2020's cathode is NMC811."""
    capacity_ah: float
    """What 1C refers to."""
    anode: Literal["graphite", "lithium"] = "graphite"
    facing_m2: float
    """Area of cathode coating that faces anode coating."""
    anode_um: float
    cathode_um: float
    """Thickness of one coating."""
    cathode_sites_mol_m3: float | None = None
    """Lithium sites in a volume of the cathode's crystal; None takes the set's own maximum, y is then its stoichiometry."""
    cooled_m2: float
    """Surface of the can, for the temperature."""
    volume_m3: float
    low_v: float = 2.75
    high_v: float = 4.2
    living: float = 1.0
    """Part of the area that still takes part; the rest is dead, and the current is shared by what lives."""


# Areal capacity of the published coatings (62 and 67 um) is 24.4 Ah/m2 between 2.8 and 4.2 V. The anode of the AAA cells is
# thicker, chosen so that a full charge ends at the x = 0.714 that the published weight fractions give; see docs/twin-cell.md.
AAA = CellMake(
    name="AAA",
    parameters="Mohtat2020",
    capacity_ah=0.350,
    facing_m2=0.01440,
    anode_um=72.0,
    cathode_um=67.0,
    cathode_sites_mol_m3=NMC532_SITES_MOL_M3,
    cooled_m2=1.6e-3,
    volume_m3=3.6e-6,
)
CELL_18650 = CellMake(
    name="18650",
    parameters="Mohtat2020",
    capacity_ah=1.85,
    facing_m2=0.0775,
    anode_um=62.0,
    cathode_um=67.0,
    cathode_sites_mol_m3=NMC532_SITES_MOL_M3,
    cooled_m2=4.2e-3,
    volume_m3=16.5e-6,
)
CELL_18650_AGED = CellMake(
    name="18650 aged",
    parameters="Mohtat2020",
    capacity_ah=1.85,
    facing_m2=0.0775,
    anode_um=62.0,
    cathode_um=67.0,
    cathode_sites_mol_m3=NMC532_SITES_MOL_M3,
    cooled_m2=4.2e-3,
    volume_m3=16.5e-6,
    living=0.8,
)
SMALL = CellMake(
    name="small roll",
    parameters="Mohtat2020",
    capacity_ah=0.0240,
    facing_m2=0.61e-3,
    anode_um=100.0,
    cathode_um=108.0,
    cathode_sites_mol_m3=NMC532_SITES_MOL_M3,
    cooled_m2=0.3e-3,
    volume_m3=0.4e-6,
)
HALF_CELL = CellMake(
    name="NMC811 against lithium",
    parameters="Chen2020",
    capacity_ah=1.2e-3,
    anode="lithium",
    facing_m2=2.0e-5,
    anode_um=250.0,
    cathode_um=75.6,
    cooled_m2=1.0e-3,
    volume_m3=1.0e-6,
    low_v=3.4,
    high_v=4.4,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticleMake:
    """One particle of the cathode material, contacted alone."""

    name: str
    radius_um: float
    diffusivity_m2_s: float
    """Of lithium in it."""
    y_start: float

    @property
    def sites_mol_m3(self) -> float:
        """Lithium sites in a volume of it, mol/m3."""
        return NMC811_G_CM3 * 1e6 * NMC811_THEORETICAL_AH_G / FARADAY_AH_MOL

    @property
    def mass_g(self) -> float:
        """Mass of the particle, g."""
        return 4 / 3 * pi * (self.radius_um * 1e-4) ** 3 * NMC811_G_CM3

    @property
    def capacity_ah(self) -> float:
        """Charge of all its lithium, Ah."""
        return self.mass_g * NMC811_THEORETICAL_AH_G


# 0.69 nAh: at 30 pA, 10.3 % of its lithium is out after 2.4 h.
PARTICLE = ParticleMake(name="NMC811 particle", radius_um=5.0, diffusivity_m2_s=4e-15, y_start=0.95)
