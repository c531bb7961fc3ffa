"""Rows of Gamry Framework's data files (.DTA), also while they grow, and where every half cycle has a file of its own.

A file begins with labels, then come tables: a line ``CURVE TABLE n``, the names of the columns, their units, and rows that
begin with a tab. DATE and TIME say when the file began, by the local time of Framework's computer, and a table's own times
count from its first point. A table of the open circuit goes before the curve of an experiment: the curve then begins where that
ended, which leaves out what the potentiostat does in between, about a second. Framework has no charge counter.
"""

import re
from datetime import datetime
from pathlib import Path

from acquisition.cell.cycler_time import CyclerTime
from acquisition.cell.row import Row, factor, number, temperature
from operando.errors import DataError
from operando.profile import Cell, Quantity

COLUMNS: dict[Quantity, tuple[str, ...]] = {
    "time": ("T", "Time"),
    "voltage": ("Vf", "Vm", "V"),
    "current": ("Im", "I"),
    "temperature": ("Temp",),
    "cycle": ("Cycle",),
}
_UNITS: dict[Quantity, str] = {"time": "s", "voltage": "V", "current": "A", "temperature": "degC"}
_OPEN_CIRCUIT = "OCVCURVE"
_CYCLE_IN_NAME = re.compile(r"#(\d+)")
_FIRST_WORDS = ("EXPLAIN", "TAG")


class GamryReader:
    """Reads one .DTA file.

    Parameters
    ----------
    cell
        Columns and zone.
    path
        Its name tells the cycle, as in ``CHARGE_#21.DTA``.
    """

    def __init__(self, cell: Cell, path: Path) -> None:
        self._cell = cell
        self._time = CyclerTime.of(cell)
        self._labels: dict[str, str] = {}
        self._started: datetime | None = None
        self._n_lines = 0
        self._table = ""
        self._lines_of_table = 0
        self._names: list[str] = []
        self._read: dict[Quantity, tuple[int, float]] = {}
        self._begun_s = 0.0
        self._newest_s = 0.0
        found = _CYCLE_IN_NAME.search(path.name)
        self._cycle = None if found is None else int(found[1])

    def row(self, line: str) -> Row | None:
        """Give the row that a line is; None for labels and headers.

        Raises
        ------
        DataError
            If the file is not Framework's, lacks a column, or the line is damaged.
        """
        self._n_lines += 1
        fields = line.split("\t")
        if self._n_lines == 1 and len(fields) == 1 and line.strip() not in _FIRST_WORDS:
            raise DataError(f"found {line[:40]!r}, wanted EXPLAIN: it is not a Gamry Framework file")
        if not line.startswith("\t"):
            self._note_label(fields)
            return None
        if not self._table or not line.strip():
            return None
        self._lines_of_table += 1
        if self._lines_of_table == 1:
            self._names = fields
            return None
        if self._lines_of_table == 2:
            self._note_columns(units=fields)
            return None
        return self._row(fields)

    def _note_label(self, fields: list[str]) -> None:
        self._table = ""
        if len(fields) > 1 and fields[1] == "TABLE":
            # Further tables of one experiment go on counting its time; an experiment behind an open circuit does not.
            self._begun_s = self._newest_s if self._labels.get("table") == _OPEN_CIRCUIT else self._begun_s
            self._table = self._labels["table"] = fields[0]
            self._lines_of_table = 0
        elif len(fields) > 2 and fields[0] in ("DATE", "TIME"):
            self._labels[fields[0]] = fields[2]
        elif len(fields) > 1 and fields[0] == "TAG":
            self._labels["TAG"] = fields[1]

    def _note_columns(self, *, units: list[str]) -> None:
        self._read = {}
        for quantity, names in COLUMNS.items():
            wanted = self._cell.columns.get(quantity)
            name = next((name for name in ([wanted] if wanted else names) if name in self._names), None)
            if name is None and quantity in ("time", "voltage"):
                raise DataError(f"table {self._table} has no column for {quantity}: {', '.join(filter(None, self._names))}")
            if name is None:
                continue
            at = self._names.index(name)
            # A voltage is written in "V vs. Ref.".
            unit = self._cell.units.get(quantity) or (units[at].split(" vs")[0] if at < len(units) else "")
            self._read[quantity] = (at, factor(unit, to=_UNITS[quantity]) if quantity in _UNITS else 1.0)

    def _row(self, fields: list[str]) -> Row:
        if len(fields) != len(self._names):
            raise DataError(f"a row of {len(fields)} fields, table {self._table} has {len(self._names)}")
        elapsed_s = self._begun_s + self._number(fields, "time")
        self._newest_s = max(self._newest_s, elapsed_s)
        is_open = self._table == _OPEN_CIRCUIT
        return Row(
            time_s=self._time.epoch_s(self._start(), elapsed_s=elapsed_s),
            voltage_v=self._number(fields, "voltage"),
            current_a=0.0 if is_open else self._optional(fields, "current"),
            temperature_c=temperature(self._number(fields, "temperature")) if "temperature" in self._read else None,
            cycle=int(self._number(fields, "cycle")) if "cycle" in self._read else self._cycle,
            step=self._labels.get("TAG", ""),
            regime="rest" if is_open else "",
        )

    def _start(self) -> datetime:
        if self._started is None:
            try:
                self._started = self._time.parse(f"{self._labels['DATE']} {self._labels['TIME']}")
            except KeyError as missing:
                raise DataError(f"the file has no label {missing}: it does not say when it began") from missing
        return self._started

    def _number(self, fields: list[str], quantity: Quantity) -> float:
        at, scale = self._read[quantity]
        return number(fields[at]) * scale

    def _optional(self, fields: list[str], quantity: Quantity) -> float | None:
        return self._number(fields, quantity) if quantity in self._read else None
