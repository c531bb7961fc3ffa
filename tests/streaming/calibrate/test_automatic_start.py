"""Where a calibration begins by itself, what it says of the energy, and its picture."""

import re
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
from pyFAI.geometry import Geometry

from operando.errors import CalibrationError
from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings
from streaming.calibrate import Tolerances, calibrate
from streaming.calibrate.energy import fit_energy
from streaming.calibrate.files import tolerances_of
from streaming.calibrate.picture import write_picture
from streaming.calibrate.refuse import refuse_energy, refuse_start
from streaming.calibrate.rings import RingPoints, beam_centre_px, spacings_of, two_theta_of
from streaming.calibrate.start import find_centre, find_start
from streaming.integrate.geometry import HC_KEV_ANGSTROM, load_poni

SHAPE = (420, 380)
SPACINGS = spacings_of("CeO2")
ENERGY_KEV = 50.0


def geometry(*, distance_m: float = 0.12, row: float = 231.0, column: float = 160.0, energy_kev: float = ENERGY_KEV) -> Any:
    """A detector of 420 x 380 pixels of 0.2 mm without tilt."""
    made = Geometry(
        dist=distance_m,
        poni1=2e-4 * (row + 0.5),
        poni2=2e-4 * (column + 0.5),
        pixel1=2e-4,
        pixel2=2e-4,
        wavelength=1e-10 * HC_KEV_ANGSTROM / energy_kev,
    )
    return made


def angles(of: Any) -> Any:
    return two_theta_of(SPACINGS, wavelength_angstrom=1e10 * float(of.wavelength))


def rendered(true: Any, *, level: float = 300.0, seed: int = 5) -> Any:
    """Rings of CeO2 with falling heights on a background that is not symmetric about the beam, Poisson."""
    angle = true.center_array(SHAPE, unit="2th_rad", scale=False)
    rings = angles(true)
    heights = level * np.exp(-3.0 * rings[rings < angle.max()])
    bells = sum(
        h * np.exp(-0.5 * ((angle - r) / 1.5e-3) ** 2) for h, r in zip(heights, rings[rings < angle.max()], strict=True)
    )
    slope = np.linspace(20.0, 60.0, SHAPE[1])[None, :]
    return np.random.default_rng(seed).poisson(bells + slope)


@pytest.mark.parametrize(("distance_m", "row", "column"), [(0.12, 231, 160), (0.15, 170, 210), (0.10, 280, 100)])
def test_a_detector_that_is_centimetres_and_tens_of_pixels_off_is_found(distance_m: float, row: float, column: float) -> None:
    true, is_good = geometry(), np.ones(SHAPE, bool)
    is_good[:, 180:186] = False
    nominal = geometry(distance_m=distance_m, row=row, column=column)
    found = find_start(rendered(true), is_good, nominal, angles(nominal))
    assert beam_centre_px(found) == pytest.approx(beam_centre_px(true), abs=1.0)
    assert found.dist == pytest.approx(true.dist, rel=3e-3)


def test_the_centre_is_found_in_a_corner_of_the_detector() -> None:
    true = geometry(row=90, column=300)
    assert find_centre(rendered(true), np.ones(SHAPE, bool), near=(150, 250)) == pytest.approx((90, 300), abs=1.0)


def test_no_start_is_found_in_noise() -> None:
    noise = np.random.default_rng(2).poisson(40.0, SHAPE)
    with pytest.raises(CalibrationError, match="no distance from 72 to 192 mm puts the rings"):
        find_start(noise, np.ones(SHAPE, bool), geometry(), angles(geometry()))


def points_on(true: Any, *, scatter_px: float = 0.0) -> tuple[RingPoints, Any]:
    """Points exactly on the rings of a geometry without tilt, with scatter."""
    rings = angles(true)[:14]
    row_0, column_0 = beam_centre_px(true)
    sector = np.tile(np.arange(60), rings.size)
    azimuth = (sector + 0.5) / 60 * 2 * np.pi
    radius = np.repeat(true.dist * np.tan(rings) / true.pixel1, 60)
    radius = radius + scatter_px * np.random.default_rng(4).standard_normal(radius.size)
    points = RingPoints(
        ring=np.repeat(np.arange(rings.size), 60),
        row=row_0 + radius * np.sin(azimuth),
        column=column_0 + radius * np.cos(azimuth),
        sector=sector,
        n_searched=np.full(rings.size, 60),
    )
    return points, SPACINGS[: rings.size]


def test_the_curvature_of_rings_gives_the_energy_within_its_uncertainty() -> None:
    points, spacings = points_on(geometry(), scatter_px=0.1)
    wrong = geometry(energy_kev=51.0, distance_m=0.12 * 1.02)
    energy = fit_energy(wrong, points, spacings)
    assert abs(energy.energy_kev - ENERGY_KEV) < 4 * energy.sigma_kev
    assert energy.sigma_kev < 0.2
    assert energy.correlation > 0.99
    assert energy.geometry.dist == pytest.approx(0.12, rel=0.01)


@pytest.mark.parametrize("scatter_px", [0.02, 0.1, 0.3, 1.0])
def test_small_angles_fix_the_energy_less_well_and_without_bias(scatter_px: float) -> None:
    parts = []
    for true, energy_kev in ((geometry(), ENERGY_KEV), (geometry(distance_m=0.24, energy_kev=100.0), 100.0)):
        energy = fit_energy(true, *points_on(true, scatter_px=scatter_px))
        assert abs(energy.energy_kev - energy_kev) < 4 * energy.sigma_kev
        parts.append(energy.sigma_kev / energy.energy_kev)
    assert parts[1] > 2 * parts[0]


def test_an_energy_that_contradicts_the_rings_is_refused() -> None:
    points, spacings = points_on(geometry(), scatter_px=0.02)
    energy = fit_energy(geometry(energy_kev=50.5, distance_m=0.1212), points, spacings)
    refuse_energy(energy, held_kev=50.0, limits=Tolerances())
    with pytest.raises(CalibrationError, match=r"curvature says (50\.0|49\.9).* 50\.50 keV was given"):
        refuse_energy(energy, held_kev=50.5, limits=Tolerances())


def profile_that_says(*settings: str) -> Profile:
    return with_settings(read_profile("demo"), settings)


def test_a_distance_that_is_known_may_move_as_far_as_the_profile_says() -> None:
    start = geometry(distance_m=1.0)
    limits = tolerances_of(profile_that_says("geometry.distance_tolerance_mm=2"), start)
    refuse_start(geometry(distance_m=1.0019), start, shape=SHAPE, is_upright=True, limits=limits)
    with pytest.raises(CalibrationError, match="distance would change by"):
        refuse_start(geometry(distance_m=1.0021), start, shape=SHAPE, is_upright=True, limits=limits)
    anything = tolerances_of(profile_that_says(), start)
    refuse_start(geometry(distance_m=1.05), start, shape=SHAPE, is_upright=True, limits=anything)


def test_a_beam_whose_place_is_known_may_move_as_far_as_the_profile_says() -> None:
    start = geometry()
    limits = tolerances_of(profile_that_says("geometry.beam_tolerance_mm=1.72"), start)
    assert limits.centre_px == pytest.approx(10.0)


class Ceria:
    """The real frame, from a nominal geometry that is 11 mm and some 50 pixels off."""

    def __init__(self, folder: Path) -> None:
        self.mask = fabio.open(str(folder / "mask.edf")).data != 0
        self.image = fabio.open(str(folder / "CeO2.cbf")).data
        self.true = load_poni(folder / "CeO2.poni")
        self.nominal = self.true.__copy__()
        self.nominal.set_param([0.555, 0.150, 0.120, 0.0, 0.0, 0.0])

    def calibrate(self, **options: Any) -> Any:
        limits = Tolerances(distance=0.6, centre_px=500.0)
        return calibrate(self.image, self.nominal, mask=self.mask, tolerances=limits, is_automatic=True, **options)


def test_the_real_frame_is_calibrated_from_a_bad_start_and_drawn(data_folder: Path, tmp_path: Path) -> None:
    ceria = Ceria(data_folder / "nDTomo")
    result = ceria.calibrate()
    assert result.predicted_px < 0.05
    assert result.geometry.dist == pytest.approx(ceria.true.dist, rel=5e-4)
    assert abs(result.energy.energy_kev - 71.0) < 2 * result.energy.sigma_kev
    assert 0.05 < result.energy.sigma_kev < 0.3
    table = result.table()
    assert "distance -11.0" in table
    assert re.search(r"the rings alone say 7(0\.[89]|1\.[012])", table)
    write_picture(tmp_path / "rings.png", result, ceria.image, ceria.mask)
    assert (tmp_path / "rings.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_half_a_percent_of_energy_is_refused_on_the_real_frame(data_folder: Path) -> None:
    with pytest.raises(CalibrationError, match=r"curvature says 7(0\.[89]|1\.[012]).* 71\.60 keV was given"):
        Ceria(data_folder / "nDTomo").calibrate(energy_kev=71.6)
