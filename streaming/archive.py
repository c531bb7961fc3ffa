"""The archive of a run: receives the newest result, gives ``scan.nxs``, whole at any moment.

A NeXus file that opens on the map of x in LixC6. The maps are inside; the patterns are seen through virtual datasets on the
line files beside it, by relative paths, so that the folder can be moved as one. After each line the file is written anew and
put in place of the old one: a reader has the one or the other, and no lock is needed.
"""

import datetime
import functools
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from operando import __version__
from operando.messages import CellReading, RunStarted
from operando.profile import Profile
from streaming.channels import PatternModel
from streaming.line_file import replace_file
from streaming.maps import EMPTY_REASONS, REASONS, Map
from streaming.noise_correlation import write_noise_correlation
from streaming.record import LineRecord
from streaming.refine.archive import write_refined
from streaming.refine.job import RefinedTomogram
from streaming.tomogram import Result

FORMAT = "operando-scan"
SCHEMA = 1


def write_scan(
    path: Path,
    result: Result,
    *,
    run: RunStarted,
    profile: Profile,
    model: PatternModel,
    line_files: Sequence[Path],
    state: str,
    refined: RefinedTomogram | None = None,
    readings: Sequence[CellReading] = (),
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write the archive of a run, durably and atomically.

    Parameters
    ----------
    path
        The file; line files lie below its folder.
    result
        What is known now.
    run
        The run's plan.
    profile
        Kept in the file, as JSON.
    model
        What patterns were fitted with.
    line_files
        The file of each of ``result.records``, in their order.
    state
        State of the run in a word.
    refined
        The newest refinement, if there is one; it may be of fewer lines.
    readings
        The cell during the run, ascending in time; empty leaves what the lines know of it.
    provenance
        Where the lines come from if they were not analysed live, word by word.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry", "format": FORMAT, "schema": SCHEMA})
        entry = _group(file, "entry", "NXentry", default=result.maps[0].name)
        _write_run(entry, run, result, state)
        for place, one in enumerate(result.maps):
            _write_map(entry, one, result.axis_mm, n_lines=len(result.records), place=place)
        if refined is not None:
            write_refined(entry, refined)
            axis_mm = refined.job.slice.axis_mm if refined.job.slice is not None else result.axis_mm
            for place, one in enumerate(refined.maps, start=len(result.maps)):
                _write_map(entry, one, axis_mm, n_lines=refined.job.n_lines, place=place)
        _write_amounts(entry, result, [phase.name for phase in profile.phases])
        write_noise_correlation(entry, result.ingredients, axis_mm=result.axis_mm)
        _write_sinogram(entry, result, run)
        _write_pattern(entry, result, model)
        _write_lines(entry, result)
        _write_cell(entry, readings or [record.cell for record in result.records if record.cell is not None])
        _write_raw(entry, result.records, line_files, path.parent, run=run, q=model.q)
        process = _group(entry, "process", "NXprocess")
        process["program"], process["version"] = "operando", __version__
        process["profile"] = json.dumps(profile.model_dump(mode="json"))
        process["versions"] = json.dumps(versions())
        for key, text in (provenance or {"made": "live"}).items():
            process[key] = text
    replace_file(path, buffer.getvalue())


@functools.cache
def versions() -> dict[str, str]:
    """Give the versions of what the numbers are computed with."""
    packages = ("numpy", "scipy", "numba", "h5py", "pyFAI", "gemmi", "xraydb")
    return {"operando": __version__, "python": platform.python_version()} | {name: metadata.version(name) for name in packages}


def run_of_archive(path: Path) -> str | None:
    """Give the run that an archive belongs to; None if there is no such file or it is not one."""
    try:
        with h5py.File(path, "r") as file:
            run = file["entry/run"][()]
    except (OSError, KeyError):
        return None
    return run.decode() if isinstance(run, bytes) else str(run)


def _write_run(entry: Any, run: RunStarted, result: Result, state: str) -> None:
    entry["title"] = f"x in LixC6, run {run.run}"
    entry["run"] = run.run
    entry["plan"] = run.plan
    entry["state"] = state
    entry["start_time"] = _iso(run.time_s)
    if result.records:
        entry["end_time"] = _iso(max(record.end_s for record in result.records))
    entry["metadata"] = json.dumps(run.metadata)
    entry["announced"] = run.model_dump_json()
    entry["geometry_sha256"] = result.records[0].geometry_sha256 if result.records else run.geometry_sha256
    _put(entry, "run_started", run.time_s, "s")
    _put(entry, "n_lines", len(result.records), "")
    _put(entry, "n_lines_expected", len(run.angles_deg), "")
    _put(entry, "rotation_centre", result.centre_mm, "mm")
    if result.estimated_centre_mm is not None and result.centre_sigma_mm is not None:
        _put(entry, "rotation_centre_estimated", result.estimated_centre_mm, "mm")
        _put(entry, "rotation_centre_errors", result.centre_sigma_mm, "mm")
    sample = _group(entry, "sample", "NXsample")
    sample["name"], sample["description"] = run.sample or "sample", run.cell


def _write_map(entry: Any, one: Map, axis_mm: NDArray[np.float64], *, n_lines: int, place: int) -> None:
    group = _group(entry, one.name, "NXdata", signal="value", axes=["y", "x"])
    group.attrs.update(
        {
            "title": f"{one.label}, {one.unit}" if one.unit else one.label,
            "label": one.label,
            "colormap": one.colormap,
            "low": one.low,
            "high": one.high,
            "estimator": one.estimator,
            "n_lines": n_lines,
            "place": place,
            "errors": "counting statistics with the misfit of the mean pattern, or the scatter of two halves if larger",
        }
    )
    _write_axes(group, axis_mm)
    value = _put(group, "value", one.value, one.unit)
    value.attrs["long_name"] = group.attrs["title"]
    _put(group, "value_errors", one.sigma, one.unit)
    reason = _put(group, "reason", one.reason, "")
    reason.attrs["meaning"] = json.dumps(REASONS)
    reason.attrs["empty"] = EMPTY_REASONS


def _write_axes(group: Any, axis_mm: NDArray[np.float64]) -> None:
    for name in ("y", "x"):
        axis = _put(group, name, axis_mm, "mm")
        axis.attrs["long_name"] = f"{name} from the rotation axis (mm)"


def _write_amounts(entry: Any, result: Result, names: list[str]) -> None:
    group = _group(entry, "amounts", "NXdata", signal="amounts", axes=["phase", "y", "x"])
    group.attrs["title"] = "mass density of each phase, one unknown unit"
    _write_axes(group, result.axis_mm)
    group["phase"] = np.arange(len(names))
    group["phase_name"] = names
    _put(group, "amounts", np.moveaxis(result.amounts.phases, -1, 0).astype(np.float32), "")
    sigma = np.stack([result.amounts.sigma(gradient) for gradient in np.eye(len(names))], axis=-1)
    _put(group, "amounts_errors", np.moveaxis(sigma, -1, 0).astype(np.float32), "")


def _write_sinogram(entry: Any, result: Result, run: RunStarted) -> None:
    by_angle = np.argsort(run.angles_deg, kind="stable")
    group = _group(entry, "sinogram", "NXdata", signal="mass", axes=["angle", "position"])
    group.attrs["title"] = "mass along the beam, relative"
    group.attrs["label"] = "mass along the beam"
    _put(group, "line", by_angle, "")
    _put(group, "angle", np.array(run.angles_deg)[by_angle], "deg")
    _put(group, "position", run.first_position_mm + run.step_mm * np.arange(run.n_points), "mm")
    _put(group, "mass", result.mass_sinogram[by_angle].astype(np.float32), "")
    _put(group, "is_measured", result.is_measured[by_angle], "")


def _write_pattern(entry: Any, result: Result, model: PatternModel) -> None:
    group = _group(entry, "mean_pattern", "NXdata", signal="intensity", auxiliary_signals=["fit"], axes=["q"])
    group.attrs["title"] = "mean pattern of all points"
    group.attrs["reflections"] = json.dumps(model.reflections)
    _put(group, "q", model.q, "1/angstrom")
    _put(group, "intensity", result.mean_pattern.astype(np.float32), "photons/pixel")
    _put(group, "fit", result.mean_fit.astype(np.float32), "photons/pixel")


def _write_lines(entry: Any, result: Result) -> None:
    records = result.records
    group = _group(entry, "lines", "NXcollection")
    columns: dict[str, tuple[list[Any], str]] = {
        "run": ([r.key.run for r in records], ""),
        "line": ([r.key.line for r in records], ""),
        "attempt": ([r.key.attempt for r in records], ""),
        "series": ([r.series for r in records], ""),
        "angle": ([r.angle_deg for r in records], "deg"),
        "direction": ([r.direction for r in records], ""),
        "n_points": ([r.n_points for r in records], ""),
        "n_missing": ([len(r.missing_ids) for r in records], ""),
        "ring_current": ([_number(r.ring_current_ma) for r in records], "mA"),
        "start": ([r.start_s for r in records], "s"),
        "end": ([r.end_s for r in records], "s"),
        "positions_source": ([r.positions_source for r in records], ""),
    }
    for name, (values, unit) in columns.items():
        _put(group, name, values if name in ("run", "positions_source") else np.array(values), unit)
    missing = group.create_dataset("missing_ids", (len(records),), dtype=h5py.vlen_dtype(np.int64))
    air = group.create_dataset("air_points", (len(records),), dtype=h5py.vlen_dtype(np.int64))
    lines = {line.key: line for line in result.ingredients.lines}
    for i, record in enumerate(records):
        missing[i] = np.array(record.missing_ids, dtype=np.int64)
        air[i] = np.array(lines[record.key].air_points if record.key in lines else (), dtype=np.int64)
    gains = [lines[record.key].gain if record.key in lines else None for record in records]
    if any(gain is not None for gain in gains):
        ones = np.ones(result.ingredients.grid.n_points)
        gain = _put(group, "gain", np.array([ones if gain is None else gain for gain in gains], dtype=np.float64), "")
        gain.attrs["meaning"] = result.found.absorption
    shifts = [lines[record.key].shift_mm if record.key in lines else 0.0 for record in records]
    _put(group, "shift", np.array(shifts, dtype=np.float64), "mm")


def _write_cell(entry: Any, readings: Sequence[CellReading]) -> None:
    group = _group(entry, "cell", "NXdata", signal="voltage", axes=["time"])
    units = {"time": "s", "voltage": "V", "current": "A", "charge": "Ah", "temperature": "degC", "age": "s"}
    fields = {"time": "time_s", "voltage": "voltage_v", "current": "current_a", "charge": "charge_ah"}
    fields |= {"temperature": "temperature_c", "age": "age_s"}
    for name, unit in units.items():
        values = [_number(getattr(reading, fields[name])) for reading in readings]
        _put(group, name, np.array(values, dtype=np.float64), unit)
    group.create_dataset("step", data=[reading.step for reading in readings], dtype=h5py.string_dtype())


def _write_raw(
    entry: Any, records: list[LineRecord], files: Sequence[Path], folder: Path, *, run: RunStarted, q: NDArray[np.float64]
) -> None:
    group = _group(entry, "patterns", "NXdata", signal="mean", axes=["line", "point", "q"])
    group.attrs["title"] = "patterns of all lines, points in flying order; NaN where nothing was measured"
    _put(group, "line", np.arange(len(run.angles_deg)), "")
    _put(group, "point", np.arange(run.n_points), "")
    _put(group, "q", q, "1/angstrom")
    shape = (len(run.angles_deg), run.n_points, q.size)
    for name in ("mean", "trimmed", "variance", "position"):
        n_axes = 2 if name == "position" else 3
        layout = h5py.VirtualLayout(shape[:n_axes], dtype=np.float64 if n_axes == 2 else np.float32)
        for record, path in zip(records, files, strict=True):
            if record.n_points != run.n_points:
                continue
            source = os.path.relpath(path, folder)
            layout[record.key.line] = h5py.VirtualSource(source, f"entry/patterns/{name}", shape=shape[1:n_axes])
        group.create_virtual_dataset(name, layout, fillvalue=np.nan)
    group["mean"].attrs["units"] = group["trimmed"].attrs["units"] = "photons/pixel"
    group["variance"].attrs["units"] = "(photons/pixel)^2"
    group["position"].attrs["units"] = "mm"


def _group(parent: Any, name: str, nx_class: str, **attributes: object) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    for key, value in attributes.items():
        group.attrs[key] = value
    return group


def _put(group: Any, name: str, value: object, unit: str) -> Any:
    dataset = group.create_dataset(name, data=value)
    if unit:
        dataset.attrs["units"] = unit
    return dataset


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _iso(time_s: float) -> str:
    return datetime.datetime.fromtimestamp(time_s, tz=datetime.UTC).isoformat()
