"""Texture: closed forms of a fibre's pole density, and a pattern of textured flakes whose shares are found or not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operando.profile import Profile
from operando.profile.settings import with_settings
from operando.scan import LineKey
from streaming.channels import make_pattern_model, wavelength_of
from streaming.line_file import write_line
from streaming.pattern_cache import PatternCache
from streaming.refine.crystal import read_crystal
from streaming.refine.mean_pattern import MeanFit, refine_mean
from streaming.refine.model import draw_template
from streaming.refine.start import moving_phases
from streaming.refine.tables import Grid
from streaming.refine.texture import FULL_RING, fibre_factors, march_density
from tests.streaming.phantom import Phantom, demo_profile

GRID = Grid(q_first_edge=1.1, q_step=4.4 / 750, n_radial=750, wavelength_angstrom=0.11979148)
AMOUNTS = {"cu": 0.5, "nmc": 2.0, "lic12": 1.0, "lic6": 0.3, "graphite": 0.2}
ABOUT_THE_AXIS = (0.0, 15.0)


@settings(max_examples=20, deadline=None)
@given(march=st.floats(0.4, 1.6), half_width=st.floats(5, 90))
def test_texture_moves_intensity_between_reflections_and_makes_none(march: float, half_width: float) -> None:
    cosine = (np.arange(4000) + 0.5) / 4000
    assert fibre_factors(cosine, march=march, window=(0.0, half_width)).mean() == pytest.approx(1.0, abs=3e-3)


def test_planes_along_the_layers_are_seen_at_right_angles_from_the_rotation_axis() -> None:
    seen = fibre_factors(np.array([1.0]), march=0.6, window=(0.0, 0.01))
    assert seen[0] == pytest.approx(march_density(np.array(0.0), 0.6), rel=1e-4)
    assert seen[0] < fibre_factors(np.array([1.0]), march=0.6, window=FULL_RING)[0]


def test_the_members_of_a_reflection_add_up_to_it_and_know_their_direction() -> None:
    profile = demo_profile(refines=True)
    path = {phase.name: profile.path(phase.cif) for phase in profile.phases}["nmc"]
    crystal = read_crystal(path, name="nmc", q_max=5.8)
    total = np.bincount(crystal.member, weights=crystal.member_strength, minlength=crystal.strength.size)
    np.testing.assert_allclose(total, crystal.strength)
    is_003 = crystal.member == np.argmin(np.abs(2 * np.pi / crystal.q() - 14.5 / 3))
    np.testing.assert_allclose(np.abs(crystal.cosine_to((0, 0, 1))[is_003]), 1.0)


def textured(profile: Profile, *, march: float | None) -> Profile:
    names = ("graphite", "lic12", "lic6")
    changes = [f"phases.{name}.fibre=[0,0,1]" for name in names]
    changes += [f"phases.{name}.march={march}" for name in names if march is not None]
    changes += ["integration.sector=[0,15]", "refinement.lorentz_fraction=0.0"]
    return with_settings(profile, changes)


def shares(fit: MeanFit) -> dict[str, float]:
    scales = dict(zip((phase.crystal.name for phase in fit.phases), fit.refined.scales[0], strict=True))
    return {name: scales[name] / scales["lic12"] for name in ("lic6", "graphite", "nmc")}


def test_the_shares_of_flakes_are_found_with_their_texture_and_missed_without() -> None:
    demo = demo_profile(refines=True)
    flakes = moving_phases(textured(demo, march=0.55), lorentz_fraction=0.0)
    pattern = np.sum([AMOUNTS.get(one.crystal.name, 0.0) * draw_template(one, GRID) for one in flakes], axis=0)
    pattern += 0.05 * pattern.max() * np.exp(-GRID.q / 2)
    knowing = refine_mean(textured(demo, march=None), grid=GRID, pattern=pattern, variance=1e-6 * pattern)
    as_powder = with_settings(demo, ["refinement.lorentz_fraction=0.0"])
    naive = refine_mean(as_powder, grid=GRID, pattern=pattern, variance=1e-6 * pattern)
    assert knowing.march == {(0, 0, 1): pytest.approx(0.55, abs=0.04)}
    assert shares(knowing) == pytest.approx({"lic6": 0.3, "graphite": 0.2, "nmc": 2.0}, rel=0.08)
    assert naive.refined.rwp[0] > 3 * knowing.refined.rwp[0]
    assert abs(shares(naive)["nmc"] - 2.0) > 0.2


def test_a_known_texture_is_not_looked_for_again() -> None:
    demo = demo_profile(refines=True)
    given = textured(demo, march=0.7)
    pattern = np.sum([draw_template(one, GRID) for one in moving_phases(given, lorentz_fraction=0.0)], axis=0)
    assert refine_mean(given, grid=GRID, pattern=pattern, variance=1e-6 * pattern).march == {}


def test_the_live_amounts_of_flakes_are_right_where_their_texture_is_known() -> None:
    demo = demo_profile(refines=True)
    known = textured(demo, march=0.55)
    edges = np.linspace(known.integration.q_min, known.integration.q_max, known.integration.n_radial + 1)
    grid = Grid(
        q_first_edge=edges[0], q_step=edges[1] - edges[0], n_radial=edges.size - 1, wavelength_angstrom=wavelength_of(known)
    )
    flakes = moving_phases(known, lorentz_fraction=0.0)
    pattern = np.sum([AMOUNTS.get(one.crystal.name, 0.0) * draw_template(one, grid) for one in flakes], axis=0)

    def lic12_over_oxide(profile: Profile) -> float:
        amounts = np.linalg.lstsq(make_pattern_model(profile).templates, pattern, rcond=None)[0]
        by_name = dict(zip((phase.name for phase in profile.phases), amounts, strict=False))
        return float(by_name["lic12"] / by_name["nmc"])

    assert lic12_over_oxide(known) == pytest.approx(0.5, rel=0.03)
    assert abs(lic12_over_oxide(demo) / 0.5 - 1) > 0.15


def test_the_full_profile_sees_the_window_that_the_profile_chose(tmp_path: Path) -> None:
    phantom = Phantom(demo_profile())
    line = phantom.line(0)
    cake = np.repeat(line.mean[:, None], 12, axis=1)
    cake[:, 3:9] *= 2.0
    line = replace(line, cake=cake, cake_norm=np.ones((12, line.q.size), np.float32))
    write_line(line, tmp_path)
    key = LineKey(run=line.key.run, line=0, attempt=0)
    ring, window = (PatternCache(tmp_path, line.q, estimator="mean", sector=sector)(key) for sector in (None, (90.0, 45.0)))
    np.testing.assert_allclose(window.mean[5], 2 * ring.mean[5], rtol=1e-3)
