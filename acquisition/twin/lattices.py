"""Lattice parameters that follow lithium: the twin's own curves, and the crystals that a slice needs along them.

NMC532: published pairs of a and c with assigned y, a model between and beyond them (origin of each row beside it; the analysis
reads a file of its own). NMC811: published are the longest c, c at 4.3 V and the loss of volume; a model between.

Graphite: dilute lithium opens the layers up to x = 0.04 (after Dahn, Phys. Rev. B 44 (1991) 9170); beyond that, two phases of
fixed lattice coexist at a time, and x moves their amounts.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.phases import CRYSTALS, NMC_OXYGEN_Z, layered_oxide
from acquisition.twin.slice import Slice
from acquisition.twin.structures import Structure

NMC_CURVE = np.array(
    [
        # y, a, c in angstrom
        (0.20, 2.8160, 13.800),  # shape from the literature: c falls by 5 %
        (0.25, 2.8170, 14.250),  # shape, recalled
        (0.32, 2.8190, 14.472),  # published c of a charged C/20 cell; a assumed, y from the lithium balance
        (0.42, 2.8220, 14.508),  # published pair of a charged C/2 cell, y from the lithium balance
        (0.50, 2.8245, 14.500),  # interpolation
        (0.60, 2.8300, 14.470),  # interpolation
        (0.75, 2.8420, 14.400),  # interpolation
        (0.90, 2.8560, 14.329),  # published pair of a discharged C/2 cell, y assigned
        (0.92, 2.8590, 14.316),  # published pair of a discharged C/20 cell, y assigned
        (1.00, 2.8700, 14.240),  # pristine, recalled
    ]
)
NMC811_CURVE = np.array(
    [
        # y, a, c in angstrom; published: Kondrakov et al., J. Phys. Chem. C 121 (2017) 3286
        (0.20, 2.8145, 14.030),  # published c at 4.3 V; a from the published loss of volume, 5.1 %
        (0.25, 2.8148, 14.180),  # shape: the collapse of c
        (0.30, 2.8160, 14.300),  # shape
        (0.40, 2.8200, 14.430),  # shape
        (0.50, 2.8260, 14.467),  # published largest c; a interpolated
        (0.60, 2.8335, 14.450),  # interpolation
        (0.75, 2.8470, 14.370),  # interpolation
        (0.90, 2.8615, 14.270),  # interpolation
        (1.00, 2.8720, 14.200),  # pristine, recalled
    ]
)
GRAPHITE_CURVE = np.array([(0.0, 2.4640, 6.711), (0.04, 2.4650, 6.732)])
"""x, a, c in angstrom: layers from 3.3555 to 3.366 angstrom."""
CURVES = {"nmc": NMC_CURVE, "nmc811": NMC811_CURVE, "graphite": GRAPHITE_CURVE}
ACTIVE_OXIDES = ("nmc", "nmc811")
"""Cathodes that take part; a sample has one of them."""

LARGEST_STEP_A, LARGEST_STEP_C = 0.0015, 0.020
"""Between two neighbouring states, angstrom: a reflection of the mixture is at most 1 % wider than one of a crystal between."""


def lattice_at(material: str, lithium: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give a and c of an active oxide at y, or of ``graphite`` at x, in angstrom; beyond its ends a curve stays where it is."""
    curve = CURVES[material]
    return np.interp(lithium, curve[:, 0], curve[:, 1]), np.interp(lithium, curve[:, 0], curve[:, 2])


def lithium_states(material: str, *, lowest: float, highest: float) -> NDArray[np.float64]:
    """Give ascending lithium contents that cover a range, close enough to mix neighbours; knots of the curve are among them."""
    curve = CURVES[material]
    first, last = np.clip((lowest, highest), curve[0, 0], curve[-1, 0])
    knots = np.unique([first, *curve[(curve[:, 0] > first) & (curve[:, 0] < last), 0], last])
    states = [knots[:1]]
    for low, high in itertools.pairwise(knots):
        a, c = lattice_at(material, np.array([low, high]))
        n = int(np.ceil(max(abs(a[1] - a[0]) / LARGEST_STEP_A, abs(c[1] - c[0]) / LARGEST_STEP_C, 1)))
        states.append(np.linspace(low, high, n + 1)[1:])
    return np.concatenate(states)


def crystal_at(material: str, lithium: float) -> Structure:
    """Give the crystal of a material at its lithium content."""
    a, c = (float(value) for value in lattice_at(material, np.array(lithium)))
    if material in ACTIVE_OXIDES:
        metals = CRYSTALS[material].sites[0].occupants
        return layered_oxide(metals, lithium=lithium, a_angstrom=a, c_angstrom=c, oxygen_z=NMC_OXYGEN_Z)
    return replace(CRYSTALS[material], a_angstrom=a, c_angstrom=c)


def lithium_of(sample: Slice) -> Mapping[str, NDArray[np.floating]]:
    """Give the lithium that decides about each material's lattice, shape (y, x), NaN where there is none of it."""
    found: dict[str, NDArray[np.floating]] = {}
    if sample.lithium_y is not None:
        found |= {oxide: sample.lithium_y for oxide in ACTIVE_OXIDES if oxide in sample.materials}
    if "graphite" in sample.materials:
        found["graphite"] = np.minimum(sample.lithium_x, GRAPHITE_CURVE[-1, 0])
    return found


def lattice_maps(sample: Slice, *, follows_lithium: bool) -> dict[str, NDArray[np.float32]]:
    """Give a and c of every crystal of the sample, shape (y, x), angstrom, by the names ``a/nmc``; NaN where there is none."""
    lithium = lithium_of(sample) if follows_lithium else {}
    maps = {}
    for material in (name for name in sample.materials if name in CRYSTALS):
        is_there = sample.density_of(material) > 0
        crystal = CRYSTALS[material]
        a, c = (np.full(is_there.shape, value) for value in (crystal.a_angstrom, crystal.c_angstrom))
        if material in lithium:
            a, c = lattice_at(material, lithium[material])
        for axis, value in (("a", a), ("c", c)):
            maps[f"{axis}/{material}"] = np.where(is_there, value, np.nan).astype(np.float32)
    return maps
