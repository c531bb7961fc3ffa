"""What a cycler does to a simulated cell, as data, and the histories that have a name."""

from dataclasses import dataclass

from acquisition.twin.cell.makes import AAA, CELL_18650, CELL_18650_AGED, HALF_CELL, PARTICLE, SMALL, CellMake, ParticleMake
from operando.errors import ProfileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a protocol: a constant current, or none, until a voltage or for a time."""

    name: str
    """As a cycler names it."""
    current_c: float = 0.0
    """In multiples of the make's capacity per hour, positive for charging."""
    limit_v: float | None = None
    """Voltage that ends the step, or that is then held."""
    taper: float | None = None
    """Hold the limit until the current has fallen to this part of it; None ends the step at the limit."""
    time_s: float = 60 * 3600.0
    """Longest time; the only end of a rest."""
    leak_c: float = 0.0
    """Self-discharge inside the cell while it rests, in multiples of the capacity per hour."""
    cycle: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The steps that a cell goes through, and the charge that it starts from."""

    stages: tuple[Stage, ...]
    soc: float = 0.0
    """State of charge at the start, at rest: 0 and 1 are the voltage limits of the make."""
    sample_s: float = 30.0
    """Rhythm of the rows of the history."""


def rest(time_s: float, *, cycle: int = 1, leak_c: float = 0.0) -> Stage:
    """Let the cell rest."""
    return Stage(name="Rest", time_s=time_s, leak_c=leak_c, cycle=cycle)


def charge(current_c: float, *, limit_v: float = 4.2, taper: float | None = 0.05, cycle: int = 1) -> Stage:
    """Charge with constant current, then hold the voltage until the current is 5 % of what was applied."""
    return Stage(name="CCCV_Chg", current_c=current_c, limit_v=limit_v, taper=taper, cycle=cycle)


def discharge(current_c: float, *, limit_v: float = 2.75, cycle: int = 1) -> Stage:
    """Discharge with constant current to the cut-off."""
    return Stage(name="CC_DChg", current_c=-current_c, limit_v=limit_v, cycle=cycle)


HOUR_S = 3600.0


def cccv(current_c: float, *, sample_s: float) -> Protocol:
    """Charge and discharge at one rate, with rests: the AAA cells of the reference experiment."""
    return Protocol(stages=(rest(600), charge(current_c), rest(HOUR_S), discharge(current_c), rest(HOUR_S)), sample_s=sample_s)


ONE_C = Protocol(
    stages=(rest(300), discharge(1.0), rest(600), charge(1.0), rest(HOUR_S)),
    soc=1.0,
    sample_s=15.0,
)
FAST = Protocol(stages=(rest(30), charge(2.0), rest(300), discharge(2.0), rest(600)), sample_s=5.0)
STORAGE = Protocol(stages=(rest(HOUR_S), rest(5 * 24 * HOUR_S, leak_c=1 / 3000)), soc=0.75, sample_s=600.0)
PART_CHARGED = Protocol(stages=(rest(24 * HOUR_S),), soc=0.75, sample_s=600.0)
AGAINST_LITHIUM = Protocol(
    stages=(
        rest(300),
        charge(0.5, limit_v=4.4),
        rest(1800),
        discharge(0.5, limit_v=3.4),
        rest(1800),
    ),
    sample_s=30.0,
)

PARTICLE_A = 30e-12
PARTICLE_END = 0.103
"""Part of the particle's lithium that was out when its charge stopped early: 2.4 h at 30 pA."""
SINGLE_PARTICLE = Protocol(
    stages=(
        rest(300),
        Stage(
            name="CC_Chg",
            current_c=PARTICLE_A / PARTICLE.capacity_ah,
            time_s=PARTICLE_END * PARTICLE.capacity_ah / PARTICLE_A * HOUR_S,
        ),
        rest(1800),
    ),
    sample_s=20.0,
)

HISTORIES: dict[str, tuple[CellMake | ParticleMake, Protocol]] = {
    "aaa-c20": (AAA, cccv(1 / 20, sample_s=60.0)),
    "aaa-c2": (AAA, cccv(1 / 2, sample_s=30.0)),
    "aaa-pristine": (AAA, PART_CHARGED),
    "aaa-storage": (AAA, STORAGE),
    "18650-1c": (CELL_18650, ONE_C),
    "18650-1c-aged": (CELL_18650_AGED, ONE_C),
    "small-2c": (SMALL, FAST),
    "half-cell": (HALF_CELL, AGAINST_LITHIUM),
    "particle": (PARTICLE, SINGLE_PARTICLE),
}
"""What ``cell.source = "pybamm:NAME"`` may name."""


def find_history(name: str) -> tuple[CellMake | ParticleMake, Protocol]:
    """Give make and protocol of a name.

    Raises
    ------
    ProfileError
        If there is none, with the names that exist.
    """
    if name not in HISTORIES:
        raise ProfileError(f"cell.source: found pybamm:{name}, wanted pybamm: and one of {', '.join(HISTORIES)}")
    return HISTORIES[name]
