"""Which window of azimuth to analyse: receives the lines of a scan with their sectors, tries windows, gives the best and why.

A textured phase flashes as the sample turns, except where the scattering vector keeps its angle to the layers. What flashes is
no projection of any slice: filtered back projection of it, projected again, is not what was measured. How far the two differ,
beyond what counting and the grid explain, tells windows that see flashes from those that do not (maps are wrong by many times
as much). Of the windows that are equally consistent the one with the least counting noise is the best. The sum over a line is
the same at all angles for a wound cell, whatever its texture, and tells nothing; nor does a sample that is perfectly round,
whose flashes are the same at all angles: its seams, tabs and ends tell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError
from operando.profile import Profile
from operando.scan import TomogramGrid
from streaming.amounts import fit_amounts
from streaming.back_projection import add_back_projections
from streaming.channels import LiveChannels, PatternModel, make_live_channels
from streaming.correct.beam import Reference, reference_from_line
from streaming.correct.points import make_points, typical_variance
from streaming.correct.sector import line_in_sector
from streaming.line import Line
from streaming.projection import Rays
from streaming.reconstruct import angular_weights, convolved, filter_kernel
from streaming.sinogram import make_resampling

Array = NDArray[np.float64]
Window = tuple[float, float]

WINDOWS: tuple[Window | None, ...] = (None, (0.0, 15.0), (0.0, 30.0), (0.0, 45.0), (90.0, 15.0), (90.0, 30.0))
"""What is tried: the full ring, windows about the projected rotation axis, and across it."""
LEAST_LINES = 12
_SAME_PART, _SAME = 0.3, 0.003
"""Inconsistencies that differ by less, of themselves or of the sinogram, are the same: draws of noise scatter so."""
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a window makes of the textured phases."""

    window: Window | None
    inconsistency: float
    """RMS of what no slice explains, over the RMS of the sinogram."""
    noise: float
    """The same of counting noise."""

    @property
    def words(self) -> str:
        """Give the window in words."""
        if self.window is None:
            return "the full ring"
        centre, half = self.window
        return f"{centre:g} +- {half:g} degrees from the rotation axis"


def choose(trials: Sequence[Trial]) -> tuple[Trial, str]:
    """Give the best window and why it is the best."""
    least = min(trial.inconsistency for trial in trials)
    equal = [trial for trial in trials if trial.inconsistency <= least + max(_SAME_PART * least, _SAME)]
    best = min(equal, key=lambda trial: trial.noise)
    ring = next((trial for trial in trials if trial.window is None), trials[0])
    why = (
        f"{best.words}: {100 * best.inconsistency:.1f} % of the textured phases' sinogram is no projection of any slice and "
        f"{100 * best.noise:.1f} % is counting noise"
    )
    if best is not ring:
        why += f"; with {ring.words} it is {100 * ring.inconsistency:.1f} % and {100 * ring.noise:.1f} %"
    return best, why


def try_windows(
    lines: Iterable[Line],
    profile: Profile,
    model: PatternModel,
    grid: TomogramGrid,
    *,
    windows: Sequence[Window | None] = WINDOWS,
) -> list[Trial]:
    """Try windows on the phases of graphite, and on those that the profile gives a fibre; lines are gone through once.

    Raises
    ------
    DataError
        If there are too few lines, no such phase, or lines were integrated without sectors.
    """
    textured = np.array([phase.fibre is not None or phase.lithium_x is not None for phase in profile.phases])
    if not textured.any():
        raise DataError("no phase of the profile is graphite or has a fibre: no window is better than the full ring")
    seen = [_Seen(window=window, profile=profile, model=model, grid=grid, textured=textured) for window in windows]
    angles = []
    for line in lines:
        angles.append(line.angle_deg)
        for one in seen:
            one.add(line)
    if len({round(angle % 180, 3) for angle in angles}) < LEAST_LINES:
        raise DataError(f"{len(angles)} lines do not tell windows apart, at least {LEAST_LINES} angles do")
    return [one.trial(np.array(angles)) for one in seen]


class _Seen:
    """The sinogram of the textured phases through one window, line by line."""

    def __init__(
        self,
        *,
        window: Window | None,
        profile: Profile,
        model: PatternModel,
        grid: TomogramGrid,
        textured: NDArray[np.bool_],
    ) -> None:
        self._window, self._profile, self._model, self._grid = window, profile, model, grid
        self._chosen = textured.astype(np.float64)
        self._live: LiveChannels | None = None
        self._reference = Reference()
        self._rows: list[Array] = []
        self._variances: list[Array] = []

    def add(self, line: Line) -> None:
        """Take up a line."""
        line = line_in_sector(line, self._window)
        if self._live is None:
            self._live, self._reference = make_live_channels(self._model, typical_variance(line)), reference_from_line(line)
        points = make_points(
            line, live=self._live, estimator="mean", reference=self._reference, correction=self._profile.correction
        )
        amounts = fit_amounts(
            np.nan_to_num(points.channels),
            np.nan_to_num(points.variance),
            live=self._live,
            mean_variance=np.ones(self._model.q.size),
        )
        resampling = make_resampling(line.positions_mm, points.is_received, self._grid)
        self._rows.append(np.nan_to_num(resampling.values(amounts.phases @ self._chosen)))
        self._variances.append(np.nan_to_num(resampling.variances(amounts.sigma(self._chosen) ** 2)))

    def trial(self, angles_deg: Array) -> Trial:
        """Say what became of it."""
        return trial_of(np.array(self._rows), np.array(self._variances), angles_deg=angles_deg, window=self._window)


def trial_of(sinogram: Array, variance: Array, *, angles_deg: Array, window: Window | None = None) -> Trial:
    """Say how far a sinogram, (line, point) about a centred axis, is from the projection of a slice.

    The operator (reconstruct, project, compare) is linear: what it leaves of a sinogram that is a projection, and of noise, is
    found by applying it to the projection and to a draw of the noise, and taken off by squares.
    """
    consistent = _reprojected(sinogram, angles_deg)
    left = _power(sinogram - consistent)
    of_grid = _power(consistent - _reprojected(consistent, angles_deg))
    draw = np.random.default_rng(_SEED).normal(size=variance.shape) * np.sqrt(variance)
    of_noise = _power(draw - _reprojected(draw, angles_deg))
    total = max(_power(sinogram), 1e-300)
    return Trial(
        window=window,
        inconsistency=float(np.sqrt(max(left - of_grid - of_noise, 0.0) / total)),
        noise=float(np.sqrt(_power(draw) / total)),
    )


def _power(values: Array) -> float:
    return float(np.mean(values**2))


def _reprojected(sinogram: Array, angles_deg: Array) -> Array:
    """Reconstruct a sinogram of unit steps and project the slice again, same shape."""
    n_points = sinogram.shape[1]
    middle = 0.5 * (n_points - 1)
    kernel = filter_kernel(n_points, window="ramp")
    rows = convolved(sinogram.T, kernel).T * angular_weights(angles_deg)[:, None]
    volume = np.zeros((n_points, n_points, 1))
    add_back_projections(
        volume,
        np.ascontiguousarray(rows[..., None]),
        angles_deg=angles_deg,
        pixel_mm=1.0,
        step_mm=1.0,
        centre_index=middle,
    )
    rays = Rays(angles_deg=angles_deg, first_s_mm=-middle, step_mm=1.0, n_points=n_points, pixel_mm=1.0, n_voxels=n_points)
    return rays.project(volume)[..., 0]
