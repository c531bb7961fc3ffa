"""EC-Lab's text export against its own binary file of the same run, read here by its published layout."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acquisition.cell.ec_lab import EcLabReader
from acquisition.cell.text_recording import read_text_recording
from operando.errors import DataError
from operando.profile import Cell

CELL = Cell(source="tail:any.mpt", timezone="Europe/Zurich")

LAYOUTS = {
    "cp": (406, "flags:u1 Ns:u2 time:f8 control:f4 Ewe:f4 I:f4 dQ:f4 Q:f4 half:u4 Qcd:f8 range:u2 Ece:f4"),
    "gcpl.issue_149": (1007, "flags:u1 Ns:u2 time:f8 dq:f8 Q:f8 control:f4 Ewe:f4 range:u2 Qcd:f8 half:u4 P:f4"),
}
"""Where the rows begin behind the module's header, and their columns, of the two .mpr files."""


def binary_rows(folder: Path, name: str) -> NDArray[np.void]:
    content = (folder / f"yadg_eclab/{name}.mpr").read_bytes()
    offset, columns = LAYOUTS[name]
    start = content.index(b"MODULEVMP data")
    # The header is eight bytes longer where the length is written twice.
    body = start + (65 if content[start + 41 : start + 45] == b"\xff" * 4 else 57)
    n_rows = int.from_bytes(content[body : body + 4], "little")
    return np.frombuffer(
        content,
        dtype=np.dtype([(name, f"<{kind}") for name, kind in (word.split(":") for word in columns.split())]),
        count=n_rows,
        offset=body + offset,
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_text_export_equals_the_binary_file_of_the_same_run(data_folder: Path, name: str) -> None:
    recording = read_text_recording(data_folder / f"yadg_eclab/{name}.mpt", CELL)
    rows = binary_rows(data_folder, name)
    assert len(recording.time_s) == len(rows)
    np.testing.assert_allclose(recording.time_s, rows["time"] - rows["time"][0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(recording.voltage_v, rows["Ewe"], rtol=1e-6)
    # In coulomb here, in mAh there.
    ah = 1 / 3600 if name == "cp" else 1e-3
    np.testing.assert_allclose(recording.charge_ah, (rows["Q"] - rows["Q"][0]) * ah, rtol=1e-6, atol=1e-12)
    assert [int(step.removeprefix("Ns ")) for step in recording.step] == rows["Ns"].tolist()
    if name == "cp":
        np.testing.assert_allclose(recording.current_a, rows["I"] / 1000, rtol=1e-6)


def rows_of(text: str, cell: Cell = CELL) -> list[object]:
    reader = EcLabReader(cell)
    return [row for line in text.splitlines() if (row := reader.row(line)) is not None]


HEADER = """EC-Lab ASCII FILE
Nb header lines : 6

Acquisition started on : 07/03/2026 09:15:00.500

mode\tNs\ttime/s\tEwe/V\tI/mA\t(Q-Qo)/mA.h\tTemperature/\u00b0C\tcycle number\t
"""


def test_start_is_month_first_in_the_zone_of_the_cycler_unless_told_otherwise() -> None:
    line = "1\t2\t10,0\t3,7\t-500,0\t-250,0\t25,1\t3,0\n"
    row = rows_of(HEADER + line)[0]
    july = datetime.datetime(2026, 7, 3, 7, 15, 10, 500_000, tzinfo=datetime.UTC)
    assert row.time_s == july.timestamp()  # type: ignore[attr-defined]
    march = datetime.datetime(2026, 3, 7, 8, 15, 10, 500_000, tzinfo=datetime.UTC)
    assert rows_of(HEADER + line, CELL.model_copy(update={"day_first": True}))[0].time_s == march.timestamp()  # type: ignore[attr-defined]


def test_units_become_ours_and_the_mode_tells_the_regime() -> None:
    text = (
        HEADER
        + "1\t2\t10,0\t3,7\t-500,0\t-250,0\t25,1\t3,0\t\n2\t3\t11\t4.2\t100\t-249\t25,2\t3\n3\t4\t12\t4.1\t0\t-249\t25\t3\n"
    )
    found = [
        (row.current_a, row.charge_ah, row.temperature_c, row.cycle, row.step, row.regime)  # type: ignore[attr-defined]
        for row in rows_of(text)
    ]
    assert found == [
        (-0.5, -0.25, 25.1, 3, "Ns 2", "cc_discharge"),
        (0.1, -0.249, 25.2, 3, "Ns 3", "cv_charge"),
        (0.0, -0.249, 25.0, 3, "Ns 4", "rest"),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1\t2\t10,0\t3,7", "a row of 4 fields, the header has 8"),
        ("1\t2\t10,0\t3,7.1\t0\t0\t25\t1", "found '3,7.1', wanted a number"),
        ("1\t2\t10,0\t3,7E+\t0\t0\t25\t1", "wanted a number"),
        ("1\t2\t10,0\tnan\t0\t0\t25\t1", "wanted a number"),
    ],
)
def test_damaged_row_is_refused_with_what_was_found(line: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        rows_of(HEADER + line)


def test_file_of_another_program_is_refused() -> None:
    with pytest.raises(DataError, match="not an EC-Lab text export"):
        rows_of("EXPLAIN\nTAG\tCV\n")


def test_missing_voltage_column_is_named_with_what_there_is() -> None:
    with pytest.raises(DataError, match=r"no column for voltage among mode, .*: set cell\.columns"):
        rows_of(HEADER.replace("Ewe/V", "Ece/V"))


def test_profile_may_take_another_column() -> None:
    cell = CELL.model_copy(update={"columns": {"voltage": "Ewe-Ece/V"}})
    text = HEADER.replace("Ewe/V", "Ewe-Ece/V") + "1\t2\t10\t3,3\t0\t0\t25\t1\n"
    assert rows_of(text, cell)[0].voltage_v == 3.3  # type: ignore[attr-defined]
