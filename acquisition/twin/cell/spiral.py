"""One spiral of coated foils in a can: the layer at each point of the slice, its depth, and whether it has a partner.

All lengths in mm. The stack, from the inside of a turn: anode coating, copper, anode coating, separator, cathode coating,
aluminium, cathode coating, separator. A coating is faced where the other electrode lies across the separator; an anode
in the first turns, which have no cathode, or across from a tab, takes no part in what the cell does.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


class Layer(IntEnum):
    """What a point belongs to; the stack's coatings by the side of their foil."""

    NOTHING = 0
    FE = 1
    ELECTROLYTE = 2
    ANODE_IN = 3
    CU = 4
    ANODE_OUT = 5
    SEPARATOR = 6
    CATHODE_IN = 7
    AL = 8
    CATHODE_OUT = 9


STACK = (
    Layer.ANODE_IN,
    Layer.CU,
    Layer.ANODE_OUT,
    Layer.SEPARATOR,
    Layer.CATHODE_IN,
    Layer.AL,
    Layer.CATHODE_OUT,
    Layer.SEPARATOR,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A patch of foil without coating, with a strip of the foil's metal welded on, as thick as the coating around it."""

    turn: float
    """Where along the spiral it is, in turns from the innermost end."""
    width_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spiral:
    """Sizes of can, stack and winding."""

    outer_mm: float
    """Outer radius of the can."""
    inner_mm: float
    roll_mm: float
    """Radius that no turn exceeds."""
    core_mm: float
    """Radius of the empty core."""
    anode_mm: float
    """Thickness of one coating."""
    cathode_mm: float
    cu_mm: float
    al_mm: float
    separator_mm: float
    start_rad: float = 0.0
    """Angle at which the innermost turn begins."""
    bare_turns: float = 0.0
    """Turns from the core without cathode."""
    ends_bare: bool = False
    """Whether the cathode's last turn, which has no anode outside it, is coated inside only."""
    al_tab: Tab | None = None
    cu_tab: Tab | None = None

    @property
    def thicknesses_mm(self) -> tuple[float, ...]:
        """Of the layers of :data:`STACK`."""
        anode, cathode, separator = self.anode_mm, self.cathode_mm, self.separator_mm
        return (anode, self.cu_mm, anode, separator, cathode, self.al_mm, cathode, separator)

    @property
    def pitch_mm(self) -> float:
        """By how much the radius grows in a turn."""
        return sum(self.thicknesses_mm)

    @property
    def last_turn(self) -> float:
        """Where the winding ends, in turns."""
        return (self.roll_mm - self.core_mm) / self.pitch_mm - 1

    def angle_of(self, turn: float) -> float:
        """Give the angle at a place along the spiral, rad."""
        return self.start_rad + 2 * np.pi * (turn % 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """What is at each point; all of the shape of the points."""

    code: NDArray[np.int8]
    """A :class:`Layer`."""
    depth: Field
    """In a coating: 0 at its separator, 1 at its foil."""
    is_faced: NDArray[np.bool_]
    """In a coating: whether the other electrode lies across the separator."""


def lay_out(spiral: Spiral, x_mm: Field, y_mm: Field) -> Layers:
    """Look up the layer at each point."""
    radius = np.hypot(x_mm, y_mm)
    turn_part = np.mod(np.arctan2(y_mm, x_mm) - spiral.start_rad, 2 * np.pi) / (2 * np.pi)
    # On the spiral r = core + pitch (turn + part of the turn), the stack repeats with every turn.
    height = radius - spiral.core_mm - spiral.pitch_mm * turn_part
    turn = np.floor(height / spiral.pitch_mm)
    wound = turn + turn_part
    is_roll = (wound >= 0) & (turn >= 0) & (wound <= spiral.last_turn)
    tops = np.cumsum(spiral.thicknesses_mm)
    above = height - turn * spiral.pitch_mm
    index = np.minimum(np.searchsorted(tops, above, side="right"), len(STACK) - 1)
    code = np.where(is_roll, np.array(STACK, dtype=np.int8)[index], np.int8(Layer.ELECTROLYTE))
    code[radius < spiral.core_mm] = Layer.NOTHING
    code[radius >= spiral.inner_mm] = Layer.FE
    code[radius >= spiral.outer_mm] = Layer.NOTHING
    inwards = (tops[index] - above) / np.array(spiral.thicknesses_mm)[index]
    is_inside_foil = (code == Layer.ANODE_IN) | (code == Layer.CATHODE_IN)
    depth = np.clip(np.where(is_inside_foil, 1 - inwards, inwards), 0, 1)
    return Layers(code=_cut(spiral, code, wound, radius), depth=depth, is_faced=_faced(spiral, code, wound, radius))


def _cut(spiral: Spiral, code: NDArray[np.int8], wound: Field, radius: Field) -> NDArray[np.int8]:
    """Take away what is not coated, and put in the tabs."""
    cut = code.copy()
    for coating in (Layer.CATHODE_IN, Layer.CATHODE_OUT):
        cut[(code == coating) & ~_has_cathode(spiral, coating, wound, radius)] = Layer.ELECTROLYTE
    cut[(code == Layer.AL) & (wound < spiral.bare_turns)] = Layer.ELECTROLYTE
    cut[(code == Layer.CATHODE_IN) & (wound >= spiral.bare_turns) & _is_at(spiral.al_tab, wound, radius)] = Layer.AL
    cut[(code == Layer.ANODE_OUT) & _is_at(spiral.cu_tab, wound, radius)] = Layer.CU
    return cut


def _faced(spiral: Spiral, code: NDArray[np.int8], wound: Field, radius: Field) -> NDArray[np.bool_]:
    """Tell where a coating has its partner: inside it in the same turn or the turn before, outside in the same or the next."""
    outside = _has_cathode(spiral, Layer.CATHODE_IN, wound, radius)
    inside = _has_cathode(spiral, Layer.CATHODE_OUT, wound - 1, radius)
    return (
        ((code == Layer.ANODE_OUT) & outside)
        | ((code == Layer.ANODE_IN) & inside)
        | ((code == Layer.CATHODE_IN) & ~_is_at(spiral.cu_tab, wound, radius))
        | ((code == Layer.CATHODE_OUT) & (wound + 1 <= spiral.last_turn))
    )


def _has_cathode(spiral: Spiral, coating: Layer, wound: Field, radius: Field) -> NDArray[np.bool_]:
    """Tell whether the cathode's coating on that side of its foil is there, at a place along the spiral."""
    is_there = (wound >= spiral.bare_turns) & (wound <= spiral.last_turn)
    if coating == Layer.CATHODE_IN:
        return is_there & ~_is_at(spiral.al_tab, wound, radius)
    return is_there & (wound <= spiral.last_turn - 1) if spiral.ends_bare else is_there


def _is_at(tab: Tab | None, wound: Field, radius: Field) -> NDArray[np.bool_]:
    if tab is None:
        return np.zeros(wound.shape, dtype=np.bool_)
    return np.abs(wound - tab.turn) * 2 * np.pi * radius <= tab.width_mm / 2


def normals(spiral: Spiral, x_mm: Field, y_mm: Field) -> Field:
    """Give the direction of the layers' normal at each point, from x towards y, rad: radial but for the slope of the spiral."""
    radius, angle = np.hypot(x_mm, y_mm), np.arctan2(y_mm, x_mm)
    slope = np.arctan2(spiral.pitch_mm / (2 * np.pi), radius)
    is_wound = (radius >= spiral.core_mm) & (radius < spiral.roll_mm)
    return np.where(is_wound, angle - slope, angle)
