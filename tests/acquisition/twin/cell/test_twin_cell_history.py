from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import CELL_18650, PARTICLE, SMALL
from acquisition.twin.cell.particle import equal_shells
from acquisition.twin.cell.protocols import HISTORIES, PARTICLE_END, find_history
from acquisition.twin.cell.shelf import history_key
from operando.errors import ProfileError

Histories = Callable[[str], CellHistory]
TESTED = ("aaa-c20", "aaa-c2", "18650-1c", "18650-1c-aged", "small-2c", "aaa-storage", "half-cell", "particle")
"""All through which charge moves: the other one only rests."""


def end_of(history: CellHistory, step: str) -> int:
    return max(row for row, name in enumerate(history.step) if name == step)


@pytest.mark.parametrize("name", TESTED)
def test_lithium_is_conserved_between_electrodes_and_coulombs(history: Histories, name: str) -> None:
    cell = history(name)
    inside_ah = cell.charge_ah - cell.leaked_ah
    scale = np.ptp(inside_ah)

    assert np.abs((cell.y.mean(axis=1) - cell.y[0].mean()) * cell.cathode_ah + inside_ah).max() < 1e-3 * scale
    if cell.anode_ah:
        assert np.abs((cell.x.mean(axis=1) - cell.x[0].mean()) * cell.anode_ah - inside_ah).max() < 1e-3 * scale


@pytest.mark.parametrize("name", TESTED)
def test_charge_is_the_integral_of_the_current(history: Histories, name: str) -> None:
    cell = history(name)
    means = (cell.current_a[1:] + cell.current_a[:-1]) / 2
    integral_ah = np.concatenate([[0.0], np.cumsum(means * np.diff(cell.time_s))]) / 3600

    assert np.abs(integral_ah - cell.charge_ah).max() < 1e-3 * np.ptp(cell.charge_ah - cell.leaked_ah)


def test_cccv_respects_its_limits_and_ends_at_five_percent(history: Histories) -> None:
    cell = history("aaa-c2")
    charged, discharged = end_of(cell, "CCCV_Chg"), end_of(cell, "CC_DChg")

    assert cell.voltage_v.max() <= 4.2 + 1e-4
    assert cell.voltage_v.min() >= 2.75 - 1e-3
    assert cell.current_a[charged] == pytest.approx(0.05 * 0.175, rel=1e-3)
    assert cell.voltage_v[discharged] == pytest.approx(2.75, abs=1e-3)


def test_aaa_cell_has_the_published_capacity_and_lithium(history: Histories) -> None:
    cell = history("aaa-c2")
    charged = end_of(cell, "CCCV_Chg")

    assert 0.30 < np.ptp(cell.charge_ah) < 0.36
    assert cell.x[charged].mean() == pytest.approx(0.714, abs=0.01)
    assert cell.y[charged].mean() == pytest.approx(0.32, abs=0.03)
    assert cell.y[0].mean() == pytest.approx(0.92, abs=0.01)


def test_lithium_is_first_at_the_surface_of_the_anode_at_high_rate(history: Histories) -> None:
    cell = history("small-2c")
    charging = np.array([name == "CCCV_Chg" for name in cell.step])
    half = charging & (cell.x.mean(axis=1) > 0.3) & (cell.x.mean(axis=1) < 0.7)

    assert np.all(np.diff(cell.x[half], axis=1) < 0)
    assert (cell.x[half, 0] - cell.x[half, -1]).max() > 0.2


def test_dead_area_costs_its_share_of_the_charge(history: Histories) -> None:
    aged = history("18650-1c-aged")

    assert 0.75 < np.ptp(aged.charge_ah) / CELL_18650.capacity_ah < 0.85
    assert aged.current_a.min() == pytest.approx(-CELL_18650.capacity_ah)


def test_cell_that_leaks_at_rest_shows_no_current_but_loses_voltage_and_lithium(history: Histories) -> None:
    cell = history("aaa-storage")
    lost_ah = (cell.x[0] - cell.x[-1]).mean() * cell.anode_ah

    assert np.abs(cell.current_a).max() < 1e-12
    assert np.abs(cell.charge_ah).max() < 1e-12
    assert cell.voltage_v[0] - cell.voltage_v[-1] > 0.01
    assert lost_ah == pytest.approx(0.350 / 3000 * 5 * 24, rel=1e-3)


def test_particle_stops_early(history: Histories) -> None:
    cell = history("particle")

    assert (cell.y[0] - cell.y[-1]).mean() == pytest.approx(PARTICLE_END, abs=1e-4)
    assert cell.current_a.max() == pytest.approx(30e-12)
    assert cell.voltage_v.max() < 4.0
    assert PARTICLE.capacity_ah == pytest.approx(0.69e-9, rel=0.01)


def test_lithium_in_the_particle_is_that_of_diffusion_in_a_sphere(history: Histories) -> None:
    cell = history("particle")
    row = max(row for row, name in enumerate(cell.step) if name == "CC_Chg")
    radius_m, n_shells = PARTICLE.radius_um * 1e-6, cell.y.shape[1]
    flux = 30e-12 / (96485.33 * 4 * np.pi * radius_m**2)
    scale = flux * radius_m / (PARTICLE.diffusivity_m2_s * PARTICLE.sites_mol_m3)
    inner = np.linspace(1, 0, n_shells + 1)
    # Mean of r2/R2 over shells of equal volume; v is the volume within, in parts of the sphere's.
    squares = np.diff(inner ** (5 / 3)) * 3 / 5 / np.diff(inner)

    assert cell.y[row] - cell.y[row].mean() == pytest.approx(-scale * (squares / 2 - 0.3), abs=0.03 * scale / 5)


def test_half_cell_stays_within_its_voltages_and_has_no_graphite(history: Histories) -> None:
    cell = history("half-cell")

    assert cell.x.size == 0
    assert cell.voltage_v.max() <= 4.4 + 1e-4
    assert cell.voltage_v.min() >= 3.4 - 1e-3


def test_state_between_two_rows_is_interpolated_and_outside_the_ends_stand(history: Histories) -> None:
    cell = history("small-2c")
    middle_s = (cell.time_s[100] + cell.time_s[101]) / 2

    assert cell.x_at(middle_s) == pytest.approx((cell.x[100] + cell.x[101]) / 2)
    assert cell.x_at(-5.0) == pytest.approx(cell.x[0])
    assert cell.y_at(1e9) == pytest.approx(cell.y[-1])


def test_recording_has_a_row_for_every_second(history: Histories) -> None:
    cell = history("small-2c")
    recording = cell.recording()
    row = recording.row_at(1500.0)

    assert np.all(np.diff(recording.time_s) == 1)
    assert recording.duration_s == pytest.approx(cell.duration_s, abs=1)
    assert recording.voltage_v[row] == pytest.approx(np.interp(1500.0, cell.time_s, cell.voltage_v))
    assert recording.step[row] == "CCCV_Chg"


def test_shells_hold_what_the_sphere_held() -> None:
    along_radius = np.random.default_rng(3).random((4, 16))
    volumes = np.diff((np.arange(17) / 16) ** 3)

    assert equal_shells(along_radius, 10).mean(axis=1) == pytest.approx(along_radius @ volumes)


def test_first_shell_is_the_surface() -> None:
    assert np.all(np.diff(equal_shells(np.arange(16.0)[np.newaxis], 10)) < 0)


def test_key_of_a_history_depends_on_make_and_protocol() -> None:
    protocol = HISTORIES["small-2c"][1]
    keys = {
        history_key(SMALL, protocol),
        history_key(replace(SMALL, anode_um=131.0), protocol),
        history_key(SMALL, replace(protocol, soc=0.1)),
    }

    assert len(keys) == 3


def test_unknown_history_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"pybamm:pouch.*aaa-c20"):
        find_history("pouch")
