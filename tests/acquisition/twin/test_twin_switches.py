"""Every kind of smooth scattering, and the unevenness of a roll, can be switched off; what is left is what it should be."""

from dataclasses import replace

import numpy as np
import pytest

from acquisition.twin.camera import Camera, view_pixels
from acquisition.twin.footprint import Beam
from acquisition.twin.grid import PolarGrid, make_grid
from acquisition.twin.optics import pixel_mask
from acquisition.twin.phases import AMORPHOUS, CRYSTALS
from acquisition.twin.published import make_published
from acquisition.twin.scattering import compton, powder
from acquisition.twin.scene import AIR_G_CM2, make_scene
from acquisition.twin.slice import Slice
from operando.profile import Effects, read_profile

WAVELENGTH = 0.119791
BEAM = Beam(s_mm=0.0, angle_deg=0.0, width_mm=0.2)
ONE_KIND = {"halo": False, "compton": False, "thermal_diffuse": False, "air": False}


def grid() -> PolarGrid:
    camera = Camera(
        distance_m=1.0,
        poni1_m=0.0,
        poni2_m=0.0,
        rot1_rad=0.0,
        rot2_rad=0.0,
        rot3_rad=0.0,
        wavelength_angstrom=WAVELENGTH,
        pixel_m=172e-6,
        n_rows=10,
        n_columns=650,
    )
    return make_grid(camera, view_pixels(camera), depends_on_azimuth=False)


def block(material: str) -> Slice:
    """2 mm of a material, 1 g/cm3: 0.2 g/cm2 along the beam."""
    density = np.zeros((60, 60, 1), dtype=np.float32)
    density[20:40, 20:40] = 1.0
    return Slice(name="block", materials=(material,), density_g_cm3=density, voxel_mm=0.1)


def mean(sample: Slice, **effects: object) -> np.ndarray:
    scene = make_scene(sample, grid(), wavelength_angstrom=WAVELENGTH, effects=Effects(**effects))
    return scene.mean(sample, BEAM)[0].astype(float)


def q() -> np.ndarray:
    return 4 * np.pi / WAVELENGTH * np.sin(grid().two_theta_rad / 2)


@pytest.mark.parametrize("depth", [{}, {"parallax": True}])
def test_with_all_smooth_scattering_off_a_crystal_has_its_reflections_alone(depth: dict[str, bool]) -> None:
    nodes = grid().two_theta_rad
    expected = 0.2 * powder(CRYSTALS["cu"], nodes, wavelength_angstrom=WAVELENGTH, width_deg=0.046)
    off = mean(block("cu"), **ONE_KIND)

    np.testing.assert_allclose(off, expected, rtol=1e-4, atol=1e-9)
    deep = mean(block("cu"), **ONE_KIND, **depth)
    assert deep.sum() == pytest.approx(off.sum(), rel=2e-3)
    assert mean(block("cu"), **depth).sum() > 1.05 * deep.sum()


def test_without_its_halo_the_separator_scatters_inelastically_alone() -> None:
    expected = 0.2 * compton(AMORPHOUS["polymer"].contents, q())

    np.testing.assert_allclose(mean(block("polymer"), halo=False, air=False), expected, rtol=1e-4)
    assert mean(block("polymer"), air=False).max() > 2 * expected.max()


@pytest.mark.parametrize("material", ["cu", "polymer"])
def test_compton_and_thermal_scattering_add_up(material: str) -> None:
    whole = mean(block(material), air=False)
    without = [mean(block(material), air=False, **{name: False}) for name in ("halo", "compton", "thermal_diffuse")]
    nothing = mean(block(material), **ONE_KIND)
    parts = sum(whole - one for one in without)

    np.testing.assert_allclose(parts, whole - nothing, rtol=1e-3, atol=1e-6)


def test_an_empty_sample_without_air_scatters_nothing() -> None:
    empty = replace(block("cu"), density_g_cm3=np.zeros((60, 60, 1), dtype=np.float32))

    assert mean(empty, air=False).max() == 0
    assert mean(empty).min() > 0
    assert mean(empty, halo=False)[-1] == pytest.approx(AIR_G_CM2 * compton(AMORPHOUS["air"].contents, q())[-1], rel=1e-4)


def test_an_even_roll_has_the_same_lithium_everywhere_that_takes_part() -> None:
    spread = {
        is_uneven: np.ptp(np.quantile(sample.lithium_x[sample.lithium_x > 0.03], [0.1, 0.9]))
        for is_uneven in (True, False)
        for sample in [make_published("aaa-discharged-c2", seed=1, effects=Effects(uneven=is_uneven))]
    }
    even = make_published("aaa-discharged-c2", seed=1, effects=Effects(uneven=False))

    assert spread[True] > 0.03
    assert spread[False] < 1e-4
    assert even.density_of("nmc_s").max() == 0


@pytest.mark.parametrize(("gaps", "own"), [(True, True), (False, True), (True, False), (False, False)])
def test_gaps_and_known_bad_pixels_are_switched_each_for_itself(gaps: bool, own: bool) -> None:
    profile = read_profile("demo")
    assert profile.twin is not None
    effects = profile.twin.effects.model_copy(update={"module_gaps": gaps, "masked_pixels": own})
    mask = pixel_mask(profile.model_copy(update={"twin": profile.twin.model_copy(update={"effects": effects})}))

    assert np.mean(mask == 1) == pytest.approx(0.085 if gaps else 0, abs=0.01)
    assert np.mean(mask > 1) == pytest.approx(2e-4 if own else 0, abs=1e-4)
