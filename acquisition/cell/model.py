"""A model of a cell on a cycler, for when no recording is at hand: an equivalent circuit under a CCCV schedule.

Open circuit voltage, a series resistance and one resistor-capacitor pair (a Thevenin model of first order: Plett, Battery
Management Systems I, Artech 2015, section 2.4). Good to some tens of mV against a real 21700 cell, and without ageing or heat;
the temperature is therefore not given. Readings say ``model``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from acquisition.cell.recording import Recording
from operando.errors import ProfileError

OCV_SOC = (0.0, 0.03, 0.08, 0.15, 0.3, 0.45, 0.55, 0.7, 0.85, 0.95, 1.0)
OCV_V = (2.50, 3.05, 3.28, 3.42, 3.58, 3.70, 3.80, 3.93, 4.06, 4.12, 4.20)
"""Shape of an NMC-graphite cell at rest; schematic, drawn for this model, measured on none."""

_TICK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The equivalent circuit, about an M50T: one 21700 cell of 4.7 Ah."""

    capacity_ah: float = 4.7
    series_ohm: float = 0.025
    pair_ohm: float = 0.015
    pair_s: float = 60.0
    """Time constant of the resistor-capacitor pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the schedule; ends at the voltage limit (and taper), or after its time."""

    name: str
    current_c: float = 0.0
    """Demanded current in multiples of the capacity per hour, positive for charging."""
    limit_v: float | None = None
    taper_c: float | None = None
    """On reaching the limit hold it until the current has fallen to this; None ends the step there."""
    time_s: float = 24 * 3600.0


REST = Step(name="Rest", time_s=300.0)
CHARGE = Step(name="CCCV_Chg", current_c=0.5, limit_v=4.2, taper_c=0.05)
DISCHARGE = Step(name="CC_DChg", current_c=-0.5, limit_v=2.5)


def model_recording(name: str, *, n_cycles: int = 3) -> Recording:
    """Give the recording that a cycler would have made of the model cell.

    Raises
    ------
    ProfileError
        If there is no model of that name.
    """
    if name != "cccv":
        raise ProfileError(f"cell.source: there is no model {name!r}: use model:cccv or file:PATH")
    cycles = [(1, step) for step in (REST, DISCHARGE, REST)]
    cycles += [(cycle, step) for cycle in range(2, n_cycles + 2) for step in (CHARGE, REST, DISCHARGE, REST)]
    rows = np.array(list(_rows(Circuit(), [step for _, step in cycles], soc=0.3)))
    index = rows[:, 3].astype(np.int64)
    return Recording(
        name="model: CCCV of an equivalent circuit",
        time_s=np.arange(len(rows), dtype=np.float64) * _TICK_S,
        voltage_v=rows[:, 0],
        current_a=rows[:, 1],
        charge_ah=rows[:, 2],
        temperature_c=None,
        cycle=np.array([cycle for cycle, _ in cycles])[index],
        step=tuple(cycles[i][1].name for i in index),
    )


def _rows(circuit: Circuit, schedule: list[Step], *, soc: float) -> Iterator[tuple[float, float, float, int]]:
    """Give (V, A, Ah, step index) at every tick."""
    start_soc, pair_v = soc, 0.0
    relaxation = 1 - np.exp(-_TICK_S / circuit.pair_s)
    for index, step in enumerate(schedule):
        demand_a = step.current_c * circuit.capacity_ah
        for _ in range(round(step.time_s / _TICK_S)):
            rest_v = float(np.interp(soc, OCV_SOC, OCV_V)) + pair_v
            current_a = demand_a
            is_at_limit = False
            if step.limit_v is not None:
                held_a = (step.limit_v - rest_v) / circuit.series_ohm
                is_at_limit = abs(held_a) < abs(demand_a) or held_a * demand_a < 0
                current_a = held_a if is_at_limit else demand_a
            if is_at_limit and (step.taper_c is None or current_a < step.taper_c * circuit.capacity_ah):
                break
            yield rest_v + current_a * circuit.series_ohm, current_a, (soc - start_soc) * circuit.capacity_ah, index
            soc += current_a * _TICK_S / 3600 / circuit.capacity_ah
            pair_v += (current_a * circuit.pair_ohm - pair_v) * relaxation
