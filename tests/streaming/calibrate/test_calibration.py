"""Calibration on the real CeO2 frame, on rendered rings, and what it refuses."""

from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
from pyFAI.geometry import Geometry

from operando.errors import CalibrationError, MissingInputError
from operando.profile import read_profile
from streaming.calibrate import CalibrationResult, Tolerances, calibrate, calibrate_file
from streaming.calibrate.files import read_image
from streaming.calibrate.fit import fit_geometry, residuals_px
from streaming.calibrate.instrument import instrument_profile
from streaming.calibrate.refuse import refuse_flip_by_mask, refuse_start
from streaming.calibrate.rings import RingPoints, beam_centre_px, find_points, isolated, spacings_of, two_theta_of
from streaming.integrate.geometry import load_poni, read_geometry


class Ceria:
    """The real frame, its geometry and its masks."""

    def __init__(self, folder: Path) -> None:
        self.geometry = load_poni(folder / "CeO2.poni")
        self.image = fabio.open(str(folder / "CeO2.cbf")).data
        self.mask = fabio.open(str(folder / "mask.edf")).data != 0
        self.gaps = self.geometry.detector.mask != 0


@pytest.fixture(scope="module")
def ceria(data_folder: Path) -> Ceria:
    return Ceria(data_folder / "nDTomo")


@pytest.fixture(scope="module")
def calibrated(ceria: Ceria) -> CalibrationResult:
    return calibrate(ceria.image, moved(ceria.geometry, [2e-3, 2e-4, -3e-4, 5e-4, -5e-4]), mask=ceria.mask, calibrant="CeO2")


def moved(geometry: Any, change: list[float]) -> Any:
    """A copy of a geometry with other parameters."""
    copy = geometry.__copy__()
    values = np.array(geometry.param)
    values[: len(change)] += change
    copy.set_param(values)
    return copy


def test_five_real_rings_predict_the_others(calibrated: CalibrationResult) -> None:
    roles = [ring.role for ring in calibrated.rings]
    assert roles.count("fitted") == 5
    assert roles.count("predicted") >= 6
    assert calibrated.predicted_px < 0.06


def test_the_real_calibration_agrees_with_the_beamline_s(calibrated: CalibrationResult, ceria: Ceria) -> None:
    assert calibrated.geometry.dist == pytest.approx(ceria.geometry.dist, rel=5e-4)
    assert beam_centre_px(calibrated.geometry) == pytest.approx(beam_centre_px(ceria.geometry), abs=0.2)
    assert calibrated.energy_kev == pytest.approx(71.0, abs=0.01)
    assert calibrated.geometry.rot3 == ceria.geometry.rot3


def test_a_written_geometry_reads_back_equal(calibrated: CalibrationResult, tmp_path: Path) -> None:
    path = tmp_path / "new.poni"
    calibrated.write_poni(path)
    again = load_poni(path)
    np.testing.assert_allclose(again.param, calibrated.geometry.param, rtol=1e-9, atol=1e-12)
    assert again.wavelength == pytest.approx(calibrated.geometry.wavelength, rel=1e-9)
    assert list(tmp_path.iterdir()) == [path]


def test_the_table_shows_every_ring(calibrated: CalibrationResult) -> None:
    lines = calibrated.table().splitlines()
    assert sum(line.endswith(("fitted", "predicted", "partial")) for line in lines) == len(calibrated.rings)
    assert f"{calibrated.predicted_px:.3f} px" in lines[-1]


@pytest.mark.parametrize(
    ("flip", "words"), [(np.flipud, "upside down"), (np.fliplr, "left to right"), (np.rot90, "half a turn")]
)
def test_a_flipped_image_is_refused_by_its_dead_pixels(ceria: Ceria, flip: Any, words: str) -> None:
    image = np.rot90(np.rot90(ceria.image)) if flip is np.rot90 else flip(ceria.image)
    with pytest.raises(CalibrationError, match=words):
        calibrate(image, ceria.geometry, mask=ceria.mask)


def test_a_flipped_image_is_refused_without_a_telling_mask(ceria: Ceria) -> None:
    with pytest.raises(CalibrationError, match="left to right"):
        calibrate(np.fliplr(ceria.image), ceria.geometry, mask=ceria.gaps)


@pytest.mark.parametrize("calibrant", ["LaB6", "alpha_Al2O3"])
def test_a_wrong_calibrant_is_refused(ceria: Ceria, calibrant: str) -> None:
    with pytest.raises(CalibrationError, match=f"rings of {calibrant}"):
        calibrate(ceria.image, ceria.geometry, mask=ceria.mask, calibrant=calibrant)


def test_a_calibrant_that_misses_rings_is_refused(ceria: Ceria) -> None:
    with pytest.raises(CalibrationError, match="strong ring at 2"):
        calibrate(ceria.image, ceria.geometry, mask=ceria.mask, calibrant="Si")


@pytest.mark.parametrize("energy_kev", [60.0, 72.0, 80.0])
def test_a_wrong_energy_is_refused(ceria: Ceria, energy_kev: float) -> None:
    with pytest.raises(CalibrationError, match="energy"):
        calibrate(ceria.image, ceria.geometry, mask=ceria.mask, energy_kev=energy_kev)


def test_a_frame_of_another_shape_is_refused(ceria: Ceria) -> None:
    with pytest.raises(CalibrationError, match="shape"):
        calibrate(ceria.image[:-1], ceria.geometry, mask=ceria.mask)


def test_an_unknown_calibrant_is_refused_by_name() -> None:
    with pytest.raises(CalibrationError, match="no calibrant 'sugar'"):
        spacings_of("sugar")


def test_a_missing_geometry_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="calibrate first"):
        load_poni(tmp_path / "none.poni")


SHAPE = (400, 360)
TRUE = Geometry(dist=0.2, poni1=0.0405, poni2=0.0355, rot1=0.01, rot2=-0.006, pixel1=2e-4, pixel2=2e-4, wavelength=1.7e-11)
RINGS = np.array([0.075, 0.11, 0.15, 0.19])


def rendered(level: float = 800.0) -> Any:
    """Counts of Gaussian rings of 1.1 pixels (sigma) on a sloping background, Poisson."""
    angle = TRUE.center_array(SHAPE, unit="2th_rad", scale=False)
    bells = sum(np.exp(-0.5 * ((angle - ring) / (1.1 * 2e-4 / 0.2)) ** 2) for ring in RINGS)
    return np.random.default_rng(7).poisson(level * bells + 60.0 - 100.0 * angle)


def test_points_are_found_within_hundredths_of_a_pixel() -> None:
    start = moved(TRUE, [0.5e-3, 3e-4, -2e-4])
    points = find_points(rendered(), np.ones(SHAPE, bool), start, RINGS, window_px=8.0)
    residual = residuals_px(TRUE, points, RINGS)
    assert points.size > 200
    assert np.sqrt(np.mean(residual**2)) < 0.05
    assert abs(residual.mean()) < 0.01


def test_a_fit_finds_the_true_parameters() -> None:
    start = moved(TRUE, [0.5e-3, 3e-4, -2e-4, 1e-3, 1e-3])
    points = find_points(rendered(), np.ones(SHAPE, bool), start, RINGS, window_px=8.0)
    fitted, uncertainties = fit_geometry(start, points, RINGS)
    change = np.abs(np.array(fitted.param) - np.array(TRUE.param))[:5]
    assert (change < 5.0 * uncertainties).all()
    assert beam_centre_px(fitted) == pytest.approx(beam_centre_px(TRUE), abs=0.02)


@pytest.fixture(scope="module")
def demo_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CeO2 rings on the demo's detector, which stands 0.8 mm nearer and a little beside its profile's geometry."""
    profile = read_profile("demo")
    true = moved(load_poni(profile.path(profile.geometry.poni)), [-8e-4, 3e-4, -2e-4, 2e-4, 1e-4])
    angle = true.center_array((1679, 1475), unit="2th_rad", scale=False)
    rings = two_theta_of(spacings_of("CeO2"), wavelength_angstrom=float(true.wavelength) * 1e10)
    level = np.full(angle.shape, 30.0)
    for ring in rings[rings < angle.max()]:
        near = np.abs(angle - ring) < 1.2e-3
        level[near] += 300.0 * np.exp(-0.5 * ((angle[near] - ring) / 2.2e-4) ** 2)
    counts = np.random.default_rng(3).poisson(level).astype(np.uint32)
    counts[100:103] = 0xFFFFFFFF
    path = tmp_path_factory.mktemp("calibrant") / "ceria.edf"
    fabio.edfimage.EdfImage(data=counts).write(str(path))
    return path


def test_a_file_is_calibrated_from_the_profile(demo_image: Path) -> None:
    profile = read_profile("demo")
    result = calibrate_file(profile, demo_image, calibrant="CeO2")
    start = load_poni(profile.path(profile.geometry.poni))
    assert result.predicted_px < 0.02
    assert result.geometry.dist - start.dist == pytest.approx(-8e-4, abs=5e-5)
    assert result.energy_kev == pytest.approx(103.5, abs=0.01)
    # The rings were drawn as Gaussian functions of one width.
    found = instrument_profile(read_image(demo_image), result, mask=read_geometry(profile).mask)
    width_deg = np.rad2deg(2.2e-4) * np.sqrt(8 * np.log(2))
    assert found.fwhm_deg == pytest.approx(np.full(found.fwhm_deg.size, width_deg), rel=0.03)
    assert found.lorentz_fraction.max() < 0.1
    assert found.w == pytest.approx(width_deg**2, rel=0.15)
    assert "[refinement.instrument]" in found.words()


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.cbf").write_text("no image")
    with pytest.raises(CalibrationError, match=r"text\.cbf is not an image"):
        calibrate_file(read_profile("demo"), tmp_path / "text.cbf")
    with pytest.raises(MissingInputError, match="no image"):
        calibrate_file(read_profile("demo"), tmp_path / "none.cbf")


def test_nothing_is_found_in_noise() -> None:
    noise = np.random.default_rng(1).poisson(50.0, SHAPE)
    points = find_points(noise, np.ones(SHAPE, bool), TRUE, RINGS, window_px=8.0)
    assert points.size < 3
    assert (points.n_searched > 30).all()


def test_rings_close_to_each_other_are_left_out() -> None:
    radius_px = np.array([100.0, 150.0, 158.0, 220.0, 500.0])
    assert isolated(radius_px, clearance_px=12.0, largest_px=400.0).tolist() == [0, 3]


def test_spacings_beyond_half_the_wavelength_do_not_diffract() -> None:
    assert two_theta_of(np.array([1.0, 0.4]), wavelength_angstrom=1.0) == pytest.approx([np.pi / 3])


def test_points_can_be_chosen() -> None:
    points = find_points(rendered(), np.ones(SHAPE, bool), TRUE, RINGS, window_px=6.0)
    second: RingPoints = points.only(points.ring == 1)
    assert second.n_found.tolist() == [0, points.n_found[1], 0, 0]


def test_dead_pixels_in_a_telling_mask_prove_the_orientation() -> None:
    mask = np.zeros((50, 40), bool)
    mask[:10, :15] = True
    assert refuse_flip_by_mask(~mask, mask)
    assert not refuse_flip_by_mask(np.ones((50, 40), bool), mask)


@pytest.mark.parametrize(
    ("change", "words"), [([3e-3], "distance"), ([0.0, 1.5e-3], "beam lies 7.5 px"), ([0.0, 0.0, 1.2e-3], "beam lies 6.0 px")]
)
def test_a_result_far_from_its_start_is_refused(change: list[float], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        refuse_start(moved(TRUE, change), TRUE, shape=SHAPE, is_upright=True, limits=Tolerances())


def test_a_beam_on_the_mirrored_side_is_taken_for_a_flip_unless_the_mask_excludes_it() -> None:
    row = beam_centre_px(TRUE)[0]
    flipped = moved(TRUE, [0.0, (SHAPE[0] - 1 - 2 * row) * 2e-4])
    limits = Tolerances(centre_px=100.0)
    with pytest.raises(CalibrationError, match="upside down"):
        refuse_start(flipped, TRUE, shape=SHAPE, is_upright=False, limits=limits)
    refuse_start(flipped, TRUE, shape=SHAPE, is_upright=True, limits=limits)
