"""The twin's rows of ``docs/validation.md``, on cells at the stated conditions: ``python -m benchmarks.science CELL``.

Each call analyses one cell (its patterns are made first where they are not kept) and adds its figures to
``docs/validation-twin.json``; ``python -m benchmarks.validation --write`` makes the tables of the document from there. Truth
and analysis are paired voxel by voxel.
"""

import argparse
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, uniform_filter

from acquisition.twin.score import AnalysedMap, average_over, true_lithium
from acquisition.twin.slice import Slice
from acquisition.twin.truth import read_lattices, read_slice
from benchmarks.resolution import at_resolution
from benchmarks.study import (
    CELLS,
    SECTORS,
    Analysed,
    Recording,
    analyse,
    analysis_profile,
    conditions,
    kept_folder,
    make_patterns,
    read_recording,
    scores_of,
    write_json,
)
from operando.profile import Profile
from operando.profile.settings import with_settings
from streaming.phases import two_theta_from_q
from streaming.projection import Rays
from streaming.refine.job import Refinery
from streaming.refine.mean_pattern import refine_mean

Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "validation-twin.json"
TEXTURES = {
    **dict.fromkeys(("graphite", "lic30", "lic12", "lic6"), (0, 0, 1)),
    "cu": (1, 0, 0),
    "al": (1, 1, 0),
    "fe": (1, 1, 1),
}
"""Planes that are taken to lie along the layers: flakes of graphite lie flat; foils and can as rolled sheets do."""


CHOSEN = ("reconstruction.filter=hann", "correction.self_absorption=maps")
"""At 1,000 counts the smooth filter: half the noise for a resolution of two voxels."""


def settings_of(sector: str) -> list[str]:
    """Give what the analysis is told: the window, textures, filter and attenuation."""
    window = [] if sector == "ring" else [f"integration.sector=[0,{SECTORS[sector].half_width_deg}]"]
    fibres = [f"phases.{name}.fibre={json.dumps(planes)}" for name, planes in TEXTURES.items()]
    return [*window, *fibres, *CHOSEN]


def figures_of(analysed: Analysed, folder: Path) -> dict[str, Any]:
    """Give all figures of one cell."""
    maps, rows = analysed.maps(), scores_of(analysed, folder)
    truth = folder / "patterns-truth.h5"
    sample, lattices = read_slice(truth), read_lattices(truth)
    mean = analysed.refined.mean
    return {
        "lattice": {name: lattice_row(maps[name], lattices, sample, name) for name in ("a_nmc", "c_nmc")},
        "y": y_row(maps, sample),
        "x": x_rows(maps, rows, sample),
        "shares": share_rows(analysed, sample),
        "coverage": {name: row["coverage_68"] for name, row in rows.items() if row.get("coverage_68") is not None},
        "transmission": transmission_row(analysed, truth),
        "secondary": secondary_row(maps, rows, sample, lattices),
        "rwp": float(np.nanmedian(maps["rwp"].value)) if "rwp" in maps else None,
        "mean_rwp": 100 * float(mean.refined.rwp[0]),
        "march": {"".join(map(str, planes)): value for planes, value in mean.march.items()},
    }


def lattice_row(one: AnalysedMap, lattices: dict[str, Any], sample: Slice, name: str) -> dict[str, float]:
    """Give bias and scatter of a lattice parameter in mA, and how often the truth is within one sigma.

    Over voxels whose material has one lattice; ``all_scatter_ma`` is that over all that hold enough, also those where two meet.
    """
    axis, material = name.split("_", 1)
    within = 1e-3 * ONE_LATTICE_MA[axis]
    voxel, counts, is_one = true_mean(one, lattices[f"{axis}/{material}"], sample, material, within=within)
    true = true_shown(one, lattices[f"{axis}/{material}"], sample, material)
    known = counts & np.isfinite(one.value) & np.isfinite(true) & np.isfinite(voxel)
    pure = known & is_one
    error_ma = 1e3 * (one.value - true)
    row = {"voxels": int(pure.sum()), "mixed": int((known & ~pure).sum()), "missing": int((counts & ~known).sum())}
    if not pure.any():
        return row
    row |= {"bias_ma": float(error_ma[pure].mean()), "scatter_ma": float(error_ma[pure].std())}
    row |= {
        "all_scatter_ma": float(error_ma[known].std()),
        "scatter_of_voxels_ma": float(1e3 * (one.value - voxel)[pure].std()),
    }
    if one.sigma is not None:
        sigma_ma = 1e3 * one.sigma[pure]
        away = error_ma[pure]
        row |= {"sigma_ma": float(np.sqrt(np.mean(sigma_ma**2)))}
        row |= {"coverage_68": float(np.mean(np.abs(away) <= sigma_ma))}
        # Of what all voxels have in common, a calibration for instance, no voxel's uncertainty knows.
        row |= {"coverage_68_about_mean": float(np.mean(np.abs(away - away.mean()) <= sigma_ma))}
    return row


def true_shown(one: AnalysedMap, values: NDArray[np.floating], sample: Slice, material: str) -> Array:
    """Give the mean of a quantity over the material in each voxel at the resolution of a map; NaN where there is none."""
    density = sample.density_of(material)
    held = np.where(density > 0, np.nan_to_num(values).astype(np.float64), 0.0)
    mass, product = (at_resolution(average_over(sample, weighted, like=one)) for weighted in (density, held * density))
    return np.where(mass > 0.05 * mass.max(initial=1e-12), product / np.maximum(mass, 1e-12), np.nan)


def true_mean(
    one: AnalysedMap, values: NDArray[np.floating], sample: Slice, material: str, *, within: float
) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Give the mean of a quantity over the material in each voxel of a map, with two masks.

    They tell where there is half of the fullest voxel's mass, and where the quantity spreads by less than ``within`` in the
    square of :data:`RESOLUTION` voxels that the reconstruction mixes.
    """
    density = sample.density_of(material)
    mass = average_over(sample, density, like=one)
    inside = np.where(mass > 0, mass, 1.0)
    held = np.nan_to_num(values).astype(np.float64)
    middle = float(np.median(held[density > 0])) if (density > 0).any() else 0.0
    away = np.where(density > 0, held - middle, 0.0)
    first = average_over(sample, away * density, like=one)
    second = average_over(sample, away**2 * density, like=one)
    around, about, square = (uniform_filter(values, RESOLUTION) for values in (mass, first, second))
    held_around = np.maximum(around, 1e-12)
    spread = np.sqrt(np.maximum(square / held_around - (about / held_around) ** 2, 0.0))
    mean = np.where(mass > 0, middle + first / inside, np.nan)
    return mean, mass >= 0.5 * mass.max(initial=1e-12), spread < within


def y_row(maps: dict[str, AnalysedMap], sample: Slice) -> dict[str, float]:
    """Give how far y is from the truth, how much of its variation is found, and how well lagging places are told."""
    one = maps.get("y_nmc")
    if one is None or sample.lithium_y is None:
        return {}
    true, counts, is_pure = true_mean(one, sample.lithium_y, sample, "nmc", within=ONE_LITHIUM)
    used = counts & is_pure & np.isfinite(one.value) & np.isfinite(true)
    if not used.any():
        return {"voxels": 0}
    found, wanted = one.value[used], true[used]
    middle = float(np.median(wanted))
    lags = np.abs(wanted - middle) > 0.03
    row = {
        "bias": float(np.mean(found - wanted)),
        "rms": float(np.sqrt(np.mean((found - wanted) ** 2))),
        "scatter": float(np.std(found - wanted)),
        "right_branch": float(np.mean(np.abs(found - wanted) < 0.05)),
        "voxels": int(used.sum()),
        "lagging": float(lags.mean()),
    }
    if 0.01 < lags.mean() < 0.99:
        row["amplitude"] = float((found[lags].mean() - found[~lags].mean()) / (wanted[lags].mean() - wanted[~lags].mean()))
        row["auc"] = area_under_curve(np.abs(found - np.median(found)), lags)
    return row


def area_under_curve(score: Array, has: NDArray[np.bool_]) -> float:
    """Give the chance that a place that has it scores higher than one that has not."""
    rank = np.argsort(np.argsort(score)) + 1.0
    n_has, n_not = int(has.sum()), int((~has).sum())
    return float((rank[has].sum() - n_has * (n_has + 1) / 2) / (n_has * n_not))


def x_rows(maps: dict[str, AnalysedMap], rows: dict[str, Any], sample: Slice) -> dict[str, Any]:
    """Give bias and RMS of x by either estimator, and the fall-off along the radius that the truth has not."""
    found = {}
    for name in ("x_lithium", "refined_x_lithium"):
        if name in maps and name in rows:
            found[name] = {key: rows[name][key] for key in ("bias", "rms", "coverage_68", "n_voxels")}
            true = true_lithium(maps[name], sample)
            good = np.isfinite(true) & np.isfinite(maps[name].value)
            found[name]["mean"], found[name]["true_mean"] = float(maps[name].value[good].mean()), float(true[good].mean())
    return found


def share_rows(analysed: Analysed, sample: Slice) -> dict[str, Any]:
    """Give parts by weight of the whole slice, found and true, percent, and how much graphite falls off towards the middle."""
    fit = analysed.refined.refined
    job = analysed.refined.job
    if fit is None or job.slice is None:
        return {}
    names = fit.model.names
    solved = fit.is_solved
    found = {name: float(fit.scales[solved, k].sum()) for k, name in enumerate(names)}
    true = {name: float(sample.density_of(name).sum()) for name in names}
    parts = {
        name: {"found": 100 * found[name] / sum(found.values()), "true": 100 * true[name] / sum(true.values())}
        for name in names
    }
    carbon = [k for k, name in enumerate(names) if name in ("graphite", "lic30", "lic12", "lic6")]
    whole = dict(zip(names, analysed.refined.mean.refined.scales[0], strict=True))
    for name, row in parts.items():
        row["mean_pattern"] = 100 * float(whole[name]) / float(sum(whole.values()))
    amount = np.zeros(job.slice.base.shape)
    amount[job.slice.base == 0] = np.where(solved, fit.scales[:, carbon].sum(axis=1), 0.0)
    axis = job.slice.axis_mm
    like = AnalysedMap(
        value=amount, sigma=None, reason=job.slice.base, pixel_mm=float(axis[1] - axis[0]), x_first_mm=float(axis[0]),
        y_first_mm=float(axis[0]),
    )  # fmt: skip
    wanted = np.sum([average_over(sample, sample.density_of(names[k]), like=like) for k in carbon], axis=0)
    radius = np.hypot(axis[:, None], axis[None, :])
    inner, outer = (radius > 1.0) & (radius < 2.0), (radius > 3.5) & (radius < 4.5)
    ratio = (amount[inner].sum() / wanted[inner].sum()) / (amount[outer].sum() / wanted[outer].sum())
    return {"parts": parts, "graphite_inner_over_outer": float(ratio)}


def true_transmission(truth: Path, rays: Callable[[Array], Rays]) -> Array:
    """Give the true transmission of rays, shape (n_lines, n_points); ``rays`` is told the voxel centres of the truth."""
    with h5py.File(truth) as file:
        attenuation, axis_mm = file["attenuation_per_mm"][()].astype(np.float64), file["x_mm"][()]
    transmission: Array = np.exp(-rays(axis_mm).project(attenuation[..., None])[..., 0])
    return transmission


def transmission_through_axis(truth: Path) -> float:
    """Give what a diode would measure through the rotation axis, mean of some angles; without it the level is assumed."""
    angles = np.arange(24) * 7.5

    def rays(axis_mm: Array) -> Rays:
        pixel_mm = float(axis_mm[1] - axis_mm[0])
        return Rays(angles_deg=angles, first_s_mm=0.0, step_mm=pixel_mm, n_points=1, pixel_mm=pixel_mm, n_voxels=axis_mm.size)

    return float(true_transmission(truth, rays).mean())


def transmission_row(analysed: Analysed, truth: Path) -> dict[str, float]:
    """Give how far the transmission that corrected a ray is from the true one, percent: over all rays, and inside the can."""
    made_of = analysed.result.ingredients
    grid = made_of.grid
    chosen = [line for line in made_of.lines[:: max(1, len(made_of.lines) // N_RAYS_ANGLES)] if line.gain is not None]
    if not chosen:
        return {}

    def rays(axis_mm: Array) -> Rays:
        return Rays(
            angles_deg=grid.angles_deg[[line.key.line for line in chosen]],
            first_s_mm=grid.first_position_mm - made_of.centre_mm,
            step_mm=grid.step_mm,
            n_points=grid.n_points,
            pixel_mm=float(axis_mm[1] - axis_mm[0]),
            n_voxels=axis_mm.size,
        )

    true = true_transmission(truth, rays)
    off = 100 * (np.stack([1 / line.gain for line in chosen if line.gain is not None]) / true - 1)
    inside = np.abs(grid.positions_mm - made_of.centre_mm) < INSIDE_MM
    return {
        "mean_percent": float(off[:, inside].mean()),
        "inside_rms_percent": float(np.sqrt(np.mean(off[:, inside] ** 2))),
        "rms_percent": float(np.sqrt(np.mean(off[true < 0.9] ** 2))),
    }


INSIDE_MM = 4.7
"""From the axis: beyond it rays graze the wall of 0.155 mm, which two voxels of resolution do not show."""
N_RAYS_ANGLES = 12


def secondary_row(
    maps: dict[str, AnalysedMap], rows: dict[str, Any], sample: Slice, lattices: dict[str, Any]
) -> dict[str, Any]:
    """Give how well spots of the inactive oxide are found, and their lattice where it was refined."""
    row: dict[str, Any] = {}
    one = maps.get("refined_wt_nmc_s")
    if one is not None and sample.density_of("nmc_s").any():
        amounts = {name: at_resolution(average_over(sample, sample.density_of(name), like=one)) for name in CRYSTALLINE}
        amount, total = amounts["nmc_s"], np.sum(list(amounts.values()), axis=0)
        true = np.divide(amount, total, out=np.zeros_like(amount), where=total > 0.2)
        level = 0.5 * float(np.percentile(true[true > 0.02], 99)) if (true > 0.02).any() else 1.0
        has, shows = true >= level, np.nan_to_num(one.value) >= level
        both = int((has & shows).sum())
        row |= {
            "recall": both / max(int(has.sum()), 1),
            "precision": both / max(int(shows.sum()), 1),
            "spots": int(label(has)[1]),
        }
    for axis in ("a", "c"):
        if f"{axis}_nmc_s" in maps:
            row[axis] = lattice_row(maps[f"{axis}_nmc_s"], lattices, sample, f"{axis}_nmc_s")
    return row


RESOLUTION = 5
ONE_LATTICE_MA = {"a": 1.6, "c": 8.0}
"""Spread of the true lattice within what a voxel sees, mA: where it is larger two lattices meet, and a mean is none of them."""
ONE_LITHIUM = 0.02
CRYSTALLINE = ("fe", "cu", "al", "nmc", "nmc_s", "graphite", "lic30", "lic12", "lic6")


def pair_figures(one: dict[str, AnalysedMap], other: dict[str, AnalysedMap], truths: tuple[Path, Path]) -> dict[str, float]:
    """Compare c of two cells of the same roll: separation in single voxels, and the sign in regions of ten."""
    slices = [read_slice(path) for path in truths]
    trues = [
        true_mean(maps["c_nmc"], read_lattices(path)["c/nmc"], sample, "nmc", within=1e-3 * ONE_LATTICE_MA["c"])
        for maps, path, sample in zip((one, other), truths, slices, strict=True)
    ]
    c, d = one["c_nmc"], other["c_nmc"]
    n = min(c.value.shape[0], d.value.shape[0])
    used = np.isfinite(c.value[:n, :n]) & np.isfinite(d.value[:n, :n])
    for _, counts, is_one in trues:
        used &= counts[:n, :n] & is_one[:n, :n]
    difference = (d.value[:n, :n] - c.value[:n, :n])[used]
    wanted = (trues[1][0][:n, :n] - trues[0][0][:n, :n])[used]
    row = {"difference_ma": 1e3 * float(difference.mean()), "true_ma": 1e3 * float(wanted.mean()), "voxels": int(used.sum())}
    if c.sigma is not None and d.sigma is not None:
        sigma = np.sqrt(c.sigma[:n, :n][used] ** 2 + d.sigma[:n, :n][used] ** 2)
        row["sigmas"] = float(np.median(np.abs(difference) / sigma))
        row["scatter_sigmas"] = float(abs(difference.mean()) / np.std(difference - wanted))
    row["scatter_ma"] = 1e3 * float(np.std(difference - wanted))
    regions = difference[: difference.size // 10 * 10].reshape(-1, 10).mean(axis=1)
    true_sign = np.sign(wanted[: difference.size // 10 * 10].reshape(-1, 10).mean(axis=1))
    row["sign_right"] = float(np.mean(np.sign(regions) == true_sign))
    return row


def study(cell: str, *, sector: str, angles: int = 400, settings: Sequence[str] = ()) -> tuple[Analysed, Path]:
    """Analyse one cell, at most with so many angles."""
    profile, folder = conditions(cell), kept_folder() / cell
    path = make_patterns(profile, folder)
    diode = f"correction.transmission_middle={transmission_through_axis(folder / 'patterns-truth.h5'):.4f}"
    chosen = analysis_profile(profile, folder, settings=[*settings_of(sector), diode, *settings])
    with h5py.File(path) as file:
        every = max(1, file["angle_deg"].size // angles)
    recording = read_recording(path, sector=sector, every=every)
    return analyse(chosen, recording, live=second_look(chosen, recording)), folder


def second_look(profile: Profile, recording: Recording) -> Profile:
    """Give a profile with textures and widths that the mean of all patterns shows, as a second look at a run has them."""
    lines = list(recording.lines.values())
    pattern = np.mean([line.mean.astype(np.float64).mean(axis=0) for line in lines], axis=0)
    variance = np.mean([line.variance.astype(np.float64).mean(axis=0) for line in lines], axis=0)
    grid = Refinery(profile).grid
    mean = refine_mean(profile, grid=grid, pattern=pattern, variance=variance / sum(len(line.mean) for line in lines))
    known = [f"phases.{one.name}.march={mean.march[one.fibre]:.4f}" for one in profile.phases if one.fibre in mean.march]
    for one in mean.phases:
        q, strength = one.crystal.q(), one.crystal.strength
        if strength.any():
            strongest = np.argmax(np.where((q > grid.edges[0]) & (q < grid.edges[-1]), strength / q**2, 0.0))
            place = two_theta_from_q(q[strongest], wavelength_angstrom=grid.wavelength_angstrom)
            width_deg = one.width * one.shape.fwhm_deg(float(np.rad2deg(place)))
            known.append(f"phases.{one.crystal.name}.fwhm_deg={width_deg:.4f}")
    return with_settings(profile, known)


def commit() -> str:
    """Give the commit that is checked out."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def keep(figures: dict[str, Any]) -> None:
    """Add figures to those that are kept for the document."""
    kept = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    write_json(FIGURES, {**kept, **figures})


def main(arguments: Sequence[str] | None = None) -> None:
    """Analyse cells, print their figures, and keep them for the document if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cell", nargs="+", choices=CELLS)
    parser.add_argument("--sector", choices=list(SECTORS), default="ring")
    parser.add_argument("--angles", type=int, default=400, help="at most so many")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tag", default="", help="added to the name that the figures are kept under")
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/validation-twin.json")
    asked = parser.parse_args(arguments)
    known: dict[str, Any] = {}
    done = {}
    for cell in asked.cell:
        analysed, folder = study(cell, sector=asked.sector, angles=asked.angles, settings=asked.set)
        figures = figures_of(analysed, folder)
        print(json.dumps({cell: figures}, indent=1, default=float), flush=True)
        known[f"{cell}/{asked.sector}{asked.tag}"] = {"commit": commit(), "set": asked.set, "angles": asked.angles, **figures}
        done[cell] = (analysed.maps(), folder / "patterns-truth.h5")
    if len(done) == 2:
        (one, first), (other, second) = done.values()
        pair = pair_figures(one, other, (first, second))
        print(json.dumps(pair, indent=1))
        known[f"{'/'.join(done)}/{asked.sector}{asked.tag}"] = {"commit": commit(), "angles": asked.angles, **pair}
    if asked.write:
        keep(known)


if __name__ == "__main__":
    main()
