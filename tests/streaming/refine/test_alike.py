"""Two oxides of one structure: told apart where their reflections are, set aside where they are not, and said so."""

from dataclasses import replace

import numpy as np
import pytest

from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings
from streaming.maps import ALIKE, GOOD, REASONS
from streaming.refine.alike import alike_pairs, deviations_apart
from streaming.refine.fit import refine
from streaming.refine.lithium_curve import read_curve
from streaming.refine.mean_pattern import refine_mean
from streaming.refine.model import draw_template
from streaming.refine.quantities import Voxels, make_refined_maps
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid, MovingPhase

GRID = Grid(q_first_edge=1.1, q_step=4.4 / 750, n_radial=750, wavelength_angstrom=0.11979148)
CHARGED, DISCHARGED = (2.822, 14.508), (2.859, 14.316)


@pytest.fixture(scope="module")
def cell() -> Profile:
    """A cell with two oxides, as powders."""
    demo = read_profile("aaa-charged-c2")
    kept = [phase.model_copy(update={"fibre": None}) for phase in demo.phases if phase.name in ("cu", "nmc", "nmc_s")]
    plain = demo.model_copy(update={"phases": kept})
    return with_settings(plain, ["refinement.lorentz_fraction=0", "correction.parallax=false"])


def at(phase: MovingPhase, lattice: tuple[float, float], *, width: float = 1.0) -> MovingPhase:
    lengths = np.array([*lattice, 1.0])
    crystal = replace(phase.crystal, lengths=lengths, volume_angstrom3=phase.crystal.volume(lengths))
    return replace(phase, crystal=crystal, width=width)


def a_pattern(cell: Profile, lattice: tuple[float, float], *, secondary: float, width: float = 1.0) -> np.ndarray:
    cu, nmc, nmc_s = moving_phases(cell, lorentz_fraction=0.0)
    drawn = [draw_template(one, GRID) for one in (cu, at(nmc, lattice, width=width), nmc_s)]
    total = 0.5 * drawn[0] + (2.0 - secondary) * drawn[1] + secondary * drawn[2]
    return total + 0.05 * total.max() * np.exp(-GRID.q / 2)


def test_only_crystals_of_one_structure_are_compared(cell: Profile) -> None:
    phases = moving_phases(cell, lorentz_fraction=0.0)
    assert [(phases[k].crystal.name, phases[m].crystal.name) for k, m in alike_pairs(phases)] == [("nmc", "nmc_s")]
    still = [replace(phase, free=()) for phase in phases]
    assert alike_pairs(still) == []


def test_a_charged_oxide_stands_apart_from_the_inactive_one_and_a_discharged_one_does_not(cell: Profile) -> None:
    _, nmc, nmc_s = moving_phases(cell, lorentz_fraction=0.0)
    lengths = np.array([[*CHARGED, 1.0], [*DISCHARGED, 1.0]])
    charged, discharged = deviations_apart(nmc, nmc_s, grid=GRID, lengths=lengths)
    assert charged > 1.3
    assert discharged < 0.5
    assert deviations_apart(nmc, nmc, grid=GRID)[0] == 0


def test_an_oxide_that_cannot_be_told_apart_is_set_aside_and_the_other_keeps_its_lattice(cell: Profile) -> None:
    """Widths wrong by 4 %: with both oxides the lattice of the primary one runs away."""
    pattern = a_pattern(cell, DISCHARGED, secondary=0.02, width=1.04)
    mean = refine_mean(cell, grid=GRID, pattern=pattern, variance=1e-6 * pattern)
    assert mean.aside == {"nmc_s": "nmc"}
    assert mean.phases[1].crystal.lengths[:2] == pytest.approx(DISCHARGED, abs=2e-3)
    maps = {
        one.name: one
        for one in make_refined_maps(
            Voxels(refined=mean.refined, base=np.full((1, 1), GOOD, np.uint8)),
            profile=cell,
            curves={"nmc": read_curve(cell.path(cell.phases[1].lithium_curve), phase="nmc")},
            aside=mean.aside,
        )
    }
    assert REASONS[int(maps["refined_wt_nmc_s"].reason[0, 0])] == "cannot be told from another phase"
    assert np.isnan(maps["refined_wt_nmc_s"].value[0, 0])
    assert maps["refined_wt_nmc"].value[0, 0] == pytest.approx(80, abs=2)


def test_an_oxide_that_stands_apart_is_looked_for(cell: Profile) -> None:
    mean = refine_mean(cell, grid=GRID, pattern=(pattern := a_pattern(cell, CHARGED, secondary=0.4)), variance=1e-6 * pattern)
    assert mean.aside == {}
    assert mean.refined.scales[0, 2] / mean.refined.scales[0, 1:].sum() == pytest.approx(0.2, abs=0.02)


def test_a_voxel_where_both_oxides_lie_under_each_other_gets_no_lattice(cell: Profile) -> None:
    model = refine_mean(cell, grid=GRID, pattern=(mean := a_pattern(cell, CHARGED, secondary=0.1)), variance=1e-6 * mean).model(
        n_background=6
    )
    patterns = [a_pattern(cell, CHARGED, secondary=0.4), a_pattern(cell, (2.864, 14.27), secondary=1.0)]
    fit = refine(model, np.array(patterns, np.float32), np.full(2, 1e-4), np.ones(GRID.n_radial), significance=5.0)
    reason = Voxels(refined=fit, base=np.full((1, 2), GOOD, np.uint8)).lattice_reason("nmc")
    assert reason[0] == GOOD
    assert reason[1] == ALIKE
