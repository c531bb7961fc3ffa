"""The maps of a run beside what its simulated sample really was: for ``operando score``, and for the summary of a demo.

A sample that works changes while it is scanned: a run is compared with the state that its middle met.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from operando.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acquisition.twin.score import AnalysedMap, Image
    from acquisition.twin.slice import Slice

FEWEST_ANGLES = 3
REFINED = "refined_"
"""How maps of the full profile begin where the live estimator has one of the same quantity."""
_LATTICE = re.compile(r"^(?:lattice_|refined_)?([acy])_(\w+)$")
"""Maps of a, c and y of a phase, by either estimator."""


def read_maps(path: Path) -> dict[str, "AnalysedMap"]:
    """Read every map of a result: x, weight fractions (0 to 1), lattice parameters, and amounts as ``amount_NAME``.

    Raises
    ------
    DataError
        If it is not the archive of a run.
    """
    try:
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            groups = {name: group for name, group in entry.items() if isinstance(group, h5py.Group) and "value" in group}
            maps = {
                name: _map(group, percent=name.removeprefix(REFINED).startswith("wt_"))
                for name, group in groups.items()
                if "x" in group and "y" in group
            }
            if "amounts" in entry:
                group = entry["amounts"]
                names = [name.decode() for name in group["phase_name"][()]]
                for k, name in enumerate(names):
                    maps[f"amount_{name}"] = _analysed(group, group["amounts"][k], group["amounts_errors"][k])
    except (OSError, KeyError) as wrong:
        raise DataError(f"{path} is not the archive of a run: {wrong}; give its scan.nxs") from wrong
    return maps


def scores(maps: Mapping[str, "AnalysedMap"], sample: "Slice", truth: Path, state: int) -> dict[str, dict[str, Any]]:
    """Give the score of every map that the truth knows, by the map's name."""
    from acquisition.twin.score import detect, score_amounts, score_lattice, score_lithium, score_weight_fractions

    rows = {}
    for estimator in ("", REFINED):
        if (name := f"{estimator}x_lithium") in maps and np.isfinite(sample.lithium_x).any():
            rows[name] = asdict(score_lithium(maps[name], sample))
        prefix = f"{estimator}wt_"
        fractions = {name.removeprefix(prefix): one for name, one in maps.items() if name.startswith(prefix)}
        rows |= {f"{prefix}{name}": asdict(one) for name, one in score_weight_fractions(fractions, sample).items()}
    amounts = {name.removeprefix("amount_"): one for name, one in maps.items() if name.startswith("amount_")}
    compared, scale = score_amounts(amounts, sample)
    for name, score in compared.items():
        rows[f"amount_{name}"] = asdict(score) | asdict(detect(amounts[name], sample, name, scale=scale))
    for name, (lattice, phase) in _lattices(maps, sample, truth, state).items():
        rows[name] = asdict(score_lattice(maps[name], lattice, sample, phase))
    return rows


def truths(maps: Mapping[str, "AnalysedMap"], sample: "Slice", truth: Path, state: int) -> dict[str, "Image"]:
    """Give what every map that :func:`scores` compares should be, over its own voxels and in its unit; amounts in g/cm3."""
    from acquisition.twin.score import average_over, true_fractions, true_lattice, true_lithium

    found: dict[str, Image] = {}
    for estimator in ("", REFINED):
        if (name := f"{estimator}x_lithium") in maps and np.isfinite(sample.lithium_x).any():
            found[name] = true_lithium(maps[name], sample)
        prefix = f"{estimator}wt_"
        fractions = {name.removeprefix(prefix): one for name, one in maps.items() if name.startswith(prefix)}
        found |= {f"{prefix}{name}": one for name, one in true_fractions(fractions, sample).items()}
    for name, one in maps.items():
        if name.startswith("amount_"):
            found[name] = average_over(sample, sample.density_of(name.removeprefix("amount_")), like=one)
    for name, (lattice, phase) in _lattices(maps, sample, truth, state).items():
        found[name] = true_lattice(maps[name], lattice, sample, phase)
    return found


def _lattices(
    maps: Mapping[str, "AnalysedMap"], sample: "Slice", truth: Path, state: int
) -> dict[str, tuple["NDArray[np.floating]", str]]:
    """Give the true a, c or y that belongs to each map of one, shape (y, x) of the sample, and its phase."""
    from acquisition.twin.lattices import ACTIVE_OXIDES
    from acquisition.twin.truth import read_lattices

    true: dict[str, NDArray[np.floating]] = dict(read_lattices(truth, state=state))
    if sample.lithium_y is not None:
        true |= {f"y/{oxide}": sample.lithium_y for oxide in ACTIVE_OXIDES if oxide in sample.materials}
    named = {name: found for name in maps if (found := _LATTICE.match(name))}
    return {name: (true[key], found[2]) for name, found in named.items() if (key := f"{found[1]}/{found[2]}") in true}


def runs_against_truth(out: Path) -> list[dict[str, Any]]:
    """Compare every run of a folder with the state of the sample that its middle met, in the order of the runs.

    Raises
    ------
    DataError
        If an archive or the truth cannot be read.
    """
    from acquisition.twin.truth import read_slice

    truth = out / "truth.h5"
    compared = []
    for path in sorted(out.glob("scan*.nxs"), key=lambda path: _middle_s(path) or 0.0):
        state, cell = state_of_run(path, truth)
        sample = read_slice(truth, state=state)
        rows = scores(read_maps(path), sample, truth, state) if _is_tomogram(path) else {}
        compared.append(
            {
                "archive": path.name,
                "sample": sample.name,
                "state": state,
                "cell": _rounded(cell),
                "maps": {name: _rounded(row) for name, row in rows.items()},
            }
        )
    return compared


def state_of_run(result: Path, truth: Path) -> tuple[int, dict[str, float]]:
    """Give the number of the sample's state that the middle of a run met, and the cell's state then.

    Raises
    ------
    DataError
        If one of the files is not what it should be.
    """
    from acquisition.twin.truth import state_at

    middle_s = _middle_s(result)
    return (0, {}) if middle_s is None else state_at(truth, middle_s)


def refuse_foreign(result: Path, truth: Path) -> None:
    """Refuse a truth that is not that of a run: of another sample, or of lines that were flown at another time.

    Raises
    ------
    MissingInputError
        If one of the files is not there.
    DataError
        If they do not belong together, with what tells.
    """
    for path in (result, truth):
        if not path.is_file():
            raise MissingInputError(f"no file {path}: give the scan.nxs of a run and its truth.h5")
    try:
        with h5py.File(result, "r") as of_run, h5py.File(truth, "r") as of_truth:
            if "density" in of_run or "entry" in of_truth:
                raise DataError(
                    f"{result} is not the archive of a run, or {truth} no truth: give scan.nxs first, then truth.h5"
                )
            name = of_run["entry/sample/name"].asstr()[()] if "sample/name" in of_run["entry"] else ""
            wanted, lines = str(of_truth.attrs.get("sample", "")), of_truth.get("lines")
            flown_s = (lines["start_s"][0], lines["end_s"][-1]) if lines is not None and len(lines["start_s"]) else None
    except (OSError, KeyError):
        return  # Whoever reads the file next says what it is not.
    if wanted and name.startswith("simulated ") and name != f"simulated {wanted}":
        raise DataError(f"{result} is of the {name}, {truth} of {wanted}: give the truth.h5 beside the run")
    middle_s = _middle_s(result)
    if flown_s is not None and middle_s is not None and not flown_s[0] <= middle_s <= flown_s[1]:
        raise DataError(
            f"{truth} is of lines that were flown at another time than those of {result}: give the one beside the run"
        )


def verdict(run: Mapping[str, Any]) -> str:
    """Tell in one sentence how far a run of :func:`runs_against_truth` is from the truth."""
    rows = run["maps"]
    if lithium := rows.get("x_lithium"):
        sure = lithium["coverage_68"]
        covered = "" if sure is None else f", {100 * sure:.0f} % of {lithium['n_voxels']} voxels within one sigma (68 % wanted)"
        lattice = rows.get("c_nmc")
        also = "" if lattice is None else f"; c of NMC: RMS {1e3 * lattice['rms']:.0f}, bias {1e3 * lattice['bias']:+.0f} mA"
        return f"x in LixC6 against the simulated truth: RMS {lithium['rms']:.3f}, bias {lithium['bias']:+.3f}{covered}{also}"
    parts = [
        f"{name.removeprefix('amount_')} recall {row['recall']:.2f}, precision {row['precision']:.2f}"
        for name, row in rows.items()
        if name.startswith("amount_") and row["recall"] is not None and row["precision"] is not None
    ]
    return (
        f"amounts against the simulated truth: {'; '.join(parts)}" if parts else "this run has no map to compare with the truth"
    )


def _is_tomogram(path: Path) -> bool:
    """Whether a run has angles enough for its maps to mean something: not the same line again and again."""
    with h5py.File(path, "r") as file:
        lines = file["entry"].get("lines", {})
        return "angle" not in lines or len(np.unique(np.round(lines["angle"][()] % 180, 2))) >= FEWEST_ANGLES


def _middle_s(path: Path) -> float | None:
    """Give the middle of a run, Unix epoch; None for an archive that does not tell its lines."""
    try:
        with h5py.File(path, "r") as file:
            lines = file["entry"].get("lines")
            return None if lines is None else 0.5 * float(np.min(lines["start"][()]) + np.max(lines["end"][()]))
    except (OSError, KeyError, ValueError) as wrong:
        raise DataError(f"{path} is not the archive of a run: {wrong}; give its scan.nxs") from wrong


def _map(group: Any, *, percent: bool) -> "AnalysedMap":
    scale = 0.01 if percent else 1.0
    sigma = group["value_errors"][()] * scale if "value_errors" in group else None
    unit = "part of the weight" if percent else str(group["value"].attrs.get("units", ""))
    return _analysed(group, group["value"][()] * scale, sigma, unit=unit)


def _analysed(group: Any, value: Any, sigma: Any, *, unit: str = "") -> "AnalysedMap":
    from acquisition.twin.score import AnalysedMap

    x, y = group["x"][()], group["y"][()]
    reason = group["reason"][()] if "reason" in group else np.zeros(value.shape, dtype=np.uint8)
    return AnalysedMap(
        value=value,
        sigma=sigma,
        reason=reason,
        pixel_mm=float(x[1] - x[0]),
        x_first_mm=float(x[0]),
        y_first_mm=float(y[0]),
        unit=unit,
    )


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give numbers as JSON can hold them: no NaN."""
    return {
        name: (None if np.isnan(value) else float(f"{value:.5g}")) if isinstance(value, float) else value
        for name, value in row.items()
    }
