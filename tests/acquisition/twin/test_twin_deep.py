"""Depth: parallax, absorption, lattices and texture of voxels along a beam, each beside its closed form."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.twin.attenuation import attenuation_map, mass_attenuation
from acquisition.twin.camera import Camera, view_pixels
from acquisition.twin.footprint import Beam
from acquisition.twin.grid import PolarGrid, make_grid
from acquisition.twin.lattices import lattice_at, lithium_states
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.polar import add_scaled, sum_curves
from acquisition.twin.scattering import diffuse
from acquisition.twin.scene import DeepScene, FlatScene
from acquisition.twin.slice import Slice
from acquisition.twin.texture import N_HARMONICS, Fibre, march_dollase, pole_density
from operando.profile import Effects

WAVELENGTH = 0.119791
L_MM = 1000.0
CAMERA = Camera(
    distance_m=1.0,
    poni1_m=0.0,
    poni2_m=0.0,
    rot1_rad=0.0,
    rot2_rad=0.0,
    rot3_rad=0.0,
    wavelength_angstrom=WAVELENGTH,
    pixel_m=172e-6,
    n_rows=20,
    n_columns=650,
)
OPEN = Beam(s_mm=0.0, angle_deg=0.0, width_mm=0.2, sigma_mm=0.0)


def make_grid_of(*, azimuths: bool = False) -> PolarGrid:
    return make_grid(CAMERA, view_pixels(CAMERA), depends_on_azimuth=azimuths)


def spot(material: str, *, x_mm: float, y_mm: float, n: int = 121, voxel_mm: float = 0.1, **fields: object) -> Slice:
    """One voxel of a material, as near as the grid allows to a place."""
    density = np.zeros((n, n, 1), dtype=np.float32)
    column, row = (round(at / voxel_mm + (n - 1) / 2) for at in (x_mm, y_mm))
    density[row, column, 0] = 3.0
    return Slice(name="spot", materials=(material,), density_g_cm3=density, voxel_mm=voxel_mm, **fields)


def mean_of(sample: Slice, beam: Beam, *, azimuths: bool = False, **effects: object) -> np.ndarray:
    grid = make_grid_of(azimuths=azimuths)
    scene = DeepScene(sample, grid, wavelength_angstrom=WAVELENGTH, effects=Effects(**effects))
    nothing = replace(sample, density_g_cm3=np.zeros_like(sample.density_g_cm3))
    return scene.mean(sample, beam) - scene.mean(nothing, beam)


def ring_tangent(curve: np.ndarray, near: float, *, half_width: float = 0.02) -> float:
    """Centroid of a ring in tan(2 theta) above a straight line between its feet."""
    tangent = np.tan(make_grid_of().two_theta_rad)
    here = np.abs(tangent / near - 1) < half_width
    t, height = tangent[here], curve[here]
    height = height - np.interp(t, t[[0, -1]], height[[0, -1]])
    return float(t @ height / height.sum())


def tangent_of(d_angstrom: float) -> float:
    return float(np.tan(2 * np.arcsin(WAVELENGTH / (2 * d_angstrom))))


@pytest.mark.parametrize(("angle_deg", "z_mm"), [(0.0, 4.0), (90.0, -3.0), (180.0, -4.0), (270.0, 3.0)])
def test_a_point_off_the_axis_has_rings_of_tan_two_theta_times_one_minus_z_over_l(angle_deg: float, z_mm: float) -> None:
    angle = np.radians(angle_deg)
    beam = Beam(s_mm=3.0 * np.cos(angle) + 4.0 * np.sin(angle), angle_deg=angle_deg, width_mm=0.2, sigma_mm=0.0)
    sample = spot("ceo2", x_mm=3.0, y_mm=4.0)
    on, off = (mean_of(sample, beam, parallax=has, absorption="none", lattice=True)[0] for has in (True, False))

    for d in (5.411651 / np.sqrt(3), 5.411651 / np.sqrt(8)):
        shift = ring_tangent(on, tangent_of(d) * (1 - z_mm / L_MM)) / ring_tangent(off, tangent_of(d)) - 1
        assert shift == pytest.approx(-z_mm / L_MM, abs=3e-5)


def test_a_displaced_axis_shifts_all_rings_alike() -> None:
    sample = spot("ceo2", x_mm=0.0, y_mm=0.0)
    curve = mean_of(sample, OPEN, axis_downstream_mm=2.0)[0]

    expected = tangent_of(5.411651 / np.sqrt(3)) * (1 - 2.0 / L_MM)

    assert ring_tangent(curve, expected) == pytest.approx(expected, rel=3e-5)


@pytest.mark.parametrize("scale", [0.991, 0.99999, 1.0, 1.00001, 1.0072])
def test_a_curve_of_a_layer_is_drawn_at_its_radius_and_solid_angle(scale: float) -> None:
    curve = (1 + np.sin(np.arange(4500) / 7) ** 2).astype(np.float32)
    drawn = np.zeros_like(curve)
    add_scaled(curve, scale, drawn)
    inside = np.arange(int((curve.size - 1) * min(scale, 1.0)))

    np.testing.assert_allclose(drawn[inside], np.interp(inside / scale, np.arange(curve.size), curve) / scale**2, rtol=3e-6)


def test_masses_of_states_and_moments_add_up_to_one_curve_for_each_layer_and_harmonic() -> None:
    random = np.random.default_rng(2)
    n_plain, n_states, n_nodes = 5, 3, 700
    plain = random.random((n_plain, n_nodes), dtype=np.float32)
    textured = random.random((n_states * N_HARMONICS, N_HARMONICS, n_nodes), dtype=np.float32)
    masses = random.random((4, n_plain + n_states * N_HARMONICS))
    masses[1, : n_plain + N_HARMONICS] = 0
    expected = np.einsum("lc,ckn->lkn", masses[:, n_plain:], textured)
    expected[:, 0] += masses[:, :n_plain] @ plain
    found = np.empty(expected.shape, dtype=np.float32)
    sum_curves(masses, plain, textured, found)

    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_effects_depth_changes_nothing() -> None:
    sample = spot("ceo2", x_mm=0.4, y_mm=2.0)
    beam = Beam(s_mm=0.35, angle_deg=0.0, width_mm=0.2, sigma_mm=0.0)
    grid = make_grid_of()
    deep = DeepScene(sample, grid, wavelength_angstrom=WAVELENGTH, effects=Effects()).mean(sample, beam)
    flat = FlatScene(sample.materials, grid, wavelength_angstrom=WAVELENGTH).mean(sample, beam)

    np.testing.assert_allclose(deep, flat, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(s_mm=st.floats(-3, 3), angle_deg=st.floats(0, 360), sigma_mm=st.floats(0, 0.1))
def test_strips_that_tile_the_sample_hold_all_its_mass(s_mm: float, angle_deg: float, sigma_mm: float) -> None:
    from acquisition.twin.curves import make_curves
    from acquisition.twin.deep import Layers, channel_masses, make_voxels

    sample = spot("ceo2", x_mm=1.0, y_mm=-2.0)
    curves = make_curves(
        sample, np.array([0.02, 0.03]), wavelength_angstrom=WAVELENGTH, follows_lithium=False, is_textured=False
    )
    voxels = make_voxels(sample, curves, np.zeros(sample.density_g_cm3.shape[:2], dtype=np.float32))
    layers = Layers(first_mm=-6.0, step_mm=0.5, n=25)
    places = s_mm + 0.4 * np.arange(-40, 41)
    beams = [Beam(s_mm=s, angle_deg=angle_deg, width_mm=0.4, sigma_mm=sigma_mm) for s in places]
    masses = np.sum([channel_masses(voxels, beam, layers) for beam in beams], axis=0)[:, 0]
    z_mm = -np.sin(np.radians(angle_deg)) * 1.0 + np.cos(np.radians(angle_deg)) * -2.0

    assert masses.sum() * 0.4 * 10 == pytest.approx(3.0 * 0.1**2)
    assert masses @ layers.depth_mm / masses.sum() == pytest.approx(z_mm, abs=1e-6)


def disc(radius_mm: float, *, voxel_mm: float = 0.05, n: int = 121) -> Slice:
    axis = (np.arange(n) - (n - 1) / 2) * voxel_mm
    density = 4.0 * (np.hypot(axis[:, np.newaxis], axis) <= radius_mm)
    return Slice(name="disc", materials=("cu",), density_g_cm3=density[..., np.newaxis].astype(np.float32), voxel_mm=voxel_mm)


@pytest.mark.parametrize("s_mm", [0.0, 1.0, 1.7])
def test_a_disc_transmits_as_its_chord_says(s_mm: float) -> None:
    mu = 0.1 * 4.0 * mass_attenuation("cu", wavelength_angstrom=WAVELENGTH)
    sample, beam = disc(2.0), Beam(s_mm=s_mm, angle_deg=25.0, width_mm=0.05, sigma_mm=0.0)
    bright = mean_of(sample, beam)[0]
    dark = mean_of(sample, beam, absorption="zero-order")[0]
    near = np.abs(np.tan(make_grid_of().two_theta_rad) / tangent_of(3.61496 / np.sqrt(3)) - 1) < 0.005

    assert dark[near].sum() / bright[near].sum() == pytest.approx(np.exp(-mu * 2 * np.sqrt(4.0 - s_mm**2)), rel=0.01)


def test_rays_that_leave_sideways_are_attenuated_by_their_own_way_out() -> None:
    """Against plain sums over ways through the circle, at the largest slope of the grid and both sides of the beam."""
    mu, radius, s_mm = 0.1 * 4.0 * mass_attenuation("cu", wavelength_angstrom=WAVELENGTH), 2.0, 1.2
    sample, beam = disc(radius), Beam(s_mm=s_mm, angle_deg=0.0, width_mm=0.05, sigma_mm=0.0)
    first = mean_of(sample, beam, azimuths=True, absorption="first-order")
    straight = mean_of(sample, beam, azimuths=True, absorption="zero-order")
    tangent = np.tan(make_grid_of().two_theta_rad)
    node = int(np.argmin(np.abs(tangent - tangent_of(3.61496 / np.sqrt(8)))))
    z = np.linspace(-1, 1, 401) * np.sqrt(radius**2 - s_mm**2)

    for azimuth, sign in ((0, 1), (-1, -1)):
        along = np.array([sign * tangent[node], 1.0]) / np.hypot(1, tangent[node])
        dot = s_mm * along[0] + z * along[1]
        out = -dot + np.sqrt(dot**2 + radius**2 - s_mm**2 - z**2)
        expected = np.exp(-mu * out).sum() / np.exp(-mu * (z[-1] - z)).sum()
        assert first[azimuth, node] / straight[azimuth, node] == pytest.approx(expected, rel=5e-3)


def test_the_reflection_of_nmc_is_where_its_lithium_puts_it() -> None:
    samples = {y: spot("nmc", x_mm=0, y_mm=0, lithium_y=np.full((121, 121), y, dtype=np.float32)) for y in (0.35, 0.47, 0.92)}
    effects = Effects(lattice=True, air=False)
    scene = DeepScene(samples[0.35], make_grid_of(), wavelength_angstrom=WAVELENGTH, effects=effects)
    for y, sample in samples.items():
        curve = scene.mean(sample, OPEN)[0]
        _, c = lattice_at("nmc", np.array(y))
        expected = tangent_of(float(c) / 3)
        assert ring_tangent(curve, expected, half_width=0.15) == pytest.approx(expected, rel=5e-5)


def test_states_are_close_enough_to_be_mixed() -> None:
    states = lithium_states("nmc", lowest=0.0, highest=1.0)
    a, c = lattice_at("nmc", states)

    assert np.abs(np.diff(a)).max() <= 0.0015 + 1e-9
    assert np.abs(np.diff(c)).max() <= 0.020 + 1e-9
    assert np.all(np.diff(states) > 0)


@pytest.mark.parametrize("march", [0.55, 0.7, 0.8, 1.0])
def test_the_density_of_basal_poles_is_that_of_march_and_dollase(march: float) -> None:
    cosine = np.linspace(0, 1, 50)
    series = pole_density(Fibre(axis=(0, 0, 1), march=march), cosine_beta=np.ones(1), cosine_alpha=cosine)

    np.testing.assert_allclose(series, march_dollase(cosine, march), atol=0.012 * march**-3)


@settings(deadline=None, max_examples=20)
@given(beta=st.floats(0, np.pi / 2))
def test_poles_at_any_angle_have_density_one_on_average_over_the_sphere(beta: float) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(60)
    density = pole_density(Fibre(axis=(0, 0, 1), march=0.55), cosine_beta=np.array([np.cos(beta)]), cosine_alpha=nodes)

    assert weights @ density / 2 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("normal_deg", [0.0, 35.0, 90.0])
def test_rings_of_a_textured_voxel_vary_with_azimuth_as_its_poles_do(normal_deg: float) -> None:
    normal = np.full((121, 121), np.radians(normal_deg), dtype=np.float32)
    sample = spot("graphite", x_mm=0, y_mm=0, normal_rad=normal)
    turned = Beam(s_mm=0.0, angle_deg=20.0, width_mm=0.2, sigma_mm=0.0)
    textured = mean_of(sample, turned, azimuths=True, texture=True)
    random = mean_of(sample, turned)
    grid = make_grid_of(azimuths=True)
    fibre = Fibre(axis=(0, 0, 1), march=0.55)
    cosine = np.cos(grid.azimuths_rad) * np.cos(np.radians(normal_deg - 20.0))
    # 3 g/cm3 in a voxel of 0.1 mm, spread over a strip of 0.2 mm: 0.015 g/cm2.
    haze = 0.015 * diffuse(CRYSTALS["graphite"], grid.two_theta_rad, wavelength_angstrom=WAVELENGTH)
    for d, beta in ((6.711 / 2, 0.0), (2.464 / 2, np.pi / 2)):
        node = int(np.argmin(np.abs(np.tan(grid.two_theta_rad) - tangent_of(d))))
        expected = pole_density(fibre, cosine_beta=np.array([np.cos(beta)]), cosine_alpha=cosine)
        found = (textured[:, node] - haze[node]) / (random[0, node] - haze[node])
        np.testing.assert_allclose(found, expected, rtol=0.03, atol=0.02)


def test_materials_absorb_as_the_tables_of_others_say() -> None:
    """Against Elam's tables at 103.5 keV, cm2/g: the two compilations differ by up to 2 %."""
    elam = {"fe": 0.3482, "cu": 0.4265, "al": 0.1668, "graphite": 0.1499, "nmc": 0.2848}
    for material, expected in elam.items():
        assert mass_attenuation(material, wavelength_angstrom=WAVELENGTH) == pytest.approx(expected, rel=0.025)
    assert attenuation_map(disc(1.0), wavelength_angstrom=WAVELENGTH).max() == pytest.approx(0.1 * 4 * 0.4265, rel=0.025)


def test_a_cell_has_the_attenuation_of_its_crystals() -> None:
    assert CRYSTALS["fe"].density_g_cm3 * mass_attenuation("fe", wavelength_angstrom=WAVELENGTH) == pytest.approx(
        2.742, rel=0.02
    )
