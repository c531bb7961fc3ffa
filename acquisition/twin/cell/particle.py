"""Simulate one particle of cathode material, contacted alone against lithium metal, with PyBaMM's single particle model.

The electrode of the model is as large as holds exactly the particle's volume; diffusion in the sphere and the reaction at its
surface are those of Chen et al. (2020), doi 10.1149/1945-7111/ab9050.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import FARADAY_AH_MOL, ParticleMake
from acquisition.twin.cell.protocols import Protocol
from acquisition.twin.cell.simulate import (
    CELSIUS_K,
    N_NODES,
    give_lithium_metal,
    joined,
    solve_protocol,
    terminal_columns,
)
from acquisition.twin.cell.solver import load_pybamm

N_RADIAL = 80
"""Steps of the radius: the outermost then has a third of the volume of the outermost shell."""


def simulate_particle(name: str, make: ParticleMake, protocol: Protocol) -> CellHistory:
    """Simulate a particle; its y is along the radius.

    Raises
    ------
    ServiceError
        If PyBaMM is not installed.
    """
    pybamm = load_pybamm()
    model = pybamm.lithium_ion.SPM({"working electrode": "positive"})
    solved = solve_protocol(
        model, _parameters(pybamm, make), protocol, capacity_ah=make.capacity_ah, soc=None, n_radial=N_RADIAL
    )
    columns = terminal_columns(solved, capacity_ah=make.capacity_ah)
    return CellHistory(
        name=name,
        **columns,
        temperature_c=np.full(len(columns["time_s"]), joined(solved, "Ambient temperature [K]")[0] - CELSIUS_K),
        x=np.empty((len(columns["time_s"]), 0)),
        y=equal_shells(joined(solved, "X-averaged positive particle stoichiometry"), N_NODES),
        anode_ah=0.0,
        cathode_ah=make.capacity_ah,
    )


def equal_shells(along_radius: NDArray[np.float64], n_shells: int) -> NDArray[np.float64]:
    """Average values at the middles of equal steps of the radius over shells of equal volume, from the surface inwards.

    Parameters
    ----------
    along_radius
        Shape (n_times, n_radial), from the centre outwards.

    Returns
    -------
    Shape (n_times, n_shells); its mean is that of the sphere.
    """
    n_radial = along_radius.shape[1]
    held = (np.arange(n_radial + 1) / n_radial) ** 3
    content = np.concatenate([np.zeros((len(along_radius), 1)), np.cumsum(along_radius * np.diff(held), axis=1)], axis=1)
    edges = np.linspace(0, 1, n_shells + 1)
    shells = np.stack([np.diff(np.interp(edges, held, row)) for row in content]) * n_shells
    return shells[:, ::-1]


def _parameters(pybamm: Any, make: ParticleMake) -> Any:
    values = pybamm.ParameterValues("Chen2020")
    volume_m3 = make.capacity_ah / (FARADAY_AH_MOL * make.sites_mol_m3)
    thickness_m = values["Positive electrode thickness [m]"] * values["Positive electrode active material volume fraction"]
    values.update(
        {
            "Maximum concentration in positive electrode [mol.m-3]": make.sites_mol_m3,
            "Positive particle radius [m]": make.radius_um * 1e-6,
            "Positive particle diffusivity [m2.s-1]": make.diffusivity_m2_s,
            "Electrode height [m]": 1.0,
            "Electrode width [m]": volume_m3 / thickness_m,
            "Nominal cell capacity [A.h]": make.capacity_ah,
            "Lower voltage cut-off [V]": 2.5,
            "Upper voltage cut-off [V]": 4.6,
        }
    )
    give_lithium_metal(values, y_start=make.y_start)
    return values
