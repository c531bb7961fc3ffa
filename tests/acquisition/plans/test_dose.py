"""What the dry run says of dose, cables and turning, and refuses."""

from typing import Any

import pytest

from acquisition.plans.catalogue import make_programme
from acquisition.plans.dose import dose_in_words, highest_dose_gy, layout_dose_gy
from acquisition.plans.dry_run import dry_run, programme_complaints
from acquisition.plans.layout import layout_of
from operando.profile import Profile, read_profile
from operando.profile.surroundings import Dose

BEAM = Dose(flux_photons_s=1e12, energy_kev=100.0, beam_width_mm=0.02, beam_height_mm=0.05, absorption_cm2_g=0.03)


def demo(*, scan: dict[str, Any] | None = None, control: dict[str, Any] | None = None, **keys: Any) -> Profile:
    profile = read_profile("demo")
    changed = {
        "scan": profile.scan.model_copy(update=scan or {}),
        "control": profile.control.model_copy(update=control or {}),
    }
    return profile.model_copy(update={**changed, **keys})


def test_dose_of_one_place_is_flux_times_energy_times_absorption_over_area() -> None:
    profile = demo(dose=BEAM)
    run = make_programme("point_against_time", profile, {"n_frames": 100}).runs[0]
    # 1e12/s x 4 s over 0.001 mm2, each photon 100 keV, 0.03 cm2/g: by hand.
    seconds = 99 * 0.04 + 0.03905
    by_hand_gy = 1e12 * seconds / 1e-5 * 100 * 1.602176634e-16 * 0.03 * 1000
    assert layout_dose_gy(run.layout, BEAM) == pytest.approx(by_hand_gy, rel=1e-9)


def test_lines_spread_the_dose_over_what_they_sweep() -> None:
    short, long = (layout_of(demo(scan={"n_points": n, "step_mm": 0.05})) for n in (21, 41))
    # Twice the time over twice the way, but for the ends.
    assert layout_dose_gy(long, BEAM) == pytest.approx(layout_dose_gy(short, BEAM), rel=0.03)
    twice = layout_of(demo(scan={"n_points": 21, "step_mm": 0.05, "n_lines": 80}))
    assert layout_dose_gy(twice, BEAM) == pytest.approx(2 * layout_dose_gy(short, BEAM))


def test_runs_at_one_place_add_up_and_slices_do_not() -> None:
    profile = demo(dose=BEAM)
    one = highest_dose_gy(make_programme("xrdct", profile, {}), BEAM)
    assert highest_dose_gy(make_programme("series", profile, {"n_tomograms": 3}), BEAM) == pytest.approx(3 * one)
    assert highest_dose_gy(make_programme("slice_stack", profile, {"heights_mm": [0, 1, 2]}), BEAM) == pytest.approx(one)
    assert highest_dose_gy(make_programme("dark", profile, {}), BEAM) == 0


def test_too_high_a_dose_is_refused_with_both_numbers() -> None:
    profile = demo(dose=BEAM.model_copy(update={"limit_gy": 1e4}))
    programme = make_programme("xrdct", profile, {})
    assert "GGy" in dose_in_words(3e9)
    (complaint,) = programme_complaints(programme)
    assert dose_in_words(highest_dose_gy(programme, BEAM)) in complaint
    assert "allows 10 kGy" in complaint
    assert programme_complaints(make_programme("dark", profile, {})) == []


def test_cables_that_would_wind_up_too_far_are_refused() -> None:
    half, whole = (
        demo(control={"cable_wrap_deg": 200.0}),
        demo(scan={"angle_range_deg": 360}, control={"cable_wrap_deg": 200.0}),
    )
    assert dry_run(half).complaints == ()
    assert "wind the cables by 351 deg, control.cable_wrap_deg allows 200 deg" in dry_run(whole).complaints[0]


def test_page_states_what_the_order_costs_beside_the_other() -> None:
    page = str(dry_run(demo(dose=BEAM)))
    assert "turns 670 deg in 15 s; in sequential order 176 deg in 8 s" in page
    assert "wound by up to 175.5 deg" in page
    assert " at the surface" in page
