"""Rows of a table with named columns (.csv, .txt): what the profile maps, or what Neware's export is known to write.

The first line that names a time and a voltage is the header. The delimiter is the one among semicolon, tab and comma that parts
the header; a file with decimal commas must not be parted by commas as well.
"""

import csv
from datetime import datetime

from acquisition.cell.cycler_time import CyclerTime, duration_s
from acquisition.cell.row import Row, factor, name_and_unit, number, temperature
from operando.errors import DataError
from operando.profile import Cell, Quantity

COLUMNS: dict[Quantity, tuple[str, ...]] = {
    "time": ("date", "absolute time", "realtime", "timestamp", "epoch", "total time", "test time", "time"),
    "voltage": ("voltage", "vol", "ewe", "ecell"),
    "current": ("current", "cur", "i"),
    "charge": ("net capacity", "charge"),
    "charged": ("chg. cap.", "charge_capacity", "charge capacity"),
    "discharged": ("dchg. cap.", "discharge_capacity", "discharge capacity"),
    "temperature": ("t1", "temperature", "aux. temp."),
    "cycle": ("cycle index", "cycle", "cycle id"),
    "step": ("step type", "status", "step name"),
}
"""Names in small letters without units, the better first; Neware's BTSDA exports write most of these."""

_UNITS: dict[Quantity, str] = {
    "voltage": "V",
    "current": "A",
    "charge": "Ah",
    "charged": "Ah",
    "discharged": "Ah",
    "temperature": "degC",
}
_N_PREAMBLE = 100
"""Lines before the header that a program may write; more and there is none."""
_EPOCH = "epoch"
_EMPTY = ("", "-", "--", "nan", "NaN", "N/A")


class CsvReader:
    """Reads one file.

    Parameters
    ----------
    cell
        Columns, units, zone and start.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._time = CyclerTime.of(cell)
        self._start = self._time.parse(cell.start_time) if cell.start_time else None
        self._time_unit = cell.units.get("time", "")
        self._delimiter = ""
        self._n_preamble = 0
        self._names: list[str] = []
        self._read: dict[Quantity, tuple[int, float]] = {}
        self._charge = StepCounters()

    def row(self, line: str) -> Row | None:
        """Give the row that a line is; None up to the header.

        Raises
        ------
        DataError
            If there is no header with a time and a voltage, or the line is damaged.
        """
        if not line.strip() or line.startswith("#"):
            return None
        if not self._names:
            self._note_header(line)
            return None
        return self._row(next(csv.reader([line], delimiter=self._delimiter)))

    def _note_header(self, line: str) -> None:
        self._n_preamble += 1
        for delimiter in (";", "\t", ","):
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
            found = {quantity: at for quantity in COLUMNS if (at := self._find(quantity, names)) is not None}
            if "time" in found and "voltage" in found:
                self._names, self._delimiter = names, delimiter
                self._read = {quantity: (at, self._factor(quantity, names[at])) for quantity, at in found.items()}
                self._check()
                return
        if self._n_preamble > _N_PREAMBLE:
            raise DataError(f"no header with a time and a voltage in {_N_PREAMBLE} lines: set cell.columns")

    def _check(self) -> None:
        absent = [f"{quantity} = {name!r}" for quantity, name in self._cell.columns.items() if quantity not in self._read]
        if absent:
            raise DataError(f"no columns {', '.join(absent)} among {', '.join(self._names)}: correct cell.columns")

    def _find(self, quantity: Quantity, names: list[str]) -> int | None:
        wanted = self._cell.columns.get(quantity)
        if wanted is not None:
            return names.index(wanted) if wanted in names else None
        bare = [name_and_unit(name)[0].lower() for name in names]
        return next((bare.index(name) for name in COLUMNS[quantity] if name in bare), None)

    def _factor(self, quantity: Quantity, column: str) -> float:
        unit = self._cell.units.get(quantity) or name_and_unit(column)[1]
        if quantity == "time":
            self._time_unit = unit
            return 1.0
        return factor(unit, to=_UNITS[quantity]) if quantity in _UNITS else 1.0

    def _row(self, fields: list[str]) -> Row:
        if len(fields) != len(self._names):
            raise DataError(f"a row of {len(fields)} fields, the header has {len(self._names)}")
        cycle, celsius = self._number(fields, "cycle"), self._number(fields, "temperature")
        step = fields[self._read["step"][0]].strip() if "step" in self._read else ""
        charge_ah = self._number(fields, "charge")
        if charge_ah is None:
            charge_ah = self._charge.net_ah(self._number(fields, "charged"), self._number(fields, "discharged"))
        return Row(
            time_s=self._time_s(fields[self._read["time"][0]].strip()),
            voltage_v=self._number(fields, "voltage"),
            current_a=self._number(fields, "current"),
            charge_ah=charge_ah,
            temperature_c=None if celsius is None else temperature(celsius),
            cycle=None if cycle is None else int(cycle),
            step=step[:80],
        )

    def _time_s(self, text: str) -> float:
        if self._time_unit == _EPOCH or (not self._time_unit and name_and_unit(self._column("time"))[0].lower() == _EPOCH):
            return number(text)
        if "%" in self._time_unit:
            return self._time.epoch_s(self._time.parse(text, pattern=self._time_unit))
        if any(mark in text for mark in "-/") and ":" in text:
            return self._time.epoch_s(self._time.parse(text))
        elapsed_s = duration_s(text) if ":" in text else number(text) * factor(self._time_unit or "s", to="s")
        return self._time.epoch_s(self._zero(), elapsed_s=elapsed_s)

    def _zero(self) -> datetime:
        if self._start is None:
            raise DataError(
                f"column {self._column('time')!r} counts from a zero that the file does not name: set cell.start_time"
            )
        return self._start

    def _column(self, quantity: Quantity) -> str:
        return self._names[self._read[quantity][0]]

    def _number(self, fields: list[str], quantity: Quantity) -> float | None:
        if quantity not in self._read:
            return None
        at, scale = self._read[quantity]
        text = fields[at].strip()
        return None if text in _EMPTY else number(text) * scale


class StepCounters:
    """Adds up two counters that begin anew with every step: a counter that falls has begun anew."""

    def __init__(self) -> None:
        self._carried_ah = 0.0
        self._charged_ah = self._discharged_ah = 0.0

    def net_ah(self, charged_ah: float | None, discharged_ah: float | None) -> float | None:
        """Give the charge since the first row; None if the file has no counters."""
        if charged_ah is None or discharged_ah is None:
            return None
        if charged_ah < self._charged_ah or discharged_ah < self._discharged_ah:
            self._carried_ah += self._charged_ah - self._discharged_ah
        self._charged_ah, self._discharged_ah = charged_ah, discharged_ah
        return self._carried_ah + charged_ah - discharged_ah
