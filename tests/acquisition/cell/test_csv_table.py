"""Tables with named columns: Neware's export as it is written, and whatever a profile maps."""

import pytest

from acquisition.cell.csv_table import CsvReader
from acquisition.cell.row import Row
from operando.errors import DataError
from operando.profile import Cell

NEWARE = """DataPoint,Cycle Index,Step Index,Step Type,Time,Total Time,Current(A),Voltage(V),Capacity(Ah),Chg. Cap.(Ah),\
DChg. Cap.(Ah),Date,Power(W),T1(℃)
1,1,1,Rest,00:00:00,00:00:00,0.0000,3.5870,0.0000,0.0000,0.0000,2025-09-25 14:18:47,0,25.7
2,1,2,CC DChg,00:00:00,00:05:00,-0.5000,3.5000,0.5000,0.0000,0.5000,2025-09-25 14:23:47,-1.75,25.8
3,1,3,CCCV Chg,00:00:00,00:10:00,2.5000,3.8000,0.2000,0.2000,0.0000,2025-09-25 14:28:47,9.5,26.0
"""


def rows_of(text: str, **keys: object) -> list[Row]:
    reader = CsvReader(Cell.model_validate({"source": "tail:any.csv", "timezone": "Europe/Berlin", **keys}))
    return [row for line in text.splitlines() if (row := reader.row(line)) is not None]


def test_neware_export_is_read_without_a_word_in_the_profile() -> None:
    rows = rows_of(NEWARE)
    assert [row.time_s - 1758802727 for row in rows] == [0.0, 300.0, 600.0]
    assert [row.voltage_v for row in rows] == [3.587, 3.5, 3.8]
    assert [row.current_a for row in rows] == [0.0, -0.5, 2.5]
    assert [row.charge_ah for row in rows] == pytest.approx([0.0, -0.5, -0.3])
    assert [(row.step, row.cycle, row.temperature_c) for row in rows][2] == ("CCCV Chg", 1, 26.0)


def test_profile_maps_columns_units_and_the_zero_of_time() -> None:
    text = "# a logger\nElapsed;U;Strom\n1,5;3700,5;-12,5\n"
    row = rows_of(
        text,
        columns={"time": "Elapsed", "voltage": "U", "current": "Strom"},
        units={"time": "min", "voltage": "mV", "current": "mA"},
        start_time="2026-01-01 00:00:00",
        timezone="UTC",
    )[0]
    assert (row.time_s - 1767225600, row.voltage_v, row.current_a, row.charge_ah) == (
        90.0,
        pytest.approx(3.7005),
        -0.0125,
        None,
    )


def test_times_since_the_epoch_and_absent_values() -> None:
    rows = rows_of("epoch\tVoltage [V]\tCurrent (mA)\n1700000000.25\t3.7\t\n1700000001.25\t3.8\t250\n")
    assert [(row.time_s, row.current_a) for row in rows] == [(1700000000.25, None), (1700000001.25, 0.25)]


def test_own_pattern_of_time() -> None:
    row = rows_of("Time,Voltage(V)\n07.03.26 / 12:00,3.7\n", units={"time": "%d.%m.%y / %H:%M"}, timezone="UTC")[0]
    assert row.time_s == 1772884800


@pytest.mark.parametrize(
    ("text", "keys", "complaint"),
    [
        ("Time,Voltage(V)\n1.0,3.7\n", {}, "set cell.start_time"),
        ("Date,Voltage(kV)\n", {}, "unit 'kV': known are v, mv, uv"),
        (
            "Date,Voltage(V),Current(A)\n",
            {"columns": {"charge": "Q"}},
            r"no columns charge = 'Q' among Date, .*correct cell\.columns",
        ),
        ("Date,Voltage(V)\n31/12/2026 10:00:00,3.7\n", {}, "set cell.day_first"),
        ("Date,Voltage(V)\n2026-01-01 10:00:00,3,7\n", {}, "a row of 3 fields, the header has 2"),
        ("no header\n" * 101, {}, "no header with a time and a voltage"),
    ],
)
def test_what_cannot_be_read_says_what_to_set(text: str, keys: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        rows_of(text, **keys)
