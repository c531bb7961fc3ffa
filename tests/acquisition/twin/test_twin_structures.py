from pathlib import Path

import gemmi
import numpy as np
import pytest

from acquisition.twin.phases import CRYSTALS
from acquisition.twin.scattering import powder
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


def write_cif(structure: Structure, path: Path) -> None:
    """Write every atom of the cell, without symmetry: another program then shares nothing with us but the atoms."""
    gamma = 120 if structure.is_hexagonal else 90
    lines = ["data_cell", "_symmetry_space_group_name_H-M 'P 1'", "_cell_angle_alpha 90", "_cell_angle_beta 90"]
    lines += [f"_cell_length_{axis} {structure.a_angstrom}" for axis in "ab"]
    lines += [f"_cell_length_c {structure.c_angstrom}", f"_cell_angle_gamma {gamma}", "loop_"]
    lines += [f"_atom_site_{key}" for key in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")]
    lines += ["_atom_site_occupancy", "_atom_site_U_iso_or_equiv"]
    number = 0
    for site in structure.sites:
        for element, occupancy in site.occupants.items():
            for x, y, z in site.positions:
                number += 1
                u_iso = site.b_iso / (8 * np.pi**2)
                lines.append(f"{element}{number} {element} {x:.9f} {y:.9f} {z:.9f} {occupancy:.9f} {u_iso:.9f}")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", list(CRYSTALS))
def test_the_pattern_of_a_phase_is_that_of_an_independent_calculator(name: str, tmp_path: Path) -> None:
    """Dans_Diffraction, with its own indexing, sums and form factors: positions to 1e-5, intensities to 2 %."""
    dans = pytest.importorskip("Dans_Diffraction")
    write_cif(CRYSTALS[name], tmp_path / "cell.cif")
    crystal = dans.Crystal(str(tmp_path / "cell.cif"))
    crystal.Scatter.setup_scatter(scattering_type="xray", output=False)
    reach = np.arange(-20, 21)
    hkl = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[np.any(hkl != 0, axis=1)]
    q = crystal.Cell.Qmag(hkl)
    inside = q < 7.5
    squared = crystal.Scatter.intensity(hkl[inside])
    groups, group_of = np.unique(np.round(q[inside], 6), return_inverse=True)
    theirs = np.bincount(group_of, weights=squared)
    strong = theirs > 1e-3 * theirs.max()
    ours = reflections(CRYSTALS[name], q_max=7.6)
    nearest = np.abs(ours.q[:, np.newaxis] - groups[strong]).argmin(axis=0)

    assert np.count_nonzero(strong) >= 4
    assert ours.q[nearest] == pytest.approx(groups[strong], rel=1e-5)
    assert ours.intensity[nearest] == pytest.approx(theirs[strong], rel=0.02)


def powder_sticks(structure: Structure, path: Path, *, wavelength: float) -> tuple[np.ndarray, np.ndarray]:
    """Give q and intensity of the powder pattern of Dans_Diffraction, with its own Lorentz factor 1/q^2 for areas in q."""
    dans = pytest.importorskip("Dans_Diffraction")
    write_cif(structure, path)
    scatter = dans.Crystal(str(path)).Scatter
    scatter.setup_scatter(
        scattering_type="xray", energy_kev=12.398419843 / wavelength, min_twotheta=1.0, max_twotheta=7.0, output=False
    )
    stick = np.array([1.0])
    q, intensity, _ = scatter.powder(units="q", pixels=300_000, powder_average=True, custom_peak=stick, background=0)
    return q[intensity > 0], intensity[intensity > 0]


@pytest.mark.parametrize("name", ["cu", "nmc", "graphite", "lic12", "ceo2"])
def test_the_drawn_pattern_is_that_of_an_independent_calculator(name: str, tmp_path: Path) -> None:
    """Curve against curve, Lorentz factors included: areas in q and centroids of what stands alone in the pattern."""
    wavelength, apart = 0.119791, 0.012
    theirs_q, theirs = powder_sticks(CRYSTALS[name], tmp_path / "cell.cif", wavelength=wavelength)
    nodes = np.radians(np.arange(1.0, 7.0, 5e-5))
    q = 4 * np.pi / wavelength * np.sin(nodes / 2)
    drawn = powder(CRYSTALS[name], nodes, wavelength_angstrom=wavelength, width_deg=5e-4) * np.gradient(q)
    starts = np.flatnonzero(np.diff(theirs_q, prepend=0.0) > apart)
    areas = np.add.reduceat(theirs, starts)
    centres = np.add.reduceat(theirs * theirs_q, starts) / areas
    edges = np.stack([theirs_q[starts] - apart / 2, theirs_q[[*(starts[1:] - 1), -1]] + apart / 2], axis=-1)
    strong = (areas > 0.02 * areas.max()) & (edges[:, 1] < q[-1])
    ours = np.array(
        [
            [part.sum(), part @ q[here] / part.sum()]
            for here in (slice(*np.searchsorted(q, pair)) for pair in edges[strong])
            for part in [drawn[here]]
        ]
    )

    assert np.count_nonzero(strong) >= 4
    assert ours[:, 1] == pytest.approx(centres[strong], rel=1e-5)
    assert ours[:, 0] / ours[:, 0].sum() == pytest.approx(areas[strong] / areas[strong].sum(), rel=0.02)
    # The Lorentz factor decides: without it the first and the last would be off by their ratio of q squared.
    assert (ours[-1, 0] / ours[0, 0]) / (areas[strong][-1] / areas[strong][0]) == pytest.approx(1, abs=0.02)
    assert (centres[strong][-1] / centres[strong][0]) ** 2 > 2
