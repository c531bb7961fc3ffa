"""The cell as growing files show it: hostile writers, rotation, clocks, signs and age; no value is invented."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquisition.cell.live import LiveFiles, looking
from acquisition.cell.source import describe_source, open_source
from acquisition.cell.text_recording import read_text_recording
from operando.errors import DataError, MissingInputError
from operando.messages import CellReading
from operando.profile import Cell, Profile, read_profile

MPT = "yadg_eclab/gcpl.issue_149.mpt"
START_S = 1700000000.0


def cell_with(**keys: object) -> Cell:
    return Cell.model_validate({"source": "tail:any.csv", "timezone": "UTC", **keys})


def csv_rows(first: int, last: int) -> str:
    return "".join(f"{START_S + k:.1f};{3 + k / 100:.2f};{-k / 10:.1f}\n".replace(".", ",") for k in range(first, last))


HEADER = "epoch;Voltage(V);Current(A)\r\n"


def write(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())


def test_every_part_of_a_real_file_gives_only_readings_that_stand_in_it(data_folder: Path, tmp_path: Path) -> None:
    cell = cell_with(source="tail:x.mpt", timezone="Europe/Zurich")
    whole = read_text_recording(data_folder / MPT, cell)
    content = (data_folder / MPT).read_bytes()
    path = tmp_path / "growing.mpt"
    source = LiveFiles(path, cell)
    seen = dict[float, CellReading]()
    rng = np.random.default_rng(3)
    ends = np.unique([*rng.integers(0, len(content), 400), len(content)])
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        with path.open("ab") as file:
            file.write(content[start:end])
        source.look(2e9)
        reading = source.reading_at(2e9)
        if reading is not None:
            seen[reading.time_s] = reading
    # The last line has no end, so that nobody can say that it is whole.
    assert source.n_rows == len(whole.time_s) - 1
    assert source.n_refused == 0
    first_s = min(seen)
    for time_s, reading in seen.items():
        row = int(np.argmin(np.abs(whole.time_s - (time_s - first_s))))
        assert abs(whole.time_s[row] - (time_s - first_s)) < 1e-6
        assert reading.voltage_v == whole.voltage_v[row]
        assert reading.current_a == whole.current_a[row]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 600), max_size=12))
def test_any_chunking_gives_the_same_rows_and_the_newest_whole_one(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    content = (HEADER + csv_rows(0, 25)).encode()
    path = tmp_path_factory.mktemp("cell") / "cell.csv"
    source = LiveFiles(path, cell_with())
    written = 0
    for end in sorted({*(min(cut, len(content)) for cut in cuts), len(content)}):
        with path.open("ab") as file:
            file.write(content[written:end])
        written = end
        source.look(START_S + 100)
        n_whole = content[:end].count(b"\n") - 1
        reading = source.reading_at(START_S + 100)
        assert (reading is None) == (n_whole < 1)
        if reading is not None:
            assert reading.time_s == START_S + n_whole - 1
            assert reading.voltage_v == pytest.approx(3 + (n_whole - 1) / 100)
            assert reading.age_s == 100 - (n_whole - 1)
    assert source.n_rows == 25


def test_file_that_grows_by_a_thread_of_its_own_is_followed_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    content = (HEADER + csv_rows(0, 300)).encode()

    def grow() -> None:
        rng = np.random.default_rng(1)
        written = 0
        with path.open("ab", buffering=0) as file:
            while written < len(content):
                n_bytes = int(rng.integers(1, 90))
                file.write(content[written : written + n_bytes])
                written += n_bytes
                time.sleep(0.001)

    source = LiveFiles(path, cell_with())
    writer = threading.Thread(target=grow)
    with looking(source, every_s=0.002):
        writer.start()
        deadline = time.monotonic() + 20
        while source.n_rows < 300 and time.monotonic() < deadline:
            reading = source.reading_at(START_S)
            if reading is not None:
                k = reading.time_s - START_S
                assert (reading.voltage_v, reading.current_a) == (pytest.approx(3 + k / 100), pytest.approx(-k / 10))
            time.sleep(0.002)
        writer.join()
    assert (source.n_rows, source.n_refused, source.n_late) == (300, 0, 0)


def test_half_cycles_in_files_of_their_own_are_followed_and_their_charge_is_carried(tmp_path: Path) -> None:
    header = "epoch,Voltage(V),Charge(Ah)\n"
    source = LiveFiles(tmp_path / "CHARGE_#*.csv", cell_with())
    for number, (start_s, charges) in enumerate([(0, (0.0, 1.0)), (100, (0.0, -0.4)), (200, (0.0, 0.5))], start=9):
        path = tmp_path / f"CHARGE_#{number}.csv"
        write(path, header + "".join(f"{START_S + start_s + k},3.7,{charge}\n" for k, charge in enumerate(charges)))
        # The files may well be written within one tick of the share's clock: then their numbers tell.
        os.utime(path, ns=(10**18, 10**18))
        source.look(START_S + 300)
    reading = source.reading_at(START_S + 300)
    assert reading is not None
    assert (reading.source, reading.time_s - START_S) == ("CHARGE_#11.csv", 201.0)
    assert reading.charge_ah == pytest.approx(1.0 - 0.4 + 0.5)
    assert reading.charge_source == "counter"


def test_rows_that_came_after_the_last_look_at_the_earlier_file_are_not_lost(tmp_path: Path) -> None:
    source = LiveFiles(tmp_path / "*.csv", cell_with())
    write(tmp_path / "1.csv", HEADER + csv_rows(0, 2))
    source.look(START_S)
    write(tmp_path / "1.csv", csv_rows(2, 5))
    os.utime(tmp_path / "1.csv", ns=(10**18, 10**18))
    write(tmp_path / "2.csv", HEADER + csv_rows(5, 7))
    source.look(START_S)
    assert source.n_rows == 7


def test_current_without_a_counter_is_added_up_marked_and_given_up_at_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    source = LiveFiles(path, cell_with())
    write(path, HEADER + f"{START_S};3,7;1\n{START_S + 36};3,7;3\n")
    source.look(START_S + 40)
    reading = source.reading_at(START_S + 40)
    assert reading is not None
    assert (reading.charge_ah, reading.charge_source) == (pytest.approx(0.02), "integrated")
    write(path, f"{START_S + 2000};3,7;1\n")
    source.look(START_S + 2000)
    reading = source.reading_at(START_S + 2000)
    assert reading is not None
    assert (reading.charge_ah, reading.charge_source) == (None, "")


def test_clock_offset_of_ninety_seconds_is_taken_off_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    write(path, HEADER + csv_rows(0, 10))
    source = LiveFiles(path, cell_with(clock_offset_s=90.0))
    source.look(START_S - 75)
    reading = source.reading_at(START_S - 75)
    assert reading is not None
    assert (reading.time_s, reading.age_s, reading.clock_offset_s, reading.trouble) == (START_S + 9 - 90, 6.0, 90.0, "")


def test_offset_that_nobody_told_is_noticed_when_readings_come_from_the_future(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    write(path, HEADER + csv_rows(0, 10))
    source = LiveFiles(path, cell_with())
    source.look(START_S - 81)
    reading = source.reading_at(START_S - 81)
    assert reading is not None
    assert reading.trouble.startswith("the newest reading is 90 s ahead of this clock: correct cell.clock_offset_s")


def test_cell_wired_the_other_way_round_has_its_signs_turned(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    write(path, "epoch,Voltage(V),Current(A),Charge(Ah)\n1700000000,0.1,-0.5,-2\n")
    source = LiveFiles(path, cell_with(charging_current="negative"))
    source.look(START_S)
    reading = source.reading_at(START_S)
    assert reading is not None
    assert (reading.current_a, reading.charge_ah) == (0.5, 2.0)


def test_file_that_vanishes_leaves_the_last_reading_which_ages_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    write(path, HEADER + csv_rows(0, 3))
    source = LiveFiles(path, cell_with())
    source.look(START_S + 3)
    path.unlink()
    source.look(START_S + 60)
    reading = source.reading_at(START_S + 60)
    assert reading is not None
    assert (reading.voltage_v, reading.age_s) == (3.02, 58.0)
    assert "no file" in reading.trouble
    write(path, HEADER + csv_rows(0, 5))
    source.look(START_S + 61)
    reading = source.reading_at(START_S + 61)
    assert reading is not None
    assert (reading.time_s, reading.trouble) == (START_S + 4, "")


def test_export_that_is_written_anew_gives_no_row_twice(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    source = LiveFiles(path, cell_with())
    for last in (5, 8):
        path.write_text(f"export of {last} rows\n" + HEADER + csv_rows(0, last))
        source.look(START_S + 100)
    assert (source.n_rows, source.n_late) == (8, 5)


def test_damaged_line_is_counted_and_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    source = LiveFiles(path, cell_with())
    write(path, HEADER + csv_rows(0, 2) + "17000000;3,\x01;0\n" + csv_rows(3, 4))
    source.look(START_S + 4)
    assert (source.n_rows, source.n_refused) == (3, 1)
    assert source.trouble == ""


def test_neware_file_is_read_again_when_it_has_changed(data_folder: Path, tmp_path: Path) -> None:
    real = data_folder / "NewareNDA/TestFile.nda"
    path = tmp_path / "cell.nda"
    source = LiveFiles(path, cell_with())
    path.write_bytes(real.read_bytes()[:20_000])
    source.look(2e9)
    n_first = source.n_rows
    path.write_bytes(real.read_bytes())
    source.look(2e9)
    assert source.n_rows > n_first
    assert source.n_rows + source.n_late <= 6670
    reading = source.reading_at(2e9)
    assert reading is not None
    assert reading.source == "cell.nda"


@pytest.mark.parametrize("name", ["cell.csv", "cell*.csv"])
def test_file_that_cannot_be_opened_leaves_its_last_reading_to_age_and_is_followed_when_it_can(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "cell.csv"
    write(path, HEADER + csv_rows(0, 10))
    source = LiveFiles(tmp_path / name, cell_with())
    source.look(START_S + 10)
    # What is no file is refused by the system as a locked one is, to root as well.
    path.rename(tmp_path / "kept")
    path.mkdir()
    source.look(START_S + 20)
    reading = source.reading_at(START_S + 20)
    assert reading is not None
    assert (reading.time_s, reading.age_s) == (START_S + 9, 11)
    assert reading.trouble == "cell.csv cannot be read now: Is a directory"
    path.rmdir()
    (tmp_path / "kept").rename(path)
    write(path, csv_rows(10, 12))
    source.look(START_S + 21)
    reading = source.reading_at(START_S + 21)
    assert reading is not None
    assert (reading.time_s, reading.trouble, source.n_rows, source.n_late) == (START_S + 11, "", 12, 0)


def test_path_that_the_system_refuses_to_look_at_is_a_trouble_and_no_failure(tmp_path: Path) -> None:
    # As a folder without permission is refused, to root as well.
    source = LiveFiles(tmp_path / f"{'x' * 300}.csv", cell_with())
    source.look(START_S)
    assert source.trouble.endswith("cannot be read now: File name too long")


def profile_with(source: str) -> Profile:
    profile = read_profile("demo")
    cell = profile.cell.model_copy(update={"source": source, "timezone": "UTC"})
    return profile.model_copy(update={"cell": cell})


def test_check_says_what_a_growing_source_gives_now(tmp_path: Path) -> None:
    write(tmp_path / "cell.csv", HEADER + csv_rows(0, 10))
    said = describe_source(profile_with(f"tail:{tmp_path}/*.csv"), now_s=START_S + 12)
    assert said == "cell.csv: 10 rows, the newest 3 s old: 3.09 V, -0.9 A, -0.001125 Ah, no degC"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("cell.csv", "", "no row yet"),
        ("cell.csv", "Date,Voltage(kV)\n", "unit 'kV'"),
        ("cell.xls", "x\n", "files that end in '.xls' are not known; known are .mpt, .dta, .csv"),
        ("cell.mpt", "EC-Lab ASCII FILE\nwrong\n", "not an EC-Lab text export"),
    ],
)
def test_check_says_what_is_wrong_with_a_growing_source(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    write(tmp_path / name, text)
    with pytest.raises(DataError, match=complaint):
        describe_source(profile_with(f"tail:{tmp_path / name}"), now_s=START_S)


def test_folder_that_is_not_mounted_stops_the_bridge_before_it_serves(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="mount the cycler's share"):
        open_source(profile_with(f"tail:{tmp_path}/absent/cell.mpt"), out=tmp_path, now_s=0.0)
