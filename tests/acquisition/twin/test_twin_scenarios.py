"""The scenarios' samples: published lattices, lithium that moves with the clock of the run, pins where they should be."""

import time

import numpy as np
import pytest

from acquisition.twin.lattices import lattice_maps
from acquisition.twin.published import STATES, make_published
from acquisition.twin.sample import PUBLISHED, SAMPLES, WORKING, make_history
from acquisition.twin.standard import make_pins
from operando.profile import profiles_folder, read_profile

PUBLISHED_LATTICES = {
    # a, c in angstrom (doi 10.1002/smt.202100512); c alone for charged C/20.
    "aaa-pristine": (2.822, 14.507),
    "aaa-charged-c2": (2.822, 14.508),
    "aaa-charged-c20": (None, 14.472),
    "aaa-discharged-c2": (2.856, 14.329),
    "aaa-discharged-c20": (2.859, 14.316),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_cell_has_its_published_lattices(name: str) -> None:
    """Means over the primary oxide, of which one part in a hundred has no partner and stays full."""
    sample = make_published(name, seed=1)
    maps = lattice_maps(sample, follows_lithium=True)
    a, c = PUBLISHED_LATTICES[name]

    assert name in STATES
    assert np.nanmean(maps["c/nmc"]) == pytest.approx(c, abs=0.006)
    if a is not None:
        assert np.nanmean(maps["a/nmc"]) == pytest.approx(a, abs=0.001)


def test_the_charged_cells_hold_the_published_ratio_of_lic6_to_lic12() -> None:
    for name, wanted in (("aaa-charged-c2", 3.4 / 21.1), ("aaa-charged-c20", 10.5 / 13.4)):
        sample = make_published(name, seed=1)
        ratio = sample.density_of("lic6").sum() / sample.density_of("lic12").sum()
        assert ratio == pytest.approx(wanted, rel=0.05)


def test_the_discharged_cells_keep_lithium_where_they_lag() -> None:
    sample = make_published("aaa-discharged-c2", seed=1)
    axis = sample.axis_mm
    radius = np.hypot(axis[:, np.newaxis], axis)
    anode = np.isfinite(sample.lithium_x)

    assert sample.lithium_x[anode & (radius > 4.4)].mean() > 2 * sample.lithium_x[anode & (radius > 2) & (radius < 3.5)].mean()


def test_every_scenario_names_a_sample_that_there_is() -> None:
    for path in profiles_folder().glob("*/profile.toml"):
        twin = read_profile(str(path)).twin
        assert twin is not None
        assert twin.sample in (*SAMPLES, *PUBLISHED, *WORKING)


def test_a_working_sample_moves_with_the_clock_of_its_run(tmp_path) -> None:
    profile = read_profile("18650-1c")
    profile = profile.model_copy(update={"twin": profile.twin.model_copy(update={"sample": "small-cell"})})
    profile = profile.model_copy(
        update={"cell": profile.cell.model_copy(update={"source": "pybamm:small-2c", "start_s": 0.0, "speed": 1.0})}
    )
    history = make_history(profile, out=tmp_path)
    now_s = time.time()
    early, same, late = (history.slice_at(now_s + later_s) for later_s in (0.0, 5.0, 1500.0))

    assert early is same
    assert np.nanmean(late.lithium_x) > np.nanmean(early.lithium_x) + 0.3
    assert np.nanmean(late.lithium_y) < np.nanmean(early.lithium_y) - 0.2
    assert history.cell_at(now_s + 1500.0)["voltage_v"] > history.cell_at(now_s)["voltage_v"]


def test_the_pins_are_where_the_documentation_says() -> None:
    sample = make_pins("pins")
    axis = sample.axis_mm
    for material, (x_mm, y_mm) in {"al": (1.5, 0.5), "cu": (-0.5, 1.2)}.items():
        density = sample.density_of(material)
        assert density.sum(axis=0) @ axis / density.sum() == pytest.approx(x_mm, abs=0.005)
        assert density.sum(axis=1) @ axis / density.sum() == pytest.approx(y_mm, abs=0.005)
