from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyFAI import load
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from acquisition.twin.camera import Camera, polarisation, read_camera, view_pixels
from operando.errors import MissingInputError, ProfileError
from operando.profile import read_profile

SHAPE = (40, 31)
PIXEL_M = 2e-3
turns = st.floats(-0.5, 0.5)


def make_camera(rot1: float, rot2: float, rot3: float) -> Camera:
    return Camera(
        distance_m=0.3,
        poni1_m=0.03,
        poni2_m=0.021,
        rot1_rad=rot1,
        rot2_rad=rot2,
        rot3_rad=rot3,
        wavelength_angstrom=0.12,
        pixel_m=PIXEL_M,
        n_rows=SHAPE[0],
        n_columns=SHAPE[1],
    )


@settings(deadline=None, max_examples=25)
@given(rot1=turns, rot2=turns, rot3=turns)
def test_directions_and_weights_are_those_of_pyfai(rot1: float, rot2: float, rot3: float) -> None:
    view = view_pixels(make_camera(rot1, rot2, rot3))
    judge = AzimuthalIntegrator(
        dist=0.3,
        poni1=0.03,
        poni2=0.021,
        rot1=rot1,
        rot2=rot2,
        rot3=rot3,
        detector=Detector(PIXEL_M, PIXEL_M, max_shape=SHAPE, orientation=3),
        wavelength=0.12e-10,
    )

    np.testing.assert_allclose(view.two_theta_rad, judge.center_array(unit="2th_rad"), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(view.solid_angle, judge.solidAngleArray(), rtol=1e-6)
    np.testing.assert_allclose(polarisation(view, factor=0.95), judge.polarization(factor=0.95), rtol=1e-6)


def test_the_demo_geometry_is_read_as_pyfai_reads_it() -> None:
    profile = read_profile("demo")
    poni = profile.path(profile.geometry.poni)
    view = view_pixels(read_camera(poni, pixel_m=172e-6, n_rows=1679, n_columns=1475))

    np.testing.assert_allclose(view.two_theta_rad, load(str(poni)).center_array(unit="2th_rad"), rtol=1e-6, atol=1e-9)


def test_a_missing_geometry_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"nowhere\.poni"):
        read_camera(tmp_path / "nowhere.poni", pixel_m=PIXEL_M, n_rows=2, n_columns=2)


def test_a_geometry_without_a_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.poni"
    path.write_text("Distance: 1.0\nPoni1: 0.1\n")
    with pytest.raises(ProfileError, match="Poni2"):
        read_camera(path, pixel_m=PIXEL_M, n_rows=2, n_columns=2)


def test_a_geometry_of_a_flipped_image_is_refused(tmp_path: Path) -> None:
    profile = read_profile("demo")
    text = profile.path(profile.geometry.poni).read_text()
    path = tmp_path / "flipped.poni"
    path.write_text(text.replace('"orientation": 3', '"orientation": 2'))
    with pytest.raises(ProfileError, match="orientation 2"):
        read_camera(path, pixel_m=172e-6, n_rows=1679, n_columns=1475)
