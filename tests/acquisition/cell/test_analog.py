"""Voltage and current from other process variables: scaled, aged by the oldest of them, and nothing made up."""

import time
from pathlib import Path

import pytest

from acquisition.cell.analog import AnalogCell, Sample
from acquisition.cell.live import looking
from acquisition.cell.source import describe_source, open_source, running
from operando.errors import ProfileError
from operando.profile import Profile, read_profile
from operando.profile.cell_signals import Analog

WIRED = {
    "voltage": {"pv": "ADC:1", "gain": 2.0},
    "current": {"pv": "ADC:2", "gain": -0.1, "offset": 0.005},
}


class Inputs:
    def __init__(self, **samples: Sample) -> None:
        self.samples: dict[str, Sample | None] = dict(samples)

    def read(self, pv: str) -> Sample | None:
        return self.samples[pv.replace(":", "_")]


def sample(value: float, time_s: float) -> Sample:
    return Sample(value=value, time_s=time_s)


def cell_on(inputs: Inputs, **options: float) -> AnalogCell:
    return AnalogCell(Analog.model_validate(WIRED), inputs, **options)


def test_values_are_scaled_and_the_reading_is_as_old_as_the_oldest() -> None:
    cell = cell_on(Inputs(ADC_1=sample(1.9, 100.0), ADC_2=sample(-10.0, 97.0)))
    assert cell.reading_at(101.0) is None
    cell.look(101.0)
    reading = cell.reading_at(101.0)
    assert reading is not None
    assert (reading.voltage_v, reading.current_a) == (pytest.approx(3.8), pytest.approx(1.005))
    assert (reading.time_s, reading.age_s) == (97.0, 4.0)
    assert reading.temperature_c is None


def test_input_that_falls_silent_is_named_while_the_last_reading_ages() -> None:
    inputs = Inputs(ADC_1=sample(1.9, 100.0), ADC_2=sample(-10.0, 100.0))
    cell = cell_on(inputs)
    cell.look(100.0)
    inputs.samples["ADC_2"] = None
    inputs.samples["ADC_1"] = sample(2.1, 150.0)
    cell.look(150.0)
    reading = cell.reading_at(150.0)
    assert reading is not None
    assert reading.trouble == "no value from ADC:2"
    assert (reading.voltage_v, reading.age_s) == (pytest.approx(3.8), 50.0)


def test_charge_is_integrated_and_says_so_but_not_across_a_gap() -> None:
    inputs = Inputs(ADC_1=sample(1.9, 0.0), ADC_2=sample(-9.95, 0.0))
    cell = cell_on(inputs)
    for time_s in range(0, 361, 36):
        inputs.samples = {"ADC_1": sample(1.9, time_s), "ADC_2": sample(-9.95, time_s)}
        cell.look(time_s)
    reading = cell.reading_at(360.0)
    assert reading is not None
    assert (reading.charge_ah, reading.charge_source) == (pytest.approx(0.1), "integrated")
    inputs.samples = {"ADC_1": sample(1.9, 5000), "ADC_2": sample(-9.95, 5000)}
    cell.look(5000)
    after = cell.reading_at(5000.0)
    assert after is not None
    assert (after.charge_ah, after.charge_source) == (None, "")


def test_clock_that_is_ahead_is_said_and_an_offset_puts_it_right() -> None:
    inputs = Inputs(ADC_1=sample(1.9, 190.0), ADC_2=sample(-10.0, 190.0))
    wrong, right = cell_on(inputs), cell_on(inputs, clock_offset_s=90.0)
    for cell in (wrong, right):
        cell.look(100.0)
    assert "90 s ahead" in wrong.reading_at(100.0).trouble  # type: ignore[union-attr]
    assert right.reading_at(100.0).time_s == 100.0  # type: ignore[union-attr]
    assert right.reading_at(100.0).trouble == ""  # type: ignore[union-attr]


def profile_with(**cell: object) -> Profile:
    values = read_profile("demo").model_dump(exclude_none=True)
    return Profile.model_validate({**values, "cell": cell})


def test_wiring_that_is_missing_or_senseless_is_refused_with_its_key() -> None:
    with pytest.raises(ValueError, match=r"needs the section cell\.analog"):
        profile_with(source="analog")
    with pytest.raises(ValueError, match="at least one of voltage"):
        profile_with(source="analog", analog={})
    with pytest.raises(ValueError, match="gain 0"):
        profile_with(source="analog", analog={"voltage": {"pv": "A", "gain": 0}})
    with pytest.raises(ValueError, match="a marker tells the clock of a file that grows"):
        profile_with(source="none", marker={"pv": "TTL"})


def test_check_names_the_inputs_without_asking_them() -> None:
    words = describe_source(profile_with(source="analog", analog=WIRED))
    assert "voltage from ADC:1, current from ADC:2 (not asked now)" in words


@pytest.mark.ioc
def test_bridge_reads_inputs_over_channel_access_with_the_time_of_their_record(beamline: Profile, tmp_path: Path) -> None:
    # Any number that a server keeps writing will do: here it is the ring's.
    wired = {
        "voltage": {"pv": beamline.control.ring_current, "gain": 0.01, "offset": 3.0},
        "temperature": {"pv": beamline.control.topup_countdown},
    }
    values = {**beamline.model_dump(exclude_none=True), "cell": {"source": "analog", "analog": wired}}
    source, notice = open_source(Profile.model_validate(values), out=tmp_path, now_s=time.time())
    assert notice == ""
    readings = set[float]()
    with running(source):
        deadline = time.monotonic() + 30
        while len(readings) < 3:
            assert time.monotonic() < deadline, readings
            time.sleep(0.05)
            if (reading := source.reading_at(time.time())) is not None:
                readings.add(reading.time_s)
    assert reading.voltage_v == pytest.approx(4.0, abs=0.05)
    assert reading.temperature_c is not None
    assert reading.current_a is None
    assert abs(time.time() - max(readings)) < 60


def test_source_without_looking_gives_nothing() -> None:
    cell = cell_on(Inputs(ADC_1=sample(1.9, 100.0), ADC_2=sample(-10.0, 97.0)))
    assert cell.reading_at(100.0) is None
    with looking(cell, clock=lambda: 100.0, every_s=0.01):
        deadline = time.monotonic() + 10
        while cell.reading_at(100.0) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_analog_without_its_section_cannot_be_opened(tmp_path: Path) -> None:
    profile = read_profile("demo")
    bare = profile.model_copy(update={"cell": profile.cell.model_copy(update={"source": "analog"})})
    with pytest.raises(ProfileError, match=r"cell\.analog"):
        open_source(bare, out=tmp_path, now_s=0.0)
