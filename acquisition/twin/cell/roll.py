"""A wound cell over time: the lithium of a simulated history in every voxel of a slice.

How tall the cell is follows from its electrodes' area and their length in the slice. Each electrode's concentration of sites is
such that slice times height holds exactly what the history holds: coulombs, anode and cathode then agree at any time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import FARADAY_AH_MOL
from acquisition.twin.cell.rolls import RollMake
from acquisition.twin.cell.spiral import Layer
from acquisition.twin.cell.spread import spread
from acquisition.twin.cell.uneven import Unevenness, draw_unevenness
from acquisition.twin.cell.voxels import Coating, fill_voxels
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.slice import STAGES, Slice, grams_per_c6, grams_per_cathode_unit, graphite_stages

METALS = {"fe": Layer.FE, "cu": Layer.CU, "al": Layer.AL}
MATERIALS = (*METALS, "nmc", "nmc_s", *STAGES, "polymer", "electrolyte")
POLYMER_G_CM3 = 0.50
PORE_ELECTROLYTE_G_CM3 = 0.30
ELECTROLYTE_G_CM3 = 1.25
X_IDLE, Y_IDLE = 0.0, 0.92
"""Lithium of what has no partner: as it was made and, for the cathode, formed."""
X_DEAD = 0.35
"""x in a dead region: where it was when it lost contact; its cathode's y is what the balance of the cell gives at that x."""

Field = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Electrode:
    """A coating that takes part, entry by entry, and what of it does not."""

    voxel: NDArray[np.intp]
    node: NDArray[np.intp]
    lag: Field
    moles_cm3: Field
    """Sites of the entry in the volume of its voxel, shape (n_entries,)."""
    idle_cm3: Field
    """Sites in every voxel that are without a partner, shape (n_voxels,)."""
    dead_cm3: Field
    """Sites in every voxel that are cut off, shape (n_voxels,)."""

    def lithium(self, profile: Field, *, behind: float) -> Field:
        """Give the lithium of every entry, between 0 and 1."""
        return spread(profile, node=self.node, weight=self.moles_cm3, lag=self.lag, behind=behind)

    def sum(self, values: Field) -> Field:
        """Add up over the entries of each voxel, shape (n_voxels,)."""
        return added_up(self.voxel, self.moles_cm3 * values, n_voxels=len(self.idle_cm3))


def added_up(voxel: NDArray[np.intp], values: Field, *, n_voxels: int) -> Field:
    """Add up the values of each voxel's entries, shape (n_voxels,)."""
    total: Field = np.bincount(voxel, weights=values, minlength=n_voxels).astype(np.float64)
    return total


class Roll:
    """A wound cell of a make, ready to be given any state of its history; nothing in it changes."""

    def __init__(self, make: RollMake, history: CellHistory, *, seed: int) -> None:
        self._voxels = voxels = fill_voxels(
            make.spiral, extent_mm=make.extent_mm, voxel_mm=make.voxel_mm, n_nodes=history.x.shape[1]
        )
        uneven = draw_unevenness(make, voxels, seed=seed)
        anode, cathode = ((voxels.anode, np.ones_like(uneven.loading)), (voxels.cathode, 1 - uneven.secondary))
        self.height_mm = self._height_mm(make)
        """How tall the cell is for its slice to have the area of its make."""
        self.anode = self._electrode(*anode, uneven, full_ah=history.anode_ah)
        self.cathode = self._electrode(*cathode, uneven, full_ah=history.cathode_ah)
        self._y_dead = history.y[0].mean() - (X_DEAD - history.x[0].mean()) * history.anode_ah / history.cathode_ah
        self._static = self._static_densities(uneven)

    def slice_of(self, name: str, x: Field, y: Field, *, x_behind: float, y_behind: float) -> Slice:
        """Give the slice at the lithium ``x`` and ``y`` through the coatings, shape (n_nodes,) each."""
        moles = self._stages(self.anode.lithium(x, behind=x_behind))
        density = self._static.copy()
        for stage, amount in moles.items():
            density[..., MATERIALS.index(stage)] = self._square(amount) * grams_per_c6(stage)
        lithium_y = self._lithium_y(self.cathode.lithium(y, behind=y_behind))
        return Slice(
            name=name,
            materials=MATERIALS,
            density_g_cm3=density,
            voxel_mm=self._voxels.voxel_mm,
            lithium_y=self._square(lithium_y).astype(np.float32),
            normal_rad=self._voxels.normal_rad.astype(np.float32),
        )

    def _height_mm(self, make: RollMake) -> float:
        spiral, area_mm2 = make.spiral, self._voxels.voxel_mm**2
        lengths_mm = [
            coating.part.sum() * area_mm2 / thickness
            for coating, thickness in ((self._voxels.anode, spiral.anode_mm), (self._voxels.cathode, spiral.cathode_mm))
        ]
        return make.cell.facing_m2 * 1e6 / float(np.mean(lengths_mm))

    def _electrode(self, coating: Coating, active: Field, uneven: Unevenness, *, full_ah: float) -> Electrode:
        """Give a coating its sites: so many that what lives of it takes ``full_ah`` in the whole height of the cell."""
        loading = (uneven.loading * active).ravel()
        weight = coating.part * loading[coating.voxel]
        is_dead = uneven.is_dead.ravel()[coating.voxel]
        volume_cm3 = self._voxels.voxel_mm**2 * self.height_mm * 1e-3
        moles_cm3 = full_ah / FARADAY_AH_MOL / (float(weight[~is_dead].sum()) * volume_cm3)
        n_voxels = self._voxels.n**2
        return Electrode(
            voxel=coating.voxel[~is_dead],
            node=coating.node[~is_dead],
            lag=uneven.lag.ravel()[coating.voxel[~is_dead]],
            moles_cm3=moles_cm3 * weight[~is_dead],
            idle_cm3=moles_cm3 * loading * coating.idle.ravel(),
            dead_cm3=moles_cm3 * added_up(coating.voxel[is_dead], weight[is_dead], n_voxels=n_voxels),
        )

    def _static_densities(self, uneven: Unevenness) -> NDArray[np.float32]:
        parts, voxels = self._voxels.parts, self._voxels
        density = np.zeros((voxels.n, voxels.n, len(MATERIALS)), dtype=np.float32)
        porous = sum(parts[layer] for layer in (Layer.ANODE_IN, Layer.ANODE_OUT, Layer.CATHODE_IN, Layer.CATHODE_OUT))
        active = self._square(self.cathode.sum(np.ones(len(self.cathode.node))) + self.cathode.idle_cm3 + self.cathode.dead_cm3)
        densities = {
            **{name: CRYSTALS[name].density_g_cm3 * parts[layer] for name, layer in METALS.items()},
            "nmc": active * grams_per_cathode_unit("nmc"),
            "nmc_s": active * uneven.secondary / (1 - uneven.secondary) * grams_per_cathode_unit("nmc_s"),
            "polymer": POLYMER_G_CM3 * parts[Layer.SEPARATOR],
            "electrolyte": PORE_ELECTROLYTE_G_CM3 * (porous + parts[Layer.SEPARATOR])
            + ELECTROLYTE_G_CM3 * parts[Layer.ELECTROLYTE],
        }
        for name, values in densities.items():
            density[..., MATERIALS.index(name)] = values
        return density

    def _stages(self, x: Field) -> dict[str, Field]:
        """Give the moles of C6 in each stage, shape (n_voxels,), mol/cm3."""
        idle, dead = graphite_stages(np.array([X_IDLE])), graphite_stages(np.array([X_DEAD]))
        return {
            stage: self.anode.sum(part) + self.anode.idle_cm3 * idle[stage] + self.anode.dead_cm3 * dead[stage]
            for stage, part in graphite_stages(x).items()
        }

    def _lithium_y(self, y: Field) -> Field:
        sites = self.cathode.sum(np.ones(len(y))) + self.cathode.idle_cm3 + self.cathode.dead_cm3
        lithium = self.cathode.sum(y) + self.cathode.idle_cm3 * Y_IDLE + self.cathode.dead_cm3 * self._y_dead
        return np.divide(lithium, sites, out=np.full(sites.shape, np.nan), where=sites > 0)

    def _square(self, values: Field) -> Field:
        return values.reshape(self._voxels.n, self._voxels.n)
