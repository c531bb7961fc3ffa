"""Crystals whose lattice may move: receives CIF files, gives reflections as functions of the lengths of the cell.

For a cell with right angles, or a hexagonal one, q = 2 pi sqrt(sum_k m_k / p_k^2), p_k being the free lengths and m_k whole
numbers of h, k, l (International Tables for Crystallography C, section 1.1). Other cells keep their lengths.
"""

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from operando.errors import ProfileError
from streaming.phases import GRAM_PER_CM3, read_small_structure, structure_factors

Array = NDArray[np.float64]

N_AXES = 3
"""Free lengths that a cell can have; those that it has not are 1 and never move."""
_LEAST_STRENGTH = 1e-6
"""Of the strongest reflection: weaker ones are left out, a hundredth of the noise of the best pattern."""
_SAME_PLACE = 1e-3
"""Of an edge: an atom that an operation moves by less stays where it is."""
_SAME_INDEX = 1e-3
"""Sums of m_k that differ by less are the same reflection; whole numbers and thirds are met."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crystal:
    """A phase as the refinement needs it."""

    name: str
    axes: tuple[str, ...]
    """Names of the free lengths, for instance ``("a", "c")``; empty for a cell of oblique angles."""
    lengths: Array
    """Free lengths as the CIF file gives them, shape (3,), angstrom; 1 beyond ``axes``."""
    metric: Array
    """m_k of each reflection, shape (n_reflections, 3)."""
    powers: Array
    """Powers with which the lengths enter the volume, shape (3,)."""
    strength: Array
    """m |F|^2 of each reflection at ``lengths``, shape (n_reflections,). That form factors change with the lengths is
    left out, some 0.3 % for a change of 1 %."""
    member: NDArray[np.intp]
    """Which reflection each h, k, l belongs to, shape (n_members,): all equivalent ones, and others of the same spacing."""
    member_strength: Array
    """|F|^2 of each, shape (n_members,): those of a reflection add up to its strength in a powder."""
    member_normal: Array
    """Unit normals of their planes on the axes of the file, shape (n_members, 3)."""
    to_cartesian: Array
    """Indices times this are normals, shape (3, 3)."""
    volume_angstrom3: float
    """At ``lengths``."""
    mass_dalton: float
    n_carbon: float

    @property
    def mass_per_c6_dalton(self) -> float:
        """Mass that goes with six carbon atoms."""
        return 6.0 * self.mass_dalton / self.n_carbon

    def q(self, lengths: Array | None = None) -> Array:
        """Give the place of each reflection, shape (n_reflections,), 1/angstrom."""
        p = self.lengths if lengths is None else lengths
        q: Array = 2 * np.pi * np.sqrt(self.metric @ (1.0 / p**2))
        return q

    def cosine_to(self, planes: tuple[int, int, int]) -> Array:
        """Give the cosine of the angle between the normal of some planes and that of each member, shape (n_members,)."""
        normal = np.array(planes, np.float64) @ self.to_cartesian
        cosine: Array = self.member_normal @ (normal / np.linalg.norm(normal))
        return cosine

    def volume(self, lengths: Array) -> float:
        """Give the volume of the unit cell, angstrom^3."""
        return float(self.volume_angstrom3 * np.prod((lengths / self.lengths) ** self.powers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What a pattern says of a crystal's atoms beside what its file says."""

    shifts: tuple[float, ...] = ()
    """Added to each coordinate that symmetry leaves free, in the order of :func:`free_coordinates`, parts of an edge."""
    b_iso: float = 0.0
    """Added to the B of every atom, angstrom^2."""


def free_coordinates(structure: gemmi.SmallStructure) -> list[tuple[int, str]]:
    """Give the atoms and axes along which symmetry lets one move: the height of oxygen in a layered oxide, for instance.

    A move is free if every operation that leaves the atom where it is leaves the move as it is.
    """
    found = []
    for index, site in enumerate(structure.sites):
        place = np.array(site.fract.tolist())
        moved = [np.array(op.apply_to_xyz(site.fract.tolist())) - place for op in structure.spacegroup.operations()]
        turns = [np.array(op.rot) / op.DEN for op in structure.spacegroup.operations()]
        staying = [turn for turn, way in zip(turns, moved, strict=True) if np.abs(way - np.round(way)).max() < _SAME_PLACE]
        for axis, along in zip("xyz", np.eye(3), strict=True):
            if all(np.allclose(turn @ along, along) for turn in staying):
                found.append((index, axis))
    return found


def _put(structure: gemmi.SmallStructure, index: int, axis: str, place: float) -> None:
    site = structure.sites[index]
    where = {one: getattr(site.fract, one) for one in "xyz"} | {axis: place}
    site.fract = gemmi.Fractional(where["x"], where["y"], where["z"])


def _adjust(structure: gemmi.SmallStructure, adjustment: Adjustment) -> None:
    for (index, axis), shift in zip(free_coordinates(structure), adjustment.shifts, strict=False):
        _put(structure, index, axis, getattr(structure.sites[index].fract, axis) + shift)
    for site in structure.sites:
        site.u_iso += adjustment.b_iso / (8 * np.pi**2)


def read_crystal(path: Path, *, name: str, q_max: float, adjustment: Adjustment | None = None) -> Crystal:
    """Read a CIF file and list its reflections up to ``q_max`` (1/angstrom), with its atoms where an adjustment puts them.

    Raises
    ------
    MissingInputError, ProfileError
        If there is no such file, or no crystal structure in it.
    """
    structure = read_small_structure(path, name=name)
    if adjustment is not None:
        _adjust(structure, adjustment)
    sites = structure.get_all_unit_cell_sites()
    hkl = gemmi.make_miller_array(structure.cell, structure.spacegroup, 2 * np.pi / q_max, 0.0, False)
    if len(hkl) == 0:
        raise ProfileError(f"phase {name}: {path} has no reflection below q = {q_max:.2f} 1/angstrom; widen integration.q_max")
    axes, powers, lengths = _free_lengths(structure)
    q = 2 * np.pi * np.sqrt(structure.cell.calculate_1_d2_array(hkl))
    metric = _metric(np.asarray(hkl, dtype=np.float64), axes, is_hexagonal=structure.cell.gamma > 119.0)
    if not axes:
        # The one length is a scale of the whole cell that stays 1.
        metric[:, 0] = (q / (2 * np.pi)) ** 2
    squared = np.abs(structure_factors(hkl, q, sites)) ** 2
    _, first, group = np.unique(np.round(metric / _SAME_INDEX), axis=0, return_index=True, return_inverse=True)
    strength = np.bincount(group.ravel(), weights=squared)
    order = np.argsort(q[first])
    first, strength = first[order], strength[order]
    is_seen = strength > _LEAST_STRENGTH * strength.max()
    place = np.full(strength.size, -1)
    place[order[is_seen]] = np.arange(int(is_seen.sum()))
    member = place[group.ravel()]
    to_cartesian = np.array(structure.cell.frac.mat.tolist())
    normals = np.asarray(hkl, dtype=np.float64) @ to_cartesian
    return Crystal(
        name=name,
        axes=axes,
        lengths=lengths,
        metric=np.ascontiguousarray(metric[first[is_seen]]),
        powers=powers,
        strength=strength[is_seen],
        member=member[member >= 0],
        member_strength=squared[member >= 0],
        member_normal=(normals / np.linalg.norm(normals, axis=1)[:, None])[member >= 0],
        to_cartesian=to_cartesian,
        volume_angstrom3=structure.cell.volume,
        mass_dalton=sum(site.occ * site.element.weight for site in sites),
        n_carbon=sum(site.occ for site in sites if site.element.name == "C"),
    )


def intensity_per_mass(crystal: Crystal, lengths: Array, *, wavelength_angstrom: float) -> Array:
    """Give the intensity of each reflection per unit mass, integrated over two theta in radian, shape (n_reflections,).

    I = m |F|^2 / (V^2 sin(theta) sin(2 theta)) per volume (Warren, X-ray Diffraction, 1969, chapter 4), over the density.
    """
    theta = np.arcsin(crystal.q(lengths) * wavelength_angstrom / (4 * np.pi))
    volume = crystal.volume(lengths)
    density = GRAM_PER_CM3 * crystal.mass_dalton / volume
    intensity: Array = crystal.strength / (volume**2 * np.sin(theta) * np.sin(2 * theta)) / density
    return intensity


def _free_lengths(structure: gemmi.SmallStructure) -> tuple[tuple[str, ...], Array, Array]:
    cell, system = structure.cell, structure.spacegroup.crystal_system_str()
    is_right = max(abs(cell.alpha - 90), abs(cell.beta - 90)) < 1e-6 and min(abs(cell.gamma - 90), abs(cell.gamma - 120)) < 1e-6
    if not is_right or system in ("triclinic", "monoclinic") or (system == "trigonal" and abs(cell.gamma - 120) > 1e-6):
        return (), np.zeros(N_AXES), np.ones(N_AXES)
    if system == "cubic":
        return ("a",), np.array([3.0, 0.0, 0.0]), np.array([cell.a, 1.0, 1.0])
    if system == "orthorhombic":
        return ("a", "b", "c"), np.ones(N_AXES), np.array([cell.a, cell.b, cell.c])
    return ("a", "c"), np.array([2.0, 1.0, 0.0]), np.array([cell.a, cell.c, 1.0])


def _metric(hkl: Array, axes: tuple[str, ...], *, is_hexagonal: bool) -> Array:
    h, k, l = hkl.T  # noqa: E741 - the indices are called so
    metric = np.zeros((len(hkl), N_AXES))
    if axes == ("a",):
        metric[:, 0] = h**2 + k**2 + l**2
    elif axes == ("a", "b", "c"):
        metric[:] = hkl**2
    elif axes == ("a", "c"):
        metric[:, 0] = 4 / 3 * (h**2 + h * k + k**2) if is_hexagonal else h**2 + k**2
        metric[:, 1] = l**2
    return metric
