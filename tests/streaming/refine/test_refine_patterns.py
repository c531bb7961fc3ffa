"""Patterns drawn with error functions here, counted by Poisson, and refined by the compiled kernel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from streaming.refine.crystal import Crystal, intensity_per_mass, read_crystal
from streaming.refine.fit import Refined, refine
from streaming.refine.kernel import NOT_FINITE, SOLVED
from streaming.refine.model import ProfileModel, make_model
from streaming.refine.peak_shape import ConstantShape, InstrumentShape, SpreadShape
from streaming.refine.tables import Grid, MovingPhase

PHASES = Path(__file__).parents[3] / "profiles/demo/phases"
GRID = Grid(q_first_edge=1.1, q_step=4.4 / 1500, n_radial=1500, wavelength_angstrom=0.11979148)
WIDTH_DEG = 0.055
AMOUNTS = {"nmc": 2.0, "lic12": 1.0, "lic6": 0.5, "cu": 0.5, "al": 0.0}


def crystal(name: str) -> Crystal:
    return read_crystal(PHASES / f"{name}.cif", name=name, q_max=5.8)


def a_model(*, free: dict[str, tuple[str, ...]] | None = None, names: tuple[str, ...] = tuple(AMOUNTS)) -> ProfileModel:
    chosen = {"nmc": ("a", "c")} if free is None else free
    shape = ConstantShape(width_deg=WIDTH_DEG)
    return make_model(
        [MovingPhase(crystal=crystal(name), shape=shape, free=chosen.get(name, ())) for name in names],
        grid=GRID,
        n_background=8,
    )


def drawn(one: Crystal, *, a: float | None = None, c: float | None = None, width_deg: float = WIDTH_DEG) -> np.ndarray:
    """A Gaussian pattern of unit mass, by way of scattering angles and error functions."""
    lengths = one.lengths.copy()
    lengths[:2] = [one.lengths[0] if a is None else a, one.lengths[1] if c is None else c]
    two_theta = 2 * np.rad2deg(np.arcsin(GRID.edges * GRID.wavelength_angstrom / (4 * np.pi)))
    centres = 2 * np.rad2deg(np.arcsin(one.q(lengths) * GRID.wavelength_angstrom / (4 * np.pi)))
    heights = intensity_per_mass(one, lengths, wavelength_angstrom=GRID.wavelength_angstrom)
    sigma = width_deg / np.sqrt(8 * np.log(2))
    below = 0.5 * erf((two_theta[None, :] - centres[:, None]) / (np.sqrt(2) * sigma))
    return heights @ np.diff(below, axis=1) / np.diff(np.deg2rad(two_theta))


def mixed(*, a: float, c: float, amounts: dict[str, float] = AMOUNTS, width_deg: float = WIDTH_DEG) -> np.ndarray:
    parts = [
        amount * (drawn(crystal(name), a=a, c=c, width_deg=width_deg) if name == "nmc" else drawn(crystal(name)))
        for name, amount in amounts.items()
    ]
    total = np.sum(parts, axis=0)
    return total + 0.1 * total.max() * np.exp(-GRID.q / 2)


def counted(pattern: np.ndarray, *, n: int, top: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Poisson patterns with ``top`` counts in the highest bin, and their weights."""
    photons = top / pattern.max()
    random = np.random.default_rng(seed)
    return (random.poisson(pattern * photons, (n, pattern.size)) / photons).astype(np.float32), photons / pattern


def refined(model: ProfileModel, patterns: np.ndarray, weights: np.ndarray | None = None) -> Refined:
    patterns = np.atleast_2d(patterns).astype(np.float32)
    return refine(model, patterns, np.ones(len(patterns)), np.ones(GRID.n_radial) if weights is None else weights)


def test_a_pattern_without_noise_gives_its_lattice_and_amounts_back() -> None:
    fit = refined(a_model(), mixed(a=2.8200, c=14.46))
    assert fit.status.tolist() == [SOLVED]
    assert fit.parameter("nmc", "a")[0][0] == pytest.approx(2.8200, abs=2e-6)
    assert fit.parameter("nmc", "c")[0][0] == pytest.approx(14.46, abs=2e-5)
    assert fit.scales[0] == pytest.approx(list(AMOUNTS.values()), abs=2e-3)


def test_with_the_lattice_held_still_the_same_pattern_does_not_fit() -> None:
    pattern = mixed(a=2.8200, c=14.46)
    assert refined(a_model(free={}), pattern).rwp[0] > 20 * refined(a_model(), pattern).rwp[0]


@settings(max_examples=15, deadline=None)
@given(da=st.floats(-0.015, 0.015), dc=st.floats(-0.15, 0.15))
def test_the_lattice_is_found_from_a_percent_away(da: float, dc: float) -> None:
    fit = refined(a_model(), mixed(a=2.8245 + da, c=14.5 + dc))
    assert fit.parameter("nmc", "a")[0][0] == pytest.approx(2.8245 + da, abs=1e-5)
    assert fit.parameter("nmc", "c")[0][0] == pytest.approx(14.5 + dc, abs=1e-4)


def test_errors_of_counted_patterns_are_as_large_as_the_uncertainties_say_and_have_no_bias() -> None:
    a, c = 2.8225, 14.495
    patterns, weights = counted(mixed(a=a, c=c), n=500, top=1000)
    fit = refined(a_model(), patterns, weights)
    truth = {"a": a, "c": c}
    for name, true in truth.items():
        value, sigma = fit.parameter("nmc", name)
        error = (value - true) / sigma
        assert abs(error.mean()) < 4 / np.sqrt(500)
        assert error.std() == pytest.approx(1.0, abs=0.12)
        assert 0.61 < np.mean(np.abs(error) < 1) < 0.76
    assert np.mean(fit.chi_squared) == pytest.approx(1.0, abs=0.01)
    scale = (fit.scales[:, 0] - AMOUNTS["nmc"]) / np.sqrt(fit.scale_covariance()[:, 0, 0])
    assert scale.std() == pytest.approx(1.0, abs=0.15)


def test_uncertainties_follow_the_noise_that_is_stated() -> None:
    patterns, weights = counted(mixed(a=2.8225, c=14.495), n=1, top=1000)
    quiet = refine(a_model(), patterns, np.ones(1), weights)
    loud = refine(a_model(), patterns, np.full(1, 4.0), weights)
    assert loud.parameter("nmc", "c")[1][0] == pytest.approx(2 * quiet.parameter("nmc", "c")[1][0], rel=0.02)


def test_a_phase_that_is_not_there_has_no_lattice() -> None:
    patterns, weights = counted(mixed(a=2.82, c=14.46, amounts={"lic12": 1.0, "cu": 0.5}), n=20, top=1000)
    fit = refined(a_model(), patterns, weights)
    assert fit.is_solved.all()
    assert np.isnan(fit.parameter("nmc", "a")[0]).all()
    assert (fit.scales[:, 0] >= 0).all()


def test_no_amount_is_negative_and_absent_phases_are_known_to_be_little() -> None:
    patterns, weights = counted(mixed(a=2.82, c=14.46), n=200, top=100)
    fit = refined(a_model(), patterns, weights)
    aluminium = fit.scales[:, fit.model.names.index("al")]
    sigma = np.sqrt(fit.scale_covariance()[:, 4, 4])
    assert (fit.scales >= 0).all()
    assert np.mean(aluminium < sigma) > 0.68


def test_a_pattern_with_a_hole_that_counts_has_no_numbers() -> None:
    pattern = mixed(a=2.82, c=14.46)
    holed = pattern.copy()
    holed[700] = np.nan
    fit = refined(a_model(), np.stack([pattern, holed]))
    assert fit.status.tolist() == [SOLVED, NOT_FINITE]
    assert np.isnan(fit.parameter("nmc", "c")[0]).tolist() == [False, True]


def test_a_hole_of_no_weight_changes_nothing() -> None:
    pattern, weights = mixed(a=2.82, c=14.46), np.ones(GRID.n_radial)
    weights[600:640] = 0
    holed = np.where(weights > 0, pattern, np.nan)
    fit = refined(a_model(), holed, weights)
    assert fit.parameter("nmc", "c")[0][0] == pytest.approx(14.46, abs=1e-4)


def test_a_lattice_that_leaves_its_range_gives_no_number() -> None:
    shape = ConstantShape(width_deg=WIDTH_DEG)
    tight = MovingPhase(crystal=crystal("nmc"), shape=shape, free=("a", "c"), range_part=0.001)
    fit = refined(make_model([tight], grid=GRID, n_background=8), mixed(a=2.8245, c=14.44, amounts={"nmc": 1.0}))
    assert fit.is_at_limit.all()
    assert np.isnan(fit.parameter("nmc", "c")[0]).all()


def test_a_width_is_found_where_it_is_asked_for() -> None:
    fit = refined(a_model(free={"nmc": ("a", "c", "width")}), mixed(a=2.823, c=14.49, width_deg=1.3 * WIDTH_DEG))
    assert fit.parameter("nmc", "width")[0][0] == pytest.approx(1.3, abs=0.01)
    assert fit.parameter("nmc", "c")[0][0] == pytest.approx(14.49, abs=1e-3)


def test_a_better_start_gives_the_same_result() -> None:
    patterns, weights = counted(mixed(a=2.8205, c=14.47), n=40, top=500)
    model = a_model()
    cold = refine(model, patterns, np.ones(40), weights)
    warm = refine(model, patterns, np.ones(40), weights, start=cold.parameters)
    sigma = cold.parameter("nmc", "c")[1]
    assert np.abs(warm.parameters[:, 0, 1] - cold.parameters[:, 0, 1]).max() < 0.02 * sigma.min()


def test_threads_change_nothing() -> None:
    patterns, weights = counted(mixed(a=2.8205, c=14.47), n=64, top=500)
    one, three = (refine(a_model(), patterns, np.ones(64), weights, n_threads=n) for n in (1, 3))
    assert np.array_equal(one.parameters, three.parameters)
    assert np.array_equal(one.covariance, three.covariance)


def test_a_phase_given_twice_is_solved_for_once() -> None:
    one = MovingPhase(crystal=crystal("cu"), shape=ConstantShape(width_deg=WIDTH_DEG), free=())
    twin = replace(one, crystal=replace(one.crystal, name="twin"))
    fit = refined(make_model([one, twin], grid=GRID, n_background=8), drawn(crystal("cu")))
    assert fit.scales.sum() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", ["fe", "nmc", "graphite", "lic6"])
def test_reflections_stand_where_their_spacings_say(name: str) -> None:
    one = crystal(name)
    known = {"fe": 2.8665 / np.sqrt(2), "nmc": 14.5 / 3, "graphite": 6.711 / 2, "lic6": 3.706}[name]
    assert np.abs(2 * np.pi / one.q() - known).min() < 1e-6


def test_the_instruments_widths_are_those_of_thompson_cox_and_hastings() -> None:
    shape = InstrumentShape(u=0.2, v=-0.01, w=0.0016)
    theta = np.deg2rad(2.0)
    assert shape.fwhm_deg(4.0) == pytest.approx(np.sqrt(0.2 * np.tan(theta) ** 2 - 0.01 * np.tan(theta) + 0.0016))
    assert InstrumentShape(w=1e-9, y=0.03).fwhm_deg(4.0) == pytest.approx(0.03 / np.cos(theta), rel=1e-3)


def test_a_spread_of_depths_is_refined_without_bias_by_the_shape_that_knows_it_and_with_bias_by_one_that_does_not() -> None:
    """All matter 4 mm downstream of the axis, 1 m away: tan(two theta) is 0.4 % too small."""
    spread = SpreadShape(
        shape=ConstantShape(width_deg=WIDTH_DEG), relative_shift=np.array([-0.004, -0.002]), weight=np.array([0.5, 0.5])
    )
    made = make_model([MovingPhase(crystal=crystal("nmc"), shape=spread, free=())], grid=GRID, n_background=8)
    pattern = made.static[0]
    free = ("a", "c")
    knowing = make_model([MovingPhase(crystal=crystal("nmc"), shape=spread, free=free)], grid=GRID, n_background=8)
    naive = make_model([MovingPhase(crystal=crystal("nmc"), shape=spread.shape, free=free)], grid=GRID, n_background=8)
    assert refined(knowing, pattern).parameter("nmc", "c")[0][0] == pytest.approx(14.5, abs=5e-5)
    assert refined(naive, pattern).parameter("nmc", "c")[0][0] == pytest.approx(14.5 * 1.003, abs=0.005)


def test_the_effect_of_a_small_addition_is_what_refining_the_sum_gives() -> None:
    pattern = mixed(a=2.8225, c=14.495)
    little = 0.01 * (mixed(a=2.8235, c=14.490) - pattern)
    model = a_model()
    both = (np.stack([one]).astype(np.float32) for one in (pattern, pattern + little))
    before, after = (
        refine(model, one, np.ones(1), np.ones(GRID.n_radial), differences=little[None].astype(np.float32)) for one in both
    )
    assert before.changes is not None
    moved = after.parameters[0, 0, :2] - before.parameters[0, 0, :2]
    place = model.n_phases
    assert before.changes[0, place : place + 2] == pytest.approx(moved, rel=0.05)
    assert before.changes[0, 0] == pytest.approx(after.scales[0, 0] - before.scales[0, 0], abs=1e-4)
