"""A small jelly roll: steel can, one spiral of coated foils and separators, an empty core, and lithium that varies over it.

All lengths in mm. The stack, from the inside of a turn: anode coating, copper, anode coating, separator, cathode coating,
aluminium, cathode coating, separator. Electrodes (0.27 mm) are resolved at 0.1 mm;
foils and separators are thinner than a voxel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import Slice, grams_per_c6, graphite_phases

MATERIALS = ("fe", "cu", "al", "nmc", "graphite", "lic12", "lic6", "polymer", "electrolyte")
EXTENT_MM = 4.8
VOXEL_MM = 0.02
SUBDIVISION = 4
"""Points along an edge of a voxel at which the layers are looked up: 5 um, under half the thinnest foil."""

OUTER_RADIUS_MM = 2.3
INNER_RADIUS_MM = 2.15
ROLL_RADIUS_MM = 2.10
CORE_RADIUS_MM = 0.35
LAYERS_MM = (
    ("anode", 0.13),
    ("cu", 0.012),
    ("anode", 0.13),
    ("separator", 0.025),
    ("cathode", 0.13),
    ("al", 0.02),
    ("cathode", 0.13),
    ("separator", 0.025),
)
PITCH_MM = sum(thickness for _, thickness in LAYERS_MM)

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
    layer = find_layers(x_mm, y_mm, start=winding.start)
    lithium = lithium_field(-x_mm if is_lithium_mirrored else x_mm, y_mm, winding)
    coating = 1 + 0.04 * np.sin(2 * np.arctan2(y_mm, x_mm) + winding.ripple[1])
    densities = _densities(layer, lithium=lithium, coating=coating)
    density = np.zeros((n, n, len(MATERIALS)), dtype=np.float32)
    for index, material in enumerate(MATERIALS):
        if material in densities:
            density[..., index] = densities[material].reshape(n, SUBDIVISION, n, SUBDIVISION).mean(axis=(1, 3))
    return Slice(name=name, materials=MATERIALS, density_g_cm3=density, voxel_mm=VOXEL_MM)


def find_layers(x_mm: Field, y_mm: Field, *, start: float) -> NDArray[np.str_]:
    """Name the layer at each point: a material of :data:`LAYERS_MM`, ``fe``, ``electrolyte`` or ``nothing``."""
    radius = np.hypot(x_mm, y_mm)
    turn_part = np.mod(np.arctan2(y_mm, x_mm) - start, 2 * np.pi) / (2 * np.pi)
    # On the spiral r = core + pitch (turn + part of the turn), the stack repeats with every turn.
    height = radius - CORE_RADIUS_MM - PITCH_MM * turn_part
    turn = np.floor(height / PITCH_MM)
    wound = turn + turn_part
    last = (ROLL_RADIUS_MM - CORE_RADIUS_MM) / PITCH_MM - 1
    is_roll = (wound >= 0) & (turn >= 0) & (wound <= last)
    borders = np.cumsum([thickness for _, thickness in LAYERS_MM])
    names = np.array([layer for layer, _ in LAYERS_MM])
    index = np.minimum(np.searchsorted(borders, height - turn * PITCH_MM, side="right"), len(names) - 1)
    layer = np.where(is_roll, names[index], "electrolyte")
    layer[radius < CORE_RADIUS_MM] = "nothing"
    layer[radius >= INNER_RADIUS_MM] = "fe"
    layer[radius >= OUTER_RADIUS_MM] = "nothing"
    return layer


def lithium_field(x_mm: Field, y_mm: Field, winding: Winding) -> Field:
    """Give x in LixC6 that the anode has at each point."""
    radius, angle = np.hypot(x_mm, y_mm), np.arctan2(y_mm, x_mm)
    at_can = winding.lag_can * np.exp(-(INNER_RADIUS_MM - radius) / 0.35)
    at_core = winding.lag_core * np.exp(-(radius - CORE_RADIUS_MM) / 0.35)
    at_tab = winding.lag_tab * np.exp(3 * (np.cos(angle - winding.tab) - 1))
    ripple = 0.03 * np.sin(3 * angle + 2 * np.pi * radius / 1.5 + winding.ripple[0])
    return np.clip(winding.x_bulk - at_can - at_core - at_tab + ripple, 0.02, 0.98)


def _densities(layer: NDArray[np.str_], *, lithium: Field, coating: Field) -> dict[str, Field]:
    anode, cathode, separator = (layer == name for name in ("anode", "cathode", "separator"))
    moles_c6 = CARBON_G_CM3 / grams_per_c6("graphite") * coating * anode
    phases = {name: part * moles_c6 * grams_per_c6(name) for name, part in graphite_phases(lithium).items()}
    metals = {name: CRYSTALS[name].density_g_cm3 * (layer == name) for name in ("fe", "cu", "al")}
    return {
        **metals,
        **phases,
        "nmc": NMC_G_CM3 * coating * cathode,
        "polymer": POLYMER_G_CM3 * separator,
        "electrolyte": PORE_ELECTROLYTE_G_CM3 * (anode | cathode | separator) + ELECTROLYTE_G_CM3 * (layer == "electrolyte"),
    }
