"""Real Neware files against the reference tables that stand beside them; reading those needs pyarrow."""

from pathlib import Path

import numpy as np
import pytest

from acquisition.cell.neware import read_neware

FILES = {
    "TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax": "TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ftr",
    "TestFile.nda": "TestFile.ftr",
}


@pytest.mark.parametrize("name", FILES)
def test_every_row_equals_the_reference(data_folder: Path, name: str) -> None:
    pytest.importorskip("pyarrow", reason="the reference tables are in Arrow's format: install pyarrow")
    import pandas as pd

    table = pd.read_feather(data_folder / "NewareNDA" / FILES[name])
    recording = read_neware(data_folder / "NewareNDA" / name)
    np.testing.assert_allclose(recording.voltage_v, table["Voltage"], rtol=1e-6)
    np.testing.assert_allclose(recording.current_a, table["Current(mA)"].to_numpy(np.float64) / 1000, rtol=1e-6)
    np.testing.assert_array_equal(recording.step, table["Status"].astype(str))
    np.testing.assert_array_equal(recording.cycle, table["Cycle"])
    assert recording.temperature_c is not None
    np.testing.assert_allclose(recording.temperature_c, table["T1"], rtol=1e-6)
    net_ah = (table["Charge_Capacity(mAh)"] - table["Discharge_Capacity(mAh)"]).to_numpy(np.float64) / 1000
    is_last_of_step = np.diff(table["Step"].to_numpy(np.int64), append=-1) != 0
    carried_ah = np.concatenate([[0.0], np.cumsum(np.where(is_last_of_step, net_ah, 0.0))[:-1]])
    np.testing.assert_allclose(recording.charge_ah, net_ah + carried_ah, rtol=1e-6, atol=1e-9)
