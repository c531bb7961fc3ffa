"""The state of the cell that the bridge serves beside a sample that does not follow it: for the truth file alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import structlog

from acquisition.cell.clock import FollowedClock
from acquisition.cell.recording import Recording
from acquisition.cell.source import open_recording
from operando.errors import OperandoError
from operando.profile import Profile

logger = structlog.get_logger(__name__)

NOT_REPLAYED = ("none", "analog", "tail:")
"""How sources begin that are no recordings."""


class ServedCell:
    """A recording on the clock of the run folder; asked by one thread at a time."""

    def __init__(self, recording: Recording, clock: FollowedClock) -> None:
        self._clock = clock
        columns = {
            "voltage_v": recording.voltage_v,
            "current_a": recording.current_a,
            "charge_ah": recording.charge_ah,
            "temperature_c": recording.temperature_c,
        }
        self._time_s = recording.time_s
        self._columns = {name: column for name, column in columns.items() if column is not None}

    def at(self, time_s: float) -> Mapping[str, float]:
        """Give the cell at a time, Unix epoch."""
        recorded_s = self._clock.recorded_s(time_s)
        state = {name: float(np.interp(recorded_s, self._time_s, column)) for name, column in self._columns.items()}
        return {**state, "recorded_s": recorded_s}


def open_served_cell(profile: Profile, *, out: Path, now_s: float) -> ServedCell | None:
    """Open what the bridge of a run folder serves; None if that is no recording, or none that can be read."""
    if profile.cell.source.startswith(NOT_REPLAYED):
        return None
    try:
        recording, _ = open_recording(profile)
    except OperandoError as wrong:
        logger.warning("truth without the cell", reason=str(wrong))
        return None
    return ServedCell(recording, FollowedClock(out, profile.cell, recording.name, now_s=now_s))
