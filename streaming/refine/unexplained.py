"""Unexplained peaks: receives the mean pattern with its fit, gives the places of peaks that no phase has.

The misfit is smoothed by the width of a reflection. A peak is unexplained where that stands out of the misfit elsewhere, is not
too small a part of the strongest reflection, and is not the wing of a known one, whose misfits are those of shape and texture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import find_peaks

Array = NDArray[np.float64]

LEAST_PART = 0.01
"""Of the highest reflection: what is less is lost in imperfect structures and backgrounds."""
_LEAST_CONTRAST = 8.0
"""Of the median misfit. Texture makes misfits of known reflections, which are left out, so that the rest is quiet."""
_SAME_WIDTHS = 1.2
"""A misfit nearer to a known reflection than this many widths is the reflection's own."""
_MOST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A peak that no phase has."""

    q: float
    """1/angstrom."""
    part: float
    """Of the height of the highest reflection."""

    @property
    def spacing_angstrom(self) -> float:
        """Spacing of planes that it would belong to."""
        return 2 * np.pi / self.q


def unexplained_peaks(q: Array, pattern: Array, fit: Array, background: Array, *, known_q: Array, width_q: float) -> list[Peak]:
    """Find peaks of the misfit, the highest first.

    Parameters
    ----------
    q
        Bin centres, shape (n_radial,), 1/angstrom.
    pattern, fit, background
        Shape (n_radial,); NaN in ``pattern`` where no pixel is.
    known_q
        Places of all reflections of all phases.
    width_q
        Full width at half maximum of a reflection, 1/angstrom.
    """
    usable = np.isfinite(pattern)
    highest = float((fit - background).max(initial=0.0))
    if highest <= 0 or usable.sum() < 10:
        return []
    step = float(q[1] - q[0])
    misfit = gaussian_filter1d(np.where(usable, np.nan_to_num(pattern) - fit, 0.0), width_q / step / 2.355)
    near = np.zeros(q.size, np.bool_)
    inside = known_q[(known_q > q[0]) & (known_q < q[-1])]
    near[np.clip(np.rint((inside - q[0]) / step).astype(int), 0, q.size - 1)] = True
    reach = int(np.ceil(_SAME_WIDTHS * width_q / step))
    is_free = ~maximum_filter1d(near, 2 * reach + 1) & usable
    if is_free.sum() < 10:
        return []
    quiet = float(np.median(np.abs(misfit[is_free])))
    least = max(LEAST_PART * highest, _LEAST_CONTRAST * quiet)
    places, _ = find_peaks(misfit, height=least, prominence=0.5 * least)
    found = [Peak(q=float(q[i]), part=float(misfit[i] / highest)) for i in places if is_free[i]]
    return sorted(found, key=lambda peak: -peak.part)[:_MOST]
