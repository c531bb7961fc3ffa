"""What a gram of each material adds to the detector: a radial curve for each state of its lattice, several with texture.

A *channel* is a number that the projector adds up along a beam: the mass of one state of one material or, for a textured one,
that mass times cos(2 j psi), one channel for each j. Each plain channel has one curve; each channel of a textured material
has one for each harmonic of eta.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.lattices import crystal_at, lithium_of, lithium_states
from acquisition.twin.phases import CRYSTALS, WIDTHS_DEG
from acquisition.twin.scattering import ALL, Smooth, cross_section, diffuse, draw_reflections, powder
from acquisition.twin.slice import Slice
from acquisition.twin.structures import Reflections, Structure, diffraction
from acquisition.twin.texture import N_HARMONICS, TEXTURES, Fibre, even_legendre, harmonics, legendre_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """How the projector treats one material of the slice."""

    name: str
    first_channel: int
    """Among the plain channels, or among the textured ones."""
    is_textured: bool
    lithium: NDArray[np.float64]
    """Lithium content of each state, ascending, shape (state,); one state where the lattice is fixed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """The curves of all channels, cm^2/sr/g, at the radial nodes."""

    materials: tuple[Material, ...]
    plain: NDArray[np.float32]
    """Shape (channel, node)."""
    textured: NDArray[np.float32]
    """Shape (channel, harmonic, node): factors of cos(2 k eta)."""


def make_curves(
    sample: Slice,
    two_theta_rad: NDArray[np.float64],
    *,
    wavelength_angstrom: float,
    follows_lithium: bool,
    is_textured: bool,
    smooth: Smooth = ALL,
) -> Curves:
    """Prepare the curves for a sample, and for all the lithium contents that its lattice curves know."""
    plain: list[NDArray[np.float64]] = []
    textured: list[NDArray[np.float64]] = []
    materials = []
    nodes = two_theta_rad
    for name in sample.materials:
        lithium = _states(sample, name) if follows_lithium else np.zeros(1)
        is_fibre = is_textured and name in TEXTURES
        materials.append(
            Material(name=name, first_channel=len(textured if is_fibre else plain), is_textured=is_fibre, lithium=lithium)
        )
        for content in lithium:
            crystal = _crystal(name, float(content), is_variable=lithium.size > 1)
            if is_fibre and crystal is not None:
                width_deg = WIDTHS_DEG[name]
                textured += list(
                    _textured(crystal, TEXTURES[name], width_deg, nodes, wavelength_angstrom=wavelength_angstrom, smooth=smooth)
                )
            else:
                plain.append(_plain(name, crystal, nodes, wavelength_angstrom=wavelength_angstrom, smooth=smooth))
    n_nodes = two_theta_rad.size
    return Curves(
        materials=tuple(materials),
        plain=np.array(plain, dtype=np.float32).reshape(-1, n_nodes),
        textured=np.array(textured, dtype=np.float32).reshape(-1, N_HARMONICS, n_nodes),
    )


def state_places(sample: Slice, curves: Curves) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give each voxel's place among the states of the materials that have several.

    Returns
    -------
    places
        Shape (y, x, variable material); between states k and k + 1 a voxel holds a place between k and k + 1.
    column_of
        For each material of the slice its column in ``places``, -1 where there is one state; shape (material,).
    """
    lithium = lithium_of(sample)
    columns: list[NDArray[np.floating]] = []
    column_of = np.full(len(curves.materials), -1, dtype=np.int64)
    for index, material in enumerate(curves.materials):
        if material.lithium.size > 1:
            column_of[index] = len(columns)
            content = np.nan_to_num(lithium[material.name], nan=float(material.lithium[0]))
            columns.append(np.interp(content, material.lithium, np.arange(material.lithium.size)))
    shape = sample.density_g_cm3.shape[:2]
    places = np.stack(columns, axis=-1) if columns else np.zeros((*shape, 1))
    return np.ascontiguousarray(places, dtype=np.float32), column_of


def _states(sample: Slice, material: str) -> NDArray[np.float64]:
    if material not in lithium_of(sample):
        return np.zeros(1)
    # The whole curve: the sample of another time may hold what this one does not.
    return lithium_states(material, lowest=0.0, highest=1.0)


def _crystal(material: str, lithium: float, *, is_variable: bool) -> Structure | None:
    return crystal_at(material, lithium) if is_variable else CRYSTALS.get(material)


def _plain(
    material: str, crystal: Structure | None, two_theta_rad: NDArray[np.float64], *, wavelength_angstrom: float, smooth: Smooth
) -> NDArray[np.float64]:
    if crystal is None:
        return cross_section(material, two_theta_rad, wavelength_angstrom=wavelength_angstrom, smooth=smooth)
    peaks = powder(crystal, two_theta_rad, wavelength_angstrom=wavelength_angstrom, width_deg=WIDTHS_DEG[material])
    return peaks + diffuse(crystal, two_theta_rad, wavelength_angstrom=wavelength_angstrom, smooth=smooth)


def _textured(
    crystal: Structure,
    fibre: Fibre,
    width_deg: float,
    two_theta_rad: NDArray[np.float64],
    *,
    wavelength_angstrom: float,
    smooth: Smooth,
) -> NDArray[np.float64]:
    """Give the curves of one textured state, shape (j, k, node); what is not a reflection has no preferred direction."""
    every = diffraction(crystal, q_max=4 * np.pi / wavelength_angstrom * np.sin(two_theta_rad[-1] / 2))
    axis = np.asarray(fibre.axis) / np.linalg.norm(fibre.axis)
    beta = every.direction @ axis
    groups, group_of = np.unique(np.round(every.q, 9), return_inverse=True)
    weighted = []
    for half, weight in enumerate(legendre_weights(fibre.march)):
        moments = np.bincount(group_of, weights=weight * every.squared * even_legendre(half, beta), minlength=groups.size)
        lines = Reflections(q=groups, intensity=moments.astype(np.float64))
        weighted.append(
            draw_reflections(
                lines, crystal, two_theta_rad, wavelength_angstrom=wavelength_angstrom, width_rad=np.radians(width_deg)
            )
        )
    curves = np.einsum("hjk,hn->jkn", harmonics(), np.array(weighted))
    curves[0, 0] += diffuse(crystal, two_theta_rad, wavelength_angstrom=wavelength_angstrom, smooth=smooth)
    return curves
