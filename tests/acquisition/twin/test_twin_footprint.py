"""The beam across the axis: Gaussian or between slits, much narrower and much wider than a voxel and than the sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from acquisition.twin.curves import make_curves
from acquisition.twin.deep import Layers, Voxels, channel_masses, make_voxels, mean_transmission
from acquisition.twin.footprint import Beam, beam_profile, shadow_table
from acquisition.twin.slice import Slice

WAVELENGTH = 0.65
HALF_MM, VOXEL_MM = 0.1, 0.005
ONE_LAYER = Layers(first_mm=0.0, step_mm=1.0, n=1)


def block(*, attenuation_per_mm: float = 0.0) -> Voxels:
    """A square of aluminium of 0.2 mm around the axis, 3 g/cm3."""
    axis = (np.arange(80) - 39.5) * VOXEL_MM
    is_inside = (np.abs(axis)[:, np.newaxis] < HALF_MM) & (np.abs(axis) < HALF_MM)
    density = np.where(is_inside, 3.0, 0.0)[..., np.newaxis].astype(np.float32)
    sample = Slice(name="block", materials=("al",), density_g_cm3=density, voxel_mm=VOXEL_MM)
    nodes = np.array([0.1, 0.2])
    curves = make_curves(sample, nodes, wavelength_angstrom=WAVELENGTH, follows_lithium=False, is_textured=False)
    return make_voxels(sample, curves, np.where(is_inside, attenuation_per_mm, 0.0).astype(np.float32))


def mass(beam: Beam) -> float:
    return float(channel_masses(block(), beam, ONE_LAYER).sum())


@pytest.mark.parametrize("sigma_mm", [0.002, 0.02, 0.3, 4.29])
@pytest.mark.parametrize("s_mm", [0.0, 0.08, 0.13])
def test_a_gaussian_beam_of_any_width_meets_what_the_error_function_says(sigma_mm: float, s_mm: float) -> None:
    """0.3 g/cm2 per cm of height and 0.2 mm of depth, times the part of beam and strip that is within 0.1 mm of the axis."""
    strip_mm = 0.01
    at = s_mm + np.linspace(-0.5, 0.5, 2001) * strip_mm
    part = 0.5 * np.mean(erf((HALF_MM - at) / (np.sqrt(2) * sigma_mm)) + erf((HALF_MM + at) / (np.sqrt(2) * sigma_mm)))
    found = mass(Beam(s_mm=s_mm, angle_deg=0.0, width_mm=strip_mm, sigma_mm=sigma_mm))

    assert found == pytest.approx(3.0 * 0.1 * 2 * HALF_MM * part, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 45.0, 90.0])
@pytest.mark.parametrize("s_mm", [0.0, 0.2, -4.5])
def test_a_beam_between_slits_wider_than_the_sample_sees_all_of_it_wherever_it_stands(angle_deg: float, s_mm: float) -> None:
    found = mass(Beam(s_mm=s_mm, angle_deg=angle_deg, width_mm=0.05, slit_mm=10.1))

    assert found == pytest.approx(3.0 * 0.1 * (2 * HALF_MM) ** 2 / 10.1, rel=1e-5)


def test_a_sample_beyond_the_edge_of_the_slits_is_not_seen() -> None:
    assert mass(Beam(s_mm=5.4, angle_deg=0.0, width_mm=0.05, slit_mm=10.1)) == 0
    assert (
        0
        < mass(Beam(s_mm=5.05, angle_deg=0.0, width_mm=0.05, slit_mm=10.1))
        < 0.6 * mass(Beam(s_mm=0.0, angle_deg=0.0, width_mm=0.05, slit_mm=10.1))
    )


@settings(deadline=None, max_examples=30)
@given(angle_deg=st.floats(-180, 360), sigma_um=st.floats(0.1, 500), slit_um=st.floats(0.1, 500), is_flat=st.booleans())
def test_shadows_are_rising_odd_about_the_middle_and_hold_everything(
    angle_deg: float, sigma_um: float, slit_um: float, is_flat: bool
) -> None:
    below, _ = shadow_table(angle_deg, 0.02, 0.0 if is_flat else 1e-3 * sigma_um, 1e-3 * slit_um if is_flat else 0.0)

    assert (below[0], below[-1]) == (0, 1)
    assert np.diff(below).min() >= -1e-12
    np.testing.assert_allclose(below + below[::-1], 1, atol=1e-9)


@pytest.mark.parametrize(("sigma_mm", "slit_mm"), [(0.0, 0.0), (0.3, 0.0), (0.0, 2.0)])
def test_the_beam_is_as_wide_as_it_says(sigma_mm: float, slit_mm: float) -> None:
    places, part = beam_profile(0.5, sigma_mm, slit_mm)

    assert part @ places == pytest.approx(0, abs=1e-12)
    assert part @ places**2 == pytest.approx(0.5**2 / 12 + sigma_mm**2 + slit_mm**2 / 12, rel=1e-3)


def test_the_air_behind_a_small_sample_in_a_wide_beam_is_dimmed_by_its_part_of_the_beam() -> None:
    voxels = block(attenuation_per_mm=5.0)
    wide = mean_transmission(voxels, Beam(s_mm=1.0, angle_deg=0.0, width_mm=0.05, slit_mm=10.1))
    narrow = mean_transmission(voxels, Beam(s_mm=0.0, angle_deg=0.0, width_mm=0.01))

    assert narrow == pytest.approx(np.exp(-5.0 * 2 * HALF_MM), rel=1e-3)
    assert 1 - wide == pytest.approx((1 - np.exp(-1.0)) * 2 * HALF_MM / 10.1, rel=0.05)
