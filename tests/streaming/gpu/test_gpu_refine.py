"""The kernel of the refinement, its own source run on the processor: against the compiled loops, step by step the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streaming.gpu.refiner import GpuRefiner
from streaming.refine.fit import Refined, refine
from streaming.refine.kernel import NOT_FINITE
from streaming.refine.model import ProfileModel, draw_template, make_model
from streaming.refine.peak_shape import ConstantShape
from streaming.refine.tables import Grid, MovingPhase
from tests.streaming.refine.test_refine_patterns import crystal

GRID = Grid(q_first_edge=1.2, q_step=2.0 / 260, n_radial=260, wavelength_angstrom=0.11979148)
AMOUNTS = {"nmc": 2.0, "lic12": 1.0, "cu": 0.5, "al": 0.0}


def a_model(free: dict[str, tuple[str, ...]]) -> ProfileModel:
    shape = ConstantShape(width_deg=0.1)
    phases = [MovingPhase(crystal=crystal(name), shape=shape, free=free.get(name, ())) for name in AMOUNTS]
    return make_model(phases, grid=GRID, n_background=4)


def some_patterns(model: ProfileModel, n: int, *, spread: float = 0.002) -> tuple[Any, Any]:
    """Poisson patterns of lattices somewhat off, and their weights; one has a hole."""
    rng = np.random.default_rng()
    moved = [_stretched(phase, rng.uniform(1 - spread, 1 + spread, n)) for phase in model.phases]
    drawn = np.array(
        [sum(a * draw_template(phases[k], GRID) for a, phases in zip(AMOUNTS.values(), moved, strict=True)) for k in range(n)]
    )
    drawn += 0.1 * drawn.max() * np.exp(-GRID.q / 2)
    photons = 1000.0 / drawn.max()
    patterns = (rng.poisson(drawn * photons) / photons).astype(np.float32)
    patterns[-1, 100] = np.nan
    return patterns, photons / drawn.mean(axis=0)


def _stretched(phase: MovingPhase, factors: Any) -> list[MovingPhase]:
    one = phase.crystal
    lengths = [one.lengths * (factor if phase.is_free.any() else 1.0) for factor in factors]
    return [replace(phase, crystal=replace(one, lengths=some, volume_angstrom3=one.volume(some))) for some in lengths]


def assert_same(found: Refined, wanted: Refined) -> None:
    """Hold every pattern that is solved against the same; one whose steps lose their way may lose it otherwise."""
    solved = wanted.is_solved
    assert found.status[solved].tolist() == wanted.status[solved].tolist()
    assert np.array_equal(found.is_moved[solved], wanted.is_moved[solved])
    for name in ("scales", "background", "parameters", "chi_squared", "rwp", "changes"):
        values, same = getattr(found, name)[solved], getattr(wanted, name)[solved]
        np.testing.assert_allclose(values, same, rtol=1e-6, atol=1e-7 * np.abs(same).max(), err_msg=name)
    sigma = np.sqrt(np.einsum("nii->ni", wanted.covariance[solved]).max(axis=0)) + 1e-30
    scale = sigma[:, None] * sigma[None, :]
    np.testing.assert_allclose(found.covariance[solved] / scale, wanted.covariance[solved] / scale, atol=1e-5)


@pytest.mark.parametrize("is_bounded", [True, False])
def test_amounts_of_phases_that_are_all_held_still_are_those_of_the_processor(device: Any, is_bounded: bool) -> None:
    model = a_model({})
    patterns, weights = some_patterns(model, 4)
    arguments = model, patterns[:3], np.ones(3), weights
    found, wanted = GpuRefiner(device)(*arguments, is_bounded=is_bounded), refine(*arguments, is_bounded=is_bounded)
    assert wanted.is_solved.all()
    np.testing.assert_allclose(found.scales, wanted.scales, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.scale_covariance(), wanted.scale_covariance(), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.chi_squared, wanted.chi_squared, rtol=1e-6)


@pytest.mark.parametrize(
    "free", [{"nmc": ("a", "c")}, {"nmc": ("a", "c", "width"), "cu": ("a",)}], ids=["lattice", "widths and two phases"]
)
def test_patterns_are_refined_as_on_the_processor(device: Any, free: dict[str, tuple[str, ...]]) -> None:
    model = a_model(free)
    patterns, weights = some_patterns(model, 6)
    noise, differences = np.r_[np.ones(4), 4.0, 1.0], np.nan_to_num(np.roll(patterns, 1, axis=0) - patterns)
    arguments = model, patterns, noise, weights
    wanted = refine(*arguments, differences=differences, n_threads=1)
    found = GpuRefiner(device, n_patterns=4)(*arguments, differences=differences)
    assert found.status[5] == wanted.status[5] == NOT_FINITE
    assert (wanted.is_solved & wanted.is_moved[:, 0]).sum() >= 2
    assert_same(found, wanted)


def test_phases_that_are_not_there_do_not_move(device: Any) -> None:
    model = a_model({"nmc": ("a", "c"), "al": ("a",)})
    patterns, weights = some_patterns(model, 3, spread=0.0)
    arguments = model, patterns[:2], np.ones(2), weights
    wanted = refine(*arguments, n_threads=1)
    found = GpuRefiner(device)(*arguments)
    assert found.changes is None
    assert not found.is_moved[:, 1].any()
    assert np.array_equal(found.is_moved, wanted.is_moved)
    np.testing.assert_allclose(found.parameters[wanted.is_solved], wanted.parameters[wanted.is_solved], rtol=1e-7)
