"""Phases that are not there take nothing: amounts that cannot be negative do not add up to a percent of them."""

import numpy as np
import pytest

from streaming.refine.fit import refine
from streaming.refine.model import draw_template, make_model
from streaming.refine.presence import refine_where_present
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid
from streaming.refine.voxels import VoxelPatterns
from tests.streaming.phantom import demo_profile

GRID = Grid(q_first_edge=1.1, q_step=4.4 / 400, n_radial=400, wavelength_angstrom=0.11979148)
PHASES = [
    one
    for one in moving_phases(demo_profile(refines=True), lorentz_fraction=0.0)
    if one.crystal.name in ("nmc", "graphite", "lic12", "lic6", "cu")
]
NAMES = [one.crystal.name for one in PHASES]
EDGE = 40


@pytest.fixture(scope="module")
def voxels() -> tuple[VoxelPatterns, np.ndarray]:
    """A slice of oxide and graphite, LiC6 in one corner alone; noise that gives LiC6 3 % of the mass each."""
    is_corner = np.zeros((EDGE, EDGE), bool)
    is_corner[:5, :5] = True
    amounts = np.zeros((EDGE**2, len(PHASES)))
    amounts[:, NAMES.index("nmc")], amounts[:, NAMES.index("graphite")] = 1.0, 0.6
    amounts[is_corner.ravel(), NAMES.index("lic6")] = 0.3
    exact = amounts @ np.array([draw_template(one, GRID) for one in PHASES])
    noise = 0.01 * exact.max()
    counted = exact + np.random.default_rng(4).normal(size=exact.shape) * noise
    return VoxelPatterns(
        patterns=counted.astype(np.float32), noise=np.full(EDGE**2, noise**2), differences=None, weights=np.ones(GRID.n_radial)
    ), is_corner.ravel()


def test_a_phase_is_looked_for_only_where_its_neighbours_show_it(voxels: tuple[VoxelPatterns, np.ndarray]) -> None:
    patterns, is_corner = voxels
    model = make_model(PHASES, grid=GRID, n_background=6)
    is_refined = np.ones((EDGE, EDGE), bool)
    everywhere = refine(model, patterns.patterns, patterns.noise, patterns.weights)
    found = refine_where_present(refine, model, patterns, is_refined, start=None, significance=5.0)
    lic6 = NAMES.index("lic6")
    assert everywhere.scales[~is_corner, lic6].mean() > 3 * abs(found.scales[~is_corner, lic6].mean())
    assert found.scales[is_corner, lic6] == pytest.approx(everywhere.scales[is_corner, lic6], abs=0.05)
    assert found.scales[is_corner, lic6].mean() == pytest.approx(0.3, abs=0.03)
    nothing = ~is_corner & (found.scales[:, lic6] == 0)
    assert nothing.sum() > 0.6 * (~is_corner).sum()
    # What is not there is known to be no more than what would have been seen.
    assert np.sqrt(found.covariance[nothing, lic6, lic6]).mean() == pytest.approx(
        np.sqrt(everywhere.covariance[nothing, lic6, lic6]).mean(), rel=0.01
    )
    for name in ("nmc", "graphite"):
        k = NAMES.index(name)
        assert found.scales[:, k].mean() == pytest.approx(1.0 if name == "nmc" else 0.6, abs=0.01)
    assert found.model is model
