"""Corrections: receives a line as it was written, gives its projection on the grid of the tomogram, normalised to one beam.

Divides by the ring current, reduces patterns to live channels, and places them by their positions. What it does not correct in
this estimator: self-absorption and air scatter. Air is smooth in q and goes to the background functions.
"""

import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError
from operando.scan import TomogramGrid
from streaming.channels import LiveChannels
from streaming.line import Line
from streaming.sinogram import Projection, make_resampling

Array = NDArray[np.float64]

_LEAST_BINS = 0.5
"""Part of the bins that a pattern must have: beyond it the rest would be made up from the other half."""
_SAME_Q = 1e-3
"""Of a bin: more than this and the line was integrated on another grid."""


def check_grid(line: Line, q: Array) -> None:
    """Refuse a line whose patterns stand on another radial grid than the templates.

    Raises
    ------
    DataError
        With both grids.
    """
    if line.q.size != q.size or np.abs(line.q - q).max() > _SAME_Q * (q[1] - q[0]):
        raise DataError(
            f"{line.key.stem} has {line.q.size} bins from {line.q[0]:.4f} to {line.q[-1]:.4f} 1/angstrom, "
            f"the profile {q.size} from {q[0]:.4f} to {q[-1]:.4f}: analyse it with the profile it was integrated with"
        )


def typical_variance(line: Line) -> Array:
    """Give the mean variance of a line's bins, shape (n_radial,); NaN where no pixel is."""
    received = line.variance[line.is_received].astype(np.float64)
    if not received.size:
        return np.full(line.q.size, np.nan)
    mean: Array = received.mean(axis=0)
    return mean


def make_projection(
    line: Line, *, grid: TomogramGrid, live: LiveChannels, estimator: str, reference_current_ma: float | None
) -> Projection:
    """Reduce a line to its projection.

    Parameters
    ----------
    line
        The line as written.
    grid
        The tomogram's points.
    live
        The live channels.
    estimator
        ``mean`` or ``trimmed``: which patterns are analysed. The variance is that of the mean for both: some 3 % too small
        for a mean that is trimmed by a tenth, if the pixels of a bin differ by normal noise.
    reference_current_ma
        Ring current that intensities are scaled to. Where it or the line's own is unknown, nothing is scaled.
    """
    scale = 1.0
    if reference_current_ma and line.ring_current_ma:
        scale = reference_current_ma / line.ring_current_ma
    measured = line.trimmed if estimator == "trimmed" else line.mean
    received = line.is_received & _is_usable(measured, live.weights > 0)
    patterns = _without_holes(measured[received], live.weights > 0) * scale
    variances = _without_holes(line.variance[received], live.weights > 0) * scale**2
    channels = np.full((received.size, live.model.templates.shape[1]), np.nan)
    noise = np.full(received.size, np.nan)
    channels[received] = live.channels(patterns)
    noise[received] = live.effective_variance(variances)
    resampling = make_resampling(line.positions_mm, received, grid)
    return Projection(
        key=line.key,
        angle_deg=line.angle_deg,
        channels=resampling.values(channels),
        variance=resampling.variances(noise),
        unit_variance=live.unit_variance,
        is_measured=resampling.is_measured,
        pattern_sum=patterns.sum(axis=0),
        variance_sum=variances.sum(axis=0),
        n_received=int(received.sum()),
        n_points=received.size,
    )


def _is_usable(patterns: NDArray[np.float32], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which patterns have most of the counted bins; an image of masked pixels alone came and says nothing all the same."""
    usable: NDArray[np.bool_] = np.isfinite(patterns[:, counted]).mean(axis=1) >= _LEAST_BINS
    return usable


def _without_holes(patterns: NDArray[np.float32], counted: NDArray[np.bool_]) -> Array:
    """Interpolate over q the counted bins that a pattern lacks; a mask that grew during the scan leaves some."""
    whole = patterns.astype(np.float64)
    bins = np.arange(whole.shape[1])
    for row in np.flatnonzero(~np.isfinite(whole[:, counted]).all(axis=1)):
        pattern = whole[row]
        known = np.isfinite(pattern)
        pattern[~known & counted] = np.interp(bins[~known & counted], bins[known], pattern[known]) if known.any() else np.nan
    return whole
