"""The same reduction in plain float64 NumPy, as the definition says: slow, and what the kernels are held against."""

import numpy as np
from numpy.typing import NDArray

from streaming.integrate.bins import RadialBins


def reduce_plainly(
    frame: NDArray[np.uint16] | NDArray[np.uint32], bins: RadialBins, *, limit: int, cuts: tuple[float, float]
) -> NDArray[np.float64]:
    """Give mean, variance of the mean and trimmed mean of every bin, shape (3, n_radial), float64.

    Parameters
    ----------
    frame
        Counts, shape (n_rows, n_columns).
    bins
        Which pixel belongs where.
    limit
        Counts at or above it are excluded.
    cuts
        Lower and upper cut of the trim, parts of one.
    """
    results = np.full((3, bins.n_radial), np.nan)
    sorted_counts = np.zeros(bins.n_places + 1)
    sorted_counts[bins.place] = frame.reshape(-1)
    for k in range(bins.n_radial):
        members = slice(bins.offsets[k], bins.offsets[k] + bins.n_pixels[k])
        counts = sorted_counts[members]
        correction = bins.correction[members].astype(np.float64)
        is_good = counts < limit
        if is_good.any():
            results[:, k] = _reduce_bin(counts[is_good], correction[is_good], cuts)
    return results


def _reduce_bin(
    counts: NDArray[np.float64], correction: NDArray[np.float64], cuts: tuple[float, float]
) -> tuple[float, float, float]:
    norm = correction.sum()
    order = np.lexsort((-correction, counts / correction))
    after = np.cumsum(correction[order])
    before = np.concatenate([[0.0], after[:-1]])
    low, high = cuts[0] * norm, cuts[1] * norm
    # A pixel inside the cuts counts; so does the one that spans both, which makes a median of equal cuts.
    kept = order[((before >= low) & (after <= high)) | ((before <= low) & (after >= high))]
    trimmed = counts[kept].sum() / correction[kept].sum() if kept.size else np.nan
    return counts.sum() / norm, max(counts.sum(), 1.0) / norm**2, trimmed
