"""Sign test and alignment on patterns of the simulated pins and roll: every wrong sign is caught, the numbers are right."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from acquisition.plans.catalogue import make_programme
from acquisition.plans.layout import Layout
from acquisition.twin.cable import Pulse
from acquisition.twin.patterns import PatternSource
from acquisition.twin.sample import SampleFrames
from operando.messages import RunStarted
from operando.profile import Profile, read_profile
from operando.scan import LineKey
from streaming.alignment import find_alignment
from streaming.findings import findings, make_pin
from streaming.integrate.integrator import make_integrator
from streaming.line import Line
from streaming.signs import Signs, find_signs

Look = Callable[[float, float], np.ndarray[Any, np.dtype[np.float64]]]
"""Gives the pattern at a true position (mm) and a true angle (degree)."""


def run_for(purpose: str) -> RunStarted:
    return RunStarted(
        run="r",
        time_s=0,
        profile="p",
        plan=purpose,
        angles_deg=[0],
        first_position_mm=0,
        step_mm=1,
        n_points=1,
        exposure_s=1,
        period_s=1,
        speed_mm_s=1,
        metadata={"purpose": purpose},
    )


def pulse(position_mm: float, angle_deg: float, number: int) -> Pulse:
    return Pulse(
        number=number, time_s=float(number), exposure_s=0.04, fast_mm=position_mm, fast_mm_s=2.5, angle_deg=angle_deg, beam=1.0
    )


def lines_of(layout: Layout, look: Look, q: np.ndarray[Any, Any], *, every: int = 1) -> list[Line]:
    """Measure the lines of a layout, or every so many of their points."""
    lines = []
    for line in layout.lines:
        positions = line.planned_mm(layout.flight.n_points)[::every]
        patterns = np.array([look(position, line.angle_deg) for position in positions], dtype=np.float32)
        lines.append(
            Line(
                key=LineKey(run="r", line=line.index, attempt=0),
                series=0,
                first_image_id=0,
                angle_deg=line.angle_deg,
                direction=line.direction,
                positions_mm=positions,
                positions_source="captured",
                is_received=np.ones(len(positions), dtype=np.bool_),
                q=q,
                mean=patterns,
                trimmed=patterns,
                variance=patterns,
                ring_current_ma=None,
                cell=None,
                start_s=0.0,
                end_s=1.0,
                geometry_sha256="",
            )
        )
    return lines


def seen(source: PatternSource) -> Look:
    @cache
    def look(position_mm: float, angle_deg: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        number = abs(hash((round(position_mm, 6), angle_deg))) % 100_000
        return source.pattern(pulse(position_mm, angle_deg, number))[0]

    return look


@pytest.fixture(scope="module")
def pins() -> tuple[Profile, Layout, PatternSource, Look]:
    profile = read_profile("sign-test")
    layout = make_programme("sign_test", profile, {"n_angles": 6}).runs[0].layout
    source = PatternSource(profile)
    return profile, layout, source, seen(source)


def signs_with(pins: tuple[Profile, Layout, PatternSource, Look], *, translation: int, rotation: int, beam: int) -> Signs:
    """Measure with axes that count the other way, or with the beam from the other side."""
    profile, layout, source, true_look = pins

    def look(position_mm: float, angle_deg: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        position_mm, angle_deg = translation * position_mm, rotation * angle_deg
        # Half a turn on and mirrored, the beam meets the same of the sample from the other side.
        return true_look(position_mm, angle_deg) if beam > 0 else true_look(-position_mm, angle_deg + 180.0)

    found = find_signs(lines_of(layout, look, source.q, every=2), make_pin(profile))
    assert isinstance(found, Signs)
    return found


@pytest.mark.parametrize("beam", [1, -1])
@pytest.mark.parametrize("rotation", [1, -1])
@pytest.mark.parametrize("translation", [1, -1])
def test_every_wrong_sign_of_an_axis_or_the_beam_is_found(
    pins: tuple[Profile, Layout, PatternSource, Look], translation: int, rotation: int, beam: int
) -> None:
    found = signs_with(pins, translation=translation, rotation=rotation, beam=beam)
    assert (found.translation, found.rotation, found.beam, found.detector) == (translation, rotation, beam, 1)
    # The depth is known to a part of itself, so that a sign that doubles the parallax cannot hide.
    assert abs(found.parallax) == pytest.approx(1.0, abs=max(0.2, 4 * found.parallax_sigma))
    assert found.parallax_sigma < 0.2


def test_pin_is_found_where_it_stands(pins: tuple[Profile, Layout, PatternSource, Look]) -> None:
    found = signs_with(pins, translation=1, rotation=1, beam=1)
    assert (found.x_mm, found.y_mm) == (pytest.approx(1.5, abs=0.02), pytest.approx(0.5, abs=0.02))


@pytest.fixture(scope="module")
def image_of(pins: tuple[Profile, Layout, PatternSource, Look]) -> Callable[[float, float], np.ndarray[Any, Any]]:
    """Give real frames, each drawn once."""
    frames = SampleFrames(pins[0])

    @cache
    def image(position_mm: float, angle_deg: float) -> np.ndarray[Any, Any]:
        return frames.frame(pulse(position_mm, angle_deg, 1), 0)

    def near_the_pin(position_mm: float, angle_deg: float) -> np.ndarray[Any, Any]:
        way_mm = 1.5 * np.cos(np.deg2rad(angle_deg)) + 0.5 * np.sin(np.deg2rad(angle_deg))
        # Air, whatever else stands there: one frame of it will do.
        return image(position_mm, angle_deg) if abs(position_mm - way_mm) < 0.5 else image(3.5, 0.0)

    return near_the_pin


def test_mirrored_image_is_found_by_its_smeared_rings(
    pins: tuple[Profile, Layout, PatternSource, Look], image_of: Callable[[float, float], np.ndarray[Any, Any]]
) -> None:
    profile, layout, source, _ = pins
    integrator, few = make_integrator(profile), replace(layout, lines=layout.lines[:5])
    found = []
    for flip in (lambda image: image, np.flipud, np.fliplr):

        def look(position_mm: float, angle_deg: float, flip: Any = flip) -> np.ndarray[Any, Any]:
            return integrator.integrate(np.ascontiguousarray(flip(image_of(position_mm, angle_deg)))).mean

        found.append(find_signs(lines_of(few, look, source.q, every=2), make_pin(profile)))
    right, upside_down, left_for_right = found
    assert isinstance(right, Signs)
    assert right.detector == 1
    # The beam meets the detector near the middle of its height: rings that are upside down stay nearly where they were.
    assert isinstance(upside_down, str) or upside_down.detector < 1
    assert isinstance(left_for_right, str) or left_for_right.detector < 1


def test_wrong_sign_is_said_with_what_puts_it_right(pins: tuple[Profile, Layout, PatternSource, Look]) -> None:
    profile, layout, source, look = pins
    lines = lines_of(layout, lambda position, angle: look(position, -angle), source.q)
    said = findings(profile, run_for("sign_test"), lines)
    errors = [text for level, text in said if level == "error"]
    assert len(errors) == 1
    assert "the sign of the rotation is WRONG: reverse DIR of the rotation's motor record" in errors[0]
    assert "parallax" in said[0][1]


def test_line_that_never_meets_the_pin_says_so(pins: tuple[Profile, Layout, PatternSource, Look]) -> None:
    profile, layout, source, look = pins
    lines = lines_of(layout, lambda position, angle: look(3.5, 0.0), source.q, every=4)
    ((level, text),) = findings(profile, run_for("sign_test"), lines)
    assert level == "error"
    assert "the pin is seen in 0 of 6 lines" in text


@pytest.fixture(scope="module")
def roll() -> tuple[Profile, Layout, PatternSource, Look]:
    profile = read_profile("demo")
    layout = make_programme("align", profile, {"step_mm": 0.1, "width_mm": 7.0}).runs[0].layout
    source = PatternSource(profile)
    return profile, layout, source, seen(source)


@pytest.mark.parametrize("shift_mm", [0.0, 0.37])
def test_alignment_finds_the_centre_and_proposes_a_scan_that_covers_the_cell(
    roll: tuple[Profile, Layout, PatternSource, Look], shift_mm: float
) -> None:
    profile, layout, source, look = roll
    lines = lines_of(layout, lambda position, angle: look(round(position - shift_mm, 6), angle), source.q)
    found = find_alignment(lines)
    assert not isinstance(found, str)
    assert found.centre_mm == pytest.approx(shift_mm, abs=0.02)
    sample = SampleFrames(profile).truth([]).history.slice_at(0.0)
    axis = sample.axis_mm
    truth_mm = np.hypot(axis[:, np.newaxis], axis)[sample.density_g_cm3.sum(axis=-1) > 0].max()
    assert found.radius_mm == pytest.approx(truth_mm, abs=0.1)
    text = findings(profile, run_for("align"), lines)[-1][1]
    n_points = int(text.split("n_points = ")[1].split()[0])
    assert (n_points - 1) / 2 * profile.scan.step_mm >= truth_mm
    assert f"centre_mm = {round(found.centre_mm, 4):g}" in text


def test_cell_that_leaves_the_line_is_said_with_the_angles(roll: tuple[Profile, Layout, PatternSource, Look]) -> None:
    profile, layout, source, look = roll
    lines = lines_of(layout, lambda position, angle: look(round(position - 1.5, 6), angle), source.q)
    said = findings(profile, run_for("align"), lines)
    assert "reaches beyond the line at 0," in said[-1][1]


def test_air_alone_is_no_cell(roll: tuple[Profile, Layout, PatternSource, Look]) -> None:
    profile, layout, source, look = roll
    lines = lines_of(layout, lambda position, angle: look(3.4, 0.0), source.q)
    ((level, text),) = findings(profile, run_for("align"), lines)
    assert level == "error"
    assert "nothing stands in the beam" in text


def test_run_that_makes_maps_has_no_findings(roll: tuple[Profile, Layout, PatternSource, Look]) -> None:
    assert findings(roll[0], run_for("tomogram"), []) == []
