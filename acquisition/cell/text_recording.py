"""A finished text file of a cycler as a recording: every row that is later than the one before, charge carried through."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquisition.cell.charge import Charge
from acquisition.cell.growing import reader_of
from acquisition.cell.recording import Recording
from acquisition.cell.row import Row
from acquisition.tail import Tail, decoded
from operando.errors import DataError
from operando.profile import Cell


def read_text_recording(path: Path, cell: Cell) -> Recording:
    """Read a finished .mpt, .DTA, .csv or .txt file.

    A finished file may lack its last newline: the last line counts if it is a whole row.

    Raises
    ------
    DataError
        If a line of it is not what it should be; a recording has no torn lines.
    """
    reader, rows, charges = reader_of(path, cell), list[Row](), list[float]()
    charge = Charge()
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = reader.row(line)
        except DataError as wrong:
            raise DataError(f"{path} line {number}: {wrong}") from wrong
        if row is not None and (not rows or row.time_s >= rows[-1].time_s):
            rows.append(row)
            passed_ah = charge.add(row, file=path.name)
            charges.append(np.nan if passed_ah is None else passed_ah)
    if not rows:
        raise DataError(f"{path} holds no rows: export it again")
    sign = 1.0 if cell.charging_current == "positive" else -1.0
    charge_ah = np.array(charges)
    return Recording(
        name=path.name,
        time_s=np.array([row.time_s for row in rows]) - rows[0].time_s,
        voltage_v=_column([row.voltage_v for row in rows]),
        current_a=sign * _column([row.current_a for row in rows]),
        charge_ah=sign * (charge_ah - charge_ah[0]),
        temperature_c=_column([row.temperature_c for row in rows]),
        cycle=np.array([-1 if row.cycle is None else row.cycle for row in rows], dtype=np.int64),
        step=tuple(row.step for row in rows),
        charge_source=charge.source,
    )


def _lines(path: Path) -> list[str]:
    tail, lines = Tail(path), list[str]()
    while True:
        news = tail.read()
        lines += news.lines
        if not news.has_more:
            break
    rest = path.read_bytes().rpartition(b"\n")[2]
    return [*lines, decoded(rest)] if rest.strip() else lines


def _column(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
