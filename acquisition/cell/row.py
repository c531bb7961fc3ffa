"""One row of a cycler's file, whoever wrote it, and how its words become numbers: decimal commas, units, columns by name.

Nothing is guessed: a word that is not wholly a number makes its row count for nothing, a unit that is not known is an error.
"""

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from operando.errors import DataError

Regime = Literal["", "rest", "cc_charge", "cv_charge", "cc_discharge", "cv_discharge"]

ABSOLUTE_ZERO_C = -273.15

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_UNIT = re.compile(r"\s*(?:\(([^()]*)\)|\[([^\[\]]*)\]|/([^/\s]+))\s*$")

FACTORS = {
    "V": {"v": 1.0, "mv": 1e-3, "uv": 1e-6},
    "A": {"a": 1.0, "ma": 1e-3, "ua": 1e-6, "na": 1e-9, "pa": 1e-12},
    "Ah": {"ah": 1.0, "mah": 1e-3, "uah": 1e-6, "c": 1 / 3600, "mc": 1e-3 / 3600},
    "s": {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0},
    "degC": {"degc": 1.0, "deg c": 1.0, "c": 1.0},
}
"""What one of a unit is in ours, by our unit and theirs in small letters without points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the cycler wrote at one time; None where it wrote nothing. Signs are the cycler's."""

    time_s: float
    """Unix epoch, by the cycler's clock."""
    voltage_v: float | None = None
    current_a: float | None = None
    charge_ah: float | None = None
    """Charge since some zero, by the cycler's counter, with the sign of the current."""
    temperature_c: float | None = None
    cycle: int | None = None
    step: str = ""
    regime: Regime = ""
    """As far as the cycler says it."""


class RowReader(Protocol):
    """Makes rows of the lines of one file; given every line once, in order, from one thread."""

    def row(self, line: str) -> Row | None:
        """Give the row that a line is; None for what is not a row, as headers are.

        Raises
        ------
        DataError
            If the line should be a row and is not one, or the file is not of this kind at all.
        """
        ...


def number(text: str) -> float:
    """Give the number that a word is, with a decimal point or comma.

    Raises
    ------
    DataError
        If it is not wholly a number.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        raise DataError(f"found {text[:40]!r}, wanted a number")
    return float(text.replace(",", "."))


def name_and_unit(column: str) -> tuple[str, str]:
    """Part the name of a column from its unit: ``Voltage(V)``, ``Voltage [V]`` and ``Ewe/V`` are all a name and ``V``."""
    found = _UNIT.search(column)
    if found is None:
        return column.strip(), ""
    return column[: found.start()].strip(), next(unit for unit in found.groups() if unit is not None).strip()


def factor(unit: str, *, to: str) -> float:
    """Give what one of a unit is in another of the same kind: ``factor("mA", to="A")`` is 0.001.

    Raises
    ------
    DataError
        If the unit is not known.
    """
    plain = unit.lower().replace(".", "").replace("μ", "u").replace("µ", "u").replace("℃", "degc").replace("°", "deg")
    known = FACTORS[to]
    if plain not in known:
        raise DataError(f"unit {unit!r}: known are {', '.join(known)} for {to}; give it in cell.units")
    return known[plain]


def temperature(value: float) -> float | None:
    """Give a temperature, or None for what a cycler without a sensor writes."""
    return value if value > ABSOLUTE_ZERO_C else None
