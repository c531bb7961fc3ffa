"""The twin's phases: crystals with their numbers and where these come from, and what is amorphous.

Lattice parameters are those of the project's physics tables: Fe and Cu from AMCSD, Al and graphite from published data files;
LiC12, LiC6 and the NMC532 curve at y = 0.5 are recalled or interpolated values, provisional. Debye-Waller factors are recalled,
room temperature. The oxygen height keeps an MO2 slab of 2.07 angstrom.
"""

from dataclasses import dataclass

from acquisition.twin.structures import Site, Structure

THIRD = 1 / 3
BODY = ((0, 0, 0), (0.5, 0.5, 0.5))
FACES = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
RHOMBOHEDRAL = ((0, 0, 0), (2 * THIRD, THIRD, THIRD), (THIRD, 2 * THIRD, 2 * THIRD))
"""Obverse setting of a rhombohedral lattice on hexagonal axes."""
NMC_LITHIUM_Y = 0.5
NMC_OXYGEN_Z = 0.2620
BORON_X = 0.1993


def cubic(element: str, *, a_angstrom: float, b_iso: float, lattice: tuple[tuple[float, float, float], ...]) -> Structure:
    """Make a metal with one element on the points of a cubic lattice."""
    site = Site(occupants={element: 1.0}, b_iso=b_iso, positions=lattice)
    return Structure(a_angstrom=a_angstrom, c_angstrom=a_angstrom, is_hexagonal=False, sites=(site,))


def layered_oxide(
    metals: dict[str, float], *, lithium: float, a_angstrom: float, c_angstrom: float, oxygen_z: float
) -> Structure:
    """Make a layered oxide of the alpha-NaFeO2 type (R-3m): metals on 3a, lithium on 3b, oxygen on 6c."""
    return Structure(
        a_angstrom=a_angstrom,
        c_angstrom=c_angstrom,
        is_hexagonal=True,
        sites=(
            Site(occupants=metals, b_iso=0.3, positions=_centred(0.0)),
            Site(occupants={"Li": lithium}, b_iso=1.0, positions=_centred(0.5)),
            Site(occupants={"O": 1.0}, b_iso=0.7, positions=_centred(oxygen_z) + _centred(-oxygen_z)),
        ),
    )


def _centred(z: float) -> tuple[tuple[float, float, float], ...]:
    return tuple((x, y, z + shift) for x, y, shift in RHOMBOHEDRAL)


def _graphene(z: float) -> tuple[tuple[float, float, float], ...]:
    """Six atoms of one layer in the sqrt(3) x sqrt(3) cell, the centre of a ring at the origin."""
    flat = ((THIRD, 0), (0, THIRD), (2 * THIRD, 2 * THIRD), (2 * THIRD, 0), (0, 2 * THIRD), (THIRD, THIRD))
    return tuple((x, y, z) for x, y in flat)


def _intercalated(*, a_angstrom: float, c_angstrom: float, layers: tuple[float, ...]) -> Structure:
    carbon = Site(occupants={"C": 1.0}, b_iso=0.6, positions=sum((_graphene(z) for z in layers), ()))
    lithium = Site(occupants={"Li": 1.0}, b_iso=1.5, positions=((0, 0, 0),))
    return Structure(a_angstrom=a_angstrom, c_angstrom=c_angstrom, is_hexagonal=True, sites=(carbon, lithium))


GRAPHITE_2H = ((0, 0, 0.25), (0, 0, 0.75), (THIRD, 2 * THIRD, 0.25), (2 * THIRD, THIRD, 0.75))

CRYSTALS: dict[str, Structure] = {
    "fe": cubic("Fe", a_angstrom=2.8665, b_iso=0.35, lattice=BODY),
    "cu": cubic("Cu", a_angstrom=3.61496, b_iso=0.55, lattice=FACES),
    "al": cubic("Al", a_angstrom=4.0495, b_iso=0.85, lattice=FACES),
    "nmc": layered_oxide(
        {"Ni": 0.5, "Mn": 0.3, "Co": 0.2}, lithium=NMC_LITHIUM_Y, a_angstrom=2.8245, c_angstrom=14.500, oxygen_z=NMC_OXYGEN_Z
    ),
    # NMC811 at y = 0.5, where its c is longest (Kondrakov et al., J. Phys. Chem. C 121 (2017) 3286); a is interpolated.
    "nmc811": layered_oxide(
        {"Ni": 0.8, "Mn": 0.1, "Co": 0.1}, lithium=NMC_LITHIUM_Y, a_angstrom=2.8260, c_angstrom=14.467, oxygen_z=NMC_OXYGEN_Z
    ),
    # The inactive part keeps one lattice in all states of the cell; which one is assumed: nearly full of lithium.
    "nmc_s": layered_oxide(
        {"Ni": 0.5, "Mn": 0.3, "Co": 0.2}, lithium=0.97, a_angstrom=2.866, c_angstrom=14.260, oxygen_z=NMC_OXYGEN_Z
    ),
    "graphite": Structure(
        a_angstrom=2.464,
        c_angstrom=6.711,
        is_hexagonal=True,
        sites=(Site(occupants={"C": 1.0}, b_iso=0.6, positions=GRAPHITE_2H),),
    ),
    # Stage 4: lithium in every fourth gallery on average, disordered in the plane; the mean layer of 3.443 angstrom is a model.
    "lic30": Structure(
        a_angstrom=2.467,
        c_angstrom=6.886,
        is_hexagonal=True,
        sites=(
            Site(occupants={"C": 1.0}, b_iso=0.6, positions=GRAPHITE_2H),
            Site(occupants={"Li": 1 / 15}, b_iso=1.5, positions=((0, 0, 0), (0, 0, 0.5))),
        ),
    ),
    "lic12": _intercalated(a_angstrom=4.288, c_angstrom=7.065, layers=(0.25, 0.75)),
    "lic6": _intercalated(a_angstrom=4.305, c_angstrom=3.706, layers=(0.5,)),
    "ceo2": Structure(
        a_angstrom=5.411651,
        c_angstrom=5.411651,
        is_hexagonal=False,
        sites=(
            Site(occupants={"Ce": 1.0}, b_iso=0.3, positions=FACES),
            Site(
                occupants={"O": 1.0},
                b_iso=0.5,
                positions=tuple((x, y, z) for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)),
            ),
        ),
    ),
}

CRYSTALS["lab6"] = Structure(
    # SRM 660c.
    a_angstrom=4.156826,
    c_angstrom=4.156826,
    is_hexagonal=False,
    sites=(
        Site(occupants={"La": 1.0}, b_iso=0.35, positions=((0, 0, 0),)),
        Site(
            occupants={"B": 1.0},
            b_iso=0.35,
            positions=(
                (BORON_X, 0.5, 0.5),
                (1 - BORON_X, 0.5, 0.5),
                (0.5, BORON_X, 0.5),
                (0.5, 1 - BORON_X, 0.5),
                (0.5, 0.5, BORON_X),
                (0.5, 0.5, 1 - BORON_X),
            ),
        ),
    ),
)

WIDTHS_DEG: dict[str, float] = {
    "fe": 0.044,
    "cu": 0.046,
    "al": 0.044,
    "nmc": 0.055,
    "nmc811": 0.055,
    "nmc_s": 0.055,
    "graphite": 0.061,
    "lic30": 0.061,
    "lic12": 0.061,
    "lic6": 0.061,
    "ceo2": 0.036,
    "lab6": 0.036,
}
"""Full width at half maximum of a reflection in two theta: beam, pixel and crystallite size together."""

LITHIUM_X: dict[str, float] = {"graphite": 0.0, "lic30": 0.2, "lic12": 0.5, "lic6": 1.0}
"""x in LixC6 of each phase of the anode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amorphous:
    """A material without reflections: independent atoms with one broad maximum in their structure factor."""

    contents: dict[str, float]
    """Atoms of each element in a formula unit."""
    hump_q: float
    """Place of the maximum, 1/angstrom."""
    hump_sigma_q: float
    hump_height: float
    """Height of the maximum above 1 in S(q)."""


AMORPHOUS: dict[str, Amorphous] = {
    # Polyolefin: chains 4.6 angstrom apart give the amorphous halo at 1.37 1/angstrom; its crystalline lines are left out.
    "polymer": Amorphous(contents={"C": 1.0, "H": 2.0}, hump_q=1.40, hump_sigma_q=0.18, hump_height=2.0),
    # 1 M LiPF6 in EC:DMC, one formula unit in eleven solvent molecules; the halo of liquid carbonates is near 1.6 1/angstrom.
    "electrolyte": Amorphous(
        contents={"C": 33.0, "H": 55.0, "O": 33.0, "Li": 1.0, "P": 1.0, "F": 6.0}, hump_q=1.6, hump_sigma_q=0.3, hump_height=1.2
    ),
    "air": Amorphous(contents={"N": 1.56, "O": 0.42, "Ar": 0.01}, hump_q=1.0, hump_sigma_q=1.0, hump_height=0.0),
}
