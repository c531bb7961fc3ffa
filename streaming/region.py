"""The pattern of a region: receives the lines of a tomogram and some voxels, gives their mean pattern and its fit.

Filtered back projection is linear, so the mean pattern of some voxels is one weighted sum over all measured patterns. The
weights are had by running the reconstruction backwards: from the voxels to places on each line, through the filter, the
interpolation of holes and of positions, to the points. It is the same reconstruction as that of the maps
(:mod:`streaming.reconstruct`): the channels of this pattern are the channels of these voxels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operando.bus import SupersededError
from operando.profile.correction import Correction
from operando.scan import LineKey, TomogramGrid
from streaming.amounts import Amounts, add_misfit, fit_amounts
from streaming.channels import LiveChannels
from streaming.correct.beam import reference_from_line
from streaming.correct.points import point_scale
from streaming.halves import LEAST_LINES, opposed_weights
from streaming.line import Line
from streaming.reconstruct import Filter, convolved, filter_kernel
from streaming.sinogram import Resampling, line_offset, make_resampling, shifted_grid

Array = NDArray[np.float64]

_SHIFTS = [(0, 0), *((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0))]
"""Where a region is looked at for its scatter, in points of the scan: one place alone knows it to a factor of two at best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingLine:
    """A line that a tomogram is made of."""

    key: LineKey
    weight_rad: float
    """The angle that it stands for, scaled so that all lines together stand for half a turn."""
    shift_mm: float = 0.0
    """How far its points lie above their positions."""
    air_points: tuple[int, ...] = ()
    """Points whose mean is subtracted from all, as air."""
    gain: Array | None = None
    """What intensities are multiplied by at each grid point, shape (n_grid_points,); None is 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ingredients:
    """What a tomogram is made of, as far as a region's pattern needs it; never changed, a newer one replaces it."""

    run: str
    grid: TomogramGrid
    centre_mm: float
    window: Filter
    estimator: str
    """``mean`` or ``trimmed``."""
    lines: tuple[CountingLine, ...]
    reference: LineKey
    """The line that sets the weights of the fit, and the ring current that all are scaled to."""
    residual: Array
    """Mean pattern of the tomogram minus its fit, shape (n_radial,)."""
    mean_mass: float
    """Mean mass along the beam."""
    correction: Correction
    """What was corrected."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patterns:
    """What a region needs of a line: kept, so that the next region need not read it again."""

    angle_deg: float
    mean: NDArray[np.float32]
    """The estimator's patterns, shape (n_points, n_radial), photons per pixel; NaN where a frame is missing."""
    variance: NDArray[np.float32]
    positions_mm: Array
    is_received: NDArray[np.bool_]
    ring_current_ma: float | None
    monitor: Array | None
    transmitted: Array | None

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return int(self.mean.nbytes + self.variance.nbytes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionFit:
    """The mean pattern of a region and what the fit makes of it."""

    pattern: Array
    """Shape (n_radial,), photons per pixel and mm; NaN where no pixel is."""
    sigma: Array
    """Standard deviation of ``pattern``, from counting alone."""
    amounts: Amounts
    """Of this one pattern, shape (1, ...)."""
    misfit: float | None
    """Weighted profile residual Rwp, 0 to 1: R. A. Young, The Rietveld Method (1993), table 1.3."""


def patterns_from_line(line: Line, *, estimator: str) -> Patterns:
    """Keep of a line what a region needs."""
    return Patterns(
        angle_deg=line.angle_deg,
        mean=line.pattern_of(estimator),
        variance=line.variance,
        positions_mm=line.positions_mm,
        is_received=line.is_received,
        ring_current_ma=line.ring_current_ma,
        monitor=line.monitor,
        transmitted=line.transmitted,
    )


def fit_region(
    ingredients: Ingredients,
    *,
    x_mm: Array,
    y_mm: Array,
    live: LiveChannels,
    patterns_of: Callable[[LineKey], Patterns],
    is_wanted: Callable[[], bool] = lambda: True,
) -> RegionFit:
    """Reconstruct the mean pattern of some voxels and fit it.

    Parameters
    ----------
    ingredients
        The tomogram.
    x_mm, y_mm
        Centres of the voxels from the rotation axis, shape (n_voxels,).
    live
        The channels of the tomogram's reference line.
    patterns_of
        Gives the patterns of a line.
    is_wanted
        Asked at every line.

    Raises
    ------
    SupersededError
        If it is no longer wanted.
    """
    regions = [(x_mm + dx * ingredients.grid.step_mm, y_mm + dy * ingredients.grid.step_mm) for dx, dy in _SHIFTS]
    reference = reference_from_line(patterns_of(ingredients.reference))
    n_radial = ingredients.residual.size
    pattern, variance, scan_variance = np.zeros(n_radial), np.zeros(n_radial), np.zeros(n_radial)
    angles_deg: list[float] = []
    shares: list[Array] = []
    for line in ingredients.lines:
        if not is_wanted():
            raise SupersededError("nobody waits for this region any more")
        patterns = patterns_of(line.key)
        scale, _ = point_scale(patterns, reference=reference, correction=ingredients.correction)
        weights = _line_weights(ingredients, line, patterns, scale=scale, regions=regions)
        used = np.flatnonzero(weights.any(axis=0))
        parts = weights[:, used] @ patterns.mean[used]
        pattern += line.weight_rad * parts[0]
        variance += (line.weight_rad * weights[0, used]) ** 2 @ patterns.variance[used]
        shares.append(live.channels(_counted(parts, live)))
        angles_deg.append(patterns.angle_deg)
        scan_variance += np.nansum(patterns.variance * scale[:, None] ** 2, axis=0)
    amounts = fit_amounts(
        live.channels(_counted(pattern[None], live)),
        live.effective_variance(_counted(variance[None], live)),
        live=live,
        mean_variance=scan_variance,
    )
    amounts = replace(amounts, scatter=_scatter(np.array(angles_deg), shares, amounts.response))
    amounts = add_misfit(amounts, residual=ingredients.residual, mean_mass=ingredients.mean_mass, live=live)
    return RegionFit(
        pattern=pattern,
        sigma=np.sqrt(variance),
        amounts=amounts,
        misfit=_rwp(pattern, live.model.templates @ amounts.values[0], live),
    )


def _line_weights(
    ingredients: Ingredients,
    line: CountingLine,
    patterns: Patterns,
    *,
    scale: Array,
    regions: Sequence[tuple[Array, Array]],
) -> Array:
    """Give what each point of a line weighs in the mean of each region's voxels, shape (n_regions, n_points)."""
    kernel = filter_kernel(ingredients.grid.n_points, window=ingredients.window)
    positions_mm, usable = patterns.positions_mm + line.shift_mm, patterns.is_received & np.isfinite(scale)
    grid = shifted_grid(ingredients.grid, line_offset(positions_mm, usable, ingredients.grid))
    places = [places_on_line(grid, ingredients.centre_mm, patterns.angle_deg, x_mm=x, y_mm=y) for x, y in regions]
    resampling = make_resampling(positions_mm, usable, grid)
    rows = convolved(np.stack(places, axis=-1), kernel).T
    weights = np.stack([point_weights(row.copy(), resampling, line.gain, n_points=scale.size) for row in rows])
    if line.air_points:
        # Air is subtracted from the grid points, after the gain.
        ungained = np.stack([point_weights(row.copy(), resampling, None, n_points=scale.size) for row in rows])
        weights[:, list(line.air_points)] -= ungained.sum(axis=1, keepdims=True) / len(line.air_points)
    return weights / grid.step_mm * np.where(usable, scale, 0.0)


def _scatter(angles_deg: Array, shares: Sequence[Array], response: Array) -> Array | None:
    """Give the covariance of amounts that two halves of the lines show, shape (1, n_phases, n_phases).

    As for the maps (:mod:`streaming.halves`), squares are averaged over the neighbourhood: the region itself, and the region
    moved by one point of the scan to every side.

    Parameters
    ----------
    angles_deg
        Of each line.
    shares
        Of each line, the channels that it adds to the region, wherever it is moved, per radian, shape (n_shifts, n_channels).
    response
        Change of each phase's amount with each channel, shape (n_phases, n_channels).
    """
    if len(shares) < LEAST_LINES:
        return None
    difference = np.einsum("l,lsc->sc", opposed_weights(angles_deg), np.stack(shares)) @ response.T
    scatter: Array = np.einsum("si,sj->ij", difference, difference)[None] / len(difference)
    return scatter


def places_on_line(grid: TomogramGrid, centre_mm: float, angle_deg: float, *, x_mm: Array, y_mm: Array) -> Array:
    """Give how much each grid point of a line has in the mean of the voxels, before the filter; shape (n_points,)."""
    angle = np.deg2rad(angle_deg)
    place = (x_mm * np.cos(angle) + y_mm * np.sin(angle) + centre_mm - grid.first_position_mm) / grid.step_mm
    lower = np.clip(np.floor(place), 0, grid.n_points - 2).astype(np.intp)
    fraction = place - lower
    share = np.where((fraction >= 0) & (fraction <= 1), 1.0 / x_mm.size, 0.0)
    places: Array = np.bincount(lower, share * (1 - fraction), grid.n_points).astype(np.float64)
    places += np.bincount(lower + 1, share * fraction, grid.n_points)
    return places


def point_weights(filtered: Array, resampling: Resampling, gain: Array | None, *, n_points: int) -> Array:
    """Give the weight of each point's pattern for filtered places: holes, gain and positions in reverse.

    The filter is the same in both directions, so its reverse is itself.
    """
    weights = filtered.copy()
    _pour_holes(weights, resampling.is_measured)
    if gain is not None:
        weights *= gain
    points = np.zeros(n_points)
    np.add.at(points, resampling.lower, weights * (1 - resampling.fraction))
    np.add.at(points, resampling.upper, weights * resampling.fraction)
    return points


def _pour_holes(weights: Array, is_measured: NDArray[np.bool_]) -> None:
    """Give the weight of each hole to the two measured points that it is interpolated from, in place."""
    measured, holes = np.flatnonzero(is_measured), np.flatnonzero(~is_measured)
    if not holes.size or not measured.size:
        return
    after = np.searchsorted(measured, holes)
    left, right = measured[np.maximum(after - 1, 0)], measured[np.minimum(after, measured.size - 1)]
    part = np.where(right > left, (holes - left) / np.maximum(right - left, 1), 0.0)
    np.add.at(weights, left, weights[holes] * (1 - part))
    np.add.at(weights, right, weights[holes] * part)
    weights[holes] = 0.0


def _counted(values: Array, live: LiveChannels) -> Array:
    """Interpolate over q the counted bins that a pattern lacks, as the live analysis does for each point."""
    bins, whole = np.arange(values.shape[1]), values.copy()
    for row in whole:
        lacks = np.isnan(row) & (live.weights > 0)
        if lacks.any():
            known = np.isfinite(row)
            row[lacks] = np.interp(bins[lacks], bins[known], row[known]) if known.any() else 0.0
    return whole


def _rwp(pattern: Array, fit: Array, live: LiveChannels) -> float | None:
    counted = (live.weights > 0) & np.isfinite(pattern)
    power = float(live.weights[counted] @ pattern[counted] ** 2)
    if power <= 0:
        return None
    return float(np.sqrt(live.weights[counted] @ (pattern - fit)[counted] ** 2 / power))


def counting_lines(lines: Sequence[CountingLine]) -> tuple[CountingLine, ...]:
    """Give the lines with their weights scaled to half a turn."""
    total = sum(line.weight_rad for line in lines)
    return tuple(replace(line, weight_rad=line.weight_rad * np.pi / total) for line in lines)
