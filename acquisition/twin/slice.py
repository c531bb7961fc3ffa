"""A slice through a sample: how much of each material is where. What the projector projects and the truth file keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xraydb
from numpy.typing import NDArray

from acquisition.twin.phases import CRYSTALS, LITHIUM_X


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """The true sample on a square grid around the rotation axis; y upwards, x to the right, both in the sample's frame."""

    name: str
    materials: tuple[str, ...]
    density_g_cm3: NDArray[np.float32]
    """Mass of each material in a volume of the sample, shape (y, x, material), g/cm3."""
    voxel_mm: float
    """Edge of a voxel."""
    lithium_y: NDArray[np.float32] | None = None
    """y in LiyNMC of the active cathode, shape (y, x), NaN where there is none; None leaves all of it at one lattice."""
    normal_rad: NDArray[np.float32] | None = None
    """Direction of the layers' normal in the sample's frame, from x towards y, shape (y, x); None where nothing is layered."""

    @property
    def axis_mm(self) -> NDArray[np.float64]:
        """Centres of the voxels along x, and along y, shape (n,), mm."""
        n = self.density_g_cm3.shape[0]
        return (np.arange(n) - (n - 1) / 2) * self.voxel_mm

    def density_of(self, material: str) -> NDArray[np.float32]:
        """Give the mass density of one material, shape (y, x), g/cm3; zero where the sample has none of it."""
        if material not in self.materials:
            return np.zeros(self.density_g_cm3.shape[:2], dtype=np.float32)
        return self.density_g_cm3[..., self.materials.index(material)]

    @property
    def lithium_x(self) -> NDArray[np.float64]:
        """Lithium content x in LixC6, shape (y, x); NaN where there is no anode."""
        carbon = {name: self.density_of(name) / grams_per_c6(name) for name in LITHIUM_X}
        return lithium_from_amounts(carbon)


class SampleHistory(Protocol):
    """A sample that changes with time: piecewise constant, and the same object for all times of one piece."""

    def slice_at(self, time_s: float) -> Slice:
        """Give the sample as it is at a time, Unix epoch; from any thread."""
        ...

    def cell_at(self, time_s: float) -> Mapping[str, float]:
        """Give the state of the cell at a time, for instance ``voltage_v``; always the same names, none without a cell."""
        ...


def grams_per_c6(phase: str) -> float:
    """Give the mass of a graphite phase that holds one mole of C6, g/mol."""
    contents = CRYSTALS[phase].contents
    grams = sum(count * float(xraydb.atomic_mass(element)) for element, count in contents.items())
    return grams * 6 / contents["C"]


def lithium_from_amounts(moles_c6: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
    """Give x in LixC6 from the moles of C6 in each graphite phase, arrays of one shape; NaN where there are none."""
    total = np.sum(list(moles_c6.values()), axis=0)
    lithium = np.sum([moles * LITHIUM_X[name] for name, moles in moles_c6.items()], axis=0)
    return np.divide(lithium, total, out=np.full(total.shape, np.nan), where=total > 0)


def graphite_phases(x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Give the part of the C6 units in each graphite phase at lithium content ``x``.

    Two phases at a time: graphite and LiC12 up to x = 0.5, LiC12 and LiC6 above. The dilute stages between graphite and LiC12
    (stages 4, 3 and 2L) are left out: a stated simplification.
    """
    lic6 = np.clip(2 * x - 1, 0, 1)
    graphite = np.clip(1 - 2 * x, 0, 1)
    return {"graphite": graphite, "lic12": 1 - lic6 - graphite, "lic6": lic6}


STAGES = ("graphite", "lic30", "lic12", "lic6")
"""Stages of graphite that fill one after the other; between two of them both are there, as the lever rule says."""


def graphite_stages(x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Give the part of the C6 units in each stage at lithium content ``x``: with LiC30 between graphite and LiC12."""
    contents = np.array([LITHIUM_X[stage] for stage in STAGES])
    corners = np.eye(len(STAGES))
    return {stage: np.interp(x, contents, corner) for stage, corner in zip(STAGES, corners, strict=True)}


def grams_per_cathode_unit(phase: str) -> float:
    """Give the mass of an oxide that holds one mole of formula units, two oxygen atoms in each, g/mol."""
    contents = CRYSTALS[phase].contents
    grams = sum(count * float(xraydb.atomic_mass(element)) for element, count in contents.items())
    return grams * 2 / contents["O"]
