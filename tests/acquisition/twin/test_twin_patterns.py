"""Patterns without images: what an exact integration of the frame would give, and what a naive reconstruction makes of them."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from pyFAI import load
from skimage.transform import iradon

from acquisition.twin.camera import Camera, view_pixels
from acquisition.twin.footprint import Beam
from acquisition.twin.grid import make_grid
from acquisition.twin.patterns import PatternSource, Sector, scan_pulses, write_patterns
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.sample import pixel_mask
from acquisition.twin.scene import DeepScene
from acquisition.twin.slice import Slice
from acquisition.twin.truth import read_lattices, read_slice
from operando.profile import Effects, Profile, read_profile


def demo(*, sample: str = "jelly-roll", counts_per_pixel: float = 4.0, **effects: object) -> Profile:
    profile = read_profile("demo")
    assert profile.twin is not None
    twin = profile.twin.model_copy(
        update={"sample": sample, "effects": Effects(**effects), "counts_per_pixel": counts_per_pixel}
    )
    return profile.model_copy(update={"twin": twin})


@pytest.mark.parametrize("effects", [{}, {"texture": True, "parallax": True, "absorption": "first-order"}])
def test_a_pattern_is_the_integral_of_the_frame(effects: dict[str, object]) -> None:
    """The frame without noise, counts high so that rounding says nothing, integrated by pyFAI."""
    profile = demo(noise=False, counts_per_pixel=1e5, **effects)
    source = PatternSource(profile)
    pulse = scan_pulses(profile)[7][20]
    judge = load(str(profile.path(profile.geometry.poni)))
    found = judge.integrate1d_ng(
        source.frames.frame(pulse, image_id=0),
        1500,
        unit="q_A^-1",
        radial_range=(1.1, 5.5),
        mask=pixel_mask(profile) != 0,
        method=("no", "histogram", "cython"),
        correctSolidAngle=True,
        polarization_factor=0.95,
    )
    close = np.abs(source.pattern(pulse)[0] / found.intensity - 1)

    # A pixel on the border of two bins may fall into either: position in single and in double precision.
    assert np.median(close) < 2e-5
    assert np.quantile(close, 0.9) < 1e-3
    assert close.max() < 0.02


def test_patterns_of_sectors_add_up_to_the_ring() -> None:
    profile = demo(texture=True, noise=False)
    source = PatternSource(
        profile, sectors=[Sector(), Sector(centre_deg=0, half_width_deg=45), Sector(centre_deg=90, half_width_deg=44.9999999)]
    )
    ring, across, along = source.pattern(scan_pulses(profile)[3][24]) * source.weight

    np.testing.assert_allclose(across + along, ring, rtol=1e-6)


def test_the_noise_of_a_pattern_is_that_of_its_photons() -> None:
    profile = demo(sample="ceo2")
    source, quiet = PatternSource(profile), PatternSource(demo(sample="ceo2", noise=False))
    pulses = [scan_pulses(profile)[0][24].model_copy(update={"number": number}) for number in range(200)]
    drawn = np.array([source.pattern(pulse)[0] for pulse in pulses])
    mean = quiet.pattern(pulses[0])[0]
    ratio = drawn.var(axis=0, ddof=1) / (mean / source.weight[0])

    assert ratio.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / 199 / mean.size))
    assert np.array_equal(drawn[5], source.pattern(pulses[5])[0])


def test_the_file_of_a_scan_holds_patterns_by_position_and_its_truth(tmp_path: Path) -> None:
    profile = demo(sample="ceo2", lattice=True)
    profile = profile.model_copy(update={"scan": profile.scan.model_copy(update={"n_lines": 3, "n_points": 5})})
    write_patterns(profile, tmp_path / "scan.h5")
    source = PatternSource(profile)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["mean"].shape == (3, 5, 1, 1500)
        assert np.all(np.diff(file["position_mm"]) > 0)
        flown_back = file["mean"][1, 0]
        assert file["time_s"][1, 0] > file["time_s"][1, 4]
    with h5py.File(tmp_path / "scan-truth.h5") as file:
        assert file["lines/n_pulses"][()].tolist() == [5, 5, 5]
        assert file["lines/state"][()].tolist() == [0, 0, 0]

    np.testing.assert_allclose(flown_back, source.pattern(scan_pulses(profile)[1][4]), rtol=1e-6)
    assert np.nanmax(read_lattices(tmp_path / "scan-truth.h5")["a/ceo2"]) == pytest.approx(5.411651)
    assert read_slice(tmp_path / "scan-truth.h5").materials == ("ceo2",)


SPOTS_MM = (1.5, 3.0, 4.5)
CAMERA = Camera(
    distance_m=1.0, poni1_m=0, poni2_m=0, rot1_rad=0, rot2_rad=0, rot3_rad=0, wavelength_angstrom=0.119791,
    pixel_m=172e-6, n_rows=2, n_columns=200,
)  # fmt: skip


def spots() -> Slice:
    """Three grains of NMC on the x axis of a sample of 10.2 mm, in an empty neighbourhood."""
    n, voxel_mm = 128, 0.08
    density = np.zeros((n, n, 1), dtype=np.float32)
    for x_mm in SPOTS_MM:
        column = round(x_mm / voxel_mm + (n - 1) / 2)
        density[n // 2 - 2 : n // 2 + 2, column - 2 : column + 2] = 4.0
    return Slice(name="spots", materials=("nmc_s",), density_g_cm3=density, voxel_mm=voxel_mm)


def reconstructed_shifts_ma(range_deg: int) -> list[float]:
    """Shift in c of each spot after a naive reconstruction: moments of 003 are reconstructed as if there were no depth."""
    sample = spots()
    grid = make_grid(CAMERA, view_pixels(CAMERA), depends_on_azimuth=False)
    scene = DeepScene(sample, grid, wavelength_angstrom=0.119791, effects=Effects(parallax=True))
    empty = replace(sample, density_g_cm3=np.zeros_like(sample.density_g_cm3))
    air = scene.mean(empty, Beam(s_mm=0, angle_deg=0, width_mm=0.08, sigma_mm=0))[0]
    c = CRYSTALS["nmc_s"].c_angstrom
    tangent = np.tan(grid.two_theta_rad)
    centre = np.tan(2 * np.arcsin(0.119791 * 3 / (2 * c)))
    window = np.abs(tangent / centre - 1) < 0.12
    angles = np.arange(0, range_deg, 2.0)
    moments = np.zeros((2, 128, angles.size))
    for column, angle_deg in enumerate(angles):
        for row, s_mm in enumerate((np.arange(128) - 64) * 0.08):
            if not _is_hit(s_mm, angle_deg):
                continue
            ring = (scene.mean(sample, Beam(s_mm=s_mm, angle_deg=angle_deg, width_mm=0.08, sigma_mm=0))[0] - air)[window]
            ring = ring - np.linspace(ring[0], ring[-1], ring.size)
            moments[:, row, column] = ring.sum(), ring @ (tangent[window] / centre - 1)
    # iradon turns the other way: its x axis is ours, its rows go down.
    mass, moment = (iradon(one, theta=angles, circle=True) for one in moments)
    shifts = []
    for x_mm in SPOTS_MM:
        here = np.s_[61:68, round(64 + x_mm / 0.08) - 3 : round(64 + x_mm / 0.08) + 4]
        shifts.append(float(-1e3 * c * moment[here].sum() / mass[here].sum()))
    return shifts


def _is_hit(s_mm: float, angle_deg: float) -> bool:
    return any(abs(s_mm - x_mm * np.cos(np.radians(angle_deg))) < 0.6 for x_mm in SPOTS_MM)


def test_isolated_spots_over_half_a_turn_are_biased_by_their_place() -> None:
    assert reconstructed_shifts_ma(180) == pytest.approx([-14, -28, -41], abs=2.0)


def test_isolated_spots_over_a_whole_turn_are_not_biased() -> None:
    assert reconstructed_shifts_ma(360) == pytest.approx([0, 0, 0], abs=0.5)
