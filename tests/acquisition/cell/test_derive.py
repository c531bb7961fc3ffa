"""What follows from readings: regimes of a real CCCV cell, C-rate, half cycles, and nothing where something is not given."""

from pathlib import Path

import numpy as np
import pytest

from acquisition.cell.derive import Deriver
from acquisition.cell.neware import read_neware
from acquisition.cell.recording import Replay
from operando.messages import CellReading
from operando.profile import Cell


def reading(time_s: float, *, voltage_v: float = 3.7, current_a: float | None = 0.0, charge_ah: float = 0.0) -> CellReading:
    return CellReading(time_s=time_s, voltage_v=voltage_v, current_a=current_a, charge_ah=charge_ah)


def test_figures_need_what_they_are_made_of() -> None:
    bare = Deriver(Cell(source="model:cccv")).complete(reading(0.0, current_a=1.0, charge_ah=0.5))
    assert (bare.c_rate, bare.soc, bare.specific_charge_mah_g, bare.step_charge_ah) == (None, None, None, None)
    cell = Cell(source="model:cccv", mass_g=2.0, specific_capacity_mah_g=200.0, start_soc=0.25)
    full = Deriver(cell).complete(reading(0.0, current_a=1.0, charge_ah=0.1))
    assert (full.c_rate, full.soc, full.specific_charge_mah_g) == (2.5, 0.5, 50.0)


def test_charge_of_a_half_cycle_begins_where_the_direction_turned() -> None:
    deriver = Deriver(Cell(source="model:cccv", capacity_ah=1.0))
    steps = [(1.0, 0.0), (1.0, 0.5), (-1.0, 0.4), (-1.0, 0.1), (0.0, 0.1), (1.0, 0.3)]
    found = [
        deriver.complete(reading(float(k), current_a=current_a, charge_ah=charge_ah)).step_charge_ah
        for k, (current_a, charge_ah) in enumerate(steps)
    ]
    # When the first half cycle began, nobody saw.
    assert found[:2] == [None, None]
    assert found[2:] == pytest.approx([-0.1, -0.4, 0.0, 0.2])


def test_regimes_of_the_real_cell_are_those_of_its_steps(data_folder: Path) -> None:
    recording = read_neware(data_folder / "NewareNDA/TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax")
    replay = Replay(recording, speed=1.0, start_s=0.0, origin_s=0.0)
    deriver = Deriver(Cell(source="model:cccv", capacity_ah=4.8))
    rows = range(0, len(recording.time_s), 20)
    found = [deriver.complete(replay.reading_at(float(recording.time_s[row]))) for row in rows]
    allowed = {
        "Rest": {"rest"},
        "CC_DChg": {"cc_discharge"},
        "CCCV_Chg": {"cc_charge", "cv_charge", ""},
    }
    wrong = [(r.step, r.regime, r.current_a) for r in found if r.regime not in allowed[r.step] and abs(r.current_a or 0) > 0.02]
    assert wrong == []
    held = [r for r in found if r.regime == "cv_charge"]
    assert len(held) > 20
    assert min(r.voltage_v or 0 for r in held) > 4.19
    charging = [r for r in found if r.regime == "cc_charge"]
    assert len(charging) > 100
    assert np.isclose([r.current_a for r in charging], np.round(np.array([r.current_a for r in charging]), 1), atol=0.05).all()


def test_same_reading_again_only_ages() -> None:
    deriver = Deriver(Cell(source="model:cccv", capacity_ah=1.0))
    first = deriver.complete(reading(5.0, current_a=1.0))
    again = deriver.complete(reading(5.0, current_a=1.0).model_copy(update={"age_s": 7.0, "trouble": "locked"}))
    assert again == first.model_copy(update={"age_s": 7.0, "trouble": "locked"})
