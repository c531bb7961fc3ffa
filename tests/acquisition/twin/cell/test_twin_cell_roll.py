import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import FARADAY_AH_MOL
from acquisition.twin.cell.roll import X_DEAD, Roll
from acquisition.twin.cell.rolls import ROLLS, resized, with_effects
from acquisition.twin.cell.sample import CellSample, open_cell_sample
from acquisition.twin.cell.spiral import Spiral
from acquisition.twin.cell.spread import FORGET_S, behind, spread
from acquisition.twin.phases import CRYSTALS, LITHIUM_X
from acquisition.twin.slice import Slice, grams_per_c6, grams_per_cathode_unit, graphite_stages, lithium_from_amounts
from operando.errors import ProfileError
from operando.profile import Effects, Profile, Winding, read_profile

Histories = Callable[[str], CellHistory]
Cells = Callable[[str, str], tuple[Roll, CellSample, CellHistory]]


class RecordedTime:
    """A clock on which control system time is the history's own."""

    def recorded_s(self, time_s: float) -> float:
        return time_s


@pytest.fixture(scope="session")
def cell(history: Histories) -> Cells:
    @cache
    def make(name: str, history_name: str) -> tuple[Roll, CellSample, CellHistory]:
        lived = history(history_name)
        roll = Roll(ROLLS[name], lived, seed=1)
        return roll, CellSample(name, roll, lived, RecordedTime()), lived

    return make


def anode_ah(sample: Slice, roll: Roll) -> float:
    moles = sum(sample.density_of(stage).sum(dtype=np.float64) / grams_per_c6(stage) * x for stage, x in LITHIUM_X.items())
    return moles * sample.voxel_mm**2 * roll.height_mm * 1e-3 * FARADAY_AH_MOL


def cathode_ah(sample: Slice, roll: Roll) -> float:
    assert sample.lithium_y is not None
    moles = np.nansum(sample.density_of("nmc") / grams_per_cathode_unit("nmc") * sample.lithium_y, dtype=np.float64)
    return float(moles) * sample.voxel_mm**2 * roll.height_mm * 1e-3 * FARADAY_AH_MOL


def row_of(lived: CellHistory, step: str, part: float) -> int:
    rows = [row for row, name in enumerate(lived.step) if name == step]
    return rows[round(part * (len(rows) - 1))]


def slice_of(roll: Roll, lived: CellHistory, row: int, *, lag: float = 1.0) -> Slice:
    gaps = [lag * behind(lived.time_s, column.mean(axis=1))[row] for column in (lived.x, lived.y)]
    return roll.slice_of("cell", lived.x[row], lived.y[row], x_behind=gaps[0], y_behind=gaps[1])


@pytest.mark.parametrize(("name", "history_name"), [("small", "small-2c"), ("aaa", "aaa-c2"), ("18650-aged", "18650-1c-aged")])
def test_slice_times_height_holds_the_coulombs_in_both_electrodes(cell: Cells, name: str, history_name: str) -> None:
    roll, _, lived = cell(name, history_name)
    rows = np.linspace(0, len(lived.time_s) - 1, 7).astype(int)
    slices = [slice_of(roll, lived, row) for row in rows]
    inside_ah = (lived.charge_ah - lived.leaked_ah)[rows]
    gained = np.array([anode_ah(sample, roll) for sample in slices])
    lost = np.array([cathode_ah(sample, roll) for sample in slices])
    scale = np.ptp(inside_ah)

    assert np.abs(gained - gained[0] - (inside_ah - inside_ah[0])).max() < 1e-3 * scale
    assert np.abs(lost - lost[0] + (inside_ah - inside_ah[0])).max() < 1e-3 * scale


def test_cells_are_as_tall_as_their_cans_allow(cell: Cells) -> None:
    assert 36 < cell("aaa", "aaa-c2")[0].height_mm < 42
    assert 54 < cell("18650-aged", "18650-1c-aged")[0].height_mm < 60


def coated_mm(spiral: Spiral) -> float:
    """Length of a spiral behind its bare turns."""
    turns = spiral.last_turn - spiral.bare_turns
    return 2 * np.pi * turns * (spiral.core_mm + spiral.pitch_mm * (spiral.bare_turns + turns / 2))


def test_a_wider_roll_of_the_same_electrodes_is_shorter_and_holds_the_same_coulombs(history: Histories, cell: Cells) -> None:
    lived, make = history("small-2c"), ROLLS["small"]
    resized_make = resized(make, Winding(can_mm=6.0, wall_mm=0.2, core_mm=1.0))
    wider = Roll(resized_make, lived, seed=1)
    slices = [slice_of(wider, lived, row) for row in (0, row_of(lived, "CCCV_Chg", 1.0))]
    lengths_mm = [coated_mm(one.spiral) for one in (make, resized_make)]
    iron = slices[0].density_of("fe") > 0
    reach_mm = np.abs(slices[0].axis_mm[iron.any(axis=0)]).max()

    assert reach_mm == pytest.approx(3.0, abs=0.02)
    assert wider.height_mm / cell("small", "small-2c")[0].height_mm == pytest.approx(lengths_mm[0] / lengths_mm[1], rel=0.1)
    gained_ah = anode_ah(slices[1], wider) - anode_ah(slices[0], wider)
    assert gained_ah == pytest.approx(np.ptp(lived.charge_ah[: row_of(lived, "CCCV_Chg", 1.0) + 1]), rel=1e-3)
    assert resized(make, Winding()) == make
    with pytest.raises(ProfileError, match=r"room for .* turns"):
        resized(make, Winding(can_mm=1.5))


def test_lithium_lags_at_can_core_and_tab_while_the_cell_charges(cell: Cells) -> None:
    roll, _, lived = cell("aaa", "aaa-c2")
    sample = slice_of(roll, lived, row_of(lived, "CCCV_Chg", 0.5))
    x, spiral = sample.lithium_x, ROLLS["aaa"].spiral
    radius = np.hypot(*np.meshgrid(sample.axis_mm, sample.axis_mm))
    angle = np.arctan2(sample.axis_mm[:, np.newaxis], sample.axis_mm)
    is_lit = x > 0.05
    assert spiral.al_tab is not None
    from_tab = np.abs(np.angle(np.exp(1j * (angle - spiral.angle_of(spiral.al_tab.turn)))))
    far = (from_tab > 2) & is_lit
    middle = np.nanmean(x[far & (np.abs(radius - 2.8) < 0.4)])

    assert np.nanmean(x[far & (radius > 4.4)]) < middle - 0.03
    assert np.nanmean(x[is_lit & (from_tab < 0.3) & (np.abs(radius - 2.8) < 0.4)]) < middle - 0.05
    assert np.nanmean(x[far & (radius < 1.4)]) < middle - 0.02


def test_lag_has_the_other_sign_on_discharge_and_dies_away_at_rest(history: Histories) -> None:
    lived = history("aaa-c2")
    lag = behind(lived.time_s, lived.x.mean(axis=1))
    end, rest = row_of(lived, "CC_DChg", 1.0), len(lived.time_s) - 1

    assert lag[row_of(lived, "CCCV_Chg", 0.5)] > 0.1
    assert lag[end] < -0.1
    assert lag[rest] == pytest.approx(lag[end] * np.exp(-(lived.time_s[rest] - lived.time_s[end]) / FORGET_S), rel=0.01)


def test_lag_under_a_constant_rate_settles_at_what_an_hour_brings() -> None:
    time_s = np.cumsum(np.random.default_rng(0).uniform(1, 400, 200))
    rate = 0.5 / 3600
    lag = behind(time_s, rate * time_s)

    assert lag == pytest.approx(rate * FORGET_S * (1 - np.exp(-(time_s - time_s[0]) / FORGET_S)), abs=1e-9)


def test_lic6_appears_first_beside_the_separator_at_high_rate(cell: Cells) -> None:
    roll, _, lived = cell("small", "small-2c")
    row = row_of(lived, "CCCV_Chg", 0.4)
    anode = roll.anode
    lic6 = graphite_stages(anode.lithium(lived.x[row], behind=0.0))["lic6"]
    surface, foil = (np.average(lic6[anode.node == node], weights=anode.moles_cm3[anode.node == node]) for node in (0, 9))

    assert surface > 0.05
    assert surface > 5 * foil


def test_secondary_oxide_is_in_isolated_hot_spots(cell: Cells) -> None:
    _, sample, _ = cell("aaa", "aaa-c2")
    at_start = sample.slice_at(0.0)
    secondary, primary = at_start.density_of("nmc_s"), at_start.density_of("nmc")
    share = secondary[primary > 0.5] / (secondary + primary)[primary > 0.5]

    assert share.max() > 0.2
    assert np.mean(share > 0.1) < 0.1
    assert 0.002 < secondary.sum() / (secondary + primary).sum() < 0.03


def test_dead_regions_stand_still_and_the_others_take_more(cell: Cells) -> None:
    roll, _, lived = cell("18650-aged", "18650-1c-aged")
    full, empty = (slice_of(roll, lived, row, lag=0) for row in (0, row_of(lived, "CC_DChg", 1.0)))
    is_dead = (roll.anode.dead_cm3 > 0.01).reshape(full.density_g_cm3.shape[:2])
    living = (np.bincount(roll.anode.voxel, weights=roll.anode.moles_cm3, minlength=is_dead.size) > 0.01).reshape(is_dead.shape)
    only_dead = is_dead & ~living & (roll.anode.idle_cm3 < 1e-6).reshape(is_dead.shape)
    dead = roll.anode.dead_cm3.sum() / (roll.anode.dead_cm3.sum() + roll.anode.moles_cm3.sum())

    assert dead == pytest.approx(0.2, abs=0.01)
    assert full.lithium_x[only_dead] == pytest.approx(X_DEAD, abs=1e-6)
    assert empty.lithium_x[only_dead] == pytest.approx(X_DEAD, abs=1e-6)
    assert np.nanmedian((full.lithium_x - empty.lithium_x)[living & ~is_dead]) > 0.75


@pytest.fixture(scope="session")
def changed(history: Histories) -> Callable[..., tuple[Roll, Slice]]:
    """Give a small, aged roll with some effects switched off, and its slice when 40 % of a fast charge are in."""
    make = replace(ROLLS["small"], cell=replace(ROLLS["small"].cell, living=0.8))
    lived = history("small-2c")

    @cache
    def changed(*off: str) -> tuple[Roll, Slice]:
        effects = Effects(**dict.fromkeys(off, False))
        roll = Roll(with_effects(make, effects), lived, seed=1)
        time_s = float(lived.time_s[row_of(lived, "CCCV_Chg", 0.4)])
        return roll, CellSample("small", roll, lived, RecordedTime(), has_depth=effects.depth_gradient).slice_at(time_s)

    return changed


def carbon_wave(sample: Slice) -> float:
    """Amplitude of the second harmonic around the roll of the density of C6, beside its mean, where a voxel is all anode."""
    carbon = sum(sample.density_of(stage) / grams_per_c6(stage) for stage in LITHIUM_X)
    angle = np.arctan2(sample.axis_mm[:, np.newaxis], sample.axis_mm)
    full = carbon > 0.9 * carbon.max()
    waves = np.stack([np.ones(full.sum()), np.cos(2 * angle[full]), np.sin(2 * angle[full])], axis=-1)
    mean, *wave = np.linalg.lstsq(waves, carbon[full], rcond=None)[0]
    return float(np.hypot(*wave) / mean)


def test_lag_spots_wave_and_dead_regions_are_switched_each_for_itself(changed: Callable[..., tuple[Roll, Slice]]) -> None:
    effects = ("lag", "hot_spots", "loading_wave", "dead_regions")
    found = {}
    for off in ((), *((name,) for name in effects), ("uneven",)):
        roll, sample = changed(*off)
        sites = roll.anode.moles_cm3.sum() + roll.anode.dead_cm3.sum()
        found[off] = (
            float(np.ptp(roll.anode.lag)),
            float(sample.density_of("nmc_s").max()),
            carbon_wave(sample),
            float(roll.anode.dead_cm3.sum() / sites),
        )
    on = found[()]

    assert on == (
        pytest.approx(1.0, abs=0.5),
        pytest.approx(1.5, abs=1.5),
        pytest.approx(0.03, abs=0.01),
        pytest.approx(0.2, abs=0.02),
    )
    for k, name in enumerate(effects):
        alone = found[(name,)]
        assert alone[k] < 0.1 * on[k]
        assert all(alone[other] == pytest.approx(on[other], rel=0.2) for other in range(len(effects)) if other != k)
    assert all(value < 0.1 * whole for value, whole in zip(found[("uneven",)][:3], on[:3], strict=True))
    assert found[("uneven",)][3] == pytest.approx(0.2, abs=0.02)


def test_what_a_cell_holds_does_not_depend_on_what_is_switched_off(changed: Callable[..., tuple[Roll, Slice]]) -> None:
    held = [
        anode_ah(sample, roll) for roll, sample in (changed("dead_regions"), changed("dead_regions", "lag", "depth_gradient"))
    ]

    assert held[0] == pytest.approx(held[1], rel=1e-4)


def test_without_a_gradient_through_the_coating_there_is_no_early_lic6(changed: Callable[..., tuple[Roll, Slice]]) -> None:
    """Mean x is below 0.5: no LiC6 if it is the same everywhere, some beside the separator if it is not."""
    steep, flat = (changed("lag", "dead_regions", *more)[1] for more in ((), ("depth_gradient",)))
    carbon = sum(float(steep.density_of(stage).sum()) / grams_per_c6(stage) for stage in LITHIUM_X)

    assert steep.density_of("lic6").sum() / grams_per_c6("lic6") > 0.005 * carbon
    assert flat.density_of("lic6").max() == 0


def test_no_voxel_of_a_wound_cell_holds_more_than_its_volume(cell: Cells) -> None:
    roll, _, lived = cell("small", "small-2c")
    sample = slice_of(roll, lived, row_of(lived, "CCCV_Chg", 1.0))
    filled = sum(sample.density_of(name) / CRYSTALS[name].density_g_cm3 for name in CRYSTALS)

    assert np.max(filled + sample.density_of("electrolyte") / 1.25 + sample.density_of("polymer") / 0.95) <= 1.02


def test_slice_is_the_same_object_within_a_piece_and_follows_the_history(cell: Cells) -> None:
    roll, sample, lived = cell("small", "small-2c")
    first = sample.slice_at(0.0)

    assert sample.slice_at(1.0) is first
    assert sample.slice_at(2000.0) is not first
    assert anode_ah(sample.slice_at(2000.0), roll) - anode_ah(first, roll) == pytest.approx(
        np.interp(2000.0, lived.time_s, lived.charge_ah), abs=0.03 * np.ptp(lived.charge_ah)
    )
    assert sample.slice_at(1e9) is sample.slice_at(2e9)


def test_the_next_slice_is_made_before_it_is_asked_for(history: Histories) -> None:
    lived = history("small-2c")
    made: list[threading.Event] = [threading.Event() for _ in lived.time_s]

    class Counting:
        def slice_of(self, name: str, x: np.ndarray, y: np.ndarray, *, x_behind: float, y_behind: float) -> Slice:
            made[next(n for n, event in enumerate(made) if not event.is_set())].set()
            return Slice(name=name, materials=("cu",), density_g_cm3=np.zeros((2, 2, 1), dtype=np.float32), voxel_mm=1.0)

    sample = CellSample("small", Counting(), lived, RecordedTime())
    first = sample.slice_at(0.0)

    assert made[1].wait(20)
    assert sample.slice_at(0.0) is first
    assert not made[2].is_set()


def test_voxels_know_lithium_of_both_electrodes_and_the_normal(cell: Cells) -> None:
    sample = cell("small", "small-2c")[1].slice_at(1500.0)
    assert sample.lithium_y is not None
    assert sample.normal_rad is not None

    assert np.array_equal(np.isfinite(sample.lithium_y), sample.density_of("nmc") > 0)
    assert np.array_equal(
        np.isfinite(sample.lithium_x),
        sample.density_of("graphite") + sample.density_of("lic30") + sample.density_of("lic12") + sample.density_of("lic6") > 0,
    )
    assert np.isfinite(sample.normal_rad).all()


@given(x=st.floats(0, 1))
def test_stages_hold_the_lithium_that_they_are_made_from(x: float) -> None:
    stages = graphite_stages(np.array([x]))

    assert sum(part[0] for part in stages.values()) == pytest.approx(1)
    assert lithium_from_amounts(stages)[0] == pytest.approx(x)
    assert sum(part[0] > 0 for part in stages.values()) <= 2


@settings(deadline=None)
@given(mean=st.floats(0.02, 0.98), tilt=st.floats(-0.3, 0.3), gap=st.floats(-2, 2), seed=st.integers(0, 1000))
def test_spreading_keeps_the_total_and_the_bounds(mean: float, tilt: float, gap: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    profile = np.clip(mean + tilt * np.linspace(-1, 1, 10), 0, 1)
    node, weight = random.integers(0, 10, 300), random.uniform(0.1, 2, 300)
    values = spread(profile, node=node, weight=weight, lag=random.uniform(0, 1.5, 300), behind=gap)

    assert weight @ values == pytest.approx(weight.sum() * profile.mean(), rel=1e-9)
    assert values.min() >= 0
    assert values.max() <= 1


def profile_of(sample: str, source: str) -> Profile:
    profile = read_profile("demo")
    assert profile.twin is not None
    return profile.model_copy(
        update={
            "twin": profile.twin.model_copy(update={"sample": sample}),
            "cell": profile.cell.model_copy(update={"source": source, "speed": 10.0, "start_s": 100.0}),
        }
    )


@pytest.fixture
def kept(history: Histories, shelf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the program find the histories that the tests have simulated."""
    for name in ("small-2c", "particle", "half-cell"):
        history(name)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cells").symlink_to(shelf)
    monkeypatch.setenv("OPERANDO_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("kept")
def test_sample_and_voltage_are_of_one_history_and_one_clock(tmp_path: Path) -> None:
    from acquisition.cell.source import open_source

    profile = profile_of("small-cell", "pybamm:small-2c")
    sample = open_cell_sample(profile, out=tmp_path, now_s=1000.0)
    replay, notice = open_source(profile, out=tmp_path, now_s=1020.0)
    reading = replay.reading_at(1150.0)

    assert notice == ""
    assert replay.origin_s == 1000.0
    assert reading.step == "CCCV_Chg"
    roll = Roll(ROLLS["small"], history := sample.history, seed=1)
    gained = anode_ah(sample.slice_at(1150.0), roll) - anode_ah(sample.slice_at(900.0), roll)
    assert reading.charge_ah is not None
    assert gained == pytest.approx(reading.charge_ah, abs=0.03 * np.ptp(history.charge_ah))


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("source", ["model:cccv", "pybamm:aaa-c2"])
def test_sample_of_a_cell_wants_the_history_of_that_cell(tmp_path: Path, source: str) -> None:
    with pytest.raises(ProfileError, match=r"'small-cell'.*cell\.source"):
        open_cell_sample(profile_of("small-cell", source), out=tmp_path)


@pytest.mark.usefixtures("kept")
def test_particle_loses_lithium_at_its_surface_first(tmp_path: Path) -> None:
    sample = open_cell_sample(profile_of("particle", "pybamm:particle"), out=tmp_path, now_s=0.0)
    charging = sample.slice_at(300.0)
    assert charging.lithium_y is not None
    radius_mm = np.hypot(*np.meshgrid(charging.axis_mm, charging.axis_mm))
    inside = np.isfinite(charging.lithium_y)

    assert radius_mm[inside].max() == pytest.approx(5e-3, rel=0.05)
    assert charging.lithium_y[inside & (radius_mm > 4.7e-3)].mean() < charging.lithium_y[radius_mm < 2e-3].mean() - 0.001


@pytest.mark.usefixtures("kept")
def test_flat_cell_holds_the_lithium_of_its_history(history: Histories, tmp_path: Path) -> None:
    sample = open_cell_sample(profile_of("half-cell", "pybamm:half-cell"), out=tmp_path, now_s=0.0)
    lived = history("half-cell")
    start = sample.slice_at(0.0)
    assert start.lithium_y is not None
    moles_cm3 = start.density_of("nmc811") / grams_per_cathode_unit("nmc811")
    moles_cm2 = np.nansum(moles_cm3 * start.lithium_y, axis=0) * start.voxel_mm / 10

    assert moles_cm2 * 0.2 * FARADAY_AH_MOL == pytest.approx(lived.y[0].mean() * lived.cathode_ah, rel=0.01)
    assert np.isnan(start.lithium_x).all()


@pytest.mark.usefixtures("kept")
def test_state_of_the_cell_is_that_of_the_history(history: Histories) -> None:
    lived = history("small-2c")
    sample = open_cell_sample(profile_of("small-cell", "pybamm:small-2c"), out=None, now_s=1000.0)
    state = sample.cell_at(1150.0)

    assert state["voltage_v"] == pytest.approx(np.interp(1600.0, lived.time_s, lived.voltage_v))
    assert state["mean_x"] == pytest.approx(lived.x_at(1600.0).mean())
    assert state["mean_y"] == pytest.approx(lived.y_at(1600.0).mean())
