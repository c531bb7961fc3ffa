"""Drift of the cell's own metals: sums of lines whose copper grows, or only swings as its centre of mass does."""

from dataclasses import replace

import numpy as np
import pytest

from streaming.line_sum import LineSum
from streaming.refine.drift import Drift, find_drifts, is_metal, sentence
from streaming.refine.model import draw_template
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid, MovingPhase
from tests.streaming.phantom import demo_profile

GRID = Grid(q_first_edge=1.1, q_step=4.4 / 750, n_radial=750, wavelength_angstrom=0.11979148)
N_LINES = 60
ANGLES = {line: 3.0 * line for line in range(N_LINES)}


@pytest.fixture(scope="module")
def phases() -> list[MovingPhase]:
    return [one for one in moving_phases(demo_profile(refines=True), lorentz_fraction=0.0) if one.crystal.name in ("cu", "nmc")]


def at(phase: MovingPhase, factor: float) -> MovingPhase:
    crystal = phase.crystal
    lengths = crystal.lengths * np.where(crystal.powers > 0, factor, 1.0)
    return replace(phase, crystal=replace(crystal, lengths=lengths, volume_angstrom3=crystal.volume(lengths)))


def sums(phases: list[MovingPhase], *, drift: float, swing: float) -> list[LineSum]:
    random, made = np.random.default_rng(3), []
    for line in range(N_LINES):
        factor = 1 + drift * line / (N_LINES - 1) + swing * np.sin(np.deg2rad(ANGLES[line]))
        pattern = draw_template(at(phases[0], factor), GRID) + 3 * draw_template(phases[1], GRID)
        photons = 2e4 / pattern.max()
        mean = pattern + 0.05 * pattern.max()
        counted = random.poisson(mean * photons) / photons
        made.append(LineSum(line=line, pattern=counted, variance=mean / photons, time_s=10.0 * line, cell=None))
    return made


def drifts(phases: list[MovingPhase], lines: list[LineSum]) -> list[Drift]:
    return find_drifts(
        lines, phases, grid=GRID, n_background=8, weights=1 / lines[0].variance, significance=5.0, angles_deg=ANGLES
    )


def test_copper_that_grows_is_told_with_its_size(phases: list[MovingPhase]) -> None:
    (drift,) = drifts(phases, sums(phases, drift=6e-4, swing=1e-4))
    assert drift.phase == "cu"
    assert drift.is_significant
    assert abs(drift.part - 6e-4) < 4 * drift.sigma
    assert "nothing is corrected" in sentence(drift, label="Cu")


def test_a_foil_that_stands_off_the_axis_swings_and_does_not_drift(phases: list[MovingPhase]) -> None:
    (drift,) = drifts(phases, sums(phases, drift=0.0, swing=3e-4))
    assert not drift.is_significant
    assert drifts(phases, sums(phases, drift=2e-4, swing=0.0)[:5]) == []


def test_only_metals_are_watched(phases: list[MovingPhase]) -> None:
    assert [one.crystal.name for one in phases if is_metal(one)] == ["cu"]
