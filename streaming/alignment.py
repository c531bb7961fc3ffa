"""Where the cell stands: receives wide lines at a few angles, gives rotation centre, edges, and the scan that covers it.

Only how much each point scatters is used, summed over the pattern; no phase need be right yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.profile import Profile
from streaming.centre import fit_sinusoid
from streaming.line import Line

Array = NDArray[np.float64]

EDGE = 0.15
"""Part of the way from air to the inside at which the edge is: noise reaches lower, the thick middle of a roll is higher."""

MARGIN = 0.04
"""Of the radius, beyond the edges: lines must see air on either side, and cells wobble."""

LEAST_CONTRAST = 1.3
"""Inside over air, below which nothing stands in the beam."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """What wide lines say of a cell, in readbacks of the fast axis."""

    centre_mm: float
    centre_sigma_mm: float
    """From the scatter of the centres of mass about their sinusoid."""
    edges_mm: tuple[tuple[float, float, float], ...]
    """Angle (degree), lower and upper edge of each line; an edge beyond the line is infinite."""

    @property
    def radius_mm(self) -> float:
        """Farthest edge from the centre; infinite where the cell leaves a line."""
        return max(max(self.centre_mm - low, high - self.centre_mm) for _, low, high in self.edges_mm)


def find_alignment(lines: Sequence[Line]) -> Alignment | str:
    """Give the alignment of a cell from lines that are wider than it, or why there is none."""
    profiles = [_mass(line) for line in lines]
    grid, mass = _on_one_grid(profiles)
    air, inside = float(np.nanpercentile(mass, 5)), float(np.nanpercentile(mass, 90))
    if not inside > LEAST_CONTRAST * air:
        ratio = inside / air if air else 0.0
        return f"nothing stands in the beam: the strongest points scatter {ratio:.2f} times as much as the weakest"
    level = air + EDGE * (inside - air)
    edges = tuple(
        (line.angle_deg, *_edges(positions, values, level=level))
        for line, (positions, values) in zip(lines, profiles, strict=True)
    )
    # What scatters less than the edge is air: it would pull the centre of mass to the middle of the line.
    above = np.where(mass > level, mass - air, 0.0)
    fitted = fit_sinusoid(np.nan_to_num(above), np.array([line.angle_deg for line in lines]))
    if fitted is None:
        return "too few lines, or angles over less than 120 degrees: no rotation centre can be found"
    step_mm = float(grid[1] - grid[0])
    return Alignment(
        centre_mm=float(grid[0]) + step_mm * fitted.centre.index, centre_sigma_mm=step_mm * fitted.centre.sigma, edges_mm=edges
    )


def words_of(alignment: Alignment, profile: Profile) -> list[str]:
    """Say what was found, and which lines of the profile would make the scan cover it."""
    scan, fast = profile.scan, profile.control.fast
    words = [
        f"rotation centre at {alignment.centre_mm:.4f} +- {alignment.centre_sigma_mm:.2g} mm of {fast.pv} "
        f"(the profile says {scan.centre_mm:g})"
    ]
    cut = [angle for angle, low, high in alignment.edges_mm if not np.isfinite(low - high)]
    if cut:
        at = ", ".join(f"{angle:g}" for angle in cut)
        return [
            *words,
            f"the cell reaches beyond the line at {at} degrees: fly align again with a larger width_mm, or centre the cell",
        ]
    low = min(low for _, low, _ in alignment.edges_mm)
    high = max(high for _, _, high in alignment.edges_mm)
    off_mm = 0.5 * (low + high) - alignment.centre_mm
    off = f"; the cell stands {abs(off_mm):.3f} mm off it" if abs(off_mm) > MARGIN * alignment.radius_mm else ""
    words.append(
        f"edges from {low:.3f} to {high:.3f} mm over {len(alignment.edges_mm)} angles: "
        f"radius {alignment.radius_mm:.3f} mm about the centre{off}"
    )
    return [*words, _proposal(alignment, profile)]


def _proposal(alignment: Alignment, profile: Profile) -> str:
    scan, fast = profile.scan, profile.control.fast
    half = int(np.ceil((1 + MARGIN) * alignment.radius_mm / scan.step_mm))
    centre_mm = round(alignment.centre_mm, 4)
    text = f"for the profile: [scan] centre_mm = {centre_mm:g}, n_points = {2 * half + 1} (at step_mm = {scan.step_mm:g})"
    reach = half * scan.step_mm
    if centre_mm - reach < fast.low or centre_mm + reach > fast.high:
        text += f"; that leaves the limits of the fast axis, {fast.low:g} to {fast.high:g} mm: centre the cell first"
    return text


def _mass(line: Line) -> tuple[Array, Array]:
    """Give positions in ascending order and the intensity there, each of shape (n_received,)."""
    values = np.nanmean(line.mean[line.is_received].astype(np.float64), axis=1)
    positions = line.positions_mm[line.is_received]
    order = np.argsort(positions)
    return positions[order], values[order]


def _on_one_grid(profiles: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Give common positions and the intensity of each line there, shape (n_lines, n_positions); NaN beyond a line."""
    low, high = min(p[0] for p, _ in profiles), max(p[-1] for p, _ in profiles)
    grid = np.linspace(low, high, max(positions.size for positions, _ in profiles))
    # Half a step of jitter at the ends is no hole.
    slack = 0.6 * (grid[1] - grid[0])
    rows = [np.interp(grid, p, v) for p, v in profiles]
    mass = np.array(
        [
            np.where((grid < p[0] - slack) | (grid > p[-1] + slack), np.nan, row)
            for row, (p, _) in zip(rows, profiles, strict=True)
        ]
    )
    return grid, mass


def _edges(positions: Array, values: Array, *, level: float) -> tuple[float, float]:
    """Give where a line first rises above the level and last falls below it, by linear interpolation."""
    above = np.flatnonzero(values > level)
    if not above.size:
        return float("nan"), float("nan")
    first, last = int(above[0]), int(above[-1])
    low, high = float("-inf"), float("inf")
    if first > 0:
        low = _crossing(positions, values, first - 1, level)
    if last < values.size - 1:
        high = _crossing(positions, values, last, level)
    return low, high


def _crossing(positions: Array, values: Array, index: int, level: float) -> float:
    part = (level - values[index]) / (values[index + 1] - values[index])
    return float(positions[index] + part * (positions[index + 1] - positions[index]))
