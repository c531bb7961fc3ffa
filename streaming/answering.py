"""Answers to questions about regions: finds the tomogram, reads its lines, gives what is sent back.

Runs beside the analysis in a thread of its own and shares nothing with it but ingredients, which never change, and line files,
which are only read. The same answers come from an archive with its line files beside it.
"""

import itertools
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from operando.bus.asking import Answer
from operando.errors import DataError, MissingInputError
from operando.messages import Message, PhaseShare, RegionAnswered, RegionAsked, RunStarted
from operando.profile import Profile
from operando.scan import LineKey, TomogramGrid
from streaming.channels import LiveChannels, PatternModel, make_live_channels
from streaming.correct.points import check_grid, typical_variance
from streaming.correct.sector import line_in_sector
from streaming.line import Line
from streaming.line_shelf import LineShelf
from streaming.lithiation import lithium_in_graphite, weight_fractions
from streaming.maps import ESTIMATOR
from streaming.reconstruct import LEAST_MEASURED, angular_weights
from streaming.region import CountingLine, Ingredients, Patterns, RegionFit, counting_lines, fit_region, patterns_from_line

CACHE_BYTES = 2**30
"""Patterns that are kept for the next question: a whole tomogram of 400 lines of 250 points."""
UNIT = "photons/pixel/mm"


class RegionAnswerer:
    """Answers :class:`~operando.messages.RegionAsked`; used from one thread.

    Parameters
    ----------
    profile, model
        What the tomograms were analysed with.
    lines_folder
        The folder of all lines.
    ingredients_of
        Gives what the tomogram of a run is made of, or raises a sentence.
    wall_clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        profile: Profile,
        model: PatternModel,
        *,
        lines_folder: Path,
        ingredients_of: Callable[[str], Ingredients],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._profile, self._model, self._lines_folder = profile, model, lines_folder
        self._ingredients_of, self._wall_clock = ingredients_of, wall_clock
        self._patterns: OrderedDict[LineKey, Patterns] = OrderedDict()
        self._live: dict[LineKey, LiveChannels] = {}

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        """Give the pattern of a region.

        Raises
        ------
        DataError
            If this is no question for a region, or its tomogram is not known or cannot be read.
        SupersededError
            If nobody waits for it any more.
        """
        if not isinstance(question, RegionAsked) or len(question.x_mm) != len(question.y_mm):
            raise DataError("this process answers questions for regions, with as many x as y")
        if question.tomogram:
            raise DataError(f"run {question.run} has one tomogram here, {question.tomogram} was asked for")
        ingredients = self._ingredients_of(question.run)
        fit = fit_region(
            ingredients,
            x_mm=np.array(question.x_mm),
            y_mm=np.array(question.y_mm),
            live=self._live_of(ingredients.reference),
            patterns_of=lambda key: self._patterns_of(key, ingredients),
            is_wanted=is_wanted,
        )
        return self._message(question, ingredients, fit), self._arrays(fit)

    def _message(self, question: RegionAsked, ingredients: Ingredients, fit: RegionFit) -> RegionAnswered:
        amounts, percent = fit.amounts, weight_fractions(fit.amounts)
        sigma = np.stack([amounts.sigma(gradient) for gradient in np.eye(amounts.n_phases)], axis=-1)
        x_lithium, x_sigma = self._lithium(fit)
        return RegionAnswered(
            run=question.run,
            tomogram=question.tomogram,
            estimator=ESTIMATOR,
            unit=UNIT,
            n_voxels=len(question.x_mm),
            n_lines=len(ingredients.lines),
            n_lines_expected=ingredients.grid.angles_deg.size,
            phases=[
                PhaseShare(
                    name=phase.name,
                    label=phase.label,
                    amount=float(amounts.phases[0, k]),
                    amount_sigma=float(sigma[0, k]),
                    percent=_finite(100 * percent.value[0, k]),
                    percent_sigma=_finite(100 * percent.sigma[0, k]),
                )
                for k, phase in enumerate(self._profile.phases)
            ],
            reflections=self._model.reflections,
            x_lithium=x_lithium,
            x_lithium_sigma=x_sigma,
            misfit_percent=None if fit.misfit is None else 100 * fit.misfit,
            time_s=self._wall_clock(),
        )

    def _lithium(self, fit: RegionFit) -> tuple[float | None, float | None]:
        lithium_x = np.array([np.nan if phase.lithium_x is None else phase.lithium_x for phase in self._profile.phases])
        if np.isnan(lithium_x).all():
            return None, None
        structures = zip(lithium_x, self._model.structures, strict=True)
        mass = np.array([np.nan if np.isnan(x) else structure.mass_per_c6_dalton for x, structure in structures])
        x = lithium_in_graphite(fit.amounts, lithium_x=lithium_x, mass_per_c6_dalton=mass)
        return _finite(x.value[0]), _finite(x.sigma[0])

    def _arrays(self, fit: RegionFit) -> dict[str, NDArray[np.float32]]:
        n_phases, values = self._model.n_phases, fit.amounts.values[0]
        parts = self._model.templates * values
        arrays = {
            "q": self._model.q,
            "intensity": fit.pattern,
            "sigma": fit.sigma,
            "fit": parts.sum(axis=1),
            "background": parts[:, n_phases:].sum(axis=1),
            "phases": parts[:, :n_phases].T,
        }
        return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}

    def _live_of(self, reference: LineKey) -> LiveChannels:
        if reference not in self._live:
            self._live = {reference: make_live_channels(self._model, typical_variance(self._read(reference)))}
        return self._live[reference]

    def _patterns_of(self, key: LineKey, ingredients: Ingredients) -> Patterns:
        found = self._patterns.pop(key, None)
        if found is None:
            found = patterns_from_line(self._read(key), estimator=ingredients.estimator)
        self._patterns[key] = found
        while sum(patterns.n_bytes for patterns in self._patterns.values()) > CACHE_BYTES:
            self._patterns.popitem(last=False)
        return found

    def _read(self, key: LineKey) -> Line:
        try:
            line = LineShelf(key.run, self._lines_folder)(key)
        except OSError as gone:
            raise DataError(f"the patterns of {key.stem} cannot be read: {gone}") from gone
        check_grid(line, self._model.q)
        return line_in_sector(line, self._profile.integration.sector)


class KnownTomograms:
    """Gives ingredients: those of the running analysis, which hands each newer set over, and those of archives.

    Parameters
    ----------
    profile
        What the tomograms were analysed with.
    out
        The folder of the beamtime.
    """

    def __init__(self, profile: Profile, out: Path) -> None:
        self._profile, self._out = profile, out
        self._newest: Ingredients | None = None
        self._lock = threading.Lock()

    def hand_over(self, ingredients: Ingredients) -> None:
        """Take the ingredients of the growing tomogram; called from the thread of the analysis."""
        with self._lock:
            self._newest = ingredients

    def __call__(self, run: str) -> Ingredients:
        """Give the ingredients of a run's tomogram.

        Raises
        ------
        DataError
            If nothing is known of it.
        """
        with self._lock:
            newest = self._newest
        if newest is not None and newest.run == run:
            return newest
        folder = LineShelf(run, self._out / "lines").folder.name
        for path in (self._out / f"scan-{folder}.nxs", self._out / "scan.nxs"):
            if path.is_file():
                ingredients = ingredients_from_archive(path, self._profile)
                if ingredients.run == run:
                    return ingredients
        raise DataError(f"nothing is known here of run {run}: its lines and its archive must lie in {self._out}")


def ingredients_from_archive(path: Path, profile: Profile) -> Ingredients:
    """Give what the tomogram of an archive is made of.

    Raises
    ------
    MissingInputError
        If there is no such file.
    DataError
        If it lacks something, or holds no line.
    """
    if not path.is_file():
        raise MissingInputError(f"no archive {path}")
    try:
        with h5py.File(path, "r") as file:
            return _ingredients(file["entry"], profile)
    except (OSError, KeyError, ValueError, TypeError) as wrong:
        raise DataError(f"{path} cannot be asked for regions: {wrong}") from wrong


def _ingredients(entry: Any, profile: Profile) -> Ingredients:
    run = RunStarted.model_validate(json.loads(entry["announced"][()]))
    numbers = zip(entry["lines/line"][()], entry["lines/attempt"][()], strict=True)
    # Lines of a run that this one continues carry that one's name; older archives know no such thing.
    runs = entry["lines/run"].asstr()[()] if "lines/run" in entry else itertools.repeat(run.run)
    keys = [
        LineKey(run=str(of_run), line=int(line), attempt=int(attempt))
        for of_run, (line, attempt) in zip(runs, numbers, strict=False)
    ]
    measured = dict(zip(entry["sinogram/line"][()].tolist(), entry["sinogram/is_measured"][()].mean(axis=1), strict=True))
    angles = dict(zip(entry["lines/line"][()].tolist(), entry["lines/angle"][()].tolist(), strict=True))
    # Archives from before corrections were kept have moved no line and subtracted no air.
    shifts = entry["lines/shift"][()].tolist() if "shift" in entry["lines"] else [0.0] * len(keys)
    air = entry["lines/air_points"][()] if "air_points" in entry["lines"] else [()] * len(keys)
    gains = entry["lines/gain"][()] if "gain" in entry["lines"] else None
    used = [place for place, key in enumerate(keys) if measured[key.line] >= LEAST_MEASURED]
    if not used:
        raise DataError("it holds no line")
    weights = angular_weights(np.array([angles[keys[place].line] for place in used]))
    counting = [
        CountingLine(
            key=keys[place],
            weight_rad=float(weight),
            shift_mm=shifts[place],
            air_points=tuple(int(point) for point in air[place]),
            gain=None if gains is None else gains[place],
        )
        for place, weight in zip(used, weights, strict=True)
    ]
    mass = entry["sinogram/mass"][()]
    grid = TomogramGrid(
        angles_deg=np.array(run.angles_deg),
        first_position_mm=run.first_position_mm,
        step_mm=run.step_mm,
        n_points=run.n_points,
    )
    return Ingredients(
        run=run.run,
        grid=grid,
        centre_mm=float(entry["rotation_centre"][()]),
        window=profile.reconstruction.filter,
        estimator=profile.integration.estimator,
        lines=counting_lines(counting),
        reference=min(keys, key=lambda key: key.line),
        residual=entry["mean_pattern/intensity"][()].astype(np.float64) - entry["mean_pattern/fit"][()],
        mean_mass=float(np.nanmean(np.where(entry["sinogram/is_measured"][()], mass, np.nan))),
        correction=profile.correction,
    )


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
