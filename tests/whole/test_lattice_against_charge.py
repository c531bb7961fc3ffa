"""A cathode that is charged in the beam, a line through it again and again: its lattice and lithium against the charge."""

from dataclasses import dataclass

import numpy as np
import pytest

from acquisition.twin.cable import Pulse
from acquisition.twin.lattices import lattice_at
from acquisition.twin.patterns import PatternSource
from operando.messages import CellReading, RunStarted
from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings
from operando.scan import LineKey
from streaming.line import Line
from streaming.plain_run import PlainRun
from streaming.refine.job import Refinery
from streaming.refine.to_refine import job_from_plain
from streaming.refine.trend import Trend

OXIDE, N_LINES, N_POINTS = "nmc811", 7, 3


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What was found of a cathode, line by line, and what it was."""

    trends: dict[str, Trend]
    charge_ah: np.ndarray
    true: dict[str, np.ndarray]


def reading(cell: dict[str, float], time_s: float) -> CellReading:
    return CellReading(time_s=time_s, voltage_v=cell["voltage_v"], current_a=cell["current_a"], charge_ah=cell["charge_ah"])


def true_means(source: PatternSource, time_s: float) -> dict[str, float]:
    """Means over the mass of the oxide."""
    sample = source.frames.sample_at(time_s)
    mass, y = sample.density_of(OXIDE), sample.lithium_y
    assert y is not None
    held = mass > 0
    a, c = lattice_at(OXIDE, y[held])
    return {
        name: float(np.average(values, weights=mass[held]))
        for name, values in ((f"y_{OXIDE}", y[held]), (f"a_{OXIDE}", a), (f"c_{OXIDE}", c))
    }


def a_line(source: PatternSource, profile: Profile, *, number: int, time_s: float) -> Line:
    scan = profile.scan
    positions = scan.centre_mm + scan.step_mm * (np.arange(N_POINTS) - (N_POINTS - 1) / 2)
    patterns = [
        source.pattern(
            Pulse(
                number=N_POINTS * number + k, time_s=time_s, exposure_s=scan.exposure_s, fast_mm=float(position),
                angle_deg=0.0, beam=1.0,
            )
        )[0]
        for k, position in enumerate(positions)
    ]  # fmt: skip
    weight = source.weight[0]
    has_pixels = weight > 0
    mean = np.where(has_pixels, patterns, np.nan).astype(np.float32)
    norm = np.where(has_pixels, weight, 1.0)
    return Line(
        key=LineKey(run="charge", line=number, attempt=0),
        series=number, first_image_id=0, angle_deg=0.0, direction=1, positions_mm=positions, positions_source="captured",
        is_received=np.ones(N_POINTS, np.bool_), q=source.q, mean=mean, trimmed=mean,
        variance=(np.maximum(mean * norm, 1.0) / norm**2).astype(np.float32), ring_current_ma=None,
        cell=reading(dict(source.frames.truth([]).history.cell_at(time_s)), time_s), start_s=time_s, end_s=time_s + 1.0,
        geometry_sha256="",
    )  # fmt: skip


def watched(scenario: str, *, hours: float) -> Watched:
    profile = with_settings(read_profile(scenario), [f"scan.n_points={N_POINTS}", "twin.effects.zingers=0"])
    assert profile.cell is not None
    source = PatternSource(profile, begun_s=0.0)
    times_s = 1.0 + np.linspace(0, 3600 * hours / profile.cell.speed, N_LINES)
    plain = PlainRun(
        RunStarted(
            run="charge", time_s=0.0, profile=scenario, plan="single_line", angles_deg=[0.0] * N_LINES, first_position_mm=0.0,
            step_mm=profile.scan.step_mm, n_points=N_POINTS, exposure_s=0.04, period_s=0.05, speed_mm_s=0.01,
            metadata={"purpose": "line"},
        )
    )  # fmt: skip
    for number, time_s in enumerate(times_s):
        plain.add(a_line(source, profile, number=number, time_s=float(time_s)))
    job = job_from_plain(plain, is_last=True)
    assert job is not None
    refined = Refinery(profile)(job, patterns_of=lambda key: pytest.fail(f"no voxels are refined, {key} was wanted"))
    means = [true_means(source, float(time_s)) for time_s in times_s]
    charge = np.array([one.cell.charge_ah for one in job.lines if one.cell is not None], np.float64)
    return Watched(
        trends={trend.name: trend for trend in refined.trends},
        charge_ah=charge,
        true={name: np.array([one[name] for one in means]) for name in means[0]},
    )


@pytest.mark.parametrize(
    ("scenario", "hours", "a_off", "c_off", "y_off"),
    # The wide beam sees the whole cell at once, foils included; its particle is by itself.
    [("b16-particle", 1.0, 5e-4, 3e-3, 5e-3), ("b16-full-cell", 1.5, 3e-3, 1.2e-2, 0.03)],
)
def test_lattice_and_lithium_of_a_cathode_follow_its_charge(
    scenario: str, hours: float, a_off: float, c_off: float, y_off: float
) -> None:
    found = watched(scenario, hours=hours)
    for name, off in ((f"a_{OXIDE}", a_off), (f"c_{OXIDE}", c_off), (f"y_{OXIDE}", y_off)):
        trend, true = found.trends[name], found.true[name]
        # A line that tells nothing has no point.
        assert trend.line.size >= N_LINES - 2
        np.testing.assert_allclose(trend.place, found.charge_ah[trend.line])
        assert trend.value == pytest.approx(true[trend.line], abs=off)
    trend = found.trends[f"y_{OXIDE}"]
    slope = float(np.polyfit(found.charge_ah, found.true[f"y_{OXIDE}"], 1)[0])
    assert trend.slope is not None
    assert trend.slope == pytest.approx(slope, rel=0.15)
