"""The five AAA cells of a published study, at rest: lithium that gives the published lattices, in a roll of their make.

Values from Small Methods 2021 (doi 10.1002/smt.202100512). x of the charged cells follows from the published weight parts of
LiC6 and LiC12, y from the published lattices on the twin's curve. Text and maps of that paper do not agree in capacity (45 mAh
beside 320 to 350 mAh, with nearly equal lattices): no cell that keeps its lithium gives both, so these slices take the lattices
and do not balance with a history. Heterogeneity of the discharged cells is as seen there: lithium left in the anode near can,
tab and core.
"""

from dataclasses import dataclass, replace

import numpy as np

from acquisition.twin.cell.roll import Roll
from acquisition.twin.cell.rolls import ROLLS, RollMake, resized, with_effects
from acquisition.twin.cell.shelf import history_of
from acquisition.twin.slice import Slice
from operando.profile import Effects, Winding

ROLL = "aaa"
HISTORY = "aaa-c2"
"""Gives the electrodes' sizes; its times are not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedState:
    """Mean lithium of both electrodes, and what places that lag by 1 are behind it; where the inactive oxide is."""

    x: float
    y: float
    x_behind: float = 0.0
    y_behind: float = 0.0
    secondary_part: float
    """Of the cathode, by mass: the published part of the whole cell's crystals over the 34 % that are oxide."""
    n_spots: int = 36
    spot_mm: float = 0.15


STATES = {
    # a 2.822, c 14.507; LiC6 and LiC12 without numbers: x from the balance with y.
    "aaa-pristine": PublishedState(x=0.56, y=0.43, secondary_part=0.02),
    # a 2.822, c 14.508; 3.4 wt% LiC6, 21.1 wt% LiC12 and 4.3 wt% of the secondary oxide.
    "aaa-charged-c2": PublishedState(x=0.567, y=0.42, secondary_part=0.112, n_spots=60, spot_mm=0.25),
    # c 14.472; 10.5 wt% LiC6 and 13.4 wt% LiC12.
    "aaa-charged-c20": PublishedState(x=0.714, y=0.32, secondary_part=0.023),
    # a 2.856, c 14.329; graphite, and LiC30 where can, tab and core lag; about 1 wt% of the secondary oxide.
    "aaa-discharged-c2": PublishedState(x=0.05, y=0.90, x_behind=-0.20, y_behind=0.06, secondary_part=0.029),
    # a 2.859, c 14.316.
    "aaa-discharged-c20": PublishedState(x=0.03, y=0.92, x_behind=-0.12, y_behind=0.03, secondary_part=0.029),
}


def sized(winding: Winding) -> RollMake:
    """Give the roll of the published cells with the sizes of a profile.

    Raises
    ------
    ProfileError
        If there is no room for it.
    """
    return resized(ROLLS[ROLL], winding)


def make_published(name: str, *, seed: int, effects: Effects | None = None, winding: Winding | None = None) -> Slice:
    """Make the slice of a cell of :data:`STATES`; lithium is even through the coatings, and everywhere if the cell is."""
    state, history = STATES[name], history_of(HISTORY)
    make = replace(
        sized(winding or Winding()),
        secondary_part=state.secondary_part,
        n_spots=state.n_spots,
        spot_mm=state.spot_mm,
    )
    roll = Roll(with_effects(make, effects or Effects()), history, seed=seed)
    x, y = np.full(history.x.shape[1], state.x), np.full(history.y.shape[1], state.y)
    return roll.slice_of(name, x, y, x_behind=state.x_behind, y_behind=state.y_behind)
