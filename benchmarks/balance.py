"""Lithium against charge: the slope of the slice's lithium, line by line, in a simulated 18650 that discharges at 1C.

Patterns of the twin go through the live trends (:mod:`streaming.refine.trend`), each line with the charge that the cycler
tells; the truth is the mean lithium of the slice, with what of it has no partner and stays as it is. The slice's mass takes no
part: x and y are parts of what the slice holds. ``python -m benchmarks.balance``.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from acquisition.twin.phases import LITHIUM_X
from acquisition.twin.slice import Slice, grams_per_c6
from acquisition.twin.truth import read_slice
from benchmarks.science import commit, keep
from benchmarks.study import (
    SECTORS,
    Analysed,
    analyse,
    analysis_profile,
    kept_folder,
    make_patterns,
    read_recording,
)
from operando.messages import CellReading
from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings
from streaming.refine.trend import straight_line

N_LINES, N_POINTS, STEP_MM = 60, 47, 0.4
HOURS = 0.7
"""Of the cell's time, at 1C."""


def conditions() -> Profile:
    """Give an 18650 whose lines are spread over most of a discharge."""
    profile = read_profile("18650-1c")
    line_s = N_POINTS * (profile.scan.exposure_s + profile.detector.readout_s)
    return with_settings(
        profile,
        [
            f"scan.n_lines={N_LINES}",
            f"scan.n_points={N_POINTS}",
            f"scan.step_mm={STEP_MM}",
            f"cell.speed={3600 * HOURS / (N_LINES * line_s)}",
        ],
    )


def with_charge(analysed_with: Any, truth: Path) -> Any:
    """Give the lines of a recording the charge that the cycler told in their middle."""
    with h5py.File(truth) as file:
        lines = file["lines"]
        charge, voltage, current = (lines[f"cell/{name}"][()] for name in ("charge_ah", "voltage_v", "current_a"))
        time_s = 0.5 * (lines["start_s"][()] + lines["end_s"][()])
    told = {}
    for key, line in analysed_with.lines.items():
        k = int(np.argmin(np.abs(time_s - 0.5 * (line.start_s + line.end_s))))
        reading = CellReading(
            time_s=float(time_s[k]), voltage_v=float(voltage[k]), current_a=float(current[k]), charge_ah=float(charge[k])
        )
        told[key] = replace(line, cell=reading)
    return replace(analysed_with, lines=told)


def mean_lithium(sample: Slice) -> dict[str, float]:
    """Give x and y of all that a slice holds."""
    carbon = {name: float(sample.density_of(name).sum()) / grams_per_c6(name) for name in LITHIUM_X}
    oxide = sample.density_of("nmc")
    lithium_y = np.nan_to_num(sample.lithium_y) if sample.lithium_y is not None else np.zeros(oxide.shape)
    return {
        "x_lithium": sum(LITHIUM_X[name] * moles for name, moles in carbon.items()) / sum(carbon.values()),
        "y_nmc": float((lithium_y * oxide).sum() / oxide.sum()),
    }


def slopes(analysed: Analysed, truth: Path) -> dict[str, dict[str, float]]:
    """Give the slope of each lithium against charge, 1/Ah, beside the true one."""
    with h5py.File(truth) as file:
        cell = file["lines/cell"]
        charge = cell["charge_ah"][()]
        active = {"x_lithium": cell["mean_x"][()], "y_nmc": cell["mean_y"][()]}
        states = file["lines/state"][()]
    first, last = (mean_lithium(read_slice(truth, state=int(state))) for state in (states[0], states[-1]))
    true = {
        name: first[name] + (values - values[0]) / (values[-1] - values[0]) * (last[name] - first[name])
        for name, values in active.items()
    }
    found = {}
    for trend in analysed.refined.trends:
        if trend.name not in true or trend.slope is None:
            continue
        wanted, _ = straight_line(charge, true[trend.name], np.ones(charge.size))
        found[trend.name] = {
            "slope": trend.slope,
            "sigma": float(trend.slope_sigma or np.nan),
            "true": float(wanted or np.nan),
            "percent_off": 100 * (trend.slope / float(wanted or np.nan) - 1),
            "points": trend.value.size,
            "bias": float(np.mean(trend.value) - np.mean(true[trend.name])),
        }
    return found


def study(*, sector: str) -> dict[str, dict[str, float]]:
    """Run it in one window of azimuth."""
    profile, folder = conditions(), kept_folder() / "18650-balance"
    path = make_patterns(profile, folder)
    truth = folder / "patterns-truth.h5"
    window = [] if sector == "ring" else [f"integration.sector=[0,{SECTORS[sector].half_width_deg}]"]
    recording = with_charge(read_recording(path, sector=sector), truth)
    return slopes(analyse(analysis_profile(profile, folder, settings=window), recording), truth)


def main() -> None:
    """Print the slopes and keep them: in the full ring and about the rotation axis, or in the windows that are named."""
    for sector in sys.argv[1:] or ("ring", "axis-30"):
        found = study(sector=sector)
        print(json.dumps({sector: found}, indent=1), flush=True)
        keep({f"18650-balance/{sector}": {"commit": commit(), **found}})


if __name__ == "__main__":
    main()
