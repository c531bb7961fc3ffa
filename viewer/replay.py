"""Read a ``scan.nxs`` back as the entries that were published when it was live, so that a file and a feed look the same.

The file's own words describe its maps: every NXdata group with a two-dimensional ``value`` and a ``colormap`` is one. A file
that is being written is never seen half: the archive replaces it as a whole.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from operando.bus import Entry
from operando.bus.entry import first_complaint
from operando.errors import DataError, MissingInputError
from operando.messages import CellReading, MapPublished, Message, PatternPublished, RunStarted, ScanProgress, SinogramPublished

Arrays = dict[str, NDArray[Any]]

ARCHIVES = "scan*.nxs"
"""How the archives of a beamtime's folder are called."""


def entries_from_archive(path: Path) -> list[Entry]:
    """Give everything that a viewer can show of an archive, as entries in the order of a live feed.

    Raises
    ------
    MissingInputError
        If there is no such file.
    DataError
        If it is no archive of operando, is damaged or holds no map.
    """
    if not path.is_file():
        raise MissingInputError(f"no file {path}: give the scan.nxs of a run")
    try:
        with h5py.File(path, "r") as file:
            contents = list(_contents(file["entry"]))
    except ValidationError as wrong:
        raise DataError(f"{path} holds a value that this version does not know: {first_complaint(wrong)}") from wrong
    except BlockingIOError as locked:
        raise DataError(f"another program is writing {path}: open it again when that has closed it") from locked
    except (OSError, KeyError, ValueError, TypeError) as wrong:
        raise DataError(f"{path} is no archive of operando, or it is damaged: {wrong}") from wrong
    if not any(isinstance(message, MapPublished) for message, _ in contents):
        raise DataError(f"{path} holds no map: the scan had not finished a line, or another program wrote the file")
    return [Entry(number=k + 1, message=message, arrays=arrays) for k, (message, arrays) in enumerate(contents)]


def entries_from_archives(paths: Sequence[Path]) -> list[Entry]:
    """Give the entries of some archives as one feed, the earliest scan first; errors as above."""
    if not paths:
        raise MissingInputError("no file: give the scan.nxs of a run")
    archives = sorted((entries_from_archive(path) for path in paths), key=begin_s)
    messages = [entry for entries in archives for entry in entries]
    return [Entry(number=k + 1, message=entry.message, arrays=entry.arrays) for k, entry in enumerate(messages)]


def archives_in(folder: Path) -> list[Path]:
    """Give the archives of a beamtime's folder: that of the newest run, and those of the runs before it.

    Raises
    ------
    MissingInputError
        If it holds none.
    """
    found = sorted(folder.glob(ARCHIVES))
    if not found:
        raise MissingInputError(f"no scan.nxs in {folder}: give the folder of a run, or a file")
    return found


def names_apart(here: Sequence[Path], there: Sequence[Path]) -> tuple[str, str]:
    """Give what a person calls two sets of archives: the file's name, or its folder's where all files are called the same.

    Equal names get the names of further folders before them, as few as tell them apart; an empty set has an empty name.
    """
    parts = [_name_parts(paths) for paths in (here, there)]
    longest = max(len(one) for one in parts)
    for n in range(1, longest + 1):
        names = ["/".join(one[-n:]) for one in parts]
        if names[0] != names[1]:
            break
    return names[0], names[1]


def _name_parts(paths: Sequence[Path]) -> list[str]:
    if not paths:
        return []
    path = paths[0].resolve()
    if path.is_dir():
        named = path
    else:
        named = path.parent if len(paths) > 1 or path.stem == "scan" else path.with_suffix("")
    return [part for part in named.parts if part != "/"]


def begin_s(entries: list[Entry]) -> float:
    """Give when an archive's run began, or what is known first of it, seconds since the epoch."""
    starts = [entry.message.time_s for entry in entries if isinstance(entry.message, RunStarted)]
    ends = [entry.message.time_s for entry in entries if isinstance(entry.message, ScanProgress)]
    return min([*starts, *ends], default=0.0)


def runs_of(entries: list[Entry]) -> set[str]:
    """Give the names of an archive's runs."""
    return {entry.message.run for entry in entries if isinstance(entry.message, ScanProgress)}


def _contents(entry: Any) -> Iterator[tuple[Message, Arrays]]:
    run = _text(entry["run"])
    if "announced" in entry:
        yield RunStarted.model_validate_json(_text(entry["announced"])), {}
    readings = list(_readings(entry["cell"])) if "cell" in entry else []
    for reading in readings:
        yield reading, {}
    end_s = _end_s(entry)
    first = entry.attrs.get("default", "")
    is_map = [name for name, group in entry.items() if isinstance(group, h5py.Group) and "colormap" in group.attrs]

    def place(name: str) -> tuple[bool, int, bool, str]:
        # Files in which maps have no places yet: the first one, the others by name, coverage at the end.
        return (name != first, int(entry[name].attrs.get("place", 0)), name == "coverage", name)

    for name in sorted(is_map, key=place):
        yield _map(name, entry, run=run, cell=readings[-1] if readings else None, end_s=end_s)
    if "sinogram" in entry:
        yield _sinogram(entry, run=run, end_s=end_s)
    if "mean_pattern" in entry:
        yield _pattern(entry["mean_pattern"], run=run, end_s=end_s)
    yield _progress(entry, run=run, end_s=end_s), {}


def _map(name: str, entry: Any, *, run: str, cell: CellReading | None, end_s: float) -> tuple[MapPublished, Arrays]:
    group = entry[name]
    x, y = group["x"][()], group["y"][()]
    message = MapPublished(
        run=run,
        name=name,
        label=_text(group.attrs.get("label", name)),
        unit=_text(group["value"].attrs.get("units", "")),
        low=float(group.attrs["low"]),
        high=float(group.attrs["high"]),
        colormap=_text(group.attrs["colormap"]),
        estimator=_text(group.attrs.get("estimator", "unknown")),
        reasons=json.loads(_text(group["reason"].attrs.get("meaning", "{}"))) if "reason" in group else {},
        empty_reasons=[int(code) for code in group["reason"].attrs.get("empty", [])] if "reason" in group else [],
        n_lines=int(group.attrs.get("n_lines", entry["n_lines"][()])),
        n_lines_expected=int(entry["n_lines_expected"][()]),
        revision=1,
        pixel_mm=float(x[1] - x[0]) if x.size > 1 else 1.0,
        x_first_mm=float(x[0]),
        y_first_mm=float(y[0]),
        cell=cell,
        data_time_s=end_s,
        time_s=end_s,
    )
    names = {"value": "value", "sigma": "value_errors", "reason": "reason"}
    return message, {ours: group[theirs][()] for ours, theirs in names.items() if theirs in group}


def _sinogram(entry: Any, *, run: str, end_s: float) -> tuple[SinogramPublished, Arrays]:
    group = entry["sinogram"]
    signal = _text(group.attrs["signal"])
    position = group["position"][()]
    message = SinogramPublished(
        run=run,
        name=signal,
        label=_text(group.attrs.get("label", group.attrs.get("title", signal))),
        unit=_text(group[signal].attrs.get("units", "")),
        angles_deg=group["angle"][()].tolist(),
        first_position_mm=float(position[0]),
        step_mm=float(position[1] - position[0]),
        n_lines=int(entry["n_lines"][()]),
        n_lines_expected=int(entry["n_lines_expected"][()]),
        centre_mm=_number(entry, "rotation_centre"),
        centre_estimated_mm=_number(entry, "rotation_centre_estimated"),
        centre_sigma_mm=_number(entry, "rotation_centre_errors"),
        time_s=end_s,
    )
    return message, {"sinogram": group[signal][()]}


def _pattern(group: Any, *, run: str, end_s: float) -> tuple[PatternPublished, Arrays]:
    message = PatternPublished(
        run=run,
        name="mean",
        label=_text(group.attrs.get("label", "mean pattern")),
        unit=_text(group["intensity"].attrs.get("units", "")),
        reflections=json.loads(_text(group.attrs.get("reflections", "{}"))),
        time_s=end_s,
    )
    return message, {name: group[name][()].astype(np.float32) for name in ("q", "intensity", "fit") if name in group}


def _progress(entry: Any, *, run: str, end_s: float) -> ScanProgress:
    lines = entry["lines"]
    n_points, n_missing = (int(np.sum(lines[name][()])) for name in ("n_points", "n_missing"))
    n_lines, n_expected = int(entry["n_lines"][()]), int(entry["n_lines_expected"][()])
    return ScanProgress.model_validate(
        {
            "run": run,
            "state": _text(entry["state"]),
            "lines_done": n_lines,
            "lines_expected": n_expected,
            "attempts": int(np.sum(lines["attempt"][()] + 1)),
            "frames_expected": n_points * n_expected // n_lines if n_lines else 0,
            "frames_received": n_points - n_missing,
            "frames_missing": n_missing,
            "seconds_left": None,
            "time_s": end_s,
        }
    )


def _readings(group: Any) -> Iterator[CellReading]:
    columns = [group[name][()] for name in ("time", "voltage", "current", "charge", "temperature")]
    for row, step in zip(np.stack(columns, axis=-1), group["step"][()], strict=True):
        time_s, voltage_v, current_a, charge_ah, temperature_c = (float(v) if np.isfinite(v) else None for v in row)
        if time_s is not None:
            yield CellReading(
                time_s=time_s,
                voltage_v=voltage_v,
                current_a=current_a,
                charge_ah=charge_ah,
                temperature_c=temperature_c,
                step=_text(step),
            )


def _end_s(entry: Any) -> float:
    for name in ("end_time", "start_time"):
        if name in entry:
            return datetime.fromisoformat(_text(entry[name])).timestamp()
    return 0.0


def _number(entry: Any, name: str) -> float | None:
    return float(entry[name][()]) if name in entry else None


def _text(value: Any) -> str:
    found = value[()] if isinstance(value, h5py.Dataset) else value
    return found.decode() if isinstance(found, bytes) else str(found)
