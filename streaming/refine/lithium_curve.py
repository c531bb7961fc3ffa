"""Lithium from a lattice: receives lengths with their covariance and a calibration curve, gives lithium with its uncertainty.

Lithium is where the curve comes nearest to all lengths together, in units of their uncertainty. A curve that turns back, as c
of a layered oxide does, may come near twice: the second place is given too where it is nearly as near.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operando.errors import MissingInputError, ProfileError

Array = NDArray[np.float64]

SECOND_WITHIN = 4.0
"""Chi squared by which a second place may be worse and still be possible: two standard uncertainties."""
_COLUMNS = {"a_angstrom": "a", "b_angstrom": "b", "c_angstrom": "c"}
_TINY = 1e-16
"""Variance, angstrom squared, that a length at least has: 0.00001 mA, so that no covariance is singular."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LithiumCurve:
    """A calibration curve, linear between its rows."""

    lithium: Array
    """Ascending, shape (n_rows,)."""
    axes: tuple[str, ...]
    """Names of the lengths that it holds."""
    lengths: Array
    """Shape (n_rows, n_axes), angstrom."""
    source: str
    """The file."""
    provenance: tuple[str, ...]
    """Of each row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnCurve:
    """Lithium of some voxels, shapes (n,); NaN where lengths or covariance are."""

    value: Array
    sigma: Array
    second: Array
    """The other place that is possible, NaN where there is none."""
    distance: Array
    """How far the lengths are from the curve, chi squared."""
    away: Array
    """The same in angstrom: the largest difference of any length."""


def read_curve(path: Path, *, phase: str) -> LithiumCurve:
    """Read a curve: CSV with ``lithium``, one or more of ``a_angstrom``, ``b_angstrom``, ``c_angstrom``, and ``provenance``.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it is not such a table.
    """
    if not path.is_file():
        raise MissingInputError(f"phase {phase}: no lithium curve {path}; correct lithium_curve in the profile")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    columns = [name for name in _COLUMNS if rows and name in rows[0]]
    if len(rows) < 2 or not columns or "lithium" not in rows[0] or "provenance" not in rows[0]:
        raise ProfileError(
            f"phase {phase}: {path} is not a lithium curve: it wants two rows or more under lithium, provenance and one of "
            f"{', '.join(_COLUMNS)}"
        )
    try:
        lithium = np.array([float(row["lithium"]) for row in rows])
        lengths = np.array([[float(row[name]) for name in columns] for row in rows])
    except (ValueError, TypeError) as wrong:
        raise ProfileError(f"phase {phase}: {path} holds what is not a number: {wrong}") from wrong
    if not (np.diff(lithium) > 0).all() or not np.isfinite(lengths).all():
        raise ProfileError(f"phase {phase}: {path}: lithium must ascend from row to row, and every length be finite")
    return LithiumCurve(
        lithium=lithium,
        axes=tuple(_COLUMNS[name] for name in columns),
        lengths=lengths,
        source=path.name,
        provenance=tuple(row["provenance"] or "" for row in rows),
    )


def lithium_on_curve(curve: LithiumCurve, lengths: Array, covariance: Array) -> OnCurve:
    """Find lithium on a curve.

    Parameters
    ----------
    lengths
        Shape (n, n_axes) in the order of ``curve.axes``, angstrom.
    covariance
        Shape (n, n_axes, n_axes), angstrom squared.
    """
    n_axes = len(curve.axes)
    known = np.isfinite(lengths.sum(axis=-1) + covariance.sum(axis=(-2, -1)))
    safe = np.where(known[:, None, None], covariance, np.eye(n_axes)) + _TINY * np.eye(n_axes)
    precision = np.linalg.inv(safe)
    along = np.diff(curve.lengths, axis=0)
    offset = np.where(known[:, None], lengths, 0.0)[:, None, :] - curve.lengths[None, :-1]
    steep = np.einsum("si,nij,sj->ns", along, precision, along)
    place = np.clip(np.einsum("si,nij,nsj->ns", along, precision, offset) / np.maximum(steep, 1e-300), 0.0, 1.0)
    rest = offset - place[..., None] * along
    distance = np.einsum("nsi,nij,nsj->ns", rest, precision, rest)
    lithium = curve.lithium[:-1] + place * np.diff(curve.lithium)
    row, best = np.arange(known.size), np.argmin(distance, axis=1)
    value = lithium[row, best]
    sigma = np.diff(curve.lithium)[best] / np.sqrt(np.maximum(steep[row, best], 1e-300))
    other = np.where(_is_lowest(place) & (np.abs(lithium - value[:, None]) > sigma[:, None]), distance, np.inf)
    second = np.argmin(other, axis=1)
    possible = other[row, second] - distance[row, best] < SECOND_WITHIN
    nothing = np.where(known, 0.0, np.nan)
    return OnCurve(
        value=value + nothing,
        sigma=sigma + nothing,
        second=np.where(possible, lithium[row, second], np.nan) + nothing,
        distance=distance[row, best] + nothing,
        away=np.abs(rest[row, best]).max(axis=-1) + nothing,
    )


def _is_lowest(place: Array) -> NDArray[np.bool_]:
    """Tell on which stretches, shape (n, n_stretches), the distance has a minimum, at an end of the curve too."""
    inside = (place > 0) & (place < 1)
    ends_up = place >= 1
    begins_down = place <= 0
    next_down = np.concatenate([begins_down[:, 1:], np.ones((len(place), 1), np.bool_)], axis=1)
    at_start = np.zeros_like(inside)
    at_start[:, 0] = begins_down[:, 0]
    lowest: NDArray[np.bool_] = inside | (ends_up & next_down) | at_start
    return lowest
