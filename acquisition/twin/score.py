"""How far a map is from the truth: the twin's own comparison, which knows neither the analysis nor its files.

The truth is averaged over each voxel of the map first, so that a voxel half filled by an electrode is compared with what it
holds. The average of x is that of lithium over that of C6, not that of x.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.phases import LITHIUM_X
from acquisition.twin.slice import Slice, grams_per_c6, lithium_from_amounts

Image = NDArray[np.float64]

ELECTRODE_FRACTION = 0.5
"""Voxels count as electrode if they hold this part of the fullest voxel's C6; at their rims x says little."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnalysedMap:
    """A map of one quantity over the slice, as the analysis gives it."""

    value: Image
    """Shape (y, x); NaN where there is none."""
    sigma: Image | None
    """One standard deviation of ``value``, same shape."""
    reason: NDArray[np.uint8]
    """0 where the value is good, shape (y, x)."""
    pixel_mm: float
    x_first_mm: float
    """Centre of the first column; columns go towards positive x."""
    y_first_mm: float
    """Centre of the first row; rows go towards positive y."""
    unit: str = ""
    """Of ``value``, as it is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How far one map is from the truth, over the voxels that count; in the map's unit."""

    n_voxels: int
    """Voxels that were compared: they count, and the map has a good value there."""
    n_missing: int
    """Voxels that count but have no good value."""
    n_extra: int
    """Voxels that have a good value where in truth there is nothing of the kind; no other figure knows them."""
    rms: float
    """Root of the mean squared difference; NaN if nothing was compared."""
    bias: float
    """Mean difference, map minus truth."""
    coverage_68: float | None
    """Part of the voxels whose truth is within one sigma; None if the map has no sigma."""
    coverage_95: float | None = None
    """And within 1.96 sigma."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How well a map says where a phase is."""

    recall: float
    """Part of the voxels with the phase that the map shows; NaN where the truth has none."""
    precision: float
    """Part of the voxels that the map shows that have the phase; NaN where it shows none."""
    n_voxels: int
    """With the phase, in truth."""


def score_lithium(analysed: AnalysedMap, truth: Slice) -> Score:
    """Compare a map of x in LixC6 with the truth over the electrode's voxels."""
    amounts = {name: average_over(truth, truth.density_of(name) / grams_per_c6(name), like=analysed) for name in LITHIUM_X}
    carbon = np.sum(list(amounts.values()), axis=0)
    is_electrode = carbon >= ELECTRODE_FRACTION * carbon.max() if carbon.max() > 0 else np.zeros(carbon.shape, dtype=np.bool_)
    return _compare(analysed, lithium_from_amounts(amounts), is_electrode, scale=1.0)


def score_amounts(analysed: Mapping[str, AnalysedMap], truth: Slice) -> tuple[dict[str, Score], float]:
    """Compare maps of the phases' amounts with the truth after one scale for all, and give that scale.

    Amounts are masses in a volume in a unit of the analysis; the scale is the least-squares factor that turns them into g/cm3.
    Every voxel of a map counts, since an amount must also be nothing where there is nothing. The errors are in g/cm3.
    """
    true = {name: average_over(truth, truth.density_of(name), like=one) for name, one in analysed.items()}
    pairs = [(one.value[is_good], true[name][is_good]) for name, one in analysed.items() if (is_good := _is_good(one)).any()]
    found = np.concatenate([pair[0] for pair in pairs]) if pairs else np.zeros(1)
    wanted = np.concatenate([pair[1] for pair in pairs]) if pairs else np.zeros(1)
    norm = float(found @ found)
    scale = float(found @ wanted) / norm if norm > 0 else float("nan")
    everywhere = {name: np.ones(one.value.shape, dtype=np.bool_) for name, one in analysed.items()}
    return {name: _compare(one, true[name], everywhere[name], scale=scale) for name, one in analysed.items()}, scale


def score_weight_fractions(analysed: Mapping[str, AnalysedMap], truth: Slice, *, least_g_cm3: float = 0.2) -> dict[str, Score]:
    """Compare maps of weight fractions, 0 to 1, with the truth where the phases together weigh at least ``least_g_cm3``."""
    true = true_fractions(analysed, truth, least_g_cm3=least_g_cm3)
    return {name: _compare(one, true[name], np.isfinite(true[name])) for name, one in analysed.items()}


def score_lattice(analysed: AnalysedMap, lattice: NDArray[np.floating], truth: Slice, material: str) -> Score:
    """Compare a map of a lattice parameter, angstrom, with the mean over each voxel's mass of the material.

    ``lattice`` is the truth, shape (y, x); voxels count that hold half of the fullest voxel's mass or more.
    """
    true = true_lattice(analysed, lattice, truth, material)
    is_there = average_over(truth, truth.density_of(material), like=analysed) > 0
    return _compare(analysed, true, np.isfinite(true), is_there=is_there)


def true_lithium(analysed: AnalysedMap, truth: Slice) -> Image:
    """Give x in LixC6 averaged over each voxel of a map; NaN where there is no anode."""
    amounts = {name: average_over(truth, truth.density_of(name) / grams_per_c6(name), like=analysed) for name in LITHIUM_X}
    return lithium_from_amounts(amounts)


def true_fractions(analysed: Mapping[str, AnalysedMap], truth: Slice, *, least_g_cm3: float = 0.2) -> dict[str, Image]:
    """Give the weight fraction of each phase, 0 to 1, over each voxel of its map; NaN where all of them weigh too little."""
    parts = {name: average_over(truth, truth.density_of(name), like=one) for name, one in analysed.items()}
    total = np.sum(list(parts.values()), axis=0)
    return {
        name: np.divide(part, total, out=np.full(part.shape, np.nan), where=total >= least_g_cm3)
        for name, part in parts.items()
    }


def true_lattice(analysed: AnalysedMap, lattice: NDArray[np.floating], truth: Slice, material: str) -> Image:
    """Give the mean of ``lattice``, shape (y, x), over each voxel's mass of a material; NaN where there is too little of it."""
    density = truth.density_of(material)
    mass = average_over(truth, density, like=analysed)
    weighted = average_over(truth, np.nan_to_num(lattice) * density, like=analysed)
    counts = mass >= ELECTRODE_FRACTION * mass.max(initial=1e-12)
    return np.divide(weighted, mass, out=np.full(mass.shape, np.nan), where=counts)


def detect(analysed: AnalysedMap, truth: Slice, material: str, *, scale: float = 1.0, threshold: float = 0.5) -> Detection:
    """Compare where a map of an amount and the truth are above ``threshold`` of the truth's largest."""
    true = average_over(truth, truth.density_of(material), like=analysed)
    # A hair lower: a map that is the truth in another unit must not fall on the other side by rounding.
    level = (1 - 1e-9) * threshold * float(true.max(initial=0.0))
    has = (true >= level) & (true > 0)
    shows = _is_good(analysed) & (np.nan_to_num(scale * analysed.value) >= level) & (level > 0)
    both, n_has, n_shows = (int(np.count_nonzero(one)) for one in (has & shows, has, shows))
    return Detection(
        recall=both / n_has if n_has else float("nan"), precision=both / n_shows if n_shows else float("nan"), n_voxels=n_has
    )


def average_over(truth: Slice, values: NDArray[np.floating], *, like: AnalysedMap) -> Image:
    """Average ``values`` of the truth, shape (y, x), over each voxel of a map by shared area; outside the truth is nothing."""
    n_y, n_x = like.value.shape
    rows = _shares(truth, first_mm=like.y_first_mm, pixel_mm=like.pixel_mm, n=n_y)
    columns = _shares(truth, first_mm=like.x_first_mm, pixel_mm=like.pixel_mm, n=n_x)
    return np.asarray(rows @ values @ columns.T, dtype=np.float64)


def _shares(truth: Slice, *, first_mm: float, pixel_mm: float, n: int) -> Image:
    """Part of each of ``n`` pixels that each of the truth's voxels covers along one axis, shape (pixel, voxel)."""
    low = (first_mm + (np.arange(n) - 0.5) * pixel_mm)[:, np.newaxis]
    start = (truth.axis_mm - truth.voxel_mm / 2)[np.newaxis, :]
    overlap = np.minimum(low + pixel_mm, start + truth.voxel_mm) - np.maximum(low, start)
    return np.maximum(overlap, 0.0) / pixel_mm


def _is_good(analysed: AnalysedMap) -> NDArray[np.bool_]:
    return np.isfinite(analysed.value) & (analysed.reason == 0)


def _compare(
    analysed: AnalysedMap,
    true: Image,
    counts: NDArray[np.bool_],
    *,
    scale: float = 1.0,
    is_there: NDArray[np.bool_] | None = None,
) -> Score:
    """Compare the voxels that count; ``is_there``, by default where there is a truth, says where a value may be at all."""
    is_compared = counts & _is_good(analysed) & np.isfinite(true)
    is_extra = _is_good(analysed) & ~(np.isfinite(true) if is_there is None else is_there)
    difference = scale * analysed.value[is_compared] - true[is_compared]
    covered: dict[float, float | None] = {1.0: None, 1.96: None}
    if analysed.sigma is not None and difference.size:
        sigma = abs(scale) * analysed.sigma[is_compared]
        covered = {wide: float(np.mean(np.abs(difference) <= wide * sigma)) for wide in covered}
    return Score(
        n_voxels=int(difference.size),
        n_missing=int(np.count_nonzero(counts & ~is_compared)),
        n_extra=int(np.count_nonzero(is_extra)),
        rms=float(np.sqrt(np.mean(difference**2))) if difference.size else float("nan"),
        bias=float(np.mean(difference)) if difference.size else float("nan"),
        coverage_68=covered[1.0],
        coverage_95=covered[1.96],
    )
