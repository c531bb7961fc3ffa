"""Atoms that are not where the file says: found from the mean pattern, so that what lies under their reflections is right."""

from pathlib import Path

import numpy as np
import pytest

from operando.profile.settings import with_settings
from streaming.phases import read_small_structure
from streaming.refine.crystal import Adjustment, free_coordinates
from streaming.refine.mean_pattern import correlated_bins, refine_mean
from streaming.refine.model import draw_template
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid
from tests.streaming.phantom import demo_profile

PROFILES = Path(__file__).parents[3] / "profiles"
GRID = Grid(q_first_edge=1.1, q_step=4.4 / 750, n_radial=750, wavelength_angstrom=0.11979148)
AMOUNTS = {"fe": 0.3, "cu": 0.5, "nmc": 2.0, "lic12": 0.8, "lic6": 0.6}
TRUE = Adjustment(shifts=(-0.003,), b_iso=-0.1)


@pytest.mark.parametrize(
    ("name", "free"),
    [("aaa-charged-c20/phases/nmc.cif", [("O1", "z")]), ("demo/phases/cu.cif", []), ("lab6/phases/lab6.cif", [("B1", "x")])],
)
def test_only_what_symmetry_leaves_open_is_free(name: str, free: list[tuple[str, str]]) -> None:
    structure = read_small_structure(PROFILES / name, name="one")
    assert [(structure.sites[index].label, axis) for index, axis in free_coordinates(structure)] == free


def test_the_height_of_oxygen_is_found_and_lic6_gets_its_amount() -> None:
    profile = with_settings(demo_profile(refines=True), ["refinement.lorentz_fraction=0"])
    phases = moving_phases(profile, lorentz_fraction=0.0, structure={"nmc": TRUE})
    pattern = np.sum([AMOUNTS.get(one.crystal.name, 0.0) * draw_template(one, GRID) for one in phases], axis=0)
    pattern += 0.05 * pattern.max() * np.exp(-GRID.q / 2)
    share = {}
    for words in ("true", "false"):
        asked = with_settings(profile, [f"refinement.atoms={words}"])
        mean = refine_mean(asked, grid=GRID, pattern=pattern, variance=1e-6 * pattern)
        amounts = dict(zip(mean.refined.model.names, mean.refined.scales[0], strict=True))
        share[words] = amounts["lic6"] / amounts["lic12"] / (AMOUNTS["lic6"] / AMOUNTS["lic12"])
        if words == "true":
            assert mean.structure["nmc"].shifts[0] == pytest.approx(-0.003, abs=2e-4)
            assert mean.structure["nmc"].b_iso == pytest.approx(-0.1, abs=0.03)
            assert set(mean.structure) == {"nmc"}
    assert share["true"] == pytest.approx(1.0, abs=0.01)
    assert abs(share["false"] - 1) > 0.03


def test_neighbouring_bins_of_a_wrong_model_count_as_one() -> None:
    noise = np.random.default_rng(3).normal(size=20_000)
    smooth = np.convolve(noise, np.ones(9), mode="same")
    assert correlated_bins(noise) == pytest.approx(1.0, abs=0.2)
    assert correlated_bins(smooth) == pytest.approx(9.0, rel=0.15)
    assert correlated_bins(np.zeros(10)) == 1.0
