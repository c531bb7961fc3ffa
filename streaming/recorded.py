"""A measurement that is over: receives the path of its archive, gives its run, its profile and its lines, or says what lacks.

The archive says which attempts count; the line files beside it hold what was measured. Nothing here writes.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydantic import ValidationError

from operando.bus.entry import first_complaint
from operando.errors import DataError, MissingInputError
from operando.journal import read_journal
from operando.messages import CellReading, Message, RunStarted, RunStopped
from operando.profile import Profile, read_profile
from operando.scan import LineKey
from streaming.archive import FORMAT, SCHEMA
from streaming.correct.points import check_grid
from streaming.line import Line
from streaming.line_file import read_line
from streaming.line_shelf import LineShelf
from streaming.which_run import is_put_together, made_denser

FINAL = ("finished", "aborted", "failed")
"""States of a run whose archive says for good which attempts count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A measurement on disk."""

    archive: Path
    run: RunStarted
    state: str
    profile: Profile
    files: dict[LineKey, Path]
    """The file of every attempt that counts."""
    readings: tuple[CellReading, ...] = ()
    """What the journal beside the archive knows of the cell during the run; without one, what the archive does."""
    earlier: tuple[RunStarted, ...] = ()
    """Runs that this one continues, whose lines are its own as well."""
    stopped: RunStopped | None = None
    notes: tuple[str, ...] = field(default=())
    """What a person should know of this recording, in sentences."""

    def between(self, first: int, last: int) -> "Recorded":
        """Give the recording with the lines from ``first`` up to and without ``last``.

        Raises
        ------
        DataError
            If there are none.
        """
        files = {key: path for key, path in self.files.items() if first <= key.line < last}
        if not files:
            numbers = [key.line for key in self.files]
            raise DataError(f"no line from {first} up to {last} is there: they are numbered {min(numbers)} to {max(numbers)}")
        return replace(self, files=files)


def find_recorded(path: Path, *, profile: str | None = None) -> Recorded:
    """Find a measurement by its archive, or by the folder that holds it.

    Parameters
    ----------
    path
        ``scan.nxs``, with ``lines/`` and ``profile.toml`` beside it.
    profile
        Name or path of another profile than the one beside the archive.

    Raises
    ------
    MissingInputError
        If something is not there.
    DataError
        If the archive is damaged, or no archive.
    ProfileError
        If the profile is wrong.
    """
    archive = path / "scan.nxs" if path.is_dir() else path
    if not archive.is_file():
        raise MissingInputError(f"no archive {archive}: give the scan.nxs of a run, or its folder")
    run, state, counting, profile_json, archived = _read_archive(archive)
    beside = archive.parent / "profile.toml"
    if profile is None and not beside.is_file():
        raise MissingInputError(f"no {beside}: it is the profile that the run was made with; name one with --profile")
    journal = archive.parent / "journal.jsonl"
    is_made = any(is_put_together(key.run, run.run) for key in counting)
    others = sorted({key.run for key in counting if not is_put_together(key.run, run.run)} - {run.run})
    if made_denser(run):
        others = _made_denser(journal, run)
    shelf = LineShelf(run.run, archive.parent / "lines", continues=others)
    if not shelf.folder.is_dir():
        raise MissingInputError(
            f"no {shelf.folder}: the lines of run {run.run} are what is processed; put them beside {archive}"
        )
    on_disk = shelf.scan()
    # What the analysis put together stands for the lines that were flown: all of them are its input.
    keys = counting if state in FINAL and not is_made else on_disk
    notes = [] if state in FINAL else [f"the archive was never closed (state {state}): all lines on disk are taken"]
    beyond = sorted({key.line for key in on_disk} - {key.line for key in keys})
    if beyond:
        notes.append(f"lines {_numbers(beyond)} are on disk and did not count; they are left out")
    read = read_profile(profile or str(beside))
    if profile is None:
        notes += _differences(read, profile_json)
    readings, stopped, sentence = _journalled(journal, run.run)
    return Recorded(
        archive=archive,
        run=run,
        state=state,
        profile=read,
        files={key: shelf.path(key) for key in keys},
        # The archive was closed before the last readings of the journal came: the same ones make the same archive.
        readings=tuple(one for one in readings if not archived or one.time_s <= archived[-1].time_s) or archived,
        stopped=stopped,
        earlier=_earlier(journal, others),
        notes=(*notes, *sentence),
    )


def check_lines(recorded: Recorded, q: Any) -> dict[LineKey, str]:
    """Read every line and say of each that cannot be used why not; empty if all can.

    Parameters
    ----------
    recorded
        The recording.
    q
        Centres of the profile's bins, shape (n_radial,), 1/angstrom.
    """
    wrong: dict[LineKey, str] = {}
    geometries: dict[str, list[LineKey]] = {}
    for key, path in recorded.files.items():
        if not path.is_file():
            wrong[key] = f"there is no {path.name}"
            continue
        try:
            line = read_line(path)
            _check_identity(line, key)
            check_grid(line, q)
        except (DataError, OSError) as reason:
            wrong[key] = str(reason)
            continue
        geometries.setdefault(line.geometry_sha256, []).append(key)
    most = max(geometries.values(), key=len, default=[])
    for keys in geometries.values():
        if keys is not most:
            wrong |= dict.fromkeys(keys, "it was integrated with another geometry or mask than most lines of this run")
    return wrong


def sha256_of(path: Path) -> str:
    """Give the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_identity(line: Line, key: LineKey) -> None:
    if line.key != key:
        raise DataError(f"it holds line {line.key.line}, attempt {line.key.attempt} of run {line.key.run}")


def _read_archive(path: Path) -> tuple[RunStarted, str, list[LineKey], dict[str, Any], tuple[CellReading, ...]]:
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("format"), file.attrs.get("schema")
            if found != (FORMAT, SCHEMA):
                raise DataError(f"{path} is not an archive of this version ({FORMAT} {SCHEMA}): it says {found}")
            entry = file["entry"]
            run = RunStarted.model_validate_json(entry["announced"][()])
            state = entry["state"].asstr()[()]
            pairs = list(zip(entry["lines/line"][()].tolist(), entry["lines/attempt"][()].tolist(), strict=True))
            runs = entry["lines/run"].asstr()[()].tolist() if "lines/run" in entry else [run.run] * len(pairs)
            profile = json.loads(entry["process/profile"][()])
            readings = _archived_readings(entry["cell"])
    except ValidationError as wrong:
        raise DataError(f"{path}: the run's plan is not one that this version knows: {first_complaint(wrong)}") from wrong
    except (OSError, KeyError, ValueError, TypeError) as wrong:
        raise DataError(f"{path} is no archive of operando, or of an earlier version, or cut off: {wrong}") from wrong
    keys = [LineKey(run=of, line=line, attempt=attempt) for of, (line, attempt) in zip(runs, pairs, strict=True)]
    return run, str(state), keys, profile, readings


def _archived_readings(group: Any) -> tuple[CellReading, ...]:
    fields = {"time": "time_s", "voltage": "voltage_v", "current": "current_a", "charge": "charge_ah"}
    fields |= {"temperature": "temperature_c", "age": "age_s"}
    columns = [[value if np.isfinite(value) else None for value in group[name][()].tolist()] for name in fields]
    steps = group["step"].asstr()[()].tolist() if group["step"].size else []
    rows = zip(*columns, steps, strict=True)
    return tuple(CellReading.model_validate(dict(zip((*fields.values(), "step"), row, strict=True))) for row in rows)


def _differences(beside: Profile, archived: dict[str, Any]) -> list[str]:
    """Say which settings of the profile beside an archive are not those that the archive was made with."""
    current = beside.model_dump(mode="json")
    sections = ("integration", "reconstruction", "scan", "detector")
    changed = [
        f"{section}.{key}"
        for section in sections
        for key, value in archived.get(section, {}).items()
        if key in current[section] and current[section][key] != value
    ]
    if [phase["name"] for phase in archived.get("phases", [])] != [phase.name for phase in beside.phases]:
        changed.append("phases")
    if not changed:
        return []
    return [f"profile.toml beside the archive is not what the archive was made with: {', '.join(changed)} differ"]


def _started(path: Path) -> list[RunStarted]:
    messages = read_journal(path) if path.is_file() else []
    return [one for one in messages if isinstance(one, RunStarted)]


def _journalled(path: Path, run: str) -> tuple[tuple[CellReading, ...], RunStopped | None, list[str]]:
    if not path.is_file():
        return (), None, []
    try:
        messages = list(_of_run(read_journal(path), run))
    except (DataError, OSError) as wrong:
        return (), None, [f"the journal is not used: {wrong}"]
    readings = tuple(message for message in messages if isinstance(message, CellReading))
    return readings, next((message for message in messages if isinstance(message, RunStopped)), None), []


def _earlier(path: Path, runs: Sequence[str]) -> tuple[RunStarted, ...]:
    """Give the plans of runs that another one continues.

    Raises
    ------
    MissingInputError
        If the journal that tells them is not there.
    """
    if not runs:
        return ()
    found = {one.run: one for one in _started(path) if one.run in runs}
    missing = sorted(set(runs) - set(found))
    if missing:
        raise MissingInputError(f"no plan of run {', '.join(missing)}, which this one continues: put its journal at {path}")
    return tuple(found.values())


def _made_denser(path: Path, run: RunStarted) -> list[str]:
    """Give the runs that one makes denser, the newest first."""
    started = {one.run: one for one in _started(path)}
    found = [made_denser(run)]
    while (earlier := started.get(found[-1])) is not None and (before := made_denser(earlier)):
        found.append(before)
    return found


def _of_run(messages: Sequence[Message], run: str) -> Iterable[Message]:
    """Give what a journal says between the beginning and the end of a run."""
    is_on = False
    for message in messages:
        if isinstance(message, RunStarted):
            is_on = message.run == run
        if is_on:
            yield message
        if isinstance(message, RunStopped) and message.run == run:
            return


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:10])) + (f" and {len(values) - 10} more" if len(values) > 10 else "")
