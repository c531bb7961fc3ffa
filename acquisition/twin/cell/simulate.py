"""Simulate a cell under a protocol with PyBaMM's Doyle-Fuller-Newman model and one temperature for the whole cell.

Model: Doyle, Fuller, Newman, J. Electrochem. Soc. 140 (1993) 1526, doi 10.1149/1.2221597, with the parameters of Mohtat et al.,
J. Electrochem. Soc. 167 (2020) 110561, doi 10.1149/1945-7111/aba5d1 (graphite, NMC532), or of Chen et al., J. Electrochem.
Soc. 167 (2020) 080534, doi 10.1149/1945-7111/ab9050 (NMC811, here against lithium metal). Self-discharge is a current inside
the cell: to the model it is like any other, in the history it is not part of what the terminals carry.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import FARADAY_AH_MOL, CellMake
from acquisition.twin.cell.protocols import Protocol, Stage
from acquisition.twin.cell.solver import load_pybamm

N_NODES = 10
"""Parts of each coating's thickness: 7 um of an AAA cell's."""
N_RADIAL = 16
CELSIUS_K = 273.15
Y_DISCHARGED = 0.9
"""y of a cathode against lithium before its first charge here: what a first cycle leaves of the pristine 1; recalled."""
COOLING_W_M2_K = 12.0
"""Still air around a small can; recalled, typically 5 to 25."""

Solved = tuple[Stage, Any]
"""A stage, and PyBaMM's solution of one step of it."""


def simulate_cell(name: str, make: CellMake, protocol: Protocol) -> CellHistory:
    """Simulate a cell; some seconds of computing.

    Raises
    ------
    ServiceError
        If PyBaMM is not installed.
    """
    pybamm = load_pybamm()
    parameters = _parameters(pybamm, make)
    options = {"thermal": "lumped"}
    if make.anode == "lithium":
        options["working electrode"] = "positive"
    solved = solve_protocol(
        pybamm.lithium_ion.DFN(options),
        parameters,
        protocol,
        capacity_ah=make.capacity_ah,
        soc=None if make.anode == "lithium" else protocol.soc,
    )
    return _history(name, make, parameters, solved)


def solve_protocol(
    model: Any, parameters: Any, protocol: Protocol, *, capacity_ah: float, soc: float | None, n_radial: int = N_RADIAL
) -> list[Solved]:
    """Take a model of PyBaMM through a protocol; gives each step's stage and solution. Without ``soc`` it starts as it is."""
    pybamm = load_pybamm()
    steps = [(stage, part) for stage in protocol.stages for part in _steps(pybamm, stage, capacity_ah, protocol.sample_s)]
    simulation = pybamm.Simulation(
        model,
        parameter_values=parameters,
        experiment=pybamm.Experiment([part for _, part in steps]),
        var_pts={"x_n": N_NODES, "x_s": 6, "x_p": N_NODES, "r_n": n_radial, "r_p": n_radial},
    )
    solution = simulation.solve(initial_soc=soc, showprogress=False)
    solved = [step for cycle in solution.cycles for step in cycle.steps]
    return [(stage, step) for (stage, _), step in zip(steps, solved, strict=True)]


def _parameters(pybamm: Any, make: CellMake) -> Any:
    values = pybamm.ParameterValues(make.parameters)
    values.update(
        {
            "Positive electrode thickness [m]": make.cathode_um * 1e-6,
            "Negative electrode thickness [m]": make.anode_um * 1e-6,
            "Electrode height [m]": 1.0,
            "Electrode width [m]": make.facing_m2 * make.living,
            "Nominal cell capacity [A.h]": make.capacity_ah,
            "Cell cooling surface area [m2]": make.cooled_m2,
            "Cell volume [m3]": make.volume_m3,
            "Total heat transfer coefficient [W.m-2.K-1]": COOLING_W_M2_K,
            "Open-circuit voltage at 0% SOC [V]": make.low_v,
            "Open-circuit voltage at 100% SOC [V]": make.high_v,
            # The fit that comes with Mohtat2020 gives -1 to -10 mV/K, ten times what NMC has and more: left out.
            "Positive electrode OCP entropic change [V.K-1]": 0.0,
            # The protocol ends its steps; these are only there to stop what has gone wrong.
            "Lower voltage cut-off [V]": make.low_v - 0.25,
            "Upper voltage cut-off [V]": make.high_v + 0.1,
        }
    )
    if make.anode == "lithium":
        give_lithium_metal(values, y_start=Y_DISCHARGED)
    return values


def give_lithium_metal(values: Any, *, y_start: float) -> None:
    """Put lithium metal, with the kinetics of Xu et al. (2019), where a set has graphite; the cathode starts at ``y_start``."""
    pybamm = load_pybamm()
    metal = pybamm.ParameterValues("Xu2019")
    taken = (
        "Exchange-current density for lithium metal electrode [A.m-2]",
        "Lithium metal partial molar volume [m3.mol-1]",
        "Negative electrode OCP [V]",
        "Negative electrode OCP entropic change [V.K-1]",
        "Negative electrode conductivity [S.m-1]",
    )
    values.update({name: metal[name] for name in taken}, check_already_exists=False)
    full = values["Maximum concentration in positive electrode [mol.m-3]"]
    values["Initial concentration in positive electrode [mol.m-3]"] = y_start * full


def _steps(pybamm: Any, stage: Stage, capacity_ah: float, sample_s: float) -> list[Any]:
    """Give a stage as steps of PyBaMM, where discharging is positive: a current, and the hold that may follow it."""
    demand_a = (stage.current_c or -stage.leak_c) * capacity_ah
    ends = [] if stage.limit_v is None else [f"{stage.limit_v} V"]
    steps = [pybamm.step.current(-demand_a, duration=stage.time_s, termination=ends, period=sample_s)]
    if stage.limit_v is not None and stage.taper is not None:
        low_a = stage.taper * abs(demand_a)
        hold = pybamm.step.voltage(stage.limit_v, duration=stage.time_s, termination=[f"{low_a} A"], period=sample_s)
        steps.append(hold)
    return steps


def _history(name: str, make: CellMake, parameters: Any, solved: list[Solved]) -> CellHistory:
    has_graphite = make.anode == "graphite"
    maximum = float(parameters["Maximum concentration in positive electrode [mol.m-3]"])
    sites = make.cathode_sites_mol_m3 or maximum
    stoichiometry = joined(solved, "R-averaged positive particle concentration")
    # PyBaMM counts depth from the anode's foil to the cathode's.
    x = joined(solved, "R-averaged negative particle concentration")[:, ::-1] if has_graphite else None
    return CellHistory(
        name=name,
        **terminal_columns(solved, capacity_ah=make.capacity_ah),
        temperature_c=joined(solved, "Volume-averaged cell temperature [K]") - CELSIUS_K,
        x=np.empty((len(stoichiometry), 0)) if x is None else x,
        y=1 - (1 - stoichiometry) * maximum / sites,
        anode_ah=_full_ah(parameters, "negative", make) if has_graphite else 0.0,
        cathode_ah=_full_ah(parameters, "positive", make) * sites / maximum,
    )


def joined(solved: list[Solved], variable: str) -> NDArray[np.float64]:
    """Give a variable at all rows of all steps, shape (n_times, ...)."""
    return np.concatenate([np.asarray(step[variable].entries, dtype=np.float64).T for _, step in solved])


def terminal_columns(solved: list[Solved], *, capacity_ah: float) -> dict[str, Any]:
    """Give those columns of a history that a cycler sees, and what leaks behind its back."""
    rows = [len(step.t) for _, step in solved]
    time_s = np.concatenate([step.t for _, step in solved])
    leak_a = np.repeat([stage.leak_c * capacity_ah for stage, _ in solved], rows)
    leaked_ah = np.concatenate([[0.0], np.cumsum(leak_a[1:] * np.diff(time_s))]) / 3600
    discharged_ah = joined(solved, "Discharge capacity [A.h]")
    return {
        "time_s": time_s,
        "voltage_v": joined(solved, "Voltage [V]"),
        "current_a": leak_a - joined(solved, "Current [A]"),
        "charge_ah": discharged_ah[0] - discharged_ah + leaked_ah,
        "leaked_ah": leaked_ah,
        "cycle": np.repeat([stage.cycle for stage, _ in solved], rows),
        "step": tuple(stage.name for (stage, _), count in zip(solved, rows, strict=True) for _ in range(count)),
    }


def _full_ah(parameters: Any, electrode: str, make: CellMake) -> float:
    """Give the charge between all sites of the set empty and all full, Ah."""
    thickness_m = float(parameters[f"{electrode.capitalize()} electrode thickness [m]"])
    active = float(parameters[f"{electrode.capitalize()} electrode active material volume fraction"])
    moles_m3 = active * float(parameters[f"Maximum concentration in {electrode} electrode [mol.m-3]"])
    return moles_m3 * thickness_m * make.facing_m2 * make.living * FARADAY_AH_MOL
