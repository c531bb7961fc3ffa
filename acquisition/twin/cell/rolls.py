"""The wound cells: the size of each make, and how uneven it is."""

from dataclasses import dataclass, replace

from acquisition.twin.cell.makes import AAA, CELL_18650, CELL_18650_AGED, SMALL, CellMake
from acquisition.twin.cell.spiral import Spiral, Tab
from operando.errors import ProfileError
from operando.profile import Effects, Winding

UM = 1e-3
FEWEST_TURNS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RollMake:
    """A wound cell: its electrochemistry, its sizes, and how uneven it is."""

    cell: CellMake
    spiral: Spiral
    extent_mm: float
    voxel_mm: float
    lag_can: float = 0.6
    lag_core: float = 0.6
    lag_tab: float = 0.8
    """How far a place there is behind the mean, in units of what the mean changed in the last hour."""
    lag_reach_mm: float = 0.5
    """Distance over which a lag dies away from can and core."""
    loading: float = 0.03
    """Amplitude of a gentle wave of the coatings' density around the roll."""
    n_spots: int = 12
    """Places where much of the cathode is the inactive, secondary oxide."""
    spot_mm: float = 0.12
    """Radius (one sigma) of such a place."""
    secondary_part: float = 0.012
    """Of the whole cathode, by mass; the middles of the spots follow from it."""
    has_dead_regions: bool = True
    """Whether what the cell has lost is dead at some places; else every place has lost the same part."""


# Wall and foils are such that a slice holds the published parts by weight: 34 % of primary NMC, 24.5 % of graphite with its
# lithium (doi 10.1002/smt.202100512). Foils of 8 and 12 um and a wall of 0.155 mm are at the thin end of what is sold.
AAA_ROLL = RollMake(
    cell=AAA,
    spiral=Spiral(
        outer_mm=5.085,
        inner_mm=4.930,
        roll_mm=4.85,
        core_mm=0.50,
        anode_mm=AAA.anode_um * UM,
        cathode_mm=AAA.cathode_um * UM,
        cu_mm=8 * UM,
        al_mm=12 * UM,
        separator_mm=14 * UM,
        bare_turns=1.0,
        ends_bare=True,
        al_tab=Tab(turn=5.7, width_mm=3.0),
        cu_tab=Tab(turn=10.9, width_mm=3.0),
    ),
    extent_mm=10.4,
    voxel_mm=0.02,
    n_spots=36,
    spot_mm=0.15,
    secondary_part=0.02,
)


def _roll_18650(cell: CellMake) -> RollMake:
    return RollMake(
        cell=cell,
        spiral=Spiral(
            outer_mm=9.0,
            inner_mm=8.75,
            roll_mm=8.65,
            core_mm=1.5,
            anode_mm=cell.anode_um * UM,
            cathode_mm=cell.cathode_um * UM,
            cu_mm=12 * UM,
            al_mm=16 * UM,
            separator_mm=14 * UM,
            bare_turns=1.0,
            ends_bare=True,
            al_tab=Tab(turn=9.3, width_mm=4.0),
            cu_tab=Tab(turn=19.7, width_mm=4.0),
        ),
        extent_mm=18.4,
        voxel_mm=0.04,
        lag_reach_mm=0.8,
        n_spots=30,
        spot_mm=0.2,
    )


SMALL_ROLL = RollMake(
    cell=SMALL,
    spiral=Spiral(
        outer_mm=2.3,
        inner_mm=2.15,
        roll_mm=2.10,
        core_mm=0.35,
        anode_mm=SMALL.anode_um * UM,
        cathode_mm=SMALL.cathode_um * UM,
        cu_mm=12 * UM,
        al_mm=20 * UM,
        separator_mm=25 * UM,
        bare_turns=0.2,
        ends_bare=True,
        al_tab=Tab(turn=1.3, width_mm=0.8),
    ),
    extent_mm=4.8,
    voxel_mm=0.02,
    lag_reach_mm=0.35,
    n_spots=5,
    spot_mm=0.08,
    secondary_part=0.006,
)

ROLLS: dict[str, RollMake] = {
    "aaa": AAA_ROLL,
    "18650": _roll_18650(CELL_18650),
    "18650-aged": _roll_18650(CELL_18650_AGED),
    "small": SMALL_ROLL,
}


def with_effects(make: RollMake, effects: Effects) -> RollMake:
    """Give a make without those of its differences from place to place that are switched off."""
    uneven = effects.uneven
    if not (uneven and effects.lag):
        make = replace(make, lag_can=0.0, lag_core=0.0, lag_tab=0.0)
    if not (uneven and effects.loading_wave):
        make = replace(make, loading=0.0)
    if not (uneven and effects.hot_spots):
        make = replace(make, secondary_part=0.0)
    return replace(make, has_dead_regions=effects.dead_regions)


def resized(make: RollMake, winding: Winding) -> RollMake:
    """Give a make with the sizes of a profile: tabs keep their part of the winding's length, the voxels their size.

    Raises
    ------
    ProfileError
        If less than two turns fit between core and can.
    """
    if winding == Winding():
        return make
    old = make.spiral
    outer_mm = _size(winding.can_mm, old.outer_mm, unit=0.5)
    inner_mm = outer_mm - _size(winding.wall_mm, old.outer_mm - old.inner_mm)
    spiral = replace(
        old,
        outer_mm=outer_mm,
        inner_mm=inner_mm,
        roll_mm=inner_mm - (old.inner_mm - old.roll_mm),
        core_mm=_size(winding.core_mm, old.core_mm, unit=0.5),
        cu_mm=_size(winding.cu_um, old.cu_mm, unit=UM),
        al_mm=_size(winding.al_um, old.al_mm, unit=UM),
        separator_mm=_size(winding.separator_um, old.separator_mm, unit=UM),
    )
    if spiral.last_turn < FEWEST_TURNS:
        raise ProfileError(
            f"twin.winding: found room for {max(spiral.last_turn, 0):.1f} turns of {spiral.pitch_mm:.3f} mm between core and "
            f"a can of {2 * outer_mm:.2f} mm, wanted {FEWEST_TURNS:.0f} or more: give a larger can or a smaller core"
        )
    scale = spiral.last_turn / old.last_turn
    spiral = replace(spiral, al_tab=_moved(old.al_tab, scale), cu_tab=_moved(old.cu_tab, scale))
    return replace(make, spiral=spiral, extent_mm=make.extent_mm + 2 * (outer_mm - old.outer_mm))


def _size(wanted: float | None, made_mm: float, *, unit: float = 1.0) -> float:
    return made_mm if wanted is None else wanted * unit


def _moved(tab: Tab | None, scale: float) -> Tab | None:
    return None if tab is None else replace(tab, turn=tab.turn * scale)
