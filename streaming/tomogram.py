"""One tomogram from lines to maps: receives line files' contents in any order, gives maps, sinogram and mean pattern.

Wires the steps and holds what they share. What comes out is a function of the set of lines taken up, never of their order:
weights and reference current come from the lowest line present, the centre is rounded to a tenth of a point. When one of
these is revised, everything is rebuilt from the lines, which :class:`LineSource` gives again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.errors import DataError
from operando.messages import RunStarted
from operando.profile import Profile
from operando.scan import LineKey, TomogramGrid
from streaming.amounts import Amounts, add_misfit, fit_amounts
from streaming.channels import LiveChannels, PatternModel, make_live_channels
from streaming.correct.beam import Reference, reference_from_line
from streaming.correct.found import NOTHING, Found, find_corrections
from streaming.correct.points import LinePoints, MassProfile, check_grid, make_points, place, place_mass, typical_variance
from streaming.correct.sector import line_in_sector
from streaming.correct.self_absorption import MOST_REVISIONS, SMALL_CHANGE, SelfAbsorption
from streaming.halves import scatter_of_halves
from streaming.line import Line
from streaming.line_sum import LineSum
from streaming.maps import Map, make_maps
from streaming.reconstruct import Reconstruction, Slice
from streaming.record import LineRecord, record_from_line
from streaming.region import CountingLine, Ingredients, counting_lines
from streaming.sinogram import LARGEST_GAP, Projection, Sinogram
from streaming.volume import MakeVolume

logger = structlog.get_logger(__name__)

Array = NDArray[np.float64]

SIRT_ITERATIONS = 60
"""Where the noise does not end it before: with momentum the rest is below a percent."""
_CENTRE_STEPS = 0.1
"""Points to which the centre is rounded: finer rebuilds the slice for nothing, coarser blurs it by more than a twentieth."""
_CENTRE_SIGMA = 0.3
"""Points: an estimate less certain than this is worse than the profile's value."""


class LineSource(Protocol):
    """Gives a line again that was taken up before; called from the thread that adds lines."""

    def __call__(self, key: LineKey) -> Line:
        """Read the line of this key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What is known after some lines. Maps are (y, x), y upwards."""

    maps: list[Map]
    slice: Slice
    amounts: Amounts
    axis_mm: Array
    """Voxel centres along x and y from the rotation axis."""
    mass_sinogram: Array
    """Mass of all phases along the beam, shape (n_lines, n_points) by line number, relative; NaN where not measured."""
    is_measured: NDArray[np.bool_]
    """Shape (n_lines, n_points)."""
    mean_pattern: Array
    """Shape (n_radial,), photons per pixel."""
    mean_variance: Array
    """Variance of a single pattern, mean of all, shape (n_radial,)."""
    n_patterns: int
    mean_fit: Array
    line_sums: tuple[LineSum, ...]
    """Of the attempts that count, by line."""
    centre_mm: float
    """Centre that the slice was made with."""
    estimated_centre_mm: float | None
    centre_sigma_mm: float | None
    found: Found
    """What was found to be corrected, and what of it was."""
    records: list[LineRecord]
    """The attempts that count, by line."""
    ingredients: Ingredients
    """What a region's pattern is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An attempt that had to leave the tomogram, because its file could not be read when it was needed again."""

    key: LineKey
    reason: str


class Tomogram:
    """The state of one run's analysis; used from one thread.

    Parameters
    ----------
    profile
        Phases and settings.
    model
        The profile's pattern model.
    run
        The run's plan.
    read_again
        Gives lines again for a rebuild.
    n_threads
        Threads of the back projection.
    largest_gap
        Steps between two points of a line that are interpolated over; more is a hole.
    make_volume
        Gives the voxels on another device; None keeps them with the processor.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        model: PatternModel,
        run: RunStarted,
        read_again: LineSource,
        n_threads: int = 1,
        largest_gap: float = LARGEST_GAP,
        make_volume: MakeVolume | None = None,
    ) -> None:
        self.grid = TomogramGrid(
            angles_deg=np.array(run.angles_deg),
            first_position_mm=run.first_position_mm,
            step_mm=run.step_mm,
            n_points=run.n_points,
        )
        self._profile, self._model, self._read_again, self._n_threads = profile, model, read_again, n_threads
        self._run, self._largest_gap, self._make_volume = run.run, largest_gap, make_volume
        self._sinogram = Sinogram()
        self._records: dict[tuple[int, int], LineRecord] = {}
        self._points: dict[tuple[int, int], LinePoints] = {}
        self._profiles: dict[tuple[int, int], MassProfile] = {}
        self._shifts: dict[tuple[int, int], float] = {}
        self._absorption = SelfAbsorption(profile) if profile.correction.self_absorption == "maps" else None
        self._aborted: set[tuple[int, int]] = set()
        self._reference: tuple[int, int] | None = None
        self._live: LiveChannels | None = None
        self._beam = Reference()
        self._found: Found = NOTHING
        self._lost: list[Lost] = []
        self._reconstruction = self._new_reconstruction()

    @property
    def n_lines(self) -> int:
        """Lines of which an attempt counts."""
        return len(self._sinogram)

    @property
    def n_attempts(self) -> int:
        """Attempts taken up, those that do not count included."""
        return len(self._sinogram.keys())

    def has(self, key: LineKey) -> bool:
        """Tell whether an attempt was taken up already."""
        return (key.line, key.attempt) in self._records

    def n_received(self, key: LineKey) -> int:
        """Give how many points of an attempt that was taken up have a pattern."""
        record = self._records[key.line, key.attempt]
        return record.n_points - len(record.missing_ids)

    def take_lost(self) -> list[Lost]:
        """Give the attempts that were lost since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def add(self, line: Line) -> None:
        """Take up an attempt of a line; the same attempt again, for instance with images that came late, replaces it.

        Raises
        ------
        DataError
            If it does not belong to this tomogram; nothing is changed then.
        """
        check_grid(line, self._model.q)
        line = line_in_sector(line, self._profile.integration.sector)
        if not 0 <= line.key.line < self.grid.angles_deg.size:
            raise DataError(f"{line.key.stem}: the run has {self.grid.angles_deg.size} lines; it is not one of them")
        key = (line.key.line, line.key.attempt)
        if line.aborted:
            self.abort(line=line.key.line, attempt=line.key.attempt)
            return
        known = {**self._records, key: record_from_line(line)}
        if self._live is None or self._lowest(known) == key:
            self._live = make_live_channels(self._model, typical_variance(line))
            self._records, self._reference, self._beam = known, key, reference_from_line(line)
            self._rebuild(line)
            return
        self._records = known
        self._take_up(line, self._live)
        self._refresh(line.key.line)

    def abort(self, *, line: int, attempt: int) -> None:
        """Let an attempt count for nothing, whether it has come or will."""
        self._aborted.add((line, attempt))
        self._sinogram.abort(line=line, attempt=attempt)
        if (line, attempt) not in self._records:
            return
        lowest = self._lowest(self._records)
        if lowest is not None and lowest != self._reference:
            self.add(self._read_again(self._records[lowest].key))
        self._refresh(line)

    def result(self) -> Result | None:
        """Give what is known now; None before the first line."""
        if self._live is None or not any(projection.n_received for projection in self._sinogram):
            return None
        self._revise_absorption(self._live)
        projections = list(self._sinogram)
        n_patterns = max(1, sum(projection.n_received for projection in projections))
        mean_pattern = np.sum([projection.pattern_sum for projection in projections], axis=0) / n_patterns
        mean_variance = np.sum([projection.variance_sum for projection in projections], axis=0) / n_patterns
        is_iterated = self._profile.reconstruction.method == "sirt"
        slice_ = self._reconstruction.iterated(SIRT_ITERATIONS) if is_iterated else self._reconstruction.slice()
        mass, is_measured = self._mass_sinogram(projections)
        mean_mass = float(np.mean(mass[is_measured])) if is_measured.any() else 0.0
        mean_fit = self._fit(mean_pattern, mean_variance, self._live)
        fitted = fit_amounts(slice_.channels, slice_.noise, live=self._live, mean_variance=mean_variance)
        amounts = add_misfit(
            replace(fitted, scatter=scatter_of_halves(self._reconstruction, fitted.response)),
            residual=mean_pattern - mean_fit,
            mean_mass=mean_mass,
            live=self._live,
        )
        centre = self._found.centre
        return Result(
            maps=make_maps(slice_, amounts, profile=self._profile, structures=self._model.structures),
            slice=slice_,
            amounts=amounts,
            axis_mm=self._reconstruction.axis_mm,
            mass_sinogram=mass,
            is_measured=is_measured,
            mean_pattern=mean_pattern,
            mean_variance=mean_variance,
            n_patterns=n_patterns,
            mean_fit=mean_fit,
            line_sums=tuple(self._line_sum(projection) for projection in projections if projection.n_received),
            centre_mm=self._reconstruction.centre_mm,
            estimated_centre_mm=self._mm(centre.index) if centre else None,
            centre_sigma_mm=self.grid.step_mm * centre.sigma if centre else None,
            found=replace(self._found, absorption=self._absorption.words if self._absorption else ""),
            records=[self._records[p.key.line, p.key.attempt] for p in projections],
            ingredients=self._ingredients(projections, residual=mean_pattern - mean_fit, mean_mass=mean_mass),
        )

    def _ingredients(self, projections: list[Projection], *, residual: Array, mean_mass: float) -> Ingredients:
        weights = self._reconstruction.weights
        keys = {p.key.line: p.key for p in projections}
        lowest = self._reference or (0, 0)
        return Ingredients(
            run=self._run,
            grid=self.grid,
            centre_mm=self._reconstruction.centre_mm,
            window=self._profile.reconstruction.filter,
            estimator=self._profile.integration.estimator,
            lines=counting_lines([self._counting_line(keys[line], weight) for line, weight in weights.items()]),
            reference=self._records[lowest].key,
            residual=residual,
            mean_mass=mean_mass,
            correction=self._profile.correction,
        )

    def _line_sum(self, projection: Projection) -> LineSum:
        record = self._records[projection.key.line, projection.key.attempt]
        return LineSum(
            line=projection.key.line,
            pattern=projection.pattern_sum / projection.n_received,
            variance=projection.variance_sum / projection.n_received**2,
            time_s=0.5 * (record.start_s + record.end_s),
            cell=record.cell,
        )

    def _counting_line(self, key: LineKey, weight_rad: float) -> CountingLine:
        held = (key.line, key.attempt)
        return CountingLine(
            key=key,
            weight_rad=weight_rad,
            shift_mm=self._shifts[held],
            air_points=self._points[held].air_points,
            gain=self._gain(self._points[held].angle_deg),
        )

    def _lowest(self, records: Mapping[tuple[int, int], LineRecord]) -> tuple[int, int] | None:
        """Give the attempt that counts of the lowest line, which sets the weights and the reference current."""
        counting = [key for key in records if key not in self._aborted]
        return min(counting, key=lambda key: (key[0], -key[1]), default=None)

    def _new_reconstruction(self) -> Reconstruction:
        settings = self._profile.reconstruction
        return Reconstruction(
            grid=self.grid,
            n_channels=self._model.templates.shape[1],
            centre_mm=self._profile.scan.centre_mm,
            window=settings.filter,
            pixel_mm=settings.pixel_mm,
            n_threads=self._n_threads,
            make_volume=self._make_volume,
        )

    def _rebuild(self, newest: Line) -> None:
        """Take all lines up again, by new weights."""
        if self._live is None:
            return
        if len(self._records) > 1:
            logger.info("rebuilding from all lines", reference=newest.key.stem, attempts=len(self._records))
        self._reconstruction = self._new_reconstruction()
        for key in sorted(self._records):
            try:
                again = newest if key == (newest.key.line, newest.key.attempt) else self._again(key)
            except (DataError, OSError) as wrong:
                self._lost.append(Lost(key=self._records.pop(key).key, reason=str(wrong)))
                self._sinogram.remove(line=key[0], attempt=key[1])
                self._points.pop(key, None)
                continue
            self._take_up(again, self._live)
        self._correct()
        self._reconstruction.update(self._in_window(self._sinogram.lines()))
        self._follow_centre()

    def _again(self, key: tuple[int, int]) -> Line:
        """Read a line again that was taken up before."""
        return line_in_sector(self._read_again(self._records[key].key), self._profile.integration.sector)

    def _take_up(self, line: Line, live: LiveChannels) -> None:
        key = (line.key.line, line.key.attempt)
        points = make_points(
            line,
            live=live,
            estimator=self._profile.integration.estimator,
            reference=self._beam,
            correction=self._profile.correction,
        )
        self._points[key] = points
        self._profiles[key] = self._mass_of(points)
        self._put(key)

    def _put(self, key: tuple[int, int]) -> None:
        """Put a line where it really was, as far as that is known."""
        points = self._points[key]
        self._shifts[key] = self._found.shift_mm(line=key[0], direction=points.direction)
        gain = self._gain(points.angle_deg)
        self._sinogram.add(place(points, grid=self.grid, shift_mm=self._shifts[key], gain=gain, largest_gap=self._largest_gap))

    def _mass_of(self, points: LinePoints, *, shift_mm: float = 0.0) -> MassProfile:
        gain = self._gain(points.angle_deg)
        return place_mass(points, grid=self.grid, shift_mm=shift_mm, gain=gain, largest_gap=self._largest_gap)

    def _gain(self, angle_deg: float) -> Array | None:
        """Give what the intensities of a line are multiplied by for its absorption; None where nothing is known of it."""
        if self._absorption is None:
            return None
        return self._absorption.gain(angle_deg, grid=self.grid, centre_mm=self._reconstruction.centre_mm)

    def _revise_absorption(self, live: LiveChannels) -> None:
        """Let the maps say what the sample absorbs, and make them again, until both agree; when there are enough new lines."""
        if self._absorption is None or not self._absorption.is_due(len(self._sinogram), self.grid.angles_deg.size):
            return
        for _ in range(MOST_REVISIONS):
            now = self._reconstruction.slice()
            amounts = fit_amounts(now.channels, now.noise, live=live, mean_variance=np.ones(self._model.q.size))
            change = self._absorption.revise(amounts.phases, pixel_mm=self._reconstruction.pixel_mm)
            if change is None:
                return
            for key, points in self._points.items():
                self._profiles[key] = self._mass_of(points)
                self._put(key)
            self._correct()
            centre_mm = self._reconstruction.centre_mm
            self._reconstruction = self._new_reconstruction()
            self._reconstruction.centre_mm = centre_mm
            self._reconstruction.update(self._in_window(self._sinogram.lines()))
            self._follow_centre()
            if change < SMALL_CHANGE:
                return

    def _correct(self) -> set[int]:
        """Find what is to be corrected, put the lines that it moves elsewhere, and give their numbers."""
        counting = [(p.key.line, p.key.attempt) for p in self._sinogram]
        self._found = find_corrections(
            [self._profiles[key] for key in counting], step_mm=self.grid.step_mm, correction=self._profile.correction
        )
        moved = set()
        for key, points in self._points.items():
            if abs(self._found.shift_mm(line=key[0], direction=points.direction) - self._shifts[key]) > 1e-9:
                self._put(key)
                moved.add(key[0])
        if moved:
            logger.info("lines moved", lines=len(moved), zigzag_mm=round(self._found.zigzag_mm, 5))
        return moved

    def _refresh(self, line: int) -> None:
        changed = self._correct() | {line}
        if self._profile.reconstruction.window_lines:
            changed |= set(self._reconstruction.weights)
        self._reconstruction.update(self._in_window(changed))
        self._follow_centre()

    def _in_window(self, lines: Iterable[int]) -> dict[int, Projection | None]:
        """Give the projections of these lines that the maps are made of; None for those outside the window."""
        window = self._profile.reconstruction.window_lines
        newest = self._sinogram.lines()[-window:] if window else self._sinogram.lines()
        first = newest[0] if newest else 0
        return {line: self._sinogram.projection(line) if line >= first else None for line in sorted(lines)}

    def _follow_centre(self) -> None:
        """Rebuild the slice when the centre has moved to another tenth of a point."""
        centre_mm, centre = self._profile.scan.centre_mm, self._found.centre
        if centre is not None and centre.sigma < _CENTRE_SIGMA:
            centre_mm = self._mm(_CENTRE_STEPS * round(centre.index / _CENTRE_STEPS))
        if abs(centre_mm - self._reconstruction.centre_mm) > 1e-6 * self.grid.step_mm:
            logger.info("centre moved", from_mm=round(self._reconstruction.centre_mm, 5), to_mm=round(centre_mm, 5))
            self._reconstruction.move_centre(centre_mm)

    def _mm(self, index: float) -> float:
        return self.grid.first_position_mm + self.grid.step_mm * index

    def _mass_sinogram(self, projections: list[Projection]) -> tuple[Array, NDArray[np.bool_]]:
        shape = (self.grid.angles_deg.size, self.grid.n_points)
        mass, is_measured = np.full(shape, np.nan), np.zeros(shape, dtype=np.bool_)
        for projection in projections:
            key = (projection.key.line, projection.key.attempt)
            mass[key[0]] = self._mass_of(self._points[key], shift_mm=self._shifts[key]).mass
            is_measured[projection.key.line] = projection.is_measured
        return mass, is_measured

    def _fit(self, pattern: Array, variance: Array, live: LiveChannels) -> Array:
        amounts = fit_amounts(live.channels(pattern[None]), np.ones(1), live=live, mean_variance=variance)
        fit: Array = self._model.templates @ amounts.values[0]
        return fit
