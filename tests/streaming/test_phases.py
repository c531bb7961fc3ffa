"""Phase templates: structures from CIF, and the powder pattern of unit mass."""

from pathlib import Path

import numpy as np
import pytest
import xraydb

from operando.errors import MissingInputError, ProfileError
from operando.profile import read_profile
from streaming.channels import background_functions, make_pattern_model
from streaming.phases import powder_template, q_edges_from_centres, read_structure, two_theta_from_q

PHASES = Path(__file__).parents[2] / "profiles" / "demo" / "phases"
WAVELENGTH = 0.11979


@pytest.mark.parametrize(
    ("name", "d_first", "density"),
    [("fe", 2.0269, 7.87), ("cu", 2.0871, 8.94), ("al", 2.3380, 2.70), ("nmc", 4.8333, 4.63), ("graphite", 3.3555, 2.26)],
)
def test_first_reflection_and_density_of_each_demo_phase(name: str, d_first: float, density: float) -> None:
    structure = read_structure(PHASES / f"{name}.cif", name=name, q_max=5.5)
    assert 2 * np.pi / structure.q[0] == pytest.approx(d_first, abs=2e-4)
    assert structure.density_g_cm3 == pytest.approx(density, rel=0.01)


@pytest.mark.parametrize(("name", "mass"), [("graphite", 72.07), ("lic12", 75.54), ("lic6", 79.01)])
def test_mass_that_goes_with_six_carbon_atoms(name: str, mass: float) -> None:
    assert read_structure(PHASES / f"{name}.cif", name=name, q_max=5.5).mass_per_c6_dalton == pytest.approx(mass, abs=0.01)


def test_strength_is_multiplicity_times_structure_factor_squared() -> None:
    iron = read_structure(PHASES / "fe.cif", name="fe", q_max=3.2)
    s = iron.q[0] / (4 * np.pi)
    # Twelve {110} planes, two atoms in phase; form factor from another table (Waasmaier and Kirfel 1995).
    expected = 12 * (2 * xraydb.f0("Fe", s)[0] * np.exp(-0.35 * s**2)) ** 2
    assert iron.strength[0] == pytest.approx(expected, rel=0.01)


def test_reflections_agree_with_published_structures(data_folder: Path) -> None:
    published = read_structure(data_folder / "Dans_Diffraction" / "Copper.cif", name="cu", q_max=5.5)
    ours = read_structure(PHASES / "cu.cif", name="cu", q_max=5.5)
    np.testing.assert_allclose(ours.q, published.q, rtol=1e-5)
    # The published file has no thermal motion, ours B = 0.55 square angstrom.
    motion = np.exp(-2 * 0.55 * (ours.q / (4 * np.pi)) ** 2)
    np.testing.assert_allclose(ours.strength, published.strength * motion, rtol=1e-4)


def test_template_integrates_to_the_powder_formula_whatever_the_width() -> None:
    aluminium = read_structure(PHASES / "al.cif", name="al", q_max=4.0)
    edges = np.linspace(1.0, 5.0, 4001)
    two_theta = two_theta_from_q(edges, wavelength_angstrom=WAVELENGTH)
    centre = two_theta_from_q(aluminium.q, wavelength_angstrom=WAVELENGTH)
    expected = np.sum(aluminium.strength / (aluminium.volume_angstrom3**2 * np.sin(centre / 2) * np.sin(centre)))
    for fwhm_deg in (0.02, 0.1):
        template = powder_template(aluminium, q_edges=edges, wavelength_angstrom=WAVELENGTH, fwhm_deg=fwhm_deg)
        assert np.sum(template * np.diff(two_theta)) * aluminium.density_g_cm3 == pytest.approx(expected, rel=1e-6)


def test_background_functions_are_a_partition_of_one() -> None:
    q = np.linspace(1.1, 5.5, 200)
    for n_functions in (2, 3, 8, 20):
        functions = background_functions(q, n_functions=n_functions)
        assert functions.shape == (200, n_functions)
        np.testing.assert_allclose(functions.sum(axis=1), 1.0)
        assert functions.min() >= 0


def test_demo_profile_makes_a_model_on_its_own_grid() -> None:
    profile = read_profile("demo")
    model = make_pattern_model(profile)
    assert model.n_phases == len(profile.phases)
    assert model.templates.shape == (profile.integration.n_radial, model.n_phases + profile.reconstruction.n_background)
    np.testing.assert_allclose(q_edges_from_centres(model.q)[[0, -1]], [profile.integration.q_min, profile.integration.q_max])


def test_missing_and_foreign_structure_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="phase fe: no structure file"):
        read_structure(tmp_path / "fe.cif", name="fe", q_max=5.0)
    (tmp_path / "fe.cif").write_text("not a structure\n")
    with pytest.raises(ProfileError, match="phase fe"):
        read_structure(tmp_path / "fe.cif", name="fe", q_max=5.0)
    (tmp_path / "fe.cif").write_text("data_empty\n_cell_length_a 3\n")
    with pytest.raises(ProfileError, match="lacks cell, space group or atoms"):
        read_structure(tmp_path / "fe.cif", name="fe", q_max=5.0)
