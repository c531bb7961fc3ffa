"""Arrays as a person wants to see them: the sinogram in order of angle, counts on a logarithmic scale, curves with margins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_ROWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinogram:
    """A sinogram on an even grid of angles."""

    value: NDArray[np.float32]
    """Shape (angle, position), ascending; NaN where nothing was measured."""
    first_deg: float
    step_deg: float


def even_sinogram(sinogram: NDArray[np.floating], angles_deg: ArrayLike) -> Sinogram:
    """Place the rows of a sinogram at their angles, whatever the order in which they were flown.

    Parameters
    ----------
    sinogram
        Shape (n_lines, n_positions).
    angles_deg
        Angle of each row, degree; of rows that fall together the later is shown.
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    distinct = np.unique(angles)
    gaps = np.diff(distinct)
    span_deg = float(distinct[-1] - distinct[0])
    step_deg = max(float(gaps.min()), span_deg / MAX_ROWS) if gaps.size else 1.0
    rows = np.round((angles - distinct[0]) / step_deg).astype(np.intp)
    value = np.full((rows.max() + 1, sinogram.shape[1]), np.nan, dtype=np.float32)
    value[rows] = sinogram
    return Sinogram(value=value, first_deg=float(distinct[0]), step_deg=step_deg)


def log_counts(image: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
    """Give log10(1 + counts) of a frame, shape (rows, columns); masked pixels, at the type's maximum, are NaN."""
    is_masked = image == np.iinfo(image.dtype).max
    counts = np.where(is_masked, 0, image).astype(np.float32)
    return np.where(is_masked, np.float32(np.nan), np.log10(1 + counts))


def robust_range(value: NDArray[np.floating], *, low: float = 0.5, high: float = 99.7) -> tuple[float, float]:
    """Give percentiles of what is finite, always ascending, so that one hot pixel does not hide the rest."""
    finite = value[np.isfinite(value)]
    if not finite.size:
        return 0.0, 1.0
    bottom, top = (float(edge) for edge in np.percentile(finite, [low, high]))
    return (bottom, top) if top > bottom else (bottom, bottom + 1.0)
