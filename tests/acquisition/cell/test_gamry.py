"""Gamry's files: the real ones, taken apart here by their tabs, and the half cycles of a cycling experiment."""

from pathlib import Path

import numpy as np
import pytest

from acquisition.cell.gamry import GamryReader
from acquisition.cell.text_recording import read_text_recording
from operando.errors import DataError
from operando.profile import Cell

CELL = Cell(source="tail:any.dta", timezone="UTC")


def table(path: Path, *columns: str) -> np.ndarray:
    """Give columns of all tables of a file, by nothing but its tabs."""
    names: list[str] = []
    rows = []
    for line in path.read_text().splitlines():
        fields = line.split("\t")
        if "T" in fields and "Vf" in fields:
            names = fields
        elif names and line.startswith("\t") and fields[1].isdigit():
            rows.append([float(fields[names.index(column)]) for column in columns])
    return np.array(rows).T


@pytest.mark.parametrize("name", ["chronoa_data", "cv_data"])
def test_real_files_give_the_numbers_that_stand_in_them(data_folder: Path, name: str) -> None:
    path = data_folder / f"gamry/{name}.dta"
    recording = read_text_recording(path, CELL)
    time_s, voltage_v, current_a = table(path, "T", "Vf", "Im")
    np.testing.assert_allclose(recording.time_s, time_s - time_s[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(recording.voltage_v, voltage_v, rtol=1e-12)
    np.testing.assert_allclose(recording.current_a, current_a, rtol=1e-12)
    assert recording.charge_source == "integrated"
    added_ah = np.trapezoid(current_a, time_s) / 3600
    assert recording.charge_ah[-1] == pytest.approx(added_ah, rel=1e-9)


def test_real_open_circuit_file_has_no_current_no_charge_and_no_temperature(data_folder: Path) -> None:
    recording = read_text_recording(data_folder / "gamry/ocp_data.dta", CELL)
    assert len(recording.time_s) == 21
    assert recording.voltage_v[0] == 2.05436e-2
    assert np.isnan(recording.current_a).all()
    assert np.isnan(recording.charge_ah).all()
    # Framework writes -327.62 without a sensor.
    assert recording.temperature_c is not None
    assert np.isnan(recording.temperature_c).all()


@pytest.mark.parametrize(
    ("name", "complaint"), [("vfp600_data", "not a Gamry"), ("squarewave_data", "table CURVE has no column for voltage")]
)
def test_real_files_that_hold_no_cell_state_are_refused(data_folder: Path, name: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_text_recording(data_folder / f"gamry/{name}.dta", CELL)


CHARGE = """EXPLAIN
TAG\tPWR800_CHARGE
DATE\tLABEL\t3/6/2026\tDate
TIME\tLABEL\t16:35:22\tTime
OCVCURVE\tTABLE\t2
\tPt\tT\tVf\tVm\tAch
\t#\ts\tV vs. Ref.\tV\tV
\t0\t1\t3.50\t0\t0
\t1\t2\t3.51\t0\t0
CURVE\tTABLE
\tPt\tT\tVf\tIm\tTemp
\t#\ts\tV vs. Ref.\tA\tdeg C
\t0\t1,5\t3,6\t0,25\t24,5
"""


def test_curve_begins_where_its_open_circuit_ended_and_the_name_tells_the_cycle() -> None:
    reader = GamryReader(CELL, Path("CHARGE_#21.dta"))
    rows = [row for line in CHARGE.splitlines() if (row := reader.row(line)) is not None]
    began_s = 1772814922.0
    assert [(row.time_s - began_s, row.voltage_v, row.current_a, row.regime) for row in rows] == [
        (1.0, 3.50, 0.0, "rest"),
        (2.0, 3.51, 0.0, "rest"),
        (3.5, 3.6, 0.25, ""),
    ]
    assert (rows[2].cycle, rows[2].step, rows[2].temperature_c) == (21, "PWR800_CHARGE", 24.5)
