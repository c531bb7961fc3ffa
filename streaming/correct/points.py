"""From a line as it was written to its live channels, and from there to a projection on the grid of the tomogram.

Two steps, because they are revised for different reasons: channels of points depend on the line alone, while their places and
gains depend on what all lines together say of delays, wobble and absorption.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError
from operando.profile.correction import Correction
from operando.scan import LineKey, TomogramGrid
from streaming.amounts import fit_amounts
from streaming.channels import LiveChannels
from streaming.correct.beam import BeamReadings, Reference, beam_scale
from streaming.correct.outside import outside_points
from streaming.correct.transmission import transmission_from_diode
from streaming.line import Line
from streaming.sinogram import LARGEST_GAP, Projection, line_offset, make_resampling, shifted_grid

Array = NDArray[np.float64]

_LEAST_BINS = 0.5
"""Part of the bins that a pattern must have: beyond it the rest would be made up from the other half."""
_SAME_Q = 1e-3
"""Of a bin: more than this and the line was integrated on another grid."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinePoints:
    """One attempt of one line, reduced to live channels and normalised to one beam; points in flying order."""

    key: LineKey
    angle_deg: float
    direction: int
    positions_mm: Array
    """As captured or computed, shape (n_points,)."""
    is_received: NDArray[np.bool_]
    """Whether a point has a pattern that can be used, shape (n_points,)."""
    channels: Array
    """Air included, shape (n_points, n_channels); NaN where not received."""
    variance: Array
    """Effective variance, shape (n_points,)."""
    air: Array
    """Channels of the air alone, to be subtracted once transmission is divided out; shape (n_channels,)."""
    air_variance: float
    """Effective variance of the air, common to all points."""
    air_points: tuple[int, ...]
    """The points beside the sample that it is the mean of; none where it is not subtracted."""
    unit_variance: Array
    """Variance of each channel where the effective variance is 1, shape (n_channels,)."""
    mass: Array
    """Mass of all phases along the beam, shape (n_points,), relative."""
    mass_variance: Array
    """Its variance from counting, shape (n_points,)."""
    pattern_sum: Array
    """Sum of the patterns, shape (n_radial,)."""
    variance_sum: Array
    beam: str
    """What the beam was normalised with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MassProfile:
    """The mass along the beam at the grid points of a line, where its positions put it."""

    key: LineKey
    angle_deg: float
    direction: int
    mass: Array
    """Shape (n_grid_points,), relative; NaN where not measured."""
    variance: Array
    """Its variance from counting, same shape."""


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


def point_scale(line: BeamReadings, *, reference: Reference, correction: Correction) -> tuple[Array, str]:
    """Give what each pattern of a line is multiplied by, shape (n_points,), and what the beam was known from.

    Beam and, where a diode measured it, transmission; NaN for a point that cannot be corrected.
    """
    scale = beam_scale(line, reference, source=correction.beam)
    if correction.self_absorption != "diode":
        return scale.factor, scale.source
    transmission = transmission_from_diode(line)
    # A line without an open beam is shown as a hole rather than half as bright as its neighbours.
    factor = np.full(scale.factor.size, np.nan) if transmission is None else scale.factor / transmission
    return factor, scale.source


def make_points(line: Line, *, live: LiveChannels, estimator: str, reference: Reference, correction: Correction) -> LinePoints:
    """Reduce a line to live channels.

    Air is a constant once a point is divided by its transmission, since the beam's attenuation dims it as it dims the sample:
    it is the mean of the points beside the sample. Without a transmission it is subtracted as it is.

    Parameters
    ----------
    line
        The line as written.
    live
        The live channels.
    estimator
        ``mean`` or ``trimmed``: which patterns are analysed. The variance is that of the mean for both: some 3 % too small
        for a mean that is trimmed by a tenth, if the pixels of a bin differ by normal noise.
    reference
        Beam that intensities are scaled to.
    correction
        What is corrected.
    """
    measured = line.pattern_of(estimator)
    scale, beam = point_scale(line, reference=reference, correction=correction)
    received = line.is_received & is_usable(measured, live.weights > 0) & np.isfinite(scale)
    patterns = without_holes(measured[received], live.weights > 0) * scale[received, None]
    variances = without_holes(line.variance[received], live.weights > 0) * scale[received, None] ** 2
    channels = np.full((received.size, live.model.templates.shape[1]), np.nan)
    noise = np.full(received.size, np.nan)
    channels[received], noise[received] = live.channels(patterns), live.effective_variance(variances)
    air_points = _air_points(channels, noise, line.positions_mm, live=live) if correction.air else ()
    is_air = list(air_points)
    amounts = fit_amounts(channels, np.nan_to_num(noise), live=live, mean_variance=np.ones(live.model.q.size))
    return LinePoints(
        key=line.key,
        angle_deg=line.angle_deg,
        direction=line.direction,
        positions_mm=line.positions_mm,
        is_received=received,
        channels=channels,
        variance=noise,
        air=channels[is_air].mean(axis=0) if is_air else np.zeros(channels.shape[1]),
        air_variance=float(noise[is_air].mean()) / len(is_air) if is_air else 0.0,
        air_points=air_points,
        unit_variance=live.unit_variance,
        mass=np.where(received, amounts.phases.sum(axis=-1), np.nan),
        mass_variance=np.where(received, amounts.sigma(np.ones(amounts.n_phases)) ** 2, np.nan),
        pattern_sum=patterns.sum(axis=0),
        variance_sum=variances.sum(axis=0),
        beam=beam,
    )


def place(
    points: LinePoints,
    *,
    grid: TomogramGrid,
    shift_mm: float = 0.0,
    gain: Array | None = None,
    largest_gap: float = LARGEST_GAP,
) -> Projection:
    """Put a line on a grid by its positions: that of the tomogram, moved by less than a step to where the points really are.

    Parameters
    ----------
    points
        The line.
    grid
        The tomogram's points.
    shift_mm
        How far its points really lie above their positions.
    gain
        What intensities are multiplied by at each grid point, shape (n_grid_points,); None is 1.
    largest_gap
        Steps between two points that are interpolated over, see :func:`streaming.sinogram.make_resampling`.
    """
    positions_mm = points.positions_mm + shift_mm
    offset = line_offset(positions_mm, points.is_received, grid)
    resampling = make_resampling(positions_mm, points.is_received, shifted_grid(grid, offset), largest_gap=largest_gap)
    factor = np.ones(grid.n_points) if gain is None else gain
    return Projection(
        key=points.key,
        angle_deg=points.angle_deg,
        channels=resampling.values(points.channels) * factor[:, None] - points.air,
        variance=resampling.variances(points.variance) * factor**2 + points.air_variance,
        unit_variance=points.unit_variance,
        is_measured=resampling.is_measured,
        offset_steps=offset,
        pattern_sum=points.pattern_sum,
        variance_sum=points.variance_sum,
        n_received=int(points.is_received.sum()),
        n_points=points.is_received.size,
    )


def place_mass(
    points: LinePoints,
    *,
    grid: TomogramGrid,
    shift_mm: float = 0.0,
    gain: Array | None = None,
    largest_gap: float = LARGEST_GAP,
) -> MassProfile:
    """Do what :func:`place` does for the mass alone."""
    resampling = make_resampling(points.positions_mm + shift_mm, points.is_received, grid, largest_gap=largest_gap)
    factor = np.ones(grid.n_points) if gain is None else gain
    return MassProfile(
        key=points.key,
        angle_deg=points.angle_deg,
        direction=points.direction,
        mass=resampling.values(points.mass) * factor,
        variance=resampling.variances(points.mass_variance) * factor**2,
    )


def _air_points(channels: Array, noise: Array, positions_mm: Array, *, live: LiveChannels) -> tuple[int, ...]:
    """Give the points beside the sample, by the sum of all channels in units of their noise."""
    order = np.argsort(positions_mm, kind="stable")
    total = channels[order] @ (1 / live.unit_variance)
    deviation = np.sqrt(noise[order] * float(np.sum(1 / live.unit_variance)))
    return tuple(int(point) for point in np.sort(order[outside_points(total, deviation)]))


def is_usable(patterns: NDArray[np.float32], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which patterns have most of the counted bins; an image of masked pixels alone came and says nothing all the same."""
    usable: NDArray[np.bool_] = np.isfinite(patterns[:, counted]).mean(axis=1) >= _LEAST_BINS
    return usable


def without_holes(patterns: NDArray[np.float32], counted: NDArray[np.bool_]) -> Array:
    """Interpolate over q the counted bins that a pattern lacks; a mask that grew during the scan leaves some."""
    whole = patterns.astype(np.float64)
    bins = np.arange(whole.shape[1])
    for row in np.flatnonzero(~np.isfinite(whole[:, counted]).all(axis=1)):
        pattern = whole[row]
        known = np.isfinite(pattern)
        pattern[~known & counted] = np.interp(bins[~known & counted], bins[known], pattern[known]) if known.any() else np.nan
    return whole
