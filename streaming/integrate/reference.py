"""The same reduction in plain float64 NumPy, as the definition says: slow, and what the kernels are held against."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

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


def reject_plainly(
    frame: NDArray[np.uint16] | NDArray[np.uint32], bins: RadialBins, *, limit: int
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Give mean, variance and mean of what is kept of every bin, shape (3, n_radial), and how many are too high and dead."""
    results = np.full((3, bins.n_radial), np.nan)
    sorted_counts = np.zeros(bins.n_places + 1)
    sorted_counts[bins.place] = frame.reshape(-1)
    members = [slice(first, first + n) for first, n in zip(bins.offsets, bins.n_pixels, strict=False)]
    pixels = [(sorted_counts[one], bins.correction[one].astype(np.float64), sorted_counts[one] < limit) for one in members]
    bounds = np.array([_bound(*one) for one in pixels])
    n_high = n_dead = 0
    for k, (counts, correction, is_good) in enumerate(pixels):
        if not is_good.any():
            continue
        kept = is_good & (counts / correction <= bounds[max(k - 1, 0) : k + 2].max())
        mean = counts[kept].sum() / correction[kept].sum()
        is_dead = kept & (counts == 0) & (mean * correction > 20.0)
        n_high, n_dead = n_high + int((is_good & ~kept).sum()), n_dead + int(is_dead.sum())
        norm = correction[kept & ~is_dead].sum()
        all_mean = counts[is_good].sum() / correction[is_good].sum()
        results[:, k] = all_mean, max(counts[kept].sum(), 1.0) / norm**2, counts[kept].sum() / norm
    return results, (n_high, n_dead)


def _bound(counts: NDArray[np.float64], correction: NDArray[np.float64], is_good: NDArray[np.bool_]) -> float:
    """Give the intensity up to which a bin's pixels are kept; 0 without a good pixel."""
    intensity, kept, bound = counts / correction, is_good.copy(), 0.0
    for _ in range(30 if is_good.any() else 0):
        mean = counts[kept].sum() / correction[kept].sum()
        below = is_good & (intensity <= mean)
        square = np.average((intensity[below] - mean) ** 2, weights=correction[below]) if below.any() else 0.0
        counting = mean * is_good.sum() / correction[is_good].sum()
        counted = _largest_counted(mean, counting, correction)
        if kept.sum() == is_good.sum() and counts[is_good].max() / correction.min() <= counted:
            return counted
        bound = max(mean + 3.5 * np.sqrt(square), counted)
        again = is_good & (intensity <= bound)
        if (again == kept).all():
            break
        kept = again
    return bound


def _largest_counted(mean: float, variance: float, correction: NDArray[np.float64]) -> float:
    expected = mean * correction.max()
    t = 0 if expected > 40 else next(t for t in range(400) if poisson.sf(t - 1, expected) <= 1e-4)
    return float(max(mean + 5 * np.sqrt(variance), (t + 0.5) / correction.min()))


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
