"""The choice of a window: discs that flash as they turn against discs that do not."""

from dataclasses import replace

import numpy as np
import pytest

from operando.errors import DataError
from operando.profile.settings import with_settings
from operando.scan import TomogramGrid
from streaming.channels import make_pattern_model
from streaming.correct.choose_sector import Trial, choose, trial_of, try_windows
from tests.streaming.phantom import N_POINTS, STEP_MM, Phantom, a_run, demo_profile

ANGLES = np.arange(60) * 3.0
N = 41


def a_sinogram(*, flashing: float, photons: float = 1e6) -> tuple[np.ndarray, np.ndarray]:
    """Half a ring whose voxels brighten twice a turn, when their radius stands across the beam; counted."""
    axis = np.arange(N) - N // 2
    x, y = (one.ravel() for one in np.meshgrid(axis, axis))
    is_ring = (np.hypot(x, y) > 6) & (np.hypot(x, y) < 14) & (x > -3)
    x, y = x[is_ring], y[is_ring]
    rows = []
    for angle in np.deg2rad(ANGLES):
        bright = 1 + flashing * np.cos(2 * (np.arctan2(y, x) - angle))
        place = x * np.cos(angle) + y * np.sin(angle) + N // 2
        rows.append(np.maximum(1 - np.abs(place[:, None] - np.arange(N)), 0).T @ bright)
    clean = np.array(rows)
    return np.random.default_rng(0).poisson(clean * photons) / photons, np.maximum(clean, 1e-3) / photons


def test_what_flashes_is_no_projection_and_what_does_not_is_one() -> None:
    steady = trial_of(*a_sinogram(flashing=0.0), angles_deg=ANGLES)
    flashing = trial_of(*a_sinogram(flashing=0.5), angles_deg=ANGLES)
    assert steady.inconsistency < 0.005
    assert flashing.inconsistency > 0.02


def test_noise_is_not_taken_for_flashing() -> None:
    noisy = trial_of(*a_sinogram(flashing=0.0, photons=5.0), angles_deg=ANGLES)
    assert noisy.noise > 0.1
    assert noisy.inconsistency < 0.5 * noisy.noise


def test_the_consistent_window_of_least_noise_is_chosen_and_the_reason_names_the_ring() -> None:
    ring = Trial(window=None, inconsistency=0.2, noise=0.01)
    narrow = Trial(window=(0.0, 15.0), inconsistency=0.01, noise=0.06)
    best, why = choose([ring, narrow, replace(narrow, noise=0.2)])
    assert best is narrow
    assert "0 +- 15 degrees from the rotation axis" in why
    assert "the full ring it is 20.0 %" in why
    assert choose([replace(ring, inconsistency=0.011), narrow])[0].window is None


def test_windows_are_tried_on_lines_with_sectors_and_refused_without() -> None:
    profile = demo_profile()
    phantom, run = Phantom(profile), a_run()
    lines = [phantom.line(number) for number in range(0, 36, 2)]
    grid = TomogramGrid(
        angles_deg=np.array(run.angles_deg), first_position_mm=run.first_position_mm, step_mm=STEP_MM, n_points=N_POINTS
    )
    model = make_pattern_model(profile)
    with pytest.raises(DataError, match=r"integration\.sectors"):
        try_windows(lines, profile, model, grid, windows=[(0.0, 15.0)])
    flashing = []
    for line in lines:
        cake = np.repeat(line.mean[:, None], 12, axis=1)
        # Sectors across the rotation axis flash with the angle; those about it do not.
        cake[:, 3:9] *= 1 + 0.6 * np.cos(4 * np.deg2rad(line.angle_deg))
        norm = np.full((12, line.q.size), 1e6, np.float32)
        flashing.append(replace(line, mean=cake.mean(axis=1), cake=cake, cake_norm=norm))
    best, _ = choose(try_windows(flashing, profile, model, grid, windows=[None, (0.0, 30.0), (90.0, 30.0)]))
    assert best.window == (0.0, 30.0)
    plain = with_settings(profile, [], without=["graphite", "lic12", "lic6"])
    with pytest.raises(DataError, match="no phase of the profile"):
        try_windows(flashing, plain, make_pattern_model(plain), grid)
