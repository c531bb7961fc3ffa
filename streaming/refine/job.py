"""One refinement of a tomogram, start to end: receives what the live analysis knows, gives maps, trends and notices.

Wires the steps and holds what the next refinement begins with. Uses nothing but its arguments and line files, so that the
same call gives the same maps after the scan.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.profile import Profile
from operando.scan import LineKey
from streaming.channels import distance_of, wavelength_of
from streaming.maps import GOOD, Map
from streaming.phases import two_theta_from_q
from streaming.refine.drift import find_drifts, sentence
from streaming.refine.fit import Kernel, Refined, refine
from streaming.refine.kernel import NOT_CONVERGED, SOLVED
from streaming.refine.lithium_curve import LithiumCurve, read_curve
from streaming.refine.mean_pattern import MeanFit, refine_mean, weights_from_variance
from streaming.refine.model import ProfileModel
from streaming.refine.parallax import depths_of_phases, without_parallax
from streaming.refine.phase_list import PhaseList
from streaming.refine.presence import refine_where_present
from streaming.refine.quantities import ESTIMATOR, Voxels, make_refined_maps
from streaming.refine.start import check_phases
from streaming.refine.tables import Grid
from streaming.refine.take_parallax import refined_without_parallax
from streaming.refine.to_refine import RefineJob, SliceToRefine
from streaming.refine.trend import Trend, make_trends
from streaming.refine.unexplained import Peak, unexplained_peaks
from streaming.refine.voxels import VoxelPatterns, patterns_of_voxels
from streaming.region import Patterns

logger = structlog.get_logger(__name__)

Array = NDArray[np.float64]

LEAST_ANGLES = 3
"""Different angles below which voxels cannot be told apart."""
_MEAN_AGAIN = 3.0
"""The mean pattern is refined again when there are so many times more lines than the last time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedTomogram:
    """What a refinement gave."""

    job: RefineJob
    mean: MeanFit
    refined: Refined | None
    """Voxels in the order of ``base``; None where none were refined."""
    maps: list[Map]
    trends: list[Trend]
    peaks: list[Peak]
    """Of the mean pattern that no phase has."""
    remarks: list[str]
    """What a person should know, in sentences."""


class Refinery:
    """Refines tomograms one after the other, each beginning where the last ended; used from one thread.

    Parameters
    ----------
    profile
        Phases and settings.
    kernel
        Refines patterns; the processor's unless another device's is given.
    phase_list
        Phases that stand in place of the profile's, read again before each job.

    Raises
    ------
    MissingInputError, ProfileError
        If a structure or a curve cannot be read.
    """

    def __init__(self, profile: Profile, *, kernel: Kernel = refine, phase_list: PhaseList | None = None) -> None:
        self._kernel, self._phase_list = kernel, phase_list
        settings = profile.integration
        self._grid = Grid(
            q_first_edge=settings.q_min,
            q_step=(settings.q_max - settings.q_min) / settings.n_radial,
            n_radial=settings.n_radial,
            wavelength_angstrom=wavelength_of(profile),
        )
        self._distance_mm = distance_of(profile)
        windows = profile.reconstruction.q_windows
        q = self._grid.q
        self._is_seen = np.any([(q >= low) & (q <= high) for low, high in windows], axis=0) if windows else q > 0
        self._profile, self.curves = profile, _curves(profile)
        check_phases(profile, self.curves)
        self._mean: MeanFit | None = None
        self._model: ProfileModel | None = None
        self._n_lines_of_mean = 0
        self._run = ""
        self._start: Array | None = None

    @property
    def grid(self) -> Grid:
        """The bins of q."""
        return self._grid

    @property
    def q(self) -> Array:
        """Bin centres, shape (n_radial,)."""
        return self._grid.q

    def __call__(
        self, job: RefineJob, *, patterns_of: Callable[[LineKey], Patterns], is_wanted: Callable[[], bool] = lambda: True
    ) -> RefinedTomogram:
        """Refine the mean pattern if it is due, then all voxels, then the sums of lines.

        Raises
        ------
        SupersededError
            If it is no longer wanted.
        DataError, OSError
            If a line cannot be read.
        """
        self._look_for_other_phases()
        job = replace(job, mean_variance=np.where(self._is_seen, job.mean_variance, np.nan))
        mean, model = self._mean_of(job)
        weights = weights_from_variance(job.mean_variance, job.mean_pattern)
        remarks = _remarks(job, mean)
        refined, maps = None, []
        if job.slice is not None and not remarks:
            voxels = self._patterns(job.slice, weights, patterns_of, is_wanted)
            refined = self._refine(model, voxels, job.slice)
            if self._profile.correction.parallax:
                refined = self._at_the_axis(refined, job.slice)
                if job.is_last:
                    refined = refined_without_parallax(
                        refined,
                        voxels,
                        job.slice,
                        mean,
                        profile=self._profile,
                        distance_mm=self._distance_mm,
                        refine=self._refine,
                    )
            maps = make_refined_maps(
                Voxels(refined=refined, base=job.slice.base), profile=self._profile, curves=self.curves, aside=mean.aside
            )
        trends = make_trends(job.lines, model=model, weights=weights, profile=self._profile, curves=self.curves)
        return RefinedTomogram(
            job=job,
            mean=mean,
            refined=refined,
            maps=maps,
            trends=trends,
            peaks=self._unexplained(job, mean),
            remarks=[*remarks, *self._set_aside(mean), *self._drifts(job, mean, weights)],
        )

    def _set_aside(self, mean: MeanFit) -> list[str]:
        labels = {phase.name: phase.label for phase in self._profile.phases}
        return [
            f"{labels[name]} is not told from {labels[other]}, under whose reflections its own lie: what there is of it counts "
            "as the other and moves that one's lattice"
            for name, other in mean.aside.items()
        ]

    def _drifts(self, job: RefineJob, mean: MeanFit, weights: Array) -> list[str]:
        """Say which of the cell's own metals changed their lattice while it was scanned."""
        angles: dict[int, float] = {}
        if job.slice is not None:
            grid = job.slice.ingredients.grid
            angles = {line.key.line: float(grid.angles_deg[line.key.line]) for line in job.slice.ingredients.lines}
        settings = self._profile.refinement
        drifts = find_drifts(
            job.lines,
            mean.phases,
            grid=self._grid,
            n_background=settings.n_background,
            weights=weights,
            significance=settings.significance,
            angles_deg=angles,
        )
        labels = {phase.name: phase.label for phase in self._profile.phases}
        return [sentence(drift, label=labels[drift.phase]) for drift in drifts if drift.is_significant]

    def _look_for_other_phases(self) -> None:
        """Take up phases that a person added or removed; all begins anew with them."""
        profile = self._phase_list.newer_profile() if self._phase_list is not None else None
        if profile is None:
            return
        curves = _curves(profile)
        check_phases(profile, curves)
        self._profile, self.curves, self._mean = profile, curves, None
        logger.info("other phases", phases=[phase.name for phase in profile.phases])

    def _mean_of(self, job: RefineJob) -> tuple[MeanFit, ProfileModel]:
        # The last refinement begins from nothing, so that it depends on the lines alone and not on when they came.
        is_due = job.n_lines >= _MEAN_AGAIN * self._n_lines_of_mean or job.is_last
        if self._mean is None or self._model is None or job.run != self._run or is_due:
            variance = job.mean_variance / max(1, job.n_patterns)
            # Mixing and texture do not change in a run: once found they are kept until its last refinement.
            is_known = self._mean is not None and job.run == self._run and not job.is_last
            mean = refine_mean(
                self._profile,
                grid=self._grid,
                pattern=job.mean_pattern,
                variance=variance,
                known=self._mean if is_known else None,
            )
            self._mean, self._model = mean, mean.model(n_background=self._profile.refinement.n_background)
            self._run, self._n_lines_of_mean, self._start = job.run, job.n_lines, None
            lattices = {
                phase.crystal.name: [round(float(p), 5) for p in phase.crystal.lengths[: len(phase.crystal.axes)]]
                for phase in mean.phases
            }
            logger.info("mean pattern refined", rwp=round(float(mean.refined.rwp[0]), 4), lattices=lattices)
        return self._mean, self._model

    def _patterns(
        self, slice_: SliceToRefine, weights: Array, patterns_of: Callable[[LineKey], Patterns], is_wanted: Callable[[], bool]
    ) -> VoxelPatterns:
        row, column = np.nonzero(slice_.base == GOOD)
        return patterns_of_voxels(
            slice_.ingredients,
            x_mm=slice_.axis_mm[column],
            y_mm=slice_.axis_mm[row],
            weights=weights,
            patterns_of=patterns_of,
            n_threads=2,
            is_wanted=is_wanted,
        )

    def _refine(self, model: ProfileModel, voxels: VoxelPatterns, slice_: SliceToRefine) -> Refined:
        is_refined = slice_.base == GOOD
        start = None
        if self._start is not None and self._start.shape[:2] == slice_.base.shape:
            start = self._start[is_refined]
        significance = self._profile.refinement.significance
        fit = refine_where_present(self._kernel, model, voxels, is_refined, start=start, significance=significance)
        begin = np.array(np.broadcast_to(model.start(), (*slice_.base.shape, *model.start().shape)))
        kept = (fit.is_moved & ~fit.is_at_limit & fit.is_solved[:, None])[..., None]
        begin[is_refined] = np.where(kept, fit.parameters, model.start())
        self._start = begin
        return fit

    def _at_the_axis(self, fit: Refined, slice_: SliceToRefine) -> Refined:
        """Give the lengths as they would be if all voxels stood on the rotation axis."""
        grid, lines = slice_.ingredients.grid, slice_.ingredients.lines
        depths = depths_of_phases(
            fit,
            slice_.base == GOOD,
            angles_deg=grid.angles_deg[[line.key.line for line in lines]],
            weights_rad=np.array([line.weight_rad for line in lines]),
            pixel_mm=float(slice_.axis_mm[1] - slice_.axis_mm[0]) if slice_.axis_mm.size > 1 else grid.step_mm,
            step_mm=grid.step_mm,
            n_points=grid.n_points,
            window=slice_.ingredients.window,
        )
        return without_parallax(fit, depths, slice_.base == GOOD, distance_mm=self._distance_mm)

    def _unexplained(self, job: RefineJob, mean: MeanFit) -> list[Peak]:
        middle = float(self._grid.q[self._grid.n_radial // 2])
        two_theta = float(np.rad2deg(two_theta_from_q(np.array(middle), wavelength_angstrom=self._grid.wavelength_angstrom)))
        width_deg = float(np.median([phase.width * phase.shape.fwhm_deg(two_theta) for phase in mean.phases]))
        return unexplained_peaks(
            self._grid.q,
            job.mean_pattern,
            mean.fit,
            mean.background,
            known_q=np.concatenate([phase.crystal.q() for phase in mean.phases]),
            # dq / d(two theta) = (2 pi / lambda) cos(theta), whose cosine is 1 within 1 % up to 16 degrees.
            width_q=2 * np.pi / self._grid.wavelength_angstrom * float(np.deg2rad(width_deg)),
        )


def _curves(profile: Profile) -> dict[str, LithiumCurve]:
    return {
        phase.name: read_curve(profile.path(phase.lithium_curve), phase=phase.name)
        for phase in profile.phases
        if phase.lithium_curve is not None
    }


def _remarks(job: RefineJob, mean: MeanFit) -> list[str]:
    """Say why voxels cannot be refined; nothing if they can, or if there are none."""
    if job.slice is None:
        return []
    n_angles = job.slice.n_angles
    if n_angles < LEAST_ANGLES:
        return [f"{ESTIMATOR}: lines at {n_angles} angle(s) do not tell voxels apart, it wants {LEAST_ANGLES}; trends only"]
    if not (job.slice.base == GOOD).any():
        return [f"{ESTIMATOR}: no voxel holds enough of any phase to be refined; is the sample in the beam?"]
    # One that has not quite come to rest still says where reflections are.
    if mean.refined.status[0] not in (SOLVED, NOT_CONVERGED):
        return [f"{ESTIMATOR}: the mean pattern cannot be refined; do the phases of the profile fit it?"]
    return []
