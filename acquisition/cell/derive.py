"""What follows from a cell's readings: C-rate, state of charge, charge of the running half cycle, and what the cycler does.

Every figure is given only where what it needs is given: no nominal capacity, no C-rate. Whether a step is at constant current
or constant voltage is what the cycler says, or what its name says, or what the last few readings show; else it is not said.
"""

import re
from collections import deque
from itertools import pairwise
from typing import Literal

from acquisition.cell.row import Regime
from operando.messages import CellReading
from operando.profile import Cell

N_JUDGED = 4
"""Readings that must agree before they show a regime: fewer take noise for a taper, more are late at its end."""
STEADY_CURRENT = 0.002
"""Relative spread of a current that is held; cyclers hold to 0.1 % of their range."""
STEADY_VOLTAGE_V = 0.003
"""Spread of a voltage that is held; within a few readings of a slow charge at constant current it can be as small, and then the
current tells."""

Direction = Literal["", "charge", "discharge", "rest"]

_CCCV = re.compile(r"cc\W*cv", re.IGNORECASE)
_CC = re.compile(r"(?<![a-z])cc(?![a-z]*cv)|constant.current|galvanostatic", re.IGNORECASE)
_CV = re.compile(r"(?<![a-z])cv|constant.voltage|potentiostatic", re.IGNORECASE)
_REST = re.compile(r"rest|pause|ocv|open", re.IGNORECASE)


class Deriver:
    """Completes readings; given each in order, from one thread.

    Parameters
    ----------
    cell
        Capacity, mass and start.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._last: CellReading | None = None
        self._recent: deque[CellReading] = deque(maxlen=N_JUDGED)
        self._direction: Direction = ""
        self._begun_ah: float | None = None

    def complete(self, reading: CellReading) -> CellReading:
        """Give a reading with all that follows from it and those before it."""
        if self._last is not None and reading.time_s == self._last.time_s:
            return self._last.model_copy(update={"age_s": reading.age_s, "trouble": reading.trouble})
        if self._recent and self._recent[-1].step != reading.step:
            self._recent.clear()
        self._recent.append(reading)
        regime = reading.regime or self._regime(reading)
        figures = {**self._figures(reading), "regime": regime, "step_charge_ah": self._step_charge_ah(reading, regime)}
        self._last = reading.model_copy(update=figures)
        return self._last

    def _figures(self, reading: CellReading) -> dict[str, float | None]:
        cell, nominal_ah = self._cell, self._cell.nominal_ah
        current_a, charge_ah = reading.current_a, reading.charge_ah
        figures: dict[str, float | None] = {}
        if nominal_ah is not None and current_a is not None:
            figures["c_rate"] = current_a / nominal_ah
        if nominal_ah is not None and charge_ah is not None and cell.start_soc is not None:
            figures["soc"] = cell.start_soc + charge_ah / nominal_ah
        if cell.mass_g is not None and charge_ah is not None:
            figures["specific_charge_mah_g"] = 1000 * charge_ah / cell.mass_g
        return figures

    def _regime(self, reading: CellReading) -> Regime:
        current_a = reading.current_a
        if self._is_rest(current_a) or (not current_a and _REST.search(reading.step)):
            return "rest"
        if not current_a:
            return ""
        kind = self._kind(reading.step)
        if kind == "cc":
            return "cc_charge" if current_a > 0 else "cc_discharge"
        if kind == "cv":
            return "cv_charge" if current_a > 0 else "cv_discharge"
        return ""

    def _is_rest(self, current_a: float | None) -> bool:
        nominal_ah = self._cell.nominal_ah
        if current_a is None:
            return False
        return abs(current_a) < self._cell.rest_rate * nominal_ah if nominal_ah is not None else current_a == 0

    def _kind(self, step: str) -> Literal["", "cc", "cv"]:
        """Tell constant current from constant voltage, by the name of the step or by the last readings."""
        if not _CCCV.search(step):
            if _CC.search(step):
                return "cc"
            if _CV.search(step):
                return "cv"
        currents = [abs(reading.current_a) for reading in self._recent if reading.current_a is not None]
        voltages = [reading.voltage_v for reading in self._recent if reading.voltage_v is not None]
        if len(currents) < N_JUDGED or len(voltages) < N_JUDGED:
            return ""
        if max(currents) - min(currents) <= STEADY_CURRENT * max(currents):
            return "cc"
        is_falling = all(later < earlier for earlier, later in pairwise(currents))
        return "cv" if is_falling and max(voltages) - min(voltages) <= STEADY_VOLTAGE_V else ""

    def _step_charge_ah(self, reading: CellReading, regime: Regime) -> float | None:
        direction = self._direction_of(reading, regime)
        if direction != self._direction:
            self._direction = direction
            # The charge up to the last reading belongs to what was before; when the first step began, nobody saw.
            self._begun_ah = None if self._last is None else self._last.charge_ah
        if reading.charge_ah is None or self._begun_ah is None or not direction:
            return None
        return reading.charge_ah - self._begun_ah

    def _direction_of(self, reading: CellReading, regime: Regime) -> Direction:
        if regime == "rest":
            return "rest"
        if not reading.current_a:
            return ""
        return "charge" if reading.current_a > 0 else "discharge"
