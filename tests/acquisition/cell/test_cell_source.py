import shutil
from pathlib import Path

import numpy as np
import pytest

from acquisition.cell.neware import read_neware
from acquisition.cell.source import mark_alive, open_recording, open_source
from operando.errors import DataError, MissingInputError
from operando.profile import Profile, read_profile

M50T = "NewareNDA/TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax"


def profile_with(*, source: str, fallback: str | None = None, **keys: float) -> Profile:
    profile = read_profile("demo")
    cell = profile.cell.model_copy(update={"source": source, "fallback": fallback, **keys})
    return profile.model_copy(update={"cell": cell})


def test_real_neware_file_gives_the_rows_that_its_cycler_wrote(data_folder: Path) -> None:
    recording = read_neware(data_folder / M50T)
    assert len(recording.time_s) == 77745
    assert recording.duration_s == pytest.approx(77704.2, abs=0.05)
    assert recording.voltage_v[0] == pytest.approx(3.587025, abs=1e-6)
    assert recording.step[301] == "CC_DChg"
    assert recording.current_a[5000] == pytest.approx(-0.5, abs=1e-3)
    assert recording.temperature_c is not None
    assert recording.temperature_c[0] == pytest.approx(25.731, abs=1e-3)


def test_charge_of_the_real_file_is_its_own_counter_added_up(data_folder: Path) -> None:
    recording = read_neware(data_folder / M50T)
    integrated_ah = np.concatenate([[0.0], np.cumsum(recording.current_a[1:] * np.diff(recording.time_s))]) / 3600
    # The counter is finer than one sample a second; over 21 hours and 38 Ah of throughput they agree to 0.3 %.
    assert np.abs(recording.charge_ah - integrated_ah).max() < 0.02
    steps = np.flatnonzero([a != b for a, b in zip(recording.step, recording.step[1:], strict=False)])
    assert np.abs(np.diff(recording.charge_ah))[steps].max() < 0.01


def test_older_neware_format_is_read_too(data_folder: Path) -> None:
    recording = read_neware(data_folder / "NewareNDA/TestFile.nda")
    assert np.all(np.diff(recording.time_s) >= 0)
    assert recording.voltage_v.max() < 5


def test_missing_file_without_fallback_is_an_error() -> None:
    with pytest.raises(MissingInputError, match=r"no cycler file .*absent\.ndax"):
        open_recording(profile_with(source="file:absent.ndax"))


def test_missing_file_with_fallback_is_replaced_and_said_so() -> None:
    recording, notice = open_recording(profile_with(source="file:absent.ndax", fallback="model:cccv"))
    assert recording.name.startswith("model")
    assert "absent.ndax" in notice
    assert "model:cccv" in notice


def test_file_that_is_no_neware_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.ndax"
    path.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(DataError, match=r"broken\.ndax is not a Neware file"):
        open_recording(profile_with(source=f"file:{path}"))


def test_torn_real_file_is_refused(data_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.ndax"
    shutil.copy(data_folder / M50T, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match="not a Neware file"):
        read_neware(path)


def test_bridge_that_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    profile = profile_with(source="model:cccv")
    first, _ = open_source(profile, out=tmp_path, now_s=1000.0)
    mark_alive(first, profile.cell, out=tmp_path, now_s=1030.0)
    assert open_source(profile, out=tmp_path, now_s=1040.0)[0].origin_s == 1000.0
    assert open_source(profile, out=tmp_path, now_s=2000.0)[0].origin_s == 2000.0
    other = profile_with(source="model:cccv", start_s=5.0)
    assert open_source(other, out=tmp_path, now_s=1040.0)[0].origin_s == 1040.0
