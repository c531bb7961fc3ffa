"""Incremental filtered back projection: receives projections as lines come, gives the slice as far as it is known.

Each line is filtered once and kept. Its weight is the angle that it stands for, half the gap to either neighbour; when a line
comes, goes or is flown again, the difference that this makes is added: its own back projection and those of the two
neighbours whose weight it changed. So the volume always equals the batch reconstruction of the lines present, in any order of
arrival. When the centre moves, it is rebuilt from the kept lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from operando.scan import TomogramGrid
from streaming.iterate import reconstruct_non_negative
from streaming.projection import Rays
from streaming.sinogram import Projection
from streaming.vectors import EIGHT
from streaming.volume import HostVolume, MakeVolume, Volume, VoxelGrid

Array = NDArray[np.float64]
Filter = Literal["ramp", "shepp-logan", "hann"]

LARGEST_GAP_DEG = 30.0
"""A line stands for at most this angle. Without a limit the last line before a wedge that is still missing would outweigh all
others; with a much smaller one the first lines of an interlaced scan would all count the same, whatever their gaps."""

SAME_ANGLE_DEG = 1e-3
"""Lines nearer than this stand at one angle: an arc of 0.1 um at the rim of a cell."""

LEAST_MEASURED = 0.5
"""Part of a line that must be measured for it to be reconstructed: across larger holes a filled line is mostly invented."""

_N_EXTRA = 2
"""Columns before the channels in every row: noise, and coverage. Zeros behind them make the number a multiple of eight."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """The reconstructed slice. All arrays are (y, x[, channel]), y upwards, the rotation axis in the middle."""

    channels: Array
    """Channels per mm of path, shape (n_voxels, n_voxels, n_channels)."""
    noise: Array
    """Effective variance of each voxel, in the units of the channels' (:class:`streaming.channels.LiveChannels`)."""
    coverage: Array
    """Part of the planned lines that measured a voxel, 0 to 1."""
    n_lines: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Row:
    projection: Projection
    values: Array
    """Filtered noise, coverage, filtered channels, zeros; shape (n_points, n_columns)."""


class Reconstruction:
    """The slice of one tomogram, kept up to date line by line.

    Parameters
    ----------
    grid
        The planned points; sets the field of view.
    n_channels
        Channels of each projection.
    window
        Window on the ramp filter.
    centre_mm
        Readback of the fast axis where the beam hits the rotation axis.
    pixel_mm
        Edge of a voxel; None takes the step of the grid.
    n_threads
        Threads of the back projection.
    make_volume
        Gives the voxels on another device; None keeps them with the processor.
    """

    def __init__(
        self,
        *,
        grid: TomogramGrid,
        n_channels: int,
        centre_mm: float,
        window: Filter = "shepp-logan",
        pixel_mm: float | None = None,
        n_threads: int = 1,
        make_volume: MakeVolume | None = None,
    ) -> None:
        self.grid = grid
        self.pixel_mm = pixel_mm or grid.step_mm
        self.centre_mm = centre_mm
        self._kernel = filter_kernel(grid.n_points, window=window)
        self._make_volume = make_volume or (lambda grid: HostVolume(grid, n_threads=n_threads))
        self._rows: dict[int, _Row] = {}
        self._weights: dict[int, float] = {}
        self._n_voxels = max(1, round(grid.n_points * grid.step_mm / self.pixel_mm))
        self._channels = slice(_N_EXTRA, _N_EXTRA + n_channels)
        self._n_columns = -(-(n_channels + _N_EXTRA) // EIGHT) * EIGHT
        self._volume = self._empty(self._n_columns)

    @property
    def axis_mm(self) -> Array:
        """Voxel centres along x and along y, from the rotation axis, shape (n_voxels,)."""
        axis: Array = self.pixel_mm * (np.arange(self._n_voxels, dtype=np.float64) - (self._n_voxels - 1) / 2)
        return axis

    @property
    def weights(self) -> dict[int, float]:
        """Angle in radian that each line which is reconstructed stands for, by line."""
        return dict(self._weights)

    def update(self, projections: Mapping[int, Projection | None]) -> None:
        """Let these projections count for their lines from now on; None takes a line out."""
        rows = dict(self._rows)
        for line, projection in projections.items():
            if projection is None or projection.is_measured.mean() < LEAST_MEASURED:
                rows.pop(line, None)
            elif line not in rows or rows[line].projection is not projection:
                rows[line] = self._filtered(projection)
        rows = dict(sorted(rows.items()))
        weights = dict(zip(rows, angular_weights(np.array([row.projection.angle_deg for row in rows.values()])), strict=True))
        self._add(_differences(self._rows, self._weights, sign=-1.0, other=(rows, weights)))
        self._add(_differences(rows, weights, sign=1.0, other=(self._rows, self._weights)))
        self._rows, self._weights = rows, weights

    def move_centre(self, centre_mm: float) -> None:
        """Rebuild the slice around another centre."""
        self.centre_mm = centre_mm
        self._volume.clear()
        self._add(_differences(self._rows, self._weights, sign=1.0, other=({}, {})))

    def slice(self) -> Slice:
        """Give the slice as it is now; the lines present are scaled up to stand for the half turn that is not yet complete."""
        total = sum(self._weights.values())
        scale = np.pi / total if total else 0.0
        values = self._volume.to_host()
        return Slice(
            channels=values[..., self._channels] * scale,
            noise=np.maximum(values[..., 0], 0.0) * scale**2,
            coverage=values[..., 1] / self.grid.angles_deg.size,
            n_lines=len(self._rows),
        )

    def iterated(self, n_iterations: int) -> Slice:
        """Give the slice by iterations with positivity instead (:mod:`streaming.iterate`), from the same projections.

        Noise and coverage are those of :meth:`slice`. Lines are taken at the middle of their places: one that stands between
        grid points is interpolated to them.
        """
        plain = self.slice()
        if not self._rows:
            return plain
        projections = [row.projection for row in self._rows.values()]
        places = np.arange(self.grid.n_points, dtype=np.float64)
        sinogram = np.stack([_on_grid(one.channels, places - one.offset_steps) for one in projections])
        noise = np.stack([_on_grid(one.variance[:, None], places - one.offset_steps) for one in projections])
        rays = Rays(
            angles_deg=self.angles_deg,
            first_s_mm=self.grid.first_position_mm - self.centre_mm,
            step_mm=self.grid.step_mm,
            n_points=self.grid.n_points,
            pixel_mm=self.pixel_mm,
            n_voxels=self._n_voxels,
        )
        found = reconstruct_non_negative(sinogram, rays, variance=noise * projections[0].unit_variance, iterations=n_iterations)
        return replace(plain, channels=found.volume)

    @property
    def angles_deg(self) -> Array:
        """Angles of the lines present, in the order of their numbers."""
        return np.array([row.projection.angle_deg for row in self._rows.values()])

    def combined(self, weights: Array, mixing: Array) -> Array:
        """Back project the lines with other weights than their own, and with their channels mixed.

        Parameters
        ----------
        weights
            One of each line, in the order of :attr:`angles_deg`, radian.
        mixing
            Shape (n_out, n_channels).

        Returns
        -------
        Array
            Shape (n_voxels, n_voxels, n_out).
        """
        volume = self._empty(mixing.shape[0])
        rows = np.stack([row.values[:, self._channels] @ mixing.T for row in self._rows.values()])
        factors = np.repeat(weights[:, None], mixing.shape[0], axis=1)
        self._back_project(volume, rows, factors, [row.projection for row in self._rows.values()])
        return volume.to_host()

    def _empty(self, n_columns: int) -> Volume:
        return self._make_volume(
            VoxelGrid(n_voxels=self._n_voxels, n_columns=n_columns, pixel_mm=self.pixel_mm, step_mm=self.grid.step_mm)
        )

    def _filtered(self, projection: Projection) -> _Row:
        channels, variance = fill_unmeasured(projection)
        step_mm = self.grid.step_mm
        values = np.zeros((channels.shape[0], self._n_columns))
        # Between two points the interpolation averages their noise: the mean over all places is taken for each.
        values[:, 0] = convolved(variance[:, None], self._kernel**2)[:, 0] / step_mm**2 * interpolated_noise(self._kernel)
        values[:, 1] = projection.is_measured
        values[:, self._channels] = convolved(channels, self._kernel) / step_mm
        return _Row(projection=projection, values=values)

    def _add(self, differences: list[tuple[_Row, Array]]) -> None:
        if not differences:
            return
        rows = np.stack([row.values for row, _ in differences])
        factors = np.stack([factors for _, factors in differences])
        self._back_project(self._volume, rows, factors, [row.projection for row, _ in differences])

    def _back_project(self, volume: Volume, rows: Array, factors: Array, projections: Sequence[Projection]) -> None:
        centre_index = (self.centre_mm - self.grid.first_position_mm) / self.grid.step_mm
        volume.add(
            rows,
            factors,
            angles_deg=np.array([projection.angle_deg for projection in projections]),
            centre_index=centre_index - np.array([projection.offset_steps for projection in projections]),
        )


def _on_grid(values: Array, places: Array) -> Array:
    """Interpolate the rows of (n_points, n_columns) at places between them; NaN beside a row of NaN, and beyond the ends."""
    lower = np.clip(np.floor(places), 0, values.shape[0] - 2).astype(np.intp)
    part = (places - lower)[:, None]
    on_grid: Array = (1 - part) * values[lower] + part * values[lower + 1]
    whole = part[:, 0] == 0
    on_grid[whole] = values[lower[whole]]
    on_grid[(places < 0) | (places > values.shape[0] - 1)] = np.nan
    return on_grid


def angular_weights(angles_deg: Array) -> Array:
    """Give the angle in radian that each line stands for on the half turn, shape (n_lines,).

    Half of either gap to the neighbours modulo 180 degrees (opposite lines see the same rays), limited by
    :data:`LARGEST_GAP_DEG`; lines at one angle share it evenly, however many they are. All weights of a complete scan add up
    to pi.
    """
    if angles_deg.size == 0:
        return np.zeros(0)
    # 180 is 0, but the rounding of a readback may leave it just below.
    folded = np.mod(np.mod(angles_deg, 180.0) + SAME_ANGLE_DEG / 2, 180.0)
    order = np.argsort(folded, kind="stable")
    is_new = np.r_[True, np.diff(folded[order]) > SAME_ANGLE_DEG]
    group = np.empty(angles_deg.size, dtype=np.intp)
    group[order] = np.cumsum(is_new) - 1
    distinct = folded[order][is_new]
    gaps = np.diff(distinct, append=distinct[0] + 180.0)
    shared = np.minimum(0.5 * (gaps + np.roll(gaps, 1)), LARGEST_GAP_DEG) / np.bincount(group)
    radians: Array = np.deg2rad(shared[group])
    return radians


def filter_kernel(n_points: int, *, window: Filter) -> Array:
    """Give the ramp filter in real space for unit step, lags -(n - 1) to n - 1, shape (2 n_points - 1,).

    Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), chapter 3, eq. 61; windowed in Fourier space, whose
    length is at least twice that of a line so that nothing wraps round.
    """
    length = scipy.fft.next_fast_len(max(64, 4 * n_points), real=True)
    lags = np.minimum(np.arange(length), length - np.arange(length))
    ramp = np.zeros(length)
    ramp[0] = 0.25
    is_odd = lags % 2 == 1
    ramp[is_odd] = -1.0 / (np.pi * lags[is_odd]) ** 2
    frequency = np.arange(length // 2 + 1) / length
    windows = {
        "ramp": np.ones_like(frequency),
        "shepp-logan": np.sinc(frequency),
        "hann": 0.5 + 0.5 * np.cos(2 * np.pi * frequency),
    }
    kernel = scipy.fft.irfft(scipy.fft.rfft(ramp) * windows[window], n=length)
    return np.r_[kernel[-(n_points - 1) :], kernel[:n_points]] if n_points > 1 else kernel[:1]


def interpolated_noise(kernel: Array) -> float:
    """Give the factor by which linear interpolation between two filtered points lowers their variance, mean over all places.

    (1 - t)^2 + t^2 + 2 t (1 - t) rho averaged over t is (2 + rho) / 3, rho being the correlation of neighbours after filtering
    white noise. A single place differs by up to a third; a voxel averages over all angles.
    """
    correlation = float(kernel[:-1] @ kernel[1:] / (kernel @ kernel))
    return (2.0 + correlation) / 3.0


def fill_unmeasured(projection: Projection) -> tuple[Array, Array]:
    """Give channels and effective variance without holes, for the filter, which cannot leave out a point.

    A hole is interpolated linearly along the line. What this invents is carried as noise: the square of half the step across
    the hole.
    """
    is_measured = projection.is_measured
    if is_measured.all():
        return projection.channels, projection.variance
    measured = np.flatnonzero(is_measured)
    holes = np.flatnonzero(~is_measured)
    channels, variance = projection.channels.copy(), projection.variance.copy()
    after = np.searchsorted(measured, holes)
    left, right = measured[np.maximum(after - 1, 0)], measured[np.minimum(after, measured.size - 1)]
    part = np.where(right > left, (holes - left) / np.maximum(right - left, 1), 0.0)
    channels[holes] = channels[left] + part[:, None] * (channels[right] - channels[left])
    beside = 0.5 * (variance[left] + variance[right])
    step = channels[right] - channels[left]
    variance[holes] = beside + np.mean((0.5 * step) ** 2 / projection.unit_variance, axis=1)
    return channels, variance


def convolved(values: Array, kernel: Array) -> Array:
    """Convolve along a line, (n_points, n_columns) to the same shape, without wrapping round."""
    n_points = values.shape[0]
    length = scipy.fft.next_fast_len(3 * n_points, real=True)
    spectrum = scipy.fft.rfft(values, n=length, axis=0) * scipy.fft.rfft(kernel, n=length)[:, None]
    full: Array = scipy.fft.irfft(spectrum, n=length, axis=0)
    return full[n_points - 1 : 2 * n_points - 1]


_Rows = Mapping[int, _Row]
_Weights = Mapping[int, float]


def _differences(rows: _Rows, weights: _Weights, *, sign: float, other: tuple[_Rows, _Weights]) -> list[tuple[_Row, Array]]:
    """List what these rows add (sign +1) or what they added and no longer do (sign -1), compared with the other state.

    A row whose weight alone changed is listed once, by the newer state.
    """
    other_rows, other_weights = other
    differences = []
    for line, row in rows.items():
        weight, before = weights[line], 0.0
        is_same = line in other_rows and other_rows[line] is row
        if is_same:
            before = other_weights[line]
        if (is_same and sign < 0) or weight == before:
            continue
        n_channels = row.values.shape[1] - _N_EXTRA
        extra = [weight**2 - before**2, 0.0 if is_same else 1.0]
        differences.append((row, sign * np.r_[extra, np.full(n_channels, weight - before)]))
    return differences
