"""The mean pattern: where reflections are, how wide, and what none of the phases has."""

from dataclasses import replace

import numpy as np
import pytest

from operando.profile import Profile
from streaming.refine.mean_pattern import refine_mean, weights_from_variance
from streaming.refine.model import draw_template
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid, MovingPhase
from streaming.refine.unexplained import unexplained_peaks
from tests.streaming.phantom import demo_profile

GRID = Grid(q_first_edge=1.1, q_step=4.4 / 750, n_radial=750, wavelength_angstrom=0.11979148)
AMOUNTS = {"fe": 0.3, "cu": 0.5, "nmc": 2.0, "lic12": 1.0, "lic6": 0.5}


def profile(*, lorentz_fraction: float | None = 0.0) -> Profile:
    demo = demo_profile(refines=True)
    return demo.model_copy(update={"refinement": demo.refinement.model_copy(update={"lorentz_fraction": lorentz_fraction})})


def moved(phase: MovingPhase, *, lengths: list[float], width: float = 1.0) -> MovingPhase:
    crystal = phase.crystal
    at = np.array(lengths)
    return replace(phase, crystal=replace(crystal, lengths=at, volume_angstrom3=crystal.volume(at)), width=width)


def a_pattern(phases: list[MovingPhase]) -> np.ndarray:
    total = np.sum([AMOUNTS.get(phase.crystal.name, 0.0) * draw_template(phase, GRID) for phase in phases], axis=0)
    return total + 0.05 * total.max() * np.exp(-GRID.q / 2)


def test_lengths_widths_and_mixing_of_the_mean_pattern_are_found() -> None:
    true = moving_phases(profile(), lorentz_fraction=0.15)
    places = {"nmc": ([2.8300, 14.45, 1.0], 1.1), "cu": ([3.6190, 1.0, 1.0], 0.9)}
    true = [
        moved(one, lengths=places[one.crystal.name][0], width=places[one.crystal.name][1])
        if one.crystal.name in places
        else one
        for one in true
    ]
    pattern = a_pattern(true)
    fit = refine_mean(profile(lorentz_fraction=None), grid=GRID, pattern=pattern, variance=1e-6 * pattern)
    found = {phase.crystal.name: phase for phase in fit.phases}
    assert fit.lorentz_fraction == pytest.approx(0.15, abs=0.03)
    assert found["nmc"].crystal.lengths[:2] == pytest.approx([2.8300, 14.45], abs=1e-3)
    assert found["nmc"].width == pytest.approx(1.1, abs=0.02)
    assert found["cu"].crystal.lengths[0] == pytest.approx(3.6190, abs=2e-4)
    assert found["cu"].width == pytest.approx(0.9, abs=0.02)
    assert found["nmc"].free == ("a", "c")
    assert found["cu"].free == ()


def test_a_phase_that_is_not_in_the_mean_pattern_stays_where_its_file_says() -> None:
    pattern = a_pattern(moving_phases(profile(), lorentz_fraction=0.0))
    fit = refine_mean(profile(), grid=GRID, pattern=pattern, variance=1e-6 * pattern)
    aluminium = next(phase for phase in fit.phases if phase.crystal.name == "al")
    assert (aluminium.crystal.lengths[0], aluminium.width) == (4.0495, 1.0)


def test_a_peak_of_no_phase_is_found_and_a_wing_of_a_known_one_is_not() -> None:
    fit = 100 * np.exp(-(((GRID.q - 2.0) / 0.03) ** 2)) + 10
    background = np.full(GRID.n_radial, 10.0)
    known = np.array([2.0])
    extra = fit + 5 * np.exp(-(((GRID.q - 3.3) / 0.03) ** 2)) + 8 * np.exp(-(((GRID.q - 2.03) / 0.02) ** 2))
    (peak,) = unexplained_peaks(GRID.q, extra, fit, background, known_q=known, width_q=0.05)
    assert peak.q == pytest.approx(3.3, abs=0.01)
    assert peak.spacing_angstrom == pytest.approx(2 * np.pi / 3.3, rel=0.01)
    assert unexplained_peaks(GRID.q, fit, fit, background, known_q=known, width_q=0.05) == []
    assert unexplained_peaks(GRID.q, np.full(750, np.nan), fit, background, known_q=known, width_q=0.05) == []


def test_a_bin_without_pixels_has_no_weight() -> None:
    weights = weights_from_variance(np.array([1.0, np.nan, 0.0, 4.0]), np.array([1.0, 1.0, 1.0, np.nan]))
    assert weights.tolist() == [1.0, 0.0, 0.0, 0.0]
