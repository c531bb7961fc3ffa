"""A small jelly roll: steel can, one spiral of coated foils and separators, an empty core, and lithium that varies over it.

All lengths in mm. The stack, from the inside of a turn: anode coating, copper, anode coating, separator, cathode coating,
aluminium, cathode coating, separator. Electrodes (0.27 mm) are resolved at 0.1 mm;
foils and separators are thinner than a voxel.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.spiral import Layer, Spiral, lay_out, normals
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import Slice, grams_per_c6, graphite_phases

MATERIALS = ("fe", "cu", "al", "nmc", "graphite", "lic12", "lic6", "polymer", "electrolyte")
EXTENT_MM = 4.8
VOXEL_MM = 0.02
SUBDIVISION = 4
"""Points along an edge of a voxel at which the layers are looked up: 5 um, under half the thinnest foil."""

OUTER_RADIUS_MM = 2.3
INNER_RADIUS_MM = 2.15
CORE_RADIUS_MM = 0.35
SPIRAL = Spiral(
    outer_mm=OUTER_RADIUS_MM,
    inner_mm=INNER_RADIUS_MM,
    roll_mm=2.10,
    core_mm=CORE_RADIUS_MM,
    anode_mm=0.13,
    cathode_mm=0.13,
    cu_mm=0.012,
    al_mm=0.02,
    separator_mm=0.025,
)

NMC_G_CM3 = 3.0
CARBON_G_CM3 = 1.45
"""Carbon of the anode coating, whatever lithium it holds; a lithiated coating is heavier by its lithium."""
PORE_ELECTROLYTE_G_CM3 = 0.30
ELECTROLYTE_G_CM3 = 1.25
POLYMER_G_CM3 = 0.50

Field = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Winding:
    """What differs from one roll to another of the same make; angles in radian."""

    start: float
    """Angle at which the innermost turn begins."""
    tab: float
    """Angle of the tab, where lithium lags."""
    x_bulk: float
    """x in LixC6 far from can, core and tab."""
    lag_can: float
    lag_core: float
    lag_tab: float
    """How much lower x is beside the can, at the core and in the sector of the tab."""
    ripple: tuple[float, float]
    """Phases of two gentle waves: of x along the turns, and of the coatings' density."""


def draw_winding(*, seed: int) -> Winding:
    """Draw a roll; the same seed gives the same roll."""
    random = np.random.Generator(np.random.Philox(key=seed))
    return Winding(
        start=random.uniform(0, 2 * np.pi),
        # Away from the y axis, so that a mirror image is another roll.
        tab=np.pi * int(random.integers(2)) + random.uniform(-0.9, 0.9),
        x_bulk=random.uniform(0.90, 0.95),
        lag_can=random.uniform(0.30, 0.40),
        lag_core=random.uniform(0.30, 0.40),
        lag_tab=random.uniform(0.50, 0.60),
        ripple=(random.uniform(0, 2 * np.pi), random.uniform(0, 2 * np.pi)),
    )


def make_jelly_roll(name: str, winding: Winding, *, is_lithium_mirrored: bool = False) -> Slice:
    """Make the slice of a roll; with ``is_lithium_mirrored`` the lithium (alone) is that of the mirror image, x to -x."""
    n = round(EXTENT_MM / VOXEL_MM)
    fine = (np.arange(n * SUBDIVISION) - (n * SUBDIVISION - 1) / 2) * VOXEL_MM / SUBDIVISION
    x_mm, y_mm = np.meshgrid(fine, fine)
    layer = lay_out(replace(SPIRAL, start_rad=winding.start), x_mm, y_mm).code
    lithium = lithium_field(-x_mm if is_lithium_mirrored else x_mm, y_mm, winding)
    coating = 1 + 0.04 * np.sin(2 * np.arctan2(y_mm, x_mm) + winding.ripple[1])
    densities = _densities(layer, lithium=lithium, coating=coating)
    density = np.zeros((n, n, len(MATERIALS)), dtype=np.float32)
    for index, material in enumerate(MATERIALS):
        if material in densities:
            density[..., index] = densities[material].reshape(n, SUBDIVISION, n, SUBDIVISION).mean(axis=(1, 3))
    axis = (np.arange(n) - (n - 1) / 2) * VOXEL_MM
    normal = normals(SPIRAL, *np.meshgrid(axis, axis)).astype(np.float32)
    return Slice(name=name, materials=MATERIALS, density_g_cm3=density, voxel_mm=VOXEL_MM, normal_rad=normal)


def lithium_field(x_mm: Field, y_mm: Field, winding: Winding) -> Field:
    """Give x in LixC6 that the anode has at each point."""
    radius, angle = np.hypot(x_mm, y_mm), np.arctan2(y_mm, x_mm)
    at_can = winding.lag_can * np.exp(-(INNER_RADIUS_MM - radius) / 0.35)
    at_core = winding.lag_core * np.exp(-(radius - CORE_RADIUS_MM) / 0.35)
    at_tab = winding.lag_tab * np.exp(3 * (np.cos(angle - winding.tab) - 1))
    ripple = 0.03 * np.sin(3 * angle + 2 * np.pi * radius / 1.5 + winding.ripple[0])
    return np.clip(winding.x_bulk - at_can - at_core - at_tab + ripple, 0.02, 0.98)


def _densities(layer: NDArray[np.int8], *, lithium: Field, coating: Field) -> dict[str, Field]:
    anode = (layer == Layer.ANODE_IN) | (layer == Layer.ANODE_OUT)
    cathode = (layer == Layer.CATHODE_IN) | (layer == Layer.CATHODE_OUT)
    separator = layer == Layer.SEPARATOR
    moles_c6 = CARBON_G_CM3 / grams_per_c6("graphite") * coating * anode
    phases = {name: part * moles_c6 * grams_per_c6(name) for name, part in graphite_phases(lithium).items()}
    metals = {name: CRYSTALS[name].density_g_cm3 * (layer == Layer[name.upper()]) for name in ("fe", "cu", "al")}
    return {
        **metals,
        **phases,
        "nmc": NMC_G_CM3 * coating * cathode,
        "polymer": POLYMER_G_CM3 * separator,
        "electrolyte": PORE_ELECTROLYTE_G_CM3 * (anode | cathode | separator)
        + ELECTROLYTE_G_CM3 * (layer == Layer.ELECTROLYTE),
    }
