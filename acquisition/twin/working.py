"""A working cell as a sample: the lithium of its history in every voxel, and the state of the cell at any time."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from acquisition.twin.cell.sample import CellSample, open_cell_sample
from acquisition.twin.slice import Slice
from operando.profile import Profile


class WorkingSample:
    """A sample whose lithium moves; safe to share by threads."""

    def __init__(self, cell: CellSample) -> None:
        self._cell = cell

    def slice_at(self, time_s: float) -> Slice:
        """Give the slice at a time, Unix epoch: the same object for all times of one piece of the history."""
        return self._cell.slice_at(time_s)

    def cell_at(self, time_s: float) -> Mapping[str, float]:
        """Give voltage, current, charge, temperature and the mean lithium of both electrodes."""
        history, recorded_s = self._cell.history, self._cell.recorded_s(time_s)
        columns = {
            "voltage_v": history.voltage_v,
            "current_a": history.current_a,
            "charge_ah": history.charge_ah,
            "temperature_degc": history.temperature_c,
        }
        state = {name: float(np.interp(recorded_s, history.time_s, column)) for name, column in columns.items()}
        if history.x.size:
            state["mean_x"] = float(history.x_at(recorded_s).mean())
        return {**state, "mean_y": float(history.y_at(recorded_s).mean()), "recorded_s": recorded_s}


def open_working_sample(profile: Profile, *, out: Path | None) -> WorkingSample:
    """Open the working cell that the profile's twin names, on the clock of the run folder, or on its own."""
    folder = Path(tempfile.mkdtemp(prefix="operando-cell-")) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    return WorkingSample(open_cell_sample(profile, out=folder))
