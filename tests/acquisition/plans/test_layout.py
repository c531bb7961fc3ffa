import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.plans.dry_run import dry_run
from acquisition.plans.layout import check_layout, complaints, layout_of, sweep_ends
from acquisition.plans.timing import STEADY_S, move_s, run_up_mm
from operando.errors import ProfileError
from operando.profile import Profile, read_profile


def demo(**scan: object) -> Profile:
    profile = read_profile("demo")
    return profile.model_copy(update={"scan": profile.scan.model_copy(update=scan)})


scans = st.fixed_dictionaries(
    {
        "n_points": st.integers(2, 600),
        "step_mm": st.floats(0.005, 0.5),
        "exposure_s": st.floats(0.001, 1.0),
        "centre_mm": st.floats(-3, 3),
        "n_lines": st.integers(1, 9),
    }
)


def test_reference_experiment_flies_at_the_published_speed() -> None:
    # 20 um steps, 10 ms exposures and 0.95 ms readout give 1.826 mm/s, not the naive 2.0.
    flight = layout_of(demo(step_mm=0.02, exposure_s=0.01)).flight
    assert flight.period_s == pytest.approx(0.01095)
    assert flight.speed_mm_s == pytest.approx(1.826, abs=5e-4)


@given(scans)
def test_exposures_of_even_and_odd_lines_are_centred_on_the_same_grid(scan: dict[str, object]) -> None:
    layout = layout_of(demo(**scan))
    for line in layout.lines:
        np.testing.assert_allclose(np.sort(line.planned_mm(layout.grid.n_points)), layout.grid.positions_mm, rtol=0, atol=1e-9)
        assert line.direction == (1 if line.index % 2 == 0 else -1)


@given(scans)
def test_first_gate_opens_half_an_exposure_before_the_first_point_at_full_speed(scan: dict[str, object]) -> None:
    layout = layout_of(demo(**scan))
    flight = layout.flight
    for line in layout.lines[:2]:
        assert (line.first_position_mm - line.gate_mm) * line.direction == pytest.approx(flight.half_gate_mm)
        ramp_mm = 0.5 * flight.speed_mm_s * read_profile("demo").control.fast.acceleration_s
        assert (line.gate_mm - line.start_mm) * line.direction >= ramp_mm + 0.99 * STEADY_S * flight.speed_mm_s


@given(scans)
def test_a_line_ends_where_the_next_one_starts(scan: dict[str, object]) -> None:
    layout = layout_of(demo(**scan))
    for line, following in zip(layout.lines, layout.lines[1:], strict=False):
        assert line.end_mm == pytest.approx(following.start_mm, abs=1e-9)


@given(scans)
def test_total_time_is_longer_than_all_trains_together(scan: dict[str, object]) -> None:
    layout = layout_of(demo(**scan))
    assert layout.total_s > len(layout.lines) * layout.flight.train_s
    assert layout.line_s > layout.flight.train_s


def test_demo_can_be_flown_within_three_minutes() -> None:
    profile = demo()
    layout = layout_of(profile)
    check_layout(profile, layout)
    assert layout.total_s < 180


@pytest.mark.parametrize(
    ("scan", "sentence"),
    [
        ({"exposure_s": 0.005, "step_mm": 0.1}, r"fly at 16\.8. mm/s .* above its 10 mm/s"),
        ({"centre_mm": 7.0}, r"reach from .* mm, the fast axis from -8 to 8 mm"),
        ({"n_points": 400}, r"lies 20\.\d+ mm from the centre, the reach at its tilt is 15 mm"),
    ],
)
def test_scan_that_cannot_be_flown_is_refused_with_the_numbers(scan: dict[str, object], sentence: str) -> None:
    profile = demo(**scan)
    with pytest.raises(ProfileError, match=sentence):
        check_layout(profile, layout_of(profile))


def test_run_up_counts_against_the_limits() -> None:
    profile = demo()
    low_mm, high_mm = sweep_ends(layout_of(profile))
    assert high_mm > profile.scan.step_mm * (profile.scan.n_points - 1) / 2
    fast = profile.control.fast.model_copy(update={"high": high_mm - 1e-3})
    tight = profile.model_copy(update={"control": profile.control.model_copy(update={"fast": fast})})
    assert len(complaints(tight, layout_of(tight))) == 1
    assert low_mm == pytest.approx(-high_mm)


@given(speed=st.floats(0.1, 10), acceleration_s=st.floats(0.01, 1))
def test_run_up_grows_with_speed_and_acceleration_time(speed: float, acceleration_s: float) -> None:
    here = run_up_mm(speed, acceleration_s=acceleration_s)
    assert run_up_mm(2 * speed, acceleration_s=acceleration_s) == pytest.approx(2 * here)
    assert run_up_mm(speed, acceleration_s=2 * acceleration_s) > here


@given(st.lists(st.floats(0, 400), min_size=2, max_size=2))
def test_longer_move_never_takes_less_time(distances: list[float]) -> None:
    axis = read_profile("demo").control.rotation
    shorter, longer = sorted(distances)
    assert move_s(axis, shorter) <= move_s(axis, longer) + 1e-12


def test_dry_run_page_names_what_matters_and_every_problem() -> None:
    page = str(dry_run(demo()))
    for word in ("1960 frames", "2.5 mm/s", "40 ms", "25 frames/s", "OPR:HEX:Y", "interlaced, 4 passes"):
        assert word in page
    assert "PROBLEM" not in page
    assert str(dry_run(demo(centre_mm=7.0))).count("PROBLEM") == 1
