"""Two cells that the analysis was never told about: frames of the twin in, two correctly different lithium maps out."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from acquisition.twin.cable import Pulse
from acquisition.twin.sample import make_frame_source, make_sample
from acquisition.twin.score import AnalysedMap, score_lithium
from operando.messages import RunStarted
from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings
from operando.scan import LineKey
from streaming.channels import make_pattern_model
from streaming.integrate.integrator import make_integrator
from streaming.line import Line
from streaming.maps import Map
from streaming.tomogram import Tomogram

N_LINES, N_POINTS, STEP_MM = 24, 25, 0.2
OTHER_X = {"graphite": 0.02, "lic12": 0.48, "lic6": 0.97}
"""x of each phase other than in the twin, made up: some phases are not as full, or as empty, as their names say."""


@dataclass(frozen=True, kw_only=True)
class Analysed:
    """What came out for one cell, and what was in it."""

    lithium: AnalysedMap
    otherwise: AnalysedMap
    """The same patterns with another table of x."""
    profile: Profile


def _small_scan(sample: str) -> Profile:
    profile = read_profile("demo")
    scan = profile.scan.model_copy(update={"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": STEP_MM})
    assert profile.twin is not None
    twin = profile.twin.model_copy(update={"sample": sample, "seed": 11})
    return profile.model_copy(update={"scan": scan, "twin": twin})


def _analyse(sample: str) -> Analysed:
    profile = _small_scan(sample)
    source, integrator = make_frame_source(profile), make_integrator(profile)
    angles = 180.0 * np.arange(N_LINES) / N_LINES
    positions = STEP_MM * (np.arange(N_POINTS) - (N_POINTS - 1) / 2)
    run = RunStarted(
        run="hidden",
        time_s=0.0,
        profile="demo",
        plan="none",
        angles_deg=angles.tolist(),
        first_position_mm=positions[0],
        step_mm=STEP_MM,
        n_points=N_POINTS,
        exposure_s=0.039,
        period_s=0.04,
        speed_mm_s=5.0,
    )

    def pattern(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        line, point = divmod(number, N_POINTS)
        pulse = Pulse(number=number, time_s=0.0, exposure_s=0.039, fast_mm=positions[point], angle_deg=angles[line], beam=1.0)
        found = integrator.integrate(source.frame(pulse, number))
        return found.mean, found.trimmed, found.variance

    with ThreadPoolExecutor(2) as pool:
        patterns = list(pool.map(pattern, range(N_LINES * N_POINTS)))
    lines = []
    for line in range(N_LINES):
        mean, trimmed, variance = (
            np.stack(part) for part in zip(*patterns[line * N_POINTS : (line + 1) * N_POINTS], strict=True)
        )
        lines.append(
            Line(
                key=LineKey(run="hidden", line=line, attempt=0),
                series=1,
                first_image_id=line * N_POINTS,
                angle_deg=float(angles[line]),
                direction=1,
                positions_mm=positions,
                positions_source="captured",
                is_received=np.ones(N_POINTS, dtype=np.bool_),
                q=integrator.q,
                mean=mean,
                trimmed=trimmed,
                variance=variance,
                ring_current_ma=None,
                cell=None,
                start_s=0.0,
                end_s=1.0,
                geometry_sha256=integrator.geometry.sha256,
            )
        )
    elsewise = with_settings(profile, [f"phases.{name}.lithium_x={x}" for name, x in OTHER_X.items()])
    return Analysed(lithium=_lithium(profile, run, lines), otherwise=_lithium(elsewise, run, lines), profile=profile)


def _lithium(profile: Profile, run: RunStarted, lines: list[Line]) -> AnalysedMap:
    model = make_pattern_model(profile)
    tomogram = Tomogram(profile=profile, model=model, run=run, read_again=_no_second_reading, n_threads=2)
    for line in lines:
        tomogram.add(line)
    result = tomogram.result()
    assert result is not None
    lithium: Map = next(one for one in result.maps if one.name == "x_lithium")
    first = float(result.axis_mm[0])
    return AnalysedMap(
        value=lithium.value.astype(np.float64),
        sigma=lithium.sigma.astype(np.float64),
        reason=lithium.reason,
        pixel_mm=STEP_MM,
        x_first_mm=first,
        y_first_mm=first,
    )


def _no_second_reading(key: LineKey) -> Line:
    raise AssertionError(f"{key} was to be read again: lines came in order, nothing had to be revised")


@pytest.fixture(scope="module")
def cells() -> dict[str, Analysed]:
    return {name: _analyse(name) for name in ("jelly-roll-a", "jelly-roll-b")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jelly-roll-a", "jelly-roll-b"])
def test_the_lithium_of_a_hidden_cell_is_found(cells: dict[str, Analysed], name: str) -> None:
    score = score_lithium(cells[name].lithium, make_sample(cells[name].profile))
    assert score.n_voxels > 30
    assert score.n_missing == 0
    assert abs(score.bias) < 0.03
    assert score.rms < 0.05
    assert score.coverage_68 is not None
    assert 0.55 < score.coverage_68 < 0.95


@pytest.mark.slow
def test_each_map_fits_its_own_cell_and_not_the_other(cells: dict[str, Analysed]) -> None:
    for name, other in (("jelly-roll-a", "jelly-roll-b"), ("jelly-roll-b", "jelly-roll-a")):
        own = score_lithium(cells[name].lithium, make_sample(cells[name].profile)).rms
        wrong = score_lithium(cells[name].lithium, make_sample(cells[other].profile)).rms
        assert wrong > 3 * own


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jelly-roll-a", "jelly-roll-b"])
def test_another_table_of_x_than_the_twins_costs_what_it_is_off(cells: dict[str, Analysed], name: str) -> None:
    truth = make_sample(cells[name].profile)
    own, other = (score_lithium(one, truth) for one in (cells[name].lithium, cells[name].otherwise))
    moved = (cells[name].otherwise.value - cells[name].lithium.value)[cells[name].lithium.reason == 0]

    assert 0.01 < np.sqrt(np.mean(moved**2)) < 0.03
    assert other.rms < own.rms + 0.02


@pytest.mark.slow
def test_a_map_upside_down_would_be_noticed(cells: dict[str, Analysed]) -> None:
    right = cells["jelly-roll-b"].lithium
    flipped = AnalysedMap(
        value=right.value[::-1],
        sigma=None,
        reason=right.reason[::-1],
        pixel_mm=right.pixel_mm,
        x_first_mm=right.x_first_mm,
        y_first_mm=right.y_first_mm,
    )
    truth = make_sample(cells["jelly-roll-b"].profile)
    assert score_lithium(flipped, truth).rms > 3 * score_lithium(right, truth).rms
