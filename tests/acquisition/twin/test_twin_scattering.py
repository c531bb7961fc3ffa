import numpy as np
import pytest
import xraydb

from acquisition.twin.incoherent import SCATTERED, incoherent_electrons
from acquisition.twin.phases import AMORPHOUS, CRYSTALS
from acquisition.twin.scattering import compton, cross_section, powder, pseudo_voigt
from acquisition.twin.structures import Site, Structure, form_factor

WAVELENGTH = 0.119791
TWO_THETA = np.radians(np.arange(0.5, 9, 0.001))


def test_a_peak_has_unit_area_and_its_stated_width() -> None:
    offset = np.linspace(-200, 200, 400_001)
    peak = pseudo_voigt(offset, width=1.0)

    assert np.trapezoid(peak, offset) == pytest.approx(1, abs=1e-3)
    assert pseudo_voigt(np.array([0.5]), width=1.0)[0] == pytest.approx(peak.max() / 2)


def test_the_area_of_a_reflection_is_that_of_warren() -> None:
    """Copper 111 by hand: r_e^2 lambda^3 m |F|^2 / (8 pi V^2 sin(theta) sin(2 theta)), a gram having 1/density cm3."""
    copper = CRYSTALS["cu"]
    d = 3.61496 / np.sqrt(3)
    theta = np.arcsin(WAVELENGTH / (2 * d))
    # f0 of Cu at sin(theta)/lambda = 0.2396 is 22.0 electrons (International Tables C, 6.1.1.1: 22.05 there).
    squared = (4 * 22.05 * np.exp(-0.55 / (4 * d**2))) ** 2
    volume_cm3 = 3.61496**3 * 1e-24
    expected = (2.818e-13) ** 2 * (WAVELENGTH * 1e-8) ** 3 * 8 * squared / 8.93
    expected /= 8 * np.pi * volume_cm3**2 * np.sin(theta) * np.sin(2 * theta)
    curve = powder(copper, TWO_THETA, wavelength_angstrom=WAVELENGTH, width_deg=0.03)
    near = np.abs(TWO_THETA - 2 * theta) < np.radians(0.2)

    assert np.trapezoid(curve[near], TWO_THETA[near]) == pytest.approx(expected, rel=0.02)


def test_a_larger_cell_of_the_same_crystal_scatters_the_same() -> None:
    single = Structure(
        a_angstrom=3.0,
        c_angstrom=3.0,
        is_hexagonal=False,
        sites=(Site(occupants={"Fe": 1.0}, b_iso=0.4, positions=((0, 0, 0),)),),
    )
    doubled_site = Site(occupants={"Fe": 1.0}, b_iso=0.4, positions=((0, 0, 0), (0, 0, 0.5)))
    doubled = Structure(a_angstrom=3.0, c_angstrom=6.0, is_hexagonal=False, sites=(doubled_site,))
    curves = [powder(one, TWO_THETA, wavelength_angstrom=WAVELENGTH, width_deg=0.05) for one in (single, doubled)]

    assert curves[1] == pytest.approx(curves[0], rel=1e-6)


def test_free_electrons_scatter_incoherently_at_large_q_only() -> None:
    thomson = (2.8179e-13) ** 2 * 6.022e23 / 12.011

    assert compton({"C": 1.0}, np.array([1e-6]))[0] == pytest.approx(0, abs=0.01 * thomson)
    assert compton({"C": 1.0}, np.array([60.0]))[0] == pytest.approx(6 * thomson, rel=0.02)


def test_incoherent_scattering_of_carbon_is_that_of_another_table() -> None:
    """Balyuzi, Acta Cryst. A31 (1975) 600: Z minus five Gaussians; the simple form Z - f^2/Z is far from both."""
    heights, widths = (0.7568, 2.5511, 0.7051, 1.4605, 0.5263), (82.2385, 31.7282, 11.9471, 1.4637, 0.5150)
    q = np.array([1.5, 2.5, 4.0, 5.0, 6.0, 8.0])
    other = 6 - sum(height * np.exp(-width * (q / (4 * np.pi)) ** 2) for height, width in zip(heights, widths, strict=True))
    ours = incoherent_electrons("C", q)

    assert ours == pytest.approx(other, rel=0.17)
    assert ours[2:] == pytest.approx(other[2:], rel=0.05)
    assert np.all((6 - form_factor("C", q) ** 2 / 6)[:2] > 1.25 * other[:2])


def test_incoherent_scattering_grows_with_q_to_all_electrons() -> None:
    q = np.linspace(0, 120, 2000)
    for element in SCATTERED:
        electrons = incoherent_electrons(element, q)
        assert electrons[0] == 0
        assert np.all(np.diff(electrons) >= 0)
        assert electrons[-1] == pytest.approx(xraydb.atomic_number(element))


@pytest.mark.parametrize("material", [*CRYSTALS, *AMORPHOUS])
def test_every_material_scatters_a_finite_positive_amount(material: str) -> None:
    curve = cross_section(material, np.radians(np.linspace(0, 11, 3000)[1:]), wavelength_angstrom=WAVELENGTH)

    assert np.all(np.isfinite(curve))
    assert np.all(curve > 0)


def test_amorphous_materials_have_no_reflections() -> None:
    step = np.diff(cross_section("electrolyte", TWO_THETA, wavelength_angstrom=WAVELENGTH))

    assert np.abs(step).max() < 1e-3
