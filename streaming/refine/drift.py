"""Drift: receives the lattices of the cell's own metals line by line, says whether they drifted while it was scanned.

Foils and can are part of the sample, and their lattices should stay. Temperature (Al 23, Cu 17, Fe 12 parts in a million a
kelvin), the distance of the detector, the energy, and strain from the coatings move them alike: a drift is reported with its
size and its uncertainty and never corrected for one cause. A line sees a metal as deep along the beam as its centre of mass
stands at that angle, which lengthens its lattice by z / L; this wave of one period a turn is fitted beside the drift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streaming.line_sum import LineSum
from streaming.refine.fit import Refined, refine
from streaming.refine.model import make_model
from streaming.refine.tables import Grid, MovingPhase

Array = NDArray[np.float64]

SIGNIFICANT = 5.0
"""Standard uncertainties: a scan has several metals and is looked at many times."""
LEAST_LINES = 8
_SMALL = 5e-6
"""Of a length: below it a drift is no matter, 0.07 mA in c of NMC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How much longer a lattice became from the first line to the last, in parts of itself."""

    phase: str
    part: float
    sigma: float
    hours: float

    @property
    def is_significant(self) -> bool:
        """Whether it is said."""
        return abs(self.part) > SIGNIFICANT * self.sigma and abs(self.part) > _SMALL


def is_metal(phase: MovingPhase) -> bool:
    """Tell whether a phase is one whose lattice should stay: cubic, and with no lithium or oxygen to lose."""
    return phase.crystal.axes == ("a",)


def find_drifts(
    lines: Sequence[LineSum],
    phases: Sequence[MovingPhase],
    *,
    grid: Grid,
    n_background: int,
    weights: Array,
    significance: float,
    angles_deg: Mapping[int, float],
) -> list[Drift]:
    """Refine ``a`` of every cubic phase in the sum of every line, and give how it drifted.

    Parameters
    ----------
    lines
        In any order.
    phases
        As the mean pattern left them.
    grid, n_background, weights, significance
        As for the trends.
    angles_deg
        Rotation of each line by its number; empty where the stage stood.
    """
    metals = [phase.crystal.name for phase in phases if is_metal(phase)]
    known = [one for one in lines if np.isfinite(one.pattern[weights > 0]).all()]
    if not metals or len(known) < LEAST_LINES or not (weights > 0).any():
        return []
    free = [replace(one, free=("a",)) if one.crystal.name in metals else one for one in phases]
    model = make_model(free, grid=grid, n_background=n_background)
    counted = weights > 0
    noise = np.array([float((one.variance[counted] * weights[counted]).mean()) for one in known])
    fit = refine(model, np.stack([one.pattern for one in known]).astype(np.float32), noise, weights, significance=significance)
    time_s = np.array([one.time_s for one in known])
    angles = np.array([angles_deg.get(one.line, 0.0) for one in known])
    found = (_drift(fit, name, time_s, angles) for name in metals if name in fit.model.moving_names)
    return [drift for drift in found if drift is not None]


def sentence(drift: Drift, *, label: str) -> str:
    """Say a drift in words, to two digits, so that the same fact gives the same sentence again."""
    part, sigma = (float(f"{1e6 * value:.1g}") for value in (drift.part, drift.sigma))
    way = "longer" if part > 0 else "shorter"
    return (
        f"{label}: its lattice has become {abs(part):g} +- {sigma:g} parts in a million {way} since the scan began: "
        "temperature, geometry, energy and strain do this alike; nothing is corrected for it"
    )


def _drift(fit: Refined, name: str, time_s: Array, angles_deg: Array) -> Drift | None:
    value, sigma = fit.parameter(name, "a")
    good = np.isfinite(value) & np.isfinite(sigma) & (sigma > 0)
    span_s = float(np.ptp(time_s))
    if good.sum() < LEAST_LINES or span_s <= 0:
        return None
    progress, turn = (time_s - time_s.min()) / span_s, np.deg2rad(angles_deg)
    columns = [np.ones(time_s.size), progress]
    if np.ptp(angles_deg) > 0:
        columns += [np.cos(turn), np.sin(turn)]
    design = np.column_stack(columns)[good] / sigma[good, None]
    length = float(np.median(value[good]))
    wanted = (value[good] / length - 1) / sigma[good]
    normal = np.linalg.pinv(design.T @ design)
    solution = normal @ design.T @ wanted
    rest = wanted - design @ solution
    scatter = float(rest @ rest) / max(1, good.sum() - len(columns)) * length**2
    spread = float(np.sqrt(normal[1, 1] * max(1.0, scatter))) / length
    return Drift(phase=name, part=float(solution[1]), sigma=spread, hours=span_s / 3600)
