"""Choose where the state of the cell comes from, as the profile says."""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from acquisition.cell.analog import AnalogCell
from acquisition.cell.clock import claim_origin, write_state
from acquisition.cell.growing import NEWARE, is_pattern, reader_of
from acquisition.cell.live import ClockOffset, LiveFiles, looking
from acquisition.cell.marker import MarkerOffset
from acquisition.cell.model import model_recording
from acquisition.cell.neware import read_neware
from acquisition.cell.recording import Recording, Replay
from acquisition.cell.text_recording import read_text_recording
from acquisition.twin.cell.shelf import history_of
from operando.errors import DataError, MissingInputError, ProfileError
from operando.messages import CellReading
from operando.profile import Cell, Profile

DATA_VARIABLE = "OPERANDO_DATA"


class CellSource(Protocol):
    """Where the state of the cell comes from; asked a few times a second, from one thread."""

    def reading_at(self, time_s: float) -> CellReading | None:
        """Give the newest reading that the cycler had taken at a control system time (Unix epoch), with its age.

        None before the first reading.
        """
        ...


class NoCell:
    """The source where there is none: gives nothing."""

    def reading_at(self, time_s: float) -> CellReading | None:
        """Give nothing."""
        return None


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


def open_source(profile: Profile, *, out: Path, now_s: float) -> tuple[CellSource, str]:
    """Open the source of the cell state; a replay goes on where an earlier bridge of this run folder was when it died.

    Gives the source, and a sentence if it is not the one that the profile names first. Sources that look for what is new must
    be let do so: :func:`running`.

    Raises
    ------
    OperandoError
        As :func:`open_recording`, or if the profile starts after the end of the recording.
    """
    cell = profile.cell
    if cell.source == "none":
        return NoCell(), ""
    if cell.source == "analog":
        return _open_analog(profile), ""
    if cell.source.startswith("tail:"):
        return _open_tail(profile, offset=_marker_offset(profile)), ""
    recording, notice = open_recording(profile)
    origin_s = claim_origin(out, cell, recording.name, now_s=now_s)
    return Replay(recording, speed=cell.speed, start_s=cell.start_s, origin_s=origin_s), notice


def running(source: CellSource) -> AbstractContextManager[None]:
    """Let a source that follows something do so while the block lasts; the others need nothing."""
    return looking(source) if isinstance(source, LiveFiles | AnalogCell) else nullcontext()


def mark_alive(source: CellSource, cell: Cell, *, out: Path, now_s: float) -> None:
    """Note on disk that a replay runs, so that a bridge that comes back finds its place; others have none."""
    if isinstance(source, Replay):
        write_state(out, cell, source.recording.name, origin_s=source.origin_s, now_s=now_s)


def describe_source(profile: Profile, *, now_s: float | None = None) -> str:
    """Say what the source of the cell state gives now, without serving it.

    Raises
    ------
    OperandoError
        If it gives nothing, with the reason.
    """
    if profile.cell.source == "none":
        return "none: the state of the cell is not known here"
    if profile.cell.analog is not None and profile.cell.source == "analog":
        wired = (f"{name} from {one.pv}" for name, one in profile.cell.analog.inputs.items())
        return f"analog inputs: {', '.join(wired)} (not asked now)"
    if not profile.cell.source.startswith("tail:"):
        recording, notice = open_recording(profile)
        return f"{recording.name}" + (f" ({notice})" if notice else "")
    now_s = time.time() if now_s is None else now_s
    source = _open_tail(profile)
    source.look(now_s)
    reading = source.reading_at(now_s)
    if reading is None:
        raise DataError(f"cell.source {profile.cell.source}: {source.trouble or 'no row yet'}")
    if source.trouble:
        raise DataError(f"cell.source {profile.cell.source}: {source.trouble}")
    refused = f", {source.n_refused} lines refused" if source.n_refused else ""
    return f"{reading.source}: {source.n_rows} rows{refused}, the newest {_ago(reading.age_s)} old: {_values(reading)}"


def _open_analog(profile: Profile) -> AnalogCell:
    from acquisition.cell.signals import ChannelAccessSignals

    cell = profile.cell
    if cell.analog is None:
        raise ProfileError('cell.source "analog" needs the section cell.analog')
    signals = ChannelAccessSignals(profile, [one.pv for one in cell.analog.inputs.values()])
    return AnalogCell(cell.analog, signals, clock_offset_s=cell.clock_offset_s)


def _marker_offset(profile: Profile) -> MarkerOffset | None:
    if profile.cell.marker is None:
        return None
    from acquisition.cell.signals import watch_edges

    offset = MarkerOffset(profile.cell.marker, offset_s=profile.cell.clock_offset_s)
    offset.channel = watch_edges(profile, profile.cell.marker, edge=offset.edge)
    return offset


def _open_tail(profile: Profile, *, offset: ClockOffset | None = None) -> LiveFiles:
    pattern = data_path(profile.cell.source.partition(":")[2], profile=profile)
    if not pattern.parent.is_dir():
        raise MissingInputError(f"no folder {pattern.parent}: correct cell.source, or mount the cycler's share")
    if not is_pattern(pattern) and pattern.suffix.lower() not in NEWARE:
        reader_of(pattern, profile.cell)
    return LiveFiles(pattern, profile.cell, offset=offset)


def _ago(age_s: float) -> str:
    return f"{age_s:.0f} s" if age_s < 600 else f"{age_s / 3600:.1f} h"


def _values(reading: CellReading) -> str:
    figures = ((reading.voltage_v, "V"), (reading.current_a, "A"), (reading.charge_ah, "Ah"), (reading.temperature_c, "degC"))
    return ", ".join(f"{value:.5g} {unit}" if value is not None else f"no {unit}" for value, unit in figures)


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
    return read_neware(path) if path.suffix.lower() in NEWARE else read_text_recording(path, profile.cell)
