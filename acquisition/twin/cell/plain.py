"""Cells that are not wound: one particle, and a flat cell against lithium metal; a slice for any state of their history.

Lithium metal scatters and absorbs next to nothing and is left out.
"""

from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import FARADAY_AH_MOL, NMC811_G_CM3, CellMake, ParticleMake
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import Slice, grams_per_cathode_unit

Field = NDArray[np.float64]
OXIDE = "nmc811"


class StatefulSample(Protocol):
    """A sample that can be given any state of its history; nothing in it changes."""

    def slice_of(self, name: str, x: Field, y: Field, *, x_behind: float, y_behind: float) -> Slice:
        """Give the slice at the lithium ``x`` and ``y`` through the coatings, and what a lagging place is behind."""
        ...


class Particle:
    """A sphere cut through its middle; lithium is the same all over a shell."""

    def __init__(self, make: ParticleMake) -> None:
        radius_mm = make.radius_um * 1e-3
        self._voxel_mm = radius_mm / 24
        n = 52
        axis = (np.arange(n) - (n - 1) / 2) * self._voxel_mm
        distance = np.hypot(axis[:, np.newaxis], axis) / radius_mm
        self._is_inside = distance <= 1
        self._outside_volume = np.clip(1 - distance**3, 0, 1)

    def slice_of(self, name: str, x: Field, y: Field, *, x_behind: float, y_behind: float) -> Slice:
        """Give the slice at the lithium ``y`` of shells of equal volume, the first at the surface."""
        shell = np.minimum((self._outside_volume * len(y)).astype(np.intp), len(y) - 1)
        density = (NMC811_G_CM3 * self._is_inside).astype(np.float32)
        lithium = np.where(self._is_inside, y[shell], np.nan).astype(np.float32)
        return Slice(
            name=name,
            materials=(OXIDE,),
            density_g_cm3=density[..., np.newaxis],
            voxel_mm=self._voxel_mm,
            lithium_y=lithium,
        )


class FlatCell:
    """A cathode on aluminium and a separator, against lithium metal on copper; flat layers across y."""

    VOXEL_MM = 0.005
    N = 80
    AL_MM, SEPARATOR_MM, CU_MM = 0.015, 0.025, 0.010
    POLYMER_G_CM3, ELECTROLYTE_G_CM3 = 0.50, 0.30

    def __init__(self, make: CellMake, history: CellHistory) -> None:
        cathode_mm, lithium_mm = make.cathode_um * 1e-3, make.anode_um * 1e-3
        tops = np.cumsum([0.0, self.AL_MM, cathode_mm, self.SEPARATOR_MM, lithium_mm, self.CU_MM]) - self.N * self.VOXEL_MM / 2
        edges = (np.arange(self.N + 1) - self.N / 2) * self.VOXEL_MM
        al, cathode, separator, _, cu = (self._covered(edges, low, high) for low, high in pairwise(tops))
        # Depth counts from the separator: the last node is at the foil.
        n_nodes = history.y.shape[1]
        bounds = np.linspace(tops[2], tops[1], n_nodes + 1)
        self._nodes = np.stack([self._covered(edges, low, high) for high, low in pairwise(bounds)], axis=1)
        moles_cm3 = history.cathode_ah / FARADAY_AH_MOL / (make.facing_m2 * 1e4 * make.cathode_um * 1e-4)
        columns = {
            "cu": CRYSTALS["cu"].density_g_cm3 * cu,
            "al": CRYSTALS["al"].density_g_cm3 * al,
            OXIDE: moles_cm3 * grams_per_cathode_unit(OXIDE) * cathode,
            "polymer": self.POLYMER_G_CM3 * separator,
            "electrolyte": self.ELECTROLYTE_G_CM3 * (cathode + separator),
        }
        self._materials = tuple(columns)
        across = np.stack(list(columns.values()), axis=-1)[:, np.newaxis, :]
        self._density = np.repeat(across, self.N, axis=1).astype(np.float32)

    def slice_of(self, name: str, x: Field, y: Field, *, x_behind: float, y_behind: float) -> Slice:
        """Give the slice at the lithium ``y`` through the cathode's coating."""
        amount = self._nodes.sum(axis=1)
        mean = np.divide(self._nodes @ y, amount, out=np.full(self.N, np.nan), where=amount > 0)
        return Slice(
            name=name,
            materials=self._materials,
            density_g_cm3=self._density,
            voxel_mm=self.VOXEL_MM,
            lithium_y=np.repeat(mean[:, np.newaxis], self.N, axis=1).astype(np.float32),
            normal_rad=np.full((self.N, self.N), np.pi / 2, dtype=np.float32),
        )

    @staticmethod
    def _covered(edges: NDArray[np.floating], low: float, high: float) -> Field:
        """Give the part of each voxel between two heights, shape (n,)."""
        overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        return np.clip(overlap, 0, None) / np.diff(edges)
