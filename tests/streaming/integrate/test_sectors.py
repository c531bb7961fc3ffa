"""Sectors of azimuth: all of them are the ring, some of them a window, chosen after the scan as well as before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operando.errors import DataError, ProfileError
from operando.profile import Integration
from operando.scan import LineKey
from streaming.correct.sector import line_in_sector
from streaming.integrate.geometry import Sensor, make_geometry
from streaming.integrate.integrator import Integrator, Pattern
from streaming.integrate.sectors import sector_of_pixels, sectors_in_window, shortened
from streaming.line import Line
from streaming.line_file import read_line, write_line
from tests.streaming.integrate.test_integrator import make_integrator, make_small

PLAIN = make_integrator()
CAKED = make_integrator(n_sectors=12)
SHAPE = PLAIN.geometry.shape


def a_frame(level: float = 5.0, *, texture: float = 0.0, seed: int = 0) -> Any:
    """Give counts that are stronger towards the rotation axis."""
    eta = np.deg2rad(PLAIN.geometry.eta_deg.astype(np.float64))
    expected = level * PLAIN.geometry.correction * (1 + texture * np.cos(2 * eta))
    return np.random.default_rng(seed).poisson(expected).astype(np.uint32)


def a_line(patterns: list[Pattern]) -> Line:
    cakes = [pattern.cake for pattern in patterns]
    assert all(cake is not None for cake in cakes)
    n = len(patterns)
    return Line(
        key=LineKey(run="r", line=0, attempt=0), series=1, first_image_id=0, angle_deg=0.0, direction=1,
        positions_mm=np.arange(n) * 0.1, positions_source="captured", is_received=np.ones(n, np.bool_), q=PLAIN.q,
        mean=np.stack([one.mean for one in patterns]), trimmed=np.stack([one.trimmed for one in patterns]),
        variance=np.stack([one.variance for one in patterns]), ring_current_ma=None, cell=None, start_s=0.0, end_s=1.0,
        geometry_sha256="", cake=np.stack([cake.values for cake in cakes if cake]),
        cake_norm=cakes[0].norm if cakes[0] else None,
    )  # fmt: skip


@pytest.mark.parametrize("level", [0.01, 0.4, 30.0])
def test_all_sectors_together_are_the_ring(level: float) -> None:
    frame = a_frame(level)
    frame[7, 9:30] = np.iinfo(np.uint32).max
    ring, caked = PLAIN.integrate(frame), CAKED.integrate(frame)
    np.testing.assert_allclose(caked.mean, ring.mean, rtol=1e-6)
    np.testing.assert_allclose(caked.variance, ring.variance, rtol=1e-5)
    assert (caked.n_masked, caked.n_saturated) == (ring.n_masked, ring.n_saturated)
    summing = make_integrator(n_sectors=12, trim=(0.0, 1.0)).integrate(frame)
    np.testing.assert_allclose(summing.mean, ring.mean, rtol=1e-6)


@pytest.mark.parametrize(("centre", "half_width"), [(0.0, 15.0), (90.0, 30.0), (-45.0, 45.0), (0.0, 90.0), (82.5, 7.5)])
def test_a_window_chosen_after_the_scan_is_the_one_that_was_integrated_alone(centre: float, half_width: float) -> None:
    frames = [a_frame(3.0, texture=0.8, seed=seed) for seed in range(3)]
    away = np.abs(np.mod(PLAIN.geometry.eta_deg - centre + 90, 180) - 90)
    alone = Integrator(PLAIN.geometry.with_mask(away > half_width), q_min=0.5, q_max=20.0, n_radial=90)
    chosen = line_in_sector(a_line([CAKED.integrate(frame) for frame in frames]), (centre, half_width))
    for point, frame in enumerate(frames):
        wanted = alone.integrate(frame)
        full = alone.bins.n_pixels > 10
        np.testing.assert_allclose(chosen.mean[point][full], wanted.mean[full], rtol=2e-4)
        np.testing.assert_allclose(chosen.variance[point][full], wanted.variance[full], rtol=3e-3)


def test_a_texture_is_seen_in_windows_and_not_in_the_ring() -> None:
    patterns = [CAKED.integrate(a_frame(20.0, texture=0.8))]
    line = a_line(patterns)
    along, across = (line_in_sector(line, (centre, 15.0)).mean[0] for centre in (0.0, 90.0))
    full = PLAIN.bins.n_pixels > 200
    # The mean of cos(2 eta) over 15 degrees is sin(30)/30 in radian, 0.955.
    assert np.nanmedian((along / across)[full]) == pytest.approx((1 + 0.8 * 0.955) / (1 - 0.8 * 0.955), rel=0.05)
    assert (across[full] < line_in_sector(line, None).mean[0][full]).all()


def test_trim_inside_sectors_leaves_a_texture_alone() -> None:
    frame = a_frame(200.0, texture=0.9)
    full = PLAIN.bins.n_pixels > 400
    ring, sectors = PLAIN.integrate(frame), CAKED.integrate(frame)
    assert np.abs(sectors.trimmed / sectors.mean - 1)[full].mean() < 0.004
    assert np.abs(ring.trimmed / ring.mean - 1)[full].mean() > 0.006


def test_windows_end_at_edges_of_sectors() -> None:
    assert sectors_in_window(centre_deg=0.0, half_width_deg=15.0, n_sectors=12) == [0, 11]
    assert sectors_in_window(centre_deg=90.0, half_width_deg=15.0, n_sectors=12) == [5, 6]
    assert sectors_in_window(centre_deg=0.0, half_width_deg=90.0, n_sectors=12) == list(range(12))
    with pytest.raises(ProfileError, match="every 15 degrees"):
        sectors_in_window(centre_deg=0.0, half_width_deg=10.0, n_sectors=12)
    with pytest.raises(ValueError, match="at most 65534"):
        Integration(q_min=1.0, q_max=5.0, n_radial=8000, sectors=12)
    np.testing.assert_array_equal(
        sector_of_pixels(np.array([0.0, 14.9, 179.999, 180.0, -0.01, 345.0]), 12), [0, 0, 11, 0, 11, 11]
    )


def test_a_line_of_full_rings_has_no_sector_to_choose() -> None:
    line = replace(a_line([CAKED.integrate(a_frame())]), cake=None, cake_norm=None)
    with pytest.raises(DataError, match="integrated over the full ring"):
        line_in_sector(line, (0.0, 15.0))


def test_eta_counts_from_the_projected_rotation_axis() -> None:
    gaps = np.zeros(SHAPE, np.bool_)
    upright = make_geometry(make_small(), gaps, polarization=0.95)
    lying = make_geometry(make_small(), gaps, polarization=0.95, rotation_axis_deg=0.0)
    np.testing.assert_allclose(np.mod(lying.eta_deg - upright.eta_deg, 360.0), 90.0, atol=1e-3)
    # Straight along growing rows from the beam, eta is 0 for an axis along the rows.
    row, column = np.unravel_index(int(np.argmin(upright.q)), SHAPE)
    far = upright.eta_deg[-1, column]
    assert min(far, 360 - far) < 12.0
    assert row < SHAPE[0] - 20


def test_sectors_are_kept_in_the_line_file(tmp_path: Path) -> None:
    line = a_line([CAKED.integrate(a_frame(seed=seed)) for seed in range(4)])
    again = read_line(write_line(line, tmp_path))
    assert again.cake is not None
    np.testing.assert_array_equal(again.cake, line.cake)
    np.testing.assert_array_equal(again.cake_norm, line.cake_norm)
    assert read_line(write_line(replace(line, cake=None, cake_norm=None), tmp_path)).cake is None


def test_what_is_kept_is_rounded_far_below_its_noise() -> None:
    values = np.random.default_rng(0).lognormal(0, 5, 1000)
    np.testing.assert_allclose(shortened(values), values, rtol=1.3e-4)
    assert np.isnan(shortened(np.array([np.nan]))).all()


def test_a_sensor_stops_more_of_what_comes_at_an_angle() -> None:
    gaps = np.zeros(SHAPE, np.bool_)
    sensor = Sensor(thickness_mm=1.0, attenuation_per_mm=0.9)
    without = make_geometry(make_small(), gaps, polarization=0.95)
    corrected = make_geometry(make_small(), gaps, polarization=0.95, sensor=sensor)
    # Incidence from the pixels' own distances: the detector stands at the distance of the point of normal incidence.
    poni = make_small()
    rows, columns = np.meshgrid(np.arange(SHAPE[0]) + 0.5, np.arange(SHAPE[1]) + 0.5, indexing="ij")
    across = np.hypot(rows * poni.pixel1 - poni.poni1, columns * poni.pixel2 - poni.poni2)
    cosine = poni.dist / np.hypot(poni.dist, across)
    expected = (1 - np.exp(-0.9 / cosine)) / (1 - np.exp(-0.9))
    np.testing.assert_allclose(corrected.correction / without.correction, expected, rtol=1e-5)
    assert expected.max() > 1.03
    assert corrected.identity != without.identity
