"""A wound cell to try things on: a numerical phantom in an archive's own form, made of plain arrays, with nothing measured.

It knows no beamline and no analysis: x in LixC6 follows a smooth formula of place and charge, exactly.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from operando.messages import RunStarted

Array = NDArray[np.float64]

N_VOXELS = 61
PIXEL_MM = 0.08
PITCH_MM = 0.62
FIRST_TURN, LAST_TURN = 1.2, 4.2
"""The band is wound from here to there, turns."""
SCAN_S = 120.0
CAPACITY_AH = 0.5
_OVERSAMPLING = 4
_REASONS = {0: "good", 1: "nothing of it here", 2: "not measured yet"}
_PHASES = {
    "lic6": ("LiC6", [1.70, 2.93, 3.40]),
    "lic12": ("LiC12", [1.78, 2.92, 3.56]),
    "graphite": ("graphite", [1.87, 2.95, 3.06]),
    "nmc": ("NMC", [1.33, 2.57, 3.07, 4.36]),
    "cu": ("Cu (anode foil)", [3.01, 3.48, 4.92]),
}
"""Label and the q of a few reflections, 1/angstrom, to two digits: enough for a picture, not for a measurement."""


def write_sample(
    path: Path,
    *,
    charge: float = 0.6,
    start_s: float = 1_767_261_600.0,
    run: str = "phantom",
    is_charging: bool = True,
) -> None:
    """Write a finished scan of the phantom.

    Parameters
    ----------
    path
        A ``scan.nxs``.
    charge
        State of charge in the middle of the scan, 0 to 1.
    start_s
        Seconds since the epoch at which the scan is said to have begun.
    run
        Name of the run.
    is_charging
        Whether the cell is said to charge, not to discharge.
    """
    phases = _phases(charge)
    with h5py.File(path, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry"})
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "x_lithium"})
        _write_run(entry, run, start_s)
        _write_map(entry, "x_lithium", "x in LixC6", lithium(charge), unit="", colormap="lixc6", high=1.0)
        for name, (label, _) in _PHASES.items():
            _write_map(entry, f"wt_{name}", label, 100 * phases[name], unit="wt%", colormap="viridis", high=100.0)
        everywhere = np.full((N_VOXELS, N_VOXELS), 100.0)
        _write_map(entry, "coverage", "coverage", everywhere, unit="%", colormap="cividis", high=100.0)
        _write_sinogram(entry, np.sum([np.nan_to_num(phase) for phase in phases.values()], axis=0))
        _write_pattern(entry, {name: float(np.nansum(phase)) for name, phase in phases.items()})
        _write_cell(entry, charge, start_s, sign=1 if is_charging else -1)


def lithium(charge: float) -> Array:
    """Give x in LixC6, shape (y, x), NaN outside the anode: ahead near the separator and on one side, as a real roll is."""
    depth, angle, radius, is_roll = _place()
    is_anode = is_roll & (depth > 0.08) & (depth < 0.48)
    ahead = 0.5 * (depth - 0.28) + 0.2 * np.cos(angle - 0.6) + 0.1 * (radius - 1.3)
    x = np.clip(charge + 4 * charge * (1 - charge) * ahead, 0, 1)
    return _mean_of(np.where(is_anode, x, np.nan))


def _phases(charge: float) -> dict[str, Array]:
    """Share of mass of each phase in every voxel; NaN where there is none at all."""
    depth, _, _, is_roll = _place()
    anode = _mean_of(np.where(is_roll & (depth > 0.08) & (depth < 0.48), 1.0, 0.0))
    cathode = _mean_of(np.where(is_roll & (depth > 0.56) & (depth < 0.94), 2.0, 0.0))
    foil = _mean_of(np.where(is_roll & (depth <= 0.08), 3.0, 0.0))
    x = np.nan_to_num(lithium(charge))
    lic6, lic12 = np.clip(2 * x - 1, 0, 1), 1 - np.abs(2 * x - 1)
    mass = {
        "lic6": anode * lic6,
        "lic12": anode * lic12,
        "graphite": anode * np.clip(1 - 2 * x, 0, 1),
        "nmc": cathode,
        "cu": foil,
    }
    total = sum(mass.values())
    return {name: np.where(total > 0.05, one / np.maximum(total, 0.05), np.nan) for name, one in mass.items()}


def _place() -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Give depth in the winding (0 to 1), angle, radius (mm) of every point of a fine grid, y upwards, and if in the roll."""
    n = N_VOXELS * _OVERSAMPLING
    axis = (np.arange(n) - (n - 1) / 2) * PIXEL_MM / _OVERSAMPLING
    radius = np.hypot(axis[:, None], axis[None, :])
    angle = np.arctan2(axis[:, None], axis[None, :])
    depth, turn = np.modf(radius / PITCH_MM - angle / (2 * np.pi) + 1)
    wound = turn + angle / (2 * np.pi)
    return depth, angle, radius, (wound > FIRST_TURN) & (wound < LAST_TURN)


def _mean_of(fine: Array) -> Array:
    """Average the oversampled grid down; a voxel with less than half of its points is empty."""
    blocks = fine.reshape(N_VOXELS, _OVERSAMPLING, N_VOXELS, _OVERSAMPLING).swapaxes(1, 2).reshape(N_VOXELS, N_VOXELS, -1)
    is_number = np.isfinite(blocks)
    n = is_number.sum(axis=-1)
    mean = np.where(is_number, blocks, 0.0).sum(axis=-1) / np.maximum(n, 1)
    return np.where(2 * n >= _OVERSAMPLING**2, mean, np.nan)


def _write_run(entry: Any, run: str, start_s: float) -> None:
    from datetime import UTC, datetime

    entry["run"], entry["state"], entry["title"] = run, "finished", "a numerical phantom, nothing measured"
    entry["announced"] = _announced(run, start_s).model_dump_json()
    entry["start_time"], entry["end_time"] = (datetime.fromtimestamp(at, UTC).isoformat() for at in (start_s, start_s + SCAN_S))
    entry["n_lines"] = entry["n_lines_expected"] = N_VOXELS
    entry["rotation_centre"], entry["rotation_centre_errors"] = 0.0, 0.001
    lines = entry.create_group("lines")
    lines["n_points"] = np.full(N_VOXELS, N_VOXELS)
    lines["n_missing"] = lines["attempt"] = np.zeros(N_VOXELS, dtype=int)


def _announced(run: str, start_s: float) -> RunStarted:
    period_s = SCAN_S / N_VOXELS**2
    return RunStarted(
        run=run,
        time_s=start_s,
        profile="phantom",
        plan="phantom",
        sample="numerical phantom",
        angles_deg=(180.0 * np.arange(N_VOXELS) / N_VOXELS).tolist(),
        first_position_mm=-(N_VOXELS - 1) / 2 * PIXEL_MM,
        step_mm=PIXEL_MM,
        n_points=N_VOXELS,
        exposure_s=period_s,
        period_s=period_s,
        speed_mm_s=PIXEL_MM / period_s,
    )


def _write_map(entry: Any, name: str, label: str, value: Array, *, unit: str, colormap: str, high: float) -> None:
    group = entry.create_group(name)
    group.attrs.update(
        {"NX_class": "NXdata", "signal": "value", "axes": ["y", "x"], "label": label, "title": label, "colormap": colormap}
    )
    group.attrs.update({"low": 0.0, "high": high, "estimator": "numerical phantom"})
    group["x"] = group["y"] = (np.arange(N_VOXELS) - (N_VOXELS - 1) / 2) * PIXEL_MM
    group["value"] = value.astype(np.float32)
    group["value"].attrs["units"] = unit
    group["value_errors"] = np.where(np.isfinite(value), 0.01 * high, np.nan).astype(np.float32)
    group["reason"] = np.isnan(value).astype(np.uint8)
    group["reason"].attrs.update({"meaning": json.dumps(_REASONS), "empty": [1]})


def _write_sinogram(entry: Any, mass: Array) -> None:
    from scipy.ndimage import rotate

    angles_deg = 180.0 * np.arange(N_VOXELS) / N_VOXELS
    # Rows of the map go up: turning the picture by minus theta turns the sample by plus theta.
    rows = [rotate(mass, -angle, reshape=False, order=1).sum(axis=0) * PIXEL_MM for angle in angles_deg]
    group = entry.create_group("sinogram")
    group.attrs.update({"NX_class": "NXdata", "signal": "mass", "axes": ["angle", "position"], "title": "mass along the beam"})
    group["angle"], group["position"] = angles_deg, (np.arange(N_VOXELS) - (N_VOXELS - 1) / 2) * PIXEL_MM
    group["mass"] = np.array(rows, dtype=np.float32)


def _write_pattern(entry: Any, amounts: dict[str, float]) -> None:
    q = np.linspace(1.0, 5.5, 1200)
    peak: Callable[[float], Array] = lambda at: np.exp(-(((q - at) / 0.012) ** 2))  # noqa: E731
    fit = 1.5 + 4 * np.exp(-q)
    for name, (_, reflections) in _PHASES.items():
        fit = fit + 40 * amounts[name] / sum(amounts.values()) * sum(peak(at) / at for at in reflections)
    group = entry.create_group("mean_pattern")
    group.attrs.update({"NX_class": "NXdata", "signal": "intensity", "axes": ["q"], "title": "mean pattern"})
    group.attrs["reflections"] = json.dumps({name: reflections for name, (_, reflections) in _PHASES.items()})
    group["q"], group["fit"] = q, fit.astype(np.float32)
    group["intensity"] = (fit + np.random.default_rng(1).normal(0, 0.02, q.size)).astype(np.float32)
    group["intensity"].attrs["units"] = "photons/pixel"


def _write_cell(entry: Any, charge: float, start_s: float, *, sign: int) -> None:
    share = np.linspace(0, 1, N_VOXELS)
    state = charge + sign * 0.02 * (share - 0.5)
    group = entry.create_group("cell")
    group["time"] = start_s + SCAN_S * share
    group["voltage"] = 3.45 + 0.62 * state + 0.08 * np.tanh(12 * (state - 0.06)) - 0.05 * np.exp(-20 * state)
    group["current"], group["temperature"] = np.full(N_VOXELS, 0.3 * sign), np.full(N_VOXELS, 25.0)
    group["charge"] = CAPACITY_AH * state
    group["step"] = ["CC_Chg" if sign > 0 else "CC_DChg"] * N_VOXELS
    for name, unit in (("time", "s"), ("voltage", "V"), ("current", "A"), ("charge", "Ah"), ("temperature", "degC")):
        group[name].attrs["units"] = unit
