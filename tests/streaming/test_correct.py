"""Corrections: each fault switched on alone, found with its size, taken off; and not found where it is not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operando.profile import Profile
from operando.profile.correction import Correction
from operando.scan import LineKey
from streaming.channels import make_pattern_model
from streaming.correct.attenuation import attenuation_from_amounts, phase_attenuation
from streaming.correct.beam import Reference, beam_scale, reference_from_line
from streaming.correct.found import find_corrections, words_on
from streaming.correct.outside import outside_points
from streaming.correct.points import MassProfile
from streaming.correct.transmission import transmission_from_diode, transmission_of_map
from streaming.correct.zigzag import find_zigzag
from streaming.line import Line
from streaming.projection import Rays
from streaming.tomogram import Result, Tomogram
from tests.streaming.phantom import CENTRE_MM, N_LINES, N_POINTS, STEP_MM, Disc, Phantom, a_run, demo_profile

Array = NDArray[np.float64]
PROFILE = demo_profile()
MODEL = make_pattern_model(PROFILE)


def with_correction(**settings: object) -> Profile:
    return PROFILE.model_copy(update={"correction": Correction(**settings)})  # type: ignore[arg-type]


def analysed(lines: list[Line], profile: Profile = PROFILE) -> Result:
    shelf = {line.key: line for line in lines}
    tomogram = Tomogram(profile=profile, model=MODEL, run=a_run(), read_again=shelf.__getitem__)
    for line in lines:
        tomogram.add(line)
    result = tomogram.result()
    assert result is not None
    return result


def difference(one: Result, other: Result) -> float:
    """Give the RMS difference of the phases' amounts, whose unit is free, part of their largest."""
    this, that = one.amounts.phases, other.amounts.phases
    scale = np.sum(this * that) / np.sum(this**2)
    return float(np.sqrt(np.mean((scale * this - that) ** 2)) / that.max())


def told_where_they_are(line: Line, shift_mm: float) -> Line:
    """Give a line whose positions say something else."""
    return replace(line, positions_mm=line.positions_mm + shift_mm)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(PROFILE, photons=3e4)


@pytest.fixture(scope="module")
def clean() -> Phantom:
    return Phantom(PROFILE)


@pytest.fixture(scope="module")
def faultless(phantom: Phantom) -> Result:
    return analysed([phantom.line(i) for i in range(N_LINES)])


# --- beam ------------------------------------------------------------------------------------------------------------


def test_a_beam_that_flickers_from_point_to_point_is_normalised_by_its_monitor(phantom: Phantom, faultless: Result) -> None:
    flicker = 1 + 0.3 * np.random.default_rng(1).random((N_LINES, N_POINTS))
    lines = [phantom.line(i, beam=flicker[i], monitor=7e4 * flicker[i], ring_current_ma=None) for i in range(N_LINES)]
    noise = difference(analysed([phantom.line(i, attempt=3) for i in range(N_LINES)]), faultless)
    corrected = difference(analysed(lines), faultless)
    without = difference(analysed(lines, with_correction(beam="ring")), faultless)
    assert corrected < 1.3 * noise
    assert without > 3 * noise


def test_a_line_without_monitor_falls_back_to_the_ring_current_and_says_so(clean: Phantom) -> None:
    line = clean.line(3, ring_current_ma=80.0)
    scale = beam_scale(line, Reference(monitor=5e4, ring_current_ma=100.0), source="auto")
    assert scale.source == "ring current"
    np.testing.assert_allclose(scale.factor, 1.25)
    nothing = beam_scale(replace(line, ring_current_ma=None), Reference(ring_current_ma=100.0), source="auto")
    assert (nothing.source, set(nothing.factor)) == ("nothing", {1.0})


def test_a_point_without_beam_is_a_missing_pixel_and_never_a_shift(clean: Phantom) -> None:
    beam = np.ones(N_POINTS)
    beam[11] = 0.0
    lines = [clean.line(i, monitor=5e4 * (beam if i == 6 else np.ones(N_POINTS))) for i in range(N_LINES)]
    result = analysed(lines)
    assert np.argwhere(~result.is_measured).tolist() == [[6, 11]]
    whole = analysed([clean.line(i) for i in range(N_LINES)]).mass_sinogram
    known = np.isfinite(result.mass_sinogram)
    np.testing.assert_allclose(result.mass_sinogram[known], whole[known], rtol=1e-6)


def test_the_reference_has_no_monitor_where_every_reading_is_zero(clean: Phantom) -> None:
    line = replace(clean.line(0), monitor=np.zeros(N_POINTS))
    assert reference_from_line(line).monitor is None


# --- zig-zag ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late_mm", [0.04, -0.025])
def test_a_late_gate_is_found_with_its_sign_and_taken_off(phantom: Phantom, late_mm: float) -> None:
    lines = [phantom.line(i, late_mm=late_mm) for i in range(N_LINES)]
    result = analysed(lines)
    assert result.found.zigzag is not None
    assert result.found.zigzag.steps * STEP_MM == pytest.approx(late_mm, abs=0.1 * STEP_MM)
    assert result.found.zigzag_mm == pytest.approx(late_mm, abs=0.1 * STEP_MM)
    left = analysed(lines, with_correction(zigzag="report"))
    assert left.found.zigzag is not None
    assert left.found.zigzag_mm == 0.0
    known = analysed([told_where_they_are(line, line.direction * late_mm) for line in lines])
    assert difference(result, known) < 0.3 * difference(left, known)
    assert result.centre_mm == pytest.approx(CENTRE_MM, abs=0.011)


def test_lines_that_stand_right_are_not_moved(faultless: Result) -> None:
    assert faultless.found.zigzag is not None
    assert not faultless.found.zigzag.is_significant
    assert abs(faultless.found.zigzag.steps) < 4 * faultless.found.zigzag.sigma
    assert faultless.found.zigzag_mm == 0.0
    assert all(line.shift_mm == 0.0 for line in faultless.ingredients.lines)


def test_what_is_moved_does_not_depend_on_the_order_of_arrival(phantom: Phantom) -> None:
    lines = [phantom.line(i, late_mm=0.04) for i in range(N_LINES)]
    forward, backward = analysed(lines), analysed(lines[::-1])
    assert forward.found.zigzag_mm == backward.found.zigzag_mm != 0.0
    np.testing.assert_allclose(forward.slice.channels, backward.slice.channels, rtol=1e-9, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(late=st.floats(-1.2, 1.2), seed=st.integers(0, 99))
def test_any_delay_of_a_smooth_sinogram_is_found_within_its_uncertainty(late: float, seed: int) -> None:
    angles = np.arange(60) * 3.0
    signs = np.where(np.arange(60) % 2 == 0, 1, -1)
    places = np.arange(41)[None, :] + (signs * late)[:, None]
    middle = 20 + 6 * np.cos(np.deg2rad(angles) + seed)
    rows = np.exp(-0.5 * ((places - middle[:, None]) / 3.5) ** 2) + 0.5 * np.exp(-0.5 * ((places - 20) / 8) ** 2)
    rows += np.random.default_rng(seed).normal(0, 0.01, rows.shape)
    order = np.random.default_rng(seed).permutation(60)
    found = find_zigzag(rows[order], angles[order], signs[order])
    assert found is not None
    assert abs(found.steps - late) < max(5 * found.sigma, 0.02)
    # What neighbours find may be a fifth too large, and says so.
    assert found.sigma < 0.05 + 0.25 * abs(late)


def test_lines_of_one_direction_say_nothing_of_a_delay() -> None:
    rows = np.random.default_rng(0).random((20, 31))
    assert find_zigzag(rows, np.arange(20) * 9.0, np.ones(20, dtype=np.int_)) is None


# --- wobble ----------------------------------------------------------------------------------------------------------


def lines_that_wobble(phantom: Phantom) -> tuple[list[Line], Array]:
    """Fly with a run-out of two and three waves a turn, less what would only move the whole sample."""
    angle = np.deg2rad(a_run().angles_deg)
    run_out_mm = 0.2 * np.cos(2 * angle) + 0.1 * np.sin(3 * angle)
    rigid = np.column_stack([np.ones(N_LINES), np.cos(angle), np.sin(angle)])
    run_out_mm -= rigid @ np.linalg.lstsq(rigid, run_out_mm)[0]
    return [told_where_they_are(phantom.line(i, offset_mm=run_out_mm[i]), -run_out_mm[i]) for i in range(N_LINES)], run_out_mm


def test_run_out_is_reported_and_left_alone_unless_told_otherwise(phantom: Phantom, faultless: Result) -> None:
    lines, run_out_mm = lines_that_wobble(phantom)
    known = analysed([told_where_they_are(line, shift) for line, shift in zip(lines, run_out_mm, strict=True)])
    reported = analysed(lines)
    assert reported.found.wobble is not None
    assert reported.found.wobble.is_significant
    assert not reported.found.wobble_mm
    corrected = analysed(lines, with_correction(wobble="correct"))
    assert difference(corrected, known) < 0.4 * difference(reported, known)
    assert faultless.found.wobble is not None
    assert not faultless.found.wobble.is_significant


def test_without_wobble_nothing_is_moved_by_its_correction(phantom: Phantom, faultless: Result) -> None:
    result = analysed([phantom.line(i) for i in range(N_LINES)], with_correction(wobble="correct"))
    np.testing.assert_array_equal(result.slice.channels, faultless.slice.channels)


def test_a_few_lines_say_nothing() -> None:
    profiles = [
        MassProfile(
            key=LineKey(run="r", line=i, attempt=0), angle_deg=9.0 * i, direction=1, mass=np.ones(9), variance=np.ones(9)
        )
        for i in range(5)
    ]
    found = find_corrections(profiles, step_mm=0.1, correction=Correction())
    assert (found.centre, found.zigzag, found.wobble) == (None, None, None)
    assert found.shift_mm(line=3, direction=-1) == 0.0


# --- transmission and air --------------------------------------------------------------------------------------------


def test_self_absorption_is_taken_off_by_the_diode(clean: Phantom) -> None:
    truth = analysed([clean.line(i) for i in range(N_LINES)])
    lines = [clean.line(i, attenuation_per_mm=0.5, has_diode=True, monitor=np.full(N_POINTS, 5e4)) for i in range(N_LINES)]
    corrected = analysed(lines, with_correction(self_absorption="diode"))
    left = analysed(lines)
    assert difference(corrected, truth) < 3e-4
    assert difference(left, truth) > 0.02


def test_air_is_dimmed_by_the_sample_as_the_sample_is(clean: Phantom) -> None:
    lines = [clean.line(i, attenuation_per_mm=0.5, has_diode=True) for i in range(N_LINES)]
    result = analysed(lines, with_correction(self_absorption="diode"))
    n_phases = clean.model.n_phases
    background = result.amounts.values[..., n_phases:].mean(axis=-1)
    y, x = np.meshgrid(result.axis_mm, result.axis_mm, indexing="ij")
    inside, outside = background[np.hypot(x, y) < 1.0], background[(np.hypot(x, y) > 1.35) & (np.hypot(x, y) < 1.45)]
    # The phantom's own smooth scattering is 0.02 per mm in every function, in each of four overlapping discs.
    assert inside.min() > 0.018
    assert np.abs(outside).max() < 0.004
    assert all(line.air_points for line in result.ingredients.lines)


def test_a_line_that_never_leaves_the_sample_has_no_open_beam(clean: Phantom) -> None:
    line = replace(clean.line(0), transmitted=np.linspace(2e4, 3e4, N_POINTS))
    assert transmission_from_diode(line) is None
    profile = with_correction(self_absorption="diode")
    tomogram = Tomogram(profile=profile, model=MODEL, run=a_run(), read_again=lambda key: line)
    tomogram.add(line)
    assert tomogram.result() is None


def test_readings_are_kept_with_the_order_of_their_points(clean: Phantom) -> None:
    line = clean.line(1, attenuation_per_mm=0.5, has_diode=True)
    transmission = transmission_from_diode(line)
    assert transmission is not None
    distance = line.positions_mm - CENTRE_MM
    expected = np.exp(-0.5 * 2 * np.sqrt(np.maximum(1.25**2 - distance**2, 0)))
    np.testing.assert_allclose(transmission, expected, rtol=1e-9)


def test_transmission_of_a_disc_is_that_of_its_chords() -> None:
    n, pixel = 200, 0.05
    axis = (np.arange(n) - (n - 1) / 2) * pixel
    disc = np.where(np.hypot(*np.meshgrid(axis, axis)) < 4.0, 0.058, 0.0)
    places = np.linspace(-4.8, 4.8, 97)
    chords = 2 * np.sqrt(np.maximum(16.0 - places**2, 0))
    rays = Rays(
        angles_deg=np.array([0.0, 17.0, 45.0, 90.0]), first_s_mm=-4.8, step_mm=0.1, n_points=97, pixel_mm=pixel, n_voxels=n
    )
    for found in transmission_of_map(disc, rays):
        inner = np.abs(places) < 3.8
        np.testing.assert_allclose(found[inner], np.exp(-0.058 * chords[inner]), rtol=0.01)
        np.testing.assert_allclose(found[np.abs(places) > 4.2], 1.0, atol=1e-12)


def test_points_beside_the_sample_are_told_from_a_sample_that_fills_the_line() -> None:
    sigma = np.full(40, 0.02)
    hat = np.where(np.abs(np.arange(40) - 22) < 12, 5.0, 1.0) + np.random.default_rng(4).normal(0, 0.02, 40)
    outside = outside_points(hat, sigma)
    assert outside[:9].all()
    assert outside[36:].all()
    assert not outside[11:34].any()
    assert not outside_points(5 + np.cos(np.linspace(-1, 1, 40)), sigma).sum() > 6
    assert not outside_points(np.linspace(1, 5, 40), sigma).any()


def test_a_person_is_told_of_each_fault_in_a_sentence(phantom: Phantom, faultless: Result) -> None:
    assert not words_on(faultless.found, step_mm=STEP_MM, speed_mm_s=2.5)
    late = analysed([phantom.line(i, late_mm=0.04) for i in range(N_LINES)]).found
    words = words_on(late, step_mm=STEP_MM, speed_mm_s=2.5)
    assert list(words) == ["zigzag"]
    assert re.search(r"stand 0\.[78]\d points apart: exposures are 1[456]\.\d \+- \d\.\d ms late", words["zigzag"])
    assert words["zigzag"].endswith("corrected")


# --- self-absorption that the maps imply -------------------------------------------------------------------------------


def absorbing(clean: Phantom, *, per_mm: float) -> list[Line]:
    return [clean.line(i, attenuation_per_mm=per_mm) for i in range(N_LINES)]


def centre_to_rim(result: Result) -> float:
    """Give the foil's amount in the middle over that near its rim; 1 in truth."""
    y, x = np.meshgrid(result.axis_mm, result.axis_mm, indexing="ij")
    foil = result.amounts.phases[..., [phase.name for phase in PROFILE.phases].index("al")]
    return float(foil[np.hypot(x, y) < 0.5].mean() / foil[(np.hypot(x, y) > 0.85) & (np.hypot(x, y) < 1.05)].mean())


@pytest.fixture(scope="module")
def foil() -> Phantom:
    return Phantom(PROFILE, discs=(Disc(x=0.0, y=0.0, radius=1.25, amounts={"al": 1.0}),))


def test_attenuation_of_the_maps_takes_self_absorption_off(foil: Phantom) -> None:
    # A thick uniform disc: through its middle exp(-0.4 * 2.5) = 0.37 is left.
    lines = absorbing(foil, per_mm=0.4)
    left = analysed(lines)
    profile = with_correction(self_absorption="maps", transmission_middle=float(np.exp(-1.0)))
    corrected = analysed(lines, profile)
    assert centre_to_rim(left) < 0.8
    assert centre_to_rim(corrected) == pytest.approx(1.0, abs=0.05)
    assert "transmission of 0.367879 measured" in corrected.found.absorption
    assert all(line.gain is not None for line in corrected.ingredients.lines)
    assert max(float(line.gain.max()) for line in corrected.ingredients.lines if line.gain is not None) == pytest.approx(
        np.e, rel=0.04
    )


def test_a_sample_that_lets_all_through_is_not_corrected_by_its_maps(foil: Phantom) -> None:
    profile = with_correction(self_absorption="maps", transmission_middle=0.999)
    result = analysed([foil.line(i) for i in range(N_LINES)], profile)
    assert difference(result, analysed([foil.line(i) for i in range(N_LINES)])) < 1e-3


def test_corrected_maps_do_not_depend_on_the_order_of_arrival(foil: Phantom) -> None:
    lines = absorbing(foil, per_mm=0.4)
    profile = with_correction(self_absorption="maps", transmission_middle=float(np.exp(-1.0)))
    assert difference(analysed(lines[::-1], profile), analysed(lines, profile)) < 1e-3


def test_attenuation_of_phases_is_that_of_tables() -> None:
    known = phase_attenuation(PROFILE)
    names = [phase.name for phase in PROFILE.phases]
    # Elam's tables at 103.5 keV (total with coherent scattering), crystals of aluminium and graphite.
    assert known.per_mass_cm2_g[names.index("al")] == pytest.approx(0.1668, rel=0.005)
    assert known.density_g_cm3[names.index("al")] == pytest.approx(2.70, rel=0.01)
    assert known.per_mass_cm2_g[names.index("graphite")] == pytest.approx(0.1499, rel=0.005)


def test_without_a_measured_transmission_the_density_is_an_assumption_that_is_said() -> None:
    amounts = np.zeros((9, 9, len(PROFILE.phases)))
    phases = phase_attenuation(PROFILE)
    assert attenuation_from_amounts(amounts, phases=phases, pixel_mm=0.1, correction=Correction()) is None
    al = [phase.name for phase in PROFILE.phases].index("al")
    amounts[3:6, 3:6, al] = 7.0
    found = attenuation_from_amounts(amounts, phases=phases, pixel_mm=0.1, correction=Correction(fill=0.5))
    assert found is not None
    assert "assumed" in found.density_from
    # Half of aluminium's 0.450 / cm.
    assert found.per_mm.max() == pytest.approx(0.5 * 0.0450, rel=0.02)
