"""Wobble: receives where each projection's centre of mass stands off its sinusoid, gives how far to move the projection.

A rigid sample of constant mass has its centre of mass on a sinusoid (D. Ludwig, Commun. Pure Appl. Math. 19 (1966) 49, the
condition of first order). Run-out of the stage and a drifting beam leave it; so does absorption that is not corrected, and then
moving projections makes the map worse. What a sinusoid can describe is no wobble: it only moves the whole sample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.centre import Sinusoid

Array = NDArray[np.float64]

LARGEST_STEPS = 3.0
"""Points beyond which a projection is not moved: that is no wobble, but a line that went wrong."""
_QUANTUM = 0.1
"""Points to which displacements are rounded, so that a new line does not move all others by a hundredth."""
_SIGNIFICANT = 2.0
"""Ratio of the seen scatter to that of counting from which it is taken for wobble."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wobble:
    """What the projections' places are wrong by."""

    shift_steps: Array
    """Points to add to the positions of each line, shape (n_lines,); zero where nothing significant is seen."""
    rms_steps: float
    """Root mean square of what was seen."""
    noise_steps: float
    """What counting alone would make of it."""

    @property
    def is_significant(self) -> bool:
        """Whether more is seen than counting explains, and enough to blur."""
        return self.rms_steps > max(_SIGNIFICANT * self.noise_steps, 0.05)


def find_wobble(sinusoid: Sinusoid, sinogram: Array, variance: Array) -> Wobble:
    """Give the displacement of every projection.

    Each residual is shrunk by the part of the variance that counting explains (Wiener), and rounded to a tenth of a point.

    Parameters
    ----------
    sinusoid
        The fit to the projections' centres of mass.
    sinogram
        Mass along the beam, shape (n_lines, n_points), no NaN.
    variance
        Its variance from counting, same shape.
    """
    residual = sinusoid.residual
    is_known = np.isfinite(residual) & (np.abs(residual) < LARGEST_STEPS)
    if is_known.sum() < 5:
        return Wobble(shift_steps=np.zeros(residual.size), rms_steps=0.0, noise_steps=0.0)
    places = np.arange(sinogram.shape[1])
    mass = sinogram[is_known].sum(axis=1)
    centre = sinogram[is_known] @ places / mass
    # d centre / d m_j = (x_j - centre) / mass
    noise = np.sum(variance[is_known] * (places - centre[:, None]) ** 2, axis=1) / mass**2
    seen = float(np.mean(residual[is_known] ** 2))
    expected = float(noise.mean())
    shift = np.zeros(residual.size)
    found = Wobble(shift_steps=shift, rms_steps=float(np.sqrt(seen)), noise_steps=float(np.sqrt(expected)))
    if found.is_significant:
        shift[is_known] = -_QUANTUM * np.round((1 - expected / seen) * residual[is_known] / _QUANTUM)
    return found
