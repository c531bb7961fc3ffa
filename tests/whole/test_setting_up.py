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
def integrator(pins: tuple[Profile, Layout, PatternSource, Look]) -> Any:
    assert pins[0].integration.sectors == 12
    return make_integrator(pins[0])


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


@pytest.mark.parametrize(
    ("flip", "words"),
    [
        (lambda image: image, ""),
        (np.flipud, "as in an image that is upside down"),
        (np.fliplr, "mirrored or turned"),
    ],
    ids=["right", "upside down", "left for right"],
)
def test_mirrored_image_is_named_by_where_its_rings_are_off(
    pins: tuple[Profile, Layout, PatternSource, Look],
    image_of: Callable[[float, float], np.ndarray[Any, Any]],
    integrator: Any,
    flip: Callable[..., Any],
    words: str,
) -> None:
    profile, layout, source, _ = pins
    few = replace(layout, lines=layout.lines[:5])
    patterns: list[Any] = []

    def look(position_mm: float, angle_deg: float) -> np.ndarray[Any, Any]:
        patterns.append(integrator.integrate(np.ascontiguousarray(flip(image_of(position_mm, angle_deg)))))
        return patterns[-1].mean  # type: ignore[no-any-return]

    lines = lines_of(few, look, source.q, every=2)
    n_points = len(lines[0].positions_mm)
    cakes = np.array([pattern.cake.values for pattern in patterns]).reshape(len(lines), n_points, -1, source.q.size)
    lines = [replace(line, cake=cake, cake_norm=patterns[0].cake.norm) for line, cake in zip(lines, cakes, strict=True)]
    said = [text for level, text in findings(profile, run_for("sign_test"), lines) if level == "error"]
    if words:
        assert len([text for text in said if "the sign of the detector is WRONG" in text and words in text]) == 1, said
    else:
        assert said == []


def test_reflection_that_is_only_wider_than_the_profile_says_is_no_mirrored_image(
    pins: tuple[Profile, Layout, PatternSource, Look],
) -> None:
    profile, layout, source, look = pins
    narrow = [phase.model_copy(update={"fwhm_deg": phase.fwhm_deg / 2}) for phase in profile.phases]
    lines = lines_of(layout, look, source.q, every=2)
    in_sectors = [replace(line, cake=np.repeat(line.mean[:, np.newaxis], 12, axis=1)) for line in lines]
    with_narrow = profile.model_copy(update={"phases": narrow})
    assert any("not known" in text for _, text in findings(with_narrow, run_for("sign_test"), lines))
    assert any("detector is right" in text for _, text in findings(with_narrow, run_for("sign_test"), in_sectors))


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
