"""Choose where the state of the cell comes from, as the profile says."""

import os
from pathlib import Path
from typing import Protocol

from acquisition.cell.clock import claim_origin, write_state
from acquisition.cell.model import model_recording
from acquisition.cell.neware import read_neware
from acquisition.cell.recording import Recording, Replay
from acquisition.twin.cell.shelf import history_of
from operando.errors import DataError, MissingInputError
from operando.messages import CellReading
from operando.profile import Cell, Profile

DATA_VARIABLE = "OPERANDO_DATA"


class CellSource(Protocol):
    """Where the state of the cell comes from; asked a few times a second, from one thread."""

    def reading_at(self, time_s: float) -> CellReading:
        """Give the newest reading that the cycler had taken at a control system time (Unix epoch), with its age."""
        ...


def open_recording(profile: Profile) -> tuple[Recording, str]:
    """Give the recording that the profile names, and a sentence if it is not the one that it names first.

    Raises
    ------
    MissingInputError
        If the file is absent and the profile names no fallback.
    DataError
        If the file cannot be read.
    """
    try:
        return _read(profile, profile.cell.source), ""
    except MissingInputError as missing:
        if profile.cell.fallback is None:
            raise
        notice = f"{missing.args[0].split(':')[0]}: the cell state comes from {profile.cell.fallback} instead"
        return _read(profile, profile.cell.fallback), notice


def open_source(profile: Profile, *, out: Path, now_s: float) -> tuple[Replay, str]:
    """Open the source of the cell state, going on where an earlier bridge of this run folder was when it died.

    Raises
    ------
    OperandoError
        As :func:`open_recording`, or if the profile starts after the end of the recording.
    """
    recording, notice = open_recording(profile)
    origin_s = claim_origin(out, profile.cell, recording.name, now_s=now_s)
    return Replay(recording, speed=profile.cell.speed, start_s=profile.cell.start_s, origin_s=origin_s), notice


def mark_alive(source: Replay, cell: Cell, *, out: Path, now_s: float) -> None:
    """Note on disk that the replay runs, so that a bridge that comes back finds its place."""
    write_state(out, cell, source.recording.name, origin_s=source.origin_s, now_s=now_s)


def data_path(text: str, *, profile: Profile) -> Path:
    """Give the file that a profile means, with ``$OPERANDO_DATA`` and ``~`` understood."""
    default = Path(__file__).parents[3] / "shared" / "data"
    expanded = text.replace(f"${DATA_VARIABLE}", os.environ.get(DATA_VARIABLE, str(default)))
    return profile.path(Path(os.path.expandvars(expanded)))


def _read(profile: Profile, source: str) -> Recording:
    kind, _, what = source.partition(":")
    if kind == "model":
        return model_recording(what)
    if kind == "pybamm":
        return history_of(what).recording()
    path = data_path(what, profile=profile)
    if not path.is_file():
        raise MissingInputError(f"no cycler file {path}: correct cell.source, set {DATA_VARIABLE}, or give cell.fallback")
    if path.suffix.lower() not in (".nda", ".ndax"):
        raise DataError(f"{path}: this version reads Neware files (.nda, .ndax); give one of those, or model:cccv")
    return read_neware(path)
