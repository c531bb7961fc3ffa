"""What is handed over: receives an archive with its lines, gives the patterns of chosen voxels with their uncertainties."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError, MissingInputError
from operando.profile import Profile
from operando.scan import LineKey
from streaming.answering import ingredients_from_archive
from streaming.channels import wavelength_of
from streaming.correct.points import check_grid, typical_variance
from streaming.correct.sector import line_in_sector
from streaming.line import Line
from streaming.line_shelf import LineShelf
from streaming.phases import two_theta_from_q
from streaming.refine.voxels import patterns_of_voxels
from streaming.region import Ingredients, Patterns, patterns_from_line

Array = NDArray[np.float64]

CHUNK_BYTES = 2**30
"""Patterns of voxels that are in memory at a time, halves included; every further chunk reads and filters the lines again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """Voxels of a map."""

    row: NDArray[np.intp]
    """Shape (n_voxels,); rows count upwards, along y."""
    column: NDArray[np.intp]
    axis_mm: Array
    """Centres of the voxels along x and along y, shape (n_edge,)."""

    @property
    def size(self) -> int:
        """Number of voxels."""
        return self.row.size

    @property
    def x_mm(self) -> Array:
        """Shape (n_voxels,)."""
        return self.axis_mm[self.column]

    @property
    def y_mm(self) -> Array:
        """Shape (n_voxels,)."""
        return self.axis_mm[self.row]

    def part(self, first: int, last: int) -> "Selection":
        """Give some of the voxels."""
        return Selection(row=self.row[first:last], column=self.column[first:last], axis_mm=self.axis_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HandedOver:
    """Patterns of voxels on their axes. Bins without a pixel are left out."""

    voxels: Selection
    intensity: Array
    """Shape (n_voxels, n_bins), photons per pixel and mm of path, corrected for solid angle and polarisation; can be negative,
    as every filtered back projection can."""
    sigma: Array
    """Standard uncertainty from counting, same shape; neighbouring voxels are correlated."""
    q: Array
    """Shape (n_bins,), 1/angstrom."""
    two_theta_deg: Array
    """Shape (n_bins,)."""
    wavelength_angstrom: float


def select_voxels(archive: Path, *, map_name: str = "", at_mm: Sequence[tuple[float, float]] = ()) -> Selection:
    """Choose voxels: those at some places, or all that a map has a value for.

    Parameters
    ----------
    archive
        ``scan.nxs``.
    map_name
        Which map; empty is the one that the file opens on.
    at_mm
        Places (x, y) from the rotation axis; given, they are the choice.

    Raises
    ------
    MissingInputError
        If there is no such file or map.
    DataError
        If the file is no archive, a place is outside, or the map has no value anywhere.
    """
    if not archive.is_file():
        raise MissingInputError(f"no archive {archive}: give the scan.nxs of a run")
    try:
        with h5py.File(archive, "r") as file:
            entry = file["entry"]
            name = map_name or entry.attrs["default"]
            if name not in entry or "reason" not in entry[name]:
                known = ", ".join(one for one, group in entry.items() if "colormap" in group.attrs)
                raise MissingInputError(f"{archive} holds no map {name!r}; it holds {known}")
            axis_mm, reason = entry[f"{name}/x"][()].astype(np.float64), entry[f"{name}/reason"][()]
    except (OSError, KeyError) as wrong:
        raise DataError(f"{archive} is no archive of operando, or cut off: {wrong}") from wrong
    if at_mm:
        return _nearest(axis_mm, at_mm)
    row, column = np.nonzero(reason == 0)
    if not row.size:
        raise DataError(f"the map {name} has no value anywhere: choose another with --map, or places with --voxel")
    return Selection(row=row, column=column, axis_mm=axis_mm)


def hand_over(archive: Path, profile: Profile, voxels: Selection) -> Iterator[HandedOver]:
    """Reconstruct the patterns of voxels, in chunks that fit into memory.

    Raises
    ------
    MissingInputError, DataError
        If the lines are not beside the archive, or are not its own.
    """
    ingredients = ingredients_from_archive(archive, profile)
    lines = _Lines(archive.parent / "lines", profile, ingredients)
    variance = typical_variance(lines.read(ingredients.reference))
    is_seen = np.isfinite(variance) & (variance > 0)
    weights = np.where(is_seen, 1.0 / np.where(is_seen, variance, 1.0), 0.0)
    wavelength_angstrom = wavelength_of(profile)
    two_theta_deg = np.rad2deg(two_theta_from_q(lines.q, wavelength_angstrom=wavelength_angstrom))
    n_at_once = max(1, CHUNK_BYTES // (8 * lines.q.size))
    for first in range(0, voxels.size, n_at_once):
        part = voxels.part(first, first + n_at_once)
        found = patterns_of_voxels(ingredients, x_mm=part.x_mm, y_mm=part.y_mm, weights=weights, patterns_of=lines)
        yield HandedOver(
            voxels=part,
            intensity=found.patterns[:, is_seen].astype(np.float64),
            sigma=np.sqrt(found.noise[:, None] * variance[None, is_seen]),
            q=lines.q[is_seen],
            two_theta_deg=two_theta_deg[is_seen],
            wavelength_angstrom=wavelength_angstrom,
        )


class _Lines:
    """The patterns of an archive's lines, read again for every use: together they may not fit into memory."""

    def __init__(self, folder: Path, profile: Profile, ingredients: Ingredients) -> None:
        self._folder, self._profile, self._ingredients = folder, profile, ingredients
        settings = profile.integration
        edges = np.linspace(settings.q_min, settings.q_max, settings.n_radial + 1)
        self.q: Array = 0.5 * (edges[1:] + edges[:-1])

    def read(self, key: LineKey) -> Line:
        """Read a line as it is analysed."""
        try:
            line = LineShelf(key.run, self._folder)(key)
        except FileNotFoundError as gone:
            raise MissingInputError(
                f"no {gone.filename}: patterns of voxels are made of the lines beside the archive"
            ) from gone
        check_grid(line, self.q)
        return line_in_sector(line, self._profile.integration.sector)

    def __call__(self, key: LineKey) -> Patterns:
        return patterns_from_line(self.read(key), estimator=self._ingredients.estimator)


def _nearest(axis_mm: Array, at_mm: Sequence[tuple[float, float]]) -> Selection:
    half_mm = 0.5 * float(axis_mm[1] - axis_mm[0]) if axis_mm.size > 1 else np.inf
    places = np.array(at_mm, dtype=np.float64)
    found = np.abs(places[:, :, None] - axis_mm).argmin(axis=2)
    outside = np.abs(places - axis_mm[found]).max(axis=1) > half_mm + 1e-9
    if outside.any():
        x, y = places[outside][0]
        raise DataError(f"the place ({x:g}, {y:g}) mm is outside the map, which reaches from {axis_mm[0]:g} to {axis_mm[-1]:g}")
    return Selection(row=found[:, 1], column=found[:, 0], axis_mm=axis_mm)
