"""Rows of BioLogic EC-Lab's text export (.mpt), also while the run goes on ("text export during run").

The header says how many lines it has, and when the acquisition was started: month first, in the local time of EC-Lab's
computer. Numbers have that computer's decimal sign. Current is positive for oxidation at the working electrode, so on charge
where that is the positive electrode of a full cell.
"""

import re
from datetime import datetime

from acquisition.cell.cycler_time import CyclerTime
from acquisition.cell.row import Regime, Row, factor, name_and_unit, number, temperature
from operando.errors import DataError
from operando.profile import Cell, Quantity

FIRST_LINE = "EC-Lab ASCII FILE"
_N_HEADER = re.compile(r"Nb header lines\s*:\s*(\d+)")
_STARTED = re.compile(r"Acquisition started on\s*:\s*(.+)")

COLUMNS: dict[Quantity, tuple[str, ...]] = {
    "time": ("time",),
    "voltage": ("Ecell", "Ewe", "<Ewe>"),
    "current": ("I", "<I>"),
    "charge": ("(Q-Qo)",),
    "temperature": ("Temperature", "T", "T1"),
    "cycle": ("cycle number",),
}
"""Names without units, the better first."""

_UNITS: dict[Quantity, str] = {"time": "s", "voltage": "V", "current": "A", "charge": "Ah", "temperature": "degC"}
_NEEDED: tuple[Quantity, ...] = ("time", "voltage")
_GALVANOSTATIC, _POTENTIOSTATIC, _OPEN = 1, 2, 3
"""What EC-Lab writes in the column ``mode``."""


class EcLabReader:
    """Reads one .mpt file.

    Parameters
    ----------
    cell
        Columns, units and zone.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._time = CyclerTime.of(cell)
        self._n_lines = 0
        self._n_header = 0
        self._started: datetime | None = None
        self._names: list[str] = []
        self._read: dict[Quantity, tuple[int, float]] = {}

    def row(self, line: str) -> Row | None:
        """Give the row that a line is; None in the header.

        Raises
        ------
        DataError
            If the file is not EC-Lab's, lacks a column, or the line is damaged.
        """
        self._n_lines += 1
        if self._n_header == 0 or self._n_lines < self._n_header:
            self._note_header(line)
            return None
        if self._n_lines == self._n_header:
            self._note_columns(line)
            return None
        return self._row(_fields(line)) if line.strip() else None

    def _note_header(self, line: str) -> None:
        if self._n_lines == 1 and line.strip() != FIRST_LINE:
            raise DataError(f"found {line[:40]!r}, wanted {FIRST_LINE!r}: it is not an EC-Lab text export")
        if found := _N_HEADER.search(line):
            self._n_header = int(found[1])
        elif self._n_lines > 1 and self._n_header == 0:
            raise DataError(f"found {line[:40]!r}, wanted the number of header lines: it is not an EC-Lab text export")
        if found := _STARTED.search(line):
            self._started = self._time.parse(found[1])

    def _note_columns(self, line: str) -> None:
        self._names = _fields(line)
        for quantity, names in COLUMNS.items():
            at = self._find(self._cell.columns.get(quantity), names)
            if at is None and (quantity in _NEEDED or quantity in self._cell.columns):
                raise DataError(f"no column for {quantity} among {', '.join(filter(None, self._names))}: set cell.columns")
            if at is not None:
                unit = self._cell.units.get(quantity) or name_and_unit(self._names[at])[1]
                self._read[quantity] = (at, factor(unit, to=_UNITS[quantity]) if quantity in _UNITS else 1.0)

    def _find(self, wanted: str | None, known: tuple[str, ...]) -> int | None:
        if wanted is not None:
            return self._names.index(wanted) if wanted in self._names else None
        bare = [name_and_unit(name)[0] for name in self._names]
        return next((bare.index(name) for name in known if name in bare), None)

    def _row(self, fields: list[str]) -> Row:
        if len(fields) != len(self._names):
            raise DataError(f"a row of {len(fields)} fields, the header has {len(self._names)}")
        current_a = self._number(fields, "current")
        cycle, celsius = self._number(fields, "cycle"), self._number(fields, "temperature")
        set_number = self._plain(fields, "Ns")
        return Row(
            time_s=self._time_s(fields[self._read["time"][0]]),
            voltage_v=self._number(fields, "voltage"),
            current_a=current_a,
            charge_ah=self._number(fields, "charge"),
            temperature_c=None if celsius is None else temperature(celsius),
            cycle=None if cycle is None else int(cycle),
            step="" if set_number is None else f"Ns {set_number:g}",
            regime=_regime(self._plain(fields, "mode"), current_a),
        )

    def _time_s(self, text: str) -> float:
        if ":" in text:
            return self._time.epoch_s(self._time.parse(text))
        if self._started is None:
            raise DataError("the header does not say when the acquisition started: export again with all header lines")
        return self._time.epoch_s(self._started, elapsed_s=number(text) * self._read["time"][1])

    def _number(self, fields: list[str], quantity: Quantity) -> float | None:
        if quantity not in self._read:
            return None
        at, scale = self._read[quantity]
        return number(fields[at]) * scale

    def _plain(self, fields: list[str], name: str) -> float | None:
        return number(fields[self._names.index(name)]) if name in self._names else None


def _fields(line: str) -> list[str]:
    """Part a line; the tab at its end, which the header has and some rows, is not a field."""
    return line.removesuffix("\t").split("\t")


def _regime(mode: float | None, current_a: float | None) -> Regime:
    if mode == _OPEN:
        return "rest"
    if not current_a or mode not in (_GALVANOSTATIC, _POTENTIOSTATIC):
        return ""
    if mode == _GALVANOSTATIC:
        return "cc_charge" if current_a > 0 else "cc_discharge"
    return "cv_charge" if current_a > 0 else "cv_discharge"
