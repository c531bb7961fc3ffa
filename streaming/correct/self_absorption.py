"""Self-absorption from the maps themselves: holds the attenuation as it is known, and when it is worth knowing it better."""

import numpy as np
from numpy.typing import NDArray

from operando.profile import Profile
from operando.scan import TomogramGrid
from streaming.correct.attenuation import Attenuation, attenuation_from_amounts, phase_attenuation

Array = NDArray[np.float64]

MOST_REVISIONS = 8
SMALL_CHANGE = 5e-3
"""Largest change of a voxel's attenuation, over the largest attenuation, at which maps and attenuation agree."""
_LEAST_LINES = 8


class SelfAbsorption:
    """The attenuation of one tomogram's sample; used from one thread.

    It is revised when the number of lines has doubled and when all are there, since all lines must be made again by it: so the
    last maps do not depend on the order of arrival.

    Parameters
    ----------
    profile
        Phases, energy and what the density is taken from.
    """

    def __init__(self, profile: Profile) -> None:
        self._phases, self._correction = phase_attenuation(profile), profile.correction
        self._attenuation: Attenuation | None = None
        self._revised_at = 0

    @property
    def words(self) -> str:
        """What the correction rests on; empty as long as there is none."""
        return "" if self._attenuation is None else f"its unit is that of {self._attenuation.density_from}"

    def is_due(self, n_lines: int, n_expected: int) -> bool:
        """Tell whether there are enough new lines; then it counts as done."""
        due = n_lines >= max(_LEAST_LINES, 2 * self._revised_at) or (n_lines == n_expected and n_lines != self._revised_at)
        if due:
            self._revised_at = n_lines
        return due

    def revise(self, amounts: Array, *, pixel_mm: float) -> float | None:
        """Take amounts, shape (y, x, phase), for the sample, and give how much of the largest attenuation that changes it.

        None if they say nothing.
        """
        new = attenuation_from_amounts(
            amounts,
            phases=self._phases,
            pixel_mm=pixel_mm,
            correction=self._correction,
            is_first=self._attenuation is None,
        )
        if new is None:
            return None
        old, self._attenuation = self._attenuation, new
        if old is None:
            return 1.0
        return float(np.abs(new.per_mm - old.per_mm).max() / new.per_mm.max())

    def gain(self, angle_deg: float, *, grid: TomogramGrid, centre_mm: float) -> Array | None:
        """Give what the points of a line are multiplied by; None as long as nothing is known."""
        if self._attenuation is None:
            return None
        return self._attenuation.gain(
            angle_deg, first_s_mm=grid.first_position_mm - centre_mm, step_mm=grid.step_mm, n_points=grid.n_points
        )
