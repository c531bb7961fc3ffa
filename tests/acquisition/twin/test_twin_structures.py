from pathlib import Path

import gemmi
import numpy as np
import pytest

from acquisition.twin.phases import CRYSTALS
from acquisition.twin.structures import Site, Structure, form_factor, reflections
from operando.profile import profiles_folder


def structure_from_cif(path: Path) -> Structure:
    small = gemmi.read_small_structure(str(path))
    sites = tuple(
        Site(occupants={atom.element.name: atom.occ}, b_iso=8 * np.pi**2 * atom.u_iso, positions=(tuple(atom.fract.tolist()),))
        for atom in small.get_all_unit_cell_sites()
    )
    cell = small.cell
    return Structure(a_angstrom=cell.a, c_angstrom=cell.c, is_hexagonal=cell.gamma == 120, sites=sites)


def gemmi_reflections(path: Path, *, q_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Sums of |F|^2 over the reflections of equal q, by other software and other form factors."""
    small = gemmi.read_small_structure(str(path))
    small.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    found: dict[float, float] = {}
    reach = range(-16, 17)
    for hkl in ((h, k, m) for h in reach for k in reach for m in range(-18, 19) if (h, k, m) != (0, 0, 0)):
        if (q := 2 * np.pi / small.cell.calculate_d(hkl)) <= q_max:
            factor = calculator.calculate_sf_from_small_structure(small, hkl)
            found[round(q, 6)] = found.get(round(q, 6), 0.0) + abs(factor) ** 2
    strong = sorted((q, value) for q, value in found.items() if value > 1e-6 * max(found.values()))
    q, values = np.array(strong).T
    return q, values


@pytest.mark.parametrize("name", ["Iron", "Copper", "Aluminium", "LiCoO2"])
def test_sums_over_published_structures_agree_with_gemmi(name: str, data_folder: Path) -> None:
    path = data_folder / "Dans_Diffraction" / f"{name}.cif"
    ours = reflections(structure_from_cif(path), q_max=6.0)
    q, intensity = gemmi_reflections(path, q_max=6.0)

    assert ours.q == pytest.approx(q, rel=1e-5)
    assert ours.intensity == pytest.approx(intensity, rel=0.01)


@pytest.mark.parametrize("name", ["fe", "cu", "al", "nmc", "graphite", "lic12", "lic6"])
def test_the_phases_reflect_where_the_analysis_looks_for_them(name: str) -> None:
    ours = reflections(CRYSTALS[name], q_max=5.5)
    q, intensity = gemmi_reflections(profiles_folder() / "demo" / "phases" / f"{name}.cif", q_max=5.5)
    strong = intensity > 0.02 * intensity.max()
    nearest = np.abs(ours.q[:, np.newaxis] - q[strong]).argmin(axis=0)

    assert ours.q[nearest] == pytest.approx(q[strong], rel=1e-5)
    assert ours.intensity[nearest] == pytest.approx(intensity[strong], rel=0.2)


@pytest.mark.parametrize(
    ("name", "density_g_cm3"), [("fe", 7.874), ("cu", 8.96), ("al", 2.70), ("graphite", 2.26), ("ceo2", 7.215), ("lic6", 2.2)]
)
def test_crystals_have_the_density_of_handbooks(name: str, density_g_cm3: float) -> None:
    assert CRYSTALS[name].density_g_cm3 == pytest.approx(density_g_cm3, rel=0.005)


@pytest.mark.parametrize(
    ("name", "d_angstrom"),
    [("fe", 2.8665), ("cu", 3.61496), ("al", 4.0495 / np.sqrt(2)), ("graphite", 6.711), ("nmc", 14.5), ("nmc", 14.5 / 2)],
)
def test_extinct_reflections_are_absent(name: str, d_angstrom: float) -> None:
    lines = reflections(CRYSTALS[name], q_max=6.0)

    assert np.abs(lines.q * d_angstrom / (2 * np.pi) - 1).min() > 1e-6


@pytest.mark.parametrize(
    ("name", "d_angstrom"), [("nmc", 14.5 / 3), ("graphite", 6.711 / 2), ("lic12", 7.065 / 2), ("lic6", 3.706)]
)
def test_marker_reflections_of_the_electrodes_are_present(name: str, d_angstrom: float) -> None:
    lines = reflections(CRYSTALS[name], q_max=6.0)

    assert np.abs(lines.q * d_angstrom / (2 * np.pi) - 1).min() < 1e-9


@pytest.mark.parametrize(("element", "electrons"), [("Li", 3), ("C", 6), ("O", 8), ("Fe", 26), ("Ce", 58)])
def test_forward_scattering_counts_the_electrons(element: str, electrons: int) -> None:
    assert form_factor(element, np.zeros(1))[0] == pytest.approx(electrons, abs=0.02)
