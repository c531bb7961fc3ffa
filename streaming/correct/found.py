"""What all lines of a tomogram together say is to be corrected; a function of the lines that count, never of their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operando.profile.correction import Correction
from streaming.centre import Centre, fit_sinusoid
from streaming.correct.points import MassProfile
from streaming.correct.wobble import Wobble, find_wobble
from streaming.correct.zigzag import Zigzag, find_zigzag, moved_back, straightened

Array = NDArray[np.float64]

LEAST_LINES = 8
LEAST_MEASURED = 0.9
"""Part of a line that must be measured for its centre of mass, and its place, to be trusted."""
_QUANTUM = 0.05
"""Points to which the zig-zag is rounded: finer rebuilds the slice for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What was found, and what of it is applied."""

    centre: Centre | None = None
    """Of the corrected projections, in points of the grid."""
    zigzag: Zigzag | None = None
    """What was seen; None where the lines cannot say."""
    wobble: Wobble | None = None
    zigzag_mm: float = 0.0
    """What is applied: true position = captured position + direction times this."""
    wobble_mm: Mapping[int, float] = field(default_factory=dict)
    """What is applied, by line."""

    absorption: str = ""
    """What self-absorption was corrected from, in words; empty where maps say nothing of it."""

    def shift_mm(self, *, line: int, direction: int) -> float:
        """Give what is to be added to the positions of a line."""
        return direction * self.zigzag_mm + self.wobble_mm.get(line, 0.0)


NOTHING = Found()


def find_corrections(profiles: Sequence[MassProfile], *, step_mm: float, correction: Correction) -> Found:
    """Find zig-zag, centre and wobble, in this order: each from lines that are free of what was found before.

    Parameters
    ----------
    profiles
        The lines that count, where their positions put them.
    step_mm
        Distance of grid points.
    correction
        What is looked for, and what of it is applied.
    """
    used = [one for one in profiles if np.isfinite(one.mass).mean() >= LEAST_MEASURED]
    if len(used) < LEAST_LINES:
        return NOTHING
    mass = np.stack([_without_gaps(one.mass) for one in used])
    variance = np.stack([_without_gaps(one.variance) for one in used])
    angles, signs = np.array([one.angle_deg for one in used]), np.array([one.direction for one in used])
    zigzag, zigzag_mm = None, 0.0
    if correction.zigzag != "off":
        zigzag = find_zigzag(mass, angles, signs)
        if zigzag is not None and zigzag.is_significant and correction.zigzag == "correct":
            steps = _QUANTUM * round(zigzag.steps / _QUANTUM)
            mass = straightened(mass, signs.astype(np.float64), steps)
            zigzag_mm = step_mm * steps
    sinusoid = fit_sinusoid(mass, angles)
    if sinusoid is None or correction.wobble == "off":
        return Found(centre=sinusoid.centre if sinusoid else None, zigzag=zigzag, zigzag_mm=zigzag_mm)
    wobble = find_wobble(sinusoid, mass, variance)
    moved = {}
    if correction.wobble == "correct" and wobble.is_significant:
        moved = {one.key.line: step_mm * float(steps) for one, steps in zip(used, wobble.shift_steps, strict=True)}
        mass = np.stack([moved_back(row, float(steps)) for row, steps in zip(mass, wobble.shift_steps, strict=True)])
        sinusoid = fit_sinusoid(mass, angles) or sinusoid
    return Found(centre=sinusoid.centre, zigzag=zigzag, wobble=wobble, zigzag_mm=zigzag_mm, wobble_mm=moved)


def words_on(found: Found, *, step_mm: float, speed_mm_s: float) -> dict[str, str]:
    """Give a sentence on each fault that is significant, by the fault's name."""
    words = {}
    zigzag, wobble = found.zigzag, found.wobble
    if zigzag is not None and zigzag.is_significant:
        delay_ms, sigma_ms = (1e3 * steps * step_mm / speed_mm_s for steps in (zigzag.steps, zigzag.sigma))
        words["zigzag"] = (
            f"lines of opposite directions stand {2 * abs(zigzag.steps):.2f} points apart: exposures are {delay_ms:.1f} "
            f"+- {sigma_ms:.1f} ms late against their positions; "
            + ("corrected" if found.zigzag_mm else "not corrected, the profile says so")
        )
    if wobble is not None and wobble.is_significant:
        words["wobble"] = (
            f"projections stand {wobble.rms_steps:.2f} points (RMS) off the sinusoid of their centre of mass, counting "
            f"explains {wobble.noise_steps:.2f}: "
            + ("moved back" if found.wobble_mm else "run-out of the stage, or absorption that is not corrected; not corrected")
        )
    if found.absorption:
        words["absorption"] = f"self-absorption is corrected by the phase maps: {found.absorption}"
    return words


def _without_gaps(values: Array) -> Array:
    points = np.arange(values.size)
    known = np.isfinite(values)
    return np.interp(points, points[known], values[known])
