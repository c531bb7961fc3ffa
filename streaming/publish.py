"""Publishing: receives results, gives the messages of the results feed, keyed so that a late viewer finds the newest only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.bus import Store
from operando.messages import (
    CellReading,
    MapPublished,
    Notice,
    PatternPublished,
    RunStarted,
    ScanProgress,
    SinogramPublished,
    TrendPublished,
)
from streaming.channels import PatternModel
from streaming.maps import EMPTY_REASONS, REASONS, Map
from streaming.plain_run import PlainRun
from streaming.record import LineRecord
from streaming.refine.job import RefinedTomogram
from streaming.refine.quantities import ESTIMATOR as FULL_PROFILE
from streaming.refine.trend import Trend
from streaming.tomogram import Result


def publish_result(
    store: Store,
    result: Result,
    *,
    run: RunStarted,
    model: PatternModel,
    revision: int,
    latest_cell: CellReading | None,
    time_s: float,
) -> None:
    """Publish all maps of a result as one revision, its sinogram and its mean pattern."""
    newest = max(result.records, key=lambda record: record.end_s)
    cell = newest.cell or latest_cell
    made_of = MadeOf(n_lines=len(result.records), axis_mm=result.axis_mm, data_time_s=newest.end_s, cell=cell)
    publish_maps(store, result.maps, made_of, run=run, revision=revision, time_s=time_s)
    _publish_sinogram(store, result, run=run, time_s=time_s)
    _publish_pattern(store, result, run=run, model=model, time_s=time_s)


def publish_refined(
    store: Store,
    refined: RefinedTomogram,
    *,
    run: RunStarted,
    revision: int,
    latest_cell: CellReading | None,
    time_s: float,
) -> None:
    """Publish the maps, the trends and the mean pattern of a refinement, which may be of fewer lines than have come."""
    job = refined.job
    if refined.maps and job.slice is not None:
        made_of = MadeOf(
            n_lines=job.n_lines,
            axis_mm=job.slice.axis_mm,
            data_time_s=job.newest.end_s,
            cell=job.newest.cell or latest_cell,
        )
        publish_maps(store, refined.maps, made_of, run=run, revision=revision, time_s=time_s)
    for trend in refined.trends:
        _publish_trend(store, trend, run=run, time_s=time_s)
    _publish_refined_pattern(store, refined, run=run, time_s=time_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeOf:
    """What maps were made of."""

    n_lines: int
    axis_mm: NDArray[np.float64]
    data_time_s: float
    cell: CellReading | None


def publish_maps(store: Store, maps: Sequence[Map], made_of: MadeOf, *, run: RunStarted, revision: int, time_s: float) -> None:
    """Publish maps as parts of one revision."""
    axis_mm = made_of.axis_mm
    pixel_mm = float(axis_mm[1] - axis_mm[0]) if axis_mm.size > 1 else run.step_mm
    for one in maps:
        message = MapPublished(
            run=run.run,
            name=one.name,
            label=one.label,
            unit=one.unit,
            low=one.low,
            high=one.high,
            colormap=one.colormap,
            estimator=one.estimator,
            reasons=REASONS,
            empty_reasons=EMPTY_REASONS,
            n_lines=made_of.n_lines,
            n_lines_expected=len(run.angles_deg),
            revision=revision,
            pixel_mm=pixel_mm,
            x_first_mm=float(axis_mm[0]),
            y_first_mm=float(axis_mm[0]),
            cell=made_of.cell,
            data_time_s=made_of.data_time_s,
            time_s=time_s,
        )
        arrays: dict[str, NDArray[np.float32] | NDArray[np.uint8]] = {
            "value": one.value,
            "sigma": one.sigma,
            "reason": one.reason,
        }
        store.append(message, key=f"map/{run.run}/{one.name}", arrays=arrays)


def publish_progress(
    store: Store, records: Sequence[LineRecord], *, run: RunStarted, state: str, attempts: int, archive: str, time_s: float
) -> None:
    """Publish how far the scan is, by the records of the attempts that count."""
    n_missing = sum(len(record.missing_ids) for record in records)
    message = ScanProgress.model_validate(
        {
            "run": run.run,
            "state": state,
            "lines_done": len(records),
            "lines_expected": len(run.angles_deg),
            "attempts": attempts,
            "frames_expected": _frames_expected(run),
            "frames_received": sum(record.n_points for record in records) - n_missing,
            "frames_missing": n_missing,
            "seconds_left": _seconds_left(records, run, state, time_s=time_s),
            "archive": archive,
            "time_s": time_s,
        }
    )
    store.append(message, key="progress")


def _frames_expected(run: RunStarted) -> int:
    """Give how many frames the tomogram is made of; one that is denser in a disc says so itself."""
    said = run.metadata.get("n_frames_of_map")
    return said if isinstance(said, int) else len(run.angles_deg) * run.n_points


def _seconds_left(records: Sequence[LineRecord], run: RunStarted, state: str, *, time_s: float) -> float | None:
    """Estimate from the pace so far, which holds what the plan cannot foresee; from the plan before the first line."""
    if state != "scanning":
        return 0.0 if state in ("finished", "aborted", "failed") else None
    # Lines of a run that this one continues were flown before it began.
    ends_s = [record.end_s for record in records if record.key.run == run.run]
    if not ends_s:
        # Lines that were put together from flown ones do not tell the pace.
        return max(0.0, run.estimated_duration_s - (time_s - run.time_s)) if run.estimated_duration_s else None
    return max(0.0, (max(ends_s) - run.time_s) / len(ends_s) * (len(run.angles_deg) - len(records)))


def _publish_sinogram(store: Store, result: Result, *, run: RunStarted, time_s: float) -> None:
    by_angle = np.argsort(run.angles_deg, kind="stable")
    message = SinogramPublished(
        run=run.run,
        name="mass",
        label="mass along the beam",
        unit="relative",
        angles_deg=[run.angles_deg[line] for line in by_angle],
        first_position_mm=run.first_position_mm,
        step_mm=run.step_mm,
        n_lines=len(result.records),
        n_lines_expected=len(run.angles_deg),
        centre_mm=result.centre_mm,
        centre_estimated_mm=result.estimated_centre_mm,
        centre_sigma_mm=result.centre_sigma_mm,
        time_s=time_s,
    )
    store.append(
        message, key=f"sinogram/{run.run}/mass", arrays={"sinogram": result.mass_sinogram[by_angle].astype(np.float32)}
    )


def _publish_pattern(store: Store, result: Result, *, run: RunStarted, model: PatternModel, time_s: float) -> None:
    message = PatternPublished(
        run=run.run,
        name="mean",
        label="mean pattern",
        unit="photons/pixel",
        reflections=model.reflections,
        time_s=time_s,
    )
    arrays = {"q": model.q, "intensity": result.mean_pattern, "fit": result.mean_fit}
    key = f"pattern/{run.run}/mean"
    store.append(message, key=key, arrays={name: values.astype(np.float32) for name, values in arrays.items()})


def publish_plain(
    store: Store, plain: PlainRun, *, run: RunStarted, model: PatternModel, is_ending: bool, time_s: float
) -> None:
    """Publish the mean pattern of a run that makes no map, and say at its end what it came to."""
    pattern = plain.mean_pattern
    if pattern is not None:
        message = PatternPublished(
            run=run.run,
            name="mean",
            label=f"mean pattern, {plain.purpose}",
            unit="photons/pixel",
            reflections=model.reflections,
            time_s=time_s,
        )
        arrays = {"q": model.q.astype(np.float32), "intensity": pattern.astype(np.float32)}
        store.append(message, key=f"pattern/{run.run}/mean", arrays=arrays)
    if is_ending:
        n_frames = sum(record.n_points - len(record.missing_ids) for record in plain.records)
        mean = "" if pattern is None else f", {float(np.mean(pattern)):.3g} photons a pixel on average"
        text = f"{plain.purpose}: {n_frames} frames{mean}; no map is made of them, the maps before stay as they are"
        store.append(Notice(level="info", origin="analyse", text=text, time_s=time_s))


def _publish_trend(store: Store, trend: Trend, *, run: RunStarted, time_s: float) -> None:
    message = TrendPublished.model_validate(
        {
            "run": run.run,
            "name": trend.name,
            "label": trend.label,
            "unit": trend.unit,
            "against": trend.against,
            "against_unit": trend.against_unit,
            "slope": trend.slope,
            "slope_sigma": trend.slope_sigma,
            "estimator": FULL_PROFILE,
            "time_s": time_s,
        }
    )
    arrays = {
        "against": trend.place,
        "value": trend.value,
        "sigma": trend.sigma,
        "time_s": trend.time_s,
        "line": trend.line,
    }
    store.append(message, key=f"trend/{run.run}/{trend.name}", arrays=arrays)


def _publish_refined_pattern(store: Store, refined: RefinedTomogram, *, run: RunStarted, time_s: float) -> None:
    grid, mean = refined.mean.refined.model.grid, refined.mean
    low, high = grid.edges[0], grid.edges[-1]
    message = PatternPublished(
        run=run.run,
        name="refined_mean",
        label="mean pattern, full profile",
        unit="photons/pixel",
        reflections={phase.crystal.name: [float(q) for q in phase.crystal.q() if low <= q <= high] for phase in mean.phases},
        time_s=time_s,
    )
    arrays = {"q": grid.q, "intensity": refined.job.mean_pattern, "fit": mean.fit}
    key = f"pattern/{run.run}/refined_mean"
    store.append(message, key=key, arrays={name: values.astype(np.float32) for name, values in arrays.items()})
