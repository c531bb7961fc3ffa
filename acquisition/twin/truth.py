"""The truth file: what the sample really was, in HDF5, for whoever compares. The layout is described in ``docs/twin.md``."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from acquisition.twin.attenuation import attenuation_map
from acquisition.twin.lattices import lattice_maps
from acquisition.twin.phases import CRYSTALS, LITHIUM_X
from acquisition.twin.slice import SampleHistory, Slice
from operando.errors import DataError

LAYOUT = 1
"""Raised when a reader of the previous layout would be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlownLine:
    """A stretch of pulses at one angle, as the detector saw it."""

    angle_deg: float
    start_s: float
    end_s: float
    """Middle of the first and of the last exposure, Unix epoch."""
    n_pulses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All that a truth file tells."""

    history: SampleHistory
    seed: int
    wavelength_angstrom: float
    """The true one."""
    follows_lithium: bool
    """Whether lattice parameters do."""
    lines: Sequence[FlownLine] = ()


class TruthWriter:
    """Writes a truth file that may grow, under a temporary name until it is published: a reader finds all of it or nothing.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced.
    truth
        What it is about; its lines are those of :meth:`write`.
    """

    def __init__(self, path: Path, truth: Truth) -> None:
        self._path, self._truth = path, truth
        self._growing = path.with_name(path.name + ".part")
        self._times_s: list[float] = []
        self._before: tuple[str, dict[str, NDArray[Any]]] | None = None

    def write(self, states: Sequence[tuple[float, Slice]], lines: Sequence[FlownLine]) -> None:
        """Add states of the sample, each with the time at which it was first met, and replace the lines."""
        self._growing.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(self._growing, "r+" if self._times_s else "w") as file:
            for time_s, sample in states:
                self._add_state(file, time_s, sample)
            if "lines" in file:
                del file["lines"]
            _write_lines(file.create_group("lines"), self._truth, lines, self._times_s)

    def publish(self, *, goes_on: bool) -> None:
        """Put what was written under its name; one that goes on keeps a copy to add to."""
        if goes_on:
            copy = self._path.with_name(self._path.name + ".copy")
            shutil.copyfile(self._growing, copy)
            copy.replace(self._path)
        else:
            self._growing.replace(self._path)

    def _add_state(self, file: Any, time_s: float, sample: Slice) -> None:
        truth, number = self._truth, len(self._times_s)
        name = f"states/{number:04d}" if number else "/"
        group = file.require_group(name)
        if number == 0:
            file.attrs.update(layout=LAYOUT, sample=sample.name, seed=truth.seed, voxel_mm=sample.voxel_mm)
            file.attrs.update(wavelength_angstrom=truth.wavelength_angstrom)
            for axis in ("x_mm", "y_mm"):
                file[axis] = sample.axis_mm
        group.attrs["time_s"] = time_s
        maps = dict(_maps(sample, truth))
        before = None if self._before is None else (file[self._before[0]], self._before[1])
        for key, values in maps.items():
            _write_map(group, key, values, before)
        self._before = (name, maps)
        self._times_s.append(time_s)


def write_truth(truth: Truth, path: Path) -> None:
    """Write a truth whose lines have all been flown."""
    writer = TruthWriter(path, truth)
    writer.write(_states(truth), truth.lines)
    writer.publish(goes_on=False)


def write_slice(sample: Slice, path: Path, *, seed: int) -> None:
    """Write a sample that does not change and whose lattices are fixed."""
    write_truth(Truth(history=Unchanging(sample=sample), seed=seed, wavelength_angstrom=0.119791, follows_lithium=False), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanging:
    """A sample that stays as it is, with or without the state of a cell beside it."""

    sample: Slice
    cell: Callable[[float], Mapping[str, float]] | None = None
    """Gives the state of the cell at a time, Unix epoch."""

    def slice_at(self, time_s: float) -> Slice:
        """Give the sample."""
        return self.sample

    def cell_at(self, time_s: float) -> Mapping[str, float]:
        """Give the state of the cell beside it; nothing without one."""
        return {} if self.cell is None else self.cell(time_s)


def read_slice(path: Path, *, state: int = 0) -> Slice:
    """Read one state of a truth file.

    Raises
    ------
    DataError
        If it is none, or one of another layout, or has no such state.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("layout") != LAYOUT:
                raise DataError(f"{path} has layout {file.attrs.get('layout')}, wanted {LAYOUT}: write it with this version")
            n_states = 1 + len(file.get("states", ()))
            if state >= n_states:
                raise DataError(f"{path} has no state {state}: its states are 0 to {n_states - 1}")
            group = file if state == 0 else file[f"states/{state:04d}"]
            materials = tuple(group["density"])
            density = np.stack([group[f"density/{material}"][()] for material in materials], axis=-1)
            return Slice(
                name=str(file.attrs["sample"]),
                materials=materials,
                density_g_cm3=np.ascontiguousarray(density, dtype=np.float32),
                voxel_mm=float(file.attrs["voxel_mm"]),
                lithium_y=group["lithium_y"][()] if "lithium_y" in group else None,
                normal_rad=group["normal_rad"][()] if "normal_rad" in group else None,
            )
    except (OSError, KeyError) as wrong:
        raise DataError(f"{path} is not a truth file: {wrong}") from wrong


def read_lattices(path: Path, *, state: int = 0) -> dict[str, NDArray[np.float32]]:
    """Read the lattice parameters of one state, angstrom, by the names ``a/nmc``, shape (y, x) each."""
    try:
        with h5py.File(path, "r") as file:
            group = (file if state == 0 else file[f"states/{state:04d}"])["lattice"]
            return {f"{axis}/{material}": group[axis][material][()] for axis in group for material in group[axis]}
    except (OSError, KeyError) as wrong:
        raise DataError(f"{path} tells no lattice parameters: {wrong}; write it with this version") from wrong


def _states(truth: Truth) -> list[tuple[float, Slice]]:
    """Give every different sample that the lines met, with the time of the first one that did."""
    times_s = [time_s for line in truth.lines for time_s in (line.start_s, line.end_s)] or [time.time()]
    states: list[tuple[float, Slice]] = []
    for time_s in sorted(times_s):
        sample = truth.history.slice_at(time_s)
        if not states or states[-1][1] is not sample:
            states.append((time_s, sample))
    return states


def _maps(sample: Slice, truth: Truth) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "lithium_x", sample.lithium_x.astype(np.float32)
    if sample.lithium_y is not None:
        yield "lithium_y", sample.lithium_y
    if sample.normal_rad is not None:
        yield "normal_rad", sample.normal_rad
    yield "attenuation_per_mm", attenuation_map(sample, wavelength_angstrom=truth.wavelength_angstrom)
    for material in sample.materials:
        yield f"density/{material}", sample.density_of(material)
    for name, values in lattice_maps(sample, follows_lithium=truth.follows_lithium).items():
        yield f"lattice/{name}", values


def _write_map(group: Any, name: str, values: NDArray[Any], before: tuple[Any, dict[str, NDArray[Any]]] | None) -> None:
    """Write a map, or link to that of the state before if nothing has changed."""
    if before is not None and name in before[1] and np.array_equal(values, before[1][name], equal_nan=True):
        group[name] = before[0][name]
        return
    data = group.create_dataset(name, data=values, compression="gzip", shuffle=True)
    data.attrs["axes"] = ["y_mm", "x_mm"]
    kind, _, material = name.rpartition("/")
    if kind.startswith("lattice"):
        data.attrs["units"] = "angstrom"
    if kind == "density":
        data.attrs["units"] = "g/cm3"
        if material in CRYSTALS:
            data.attrs["crystal_density_g_cm3"] = CRYSTALS[material].density_g_cm3
        if material in LITHIUM_X:
            data.attrs["lithium_x"] = LITHIUM_X[material]


def _write_lines(group: Any, truth: Truth, lines: Sequence[FlownLine], state_times_s: Sequence[float]) -> None:
    starts = np.array([line.start_s for line in lines])
    group["angle_deg"] = np.array([line.angle_deg for line in lines])
    group["start_s"] = starts
    group["end_s"] = np.array([line.end_s for line in lines])
    group["n_pulses"] = np.array([line.n_pulses for line in lines], dtype=np.int64)
    group["state"] = np.searchsorted(np.array(state_times_s), starts, side="right") - 1
    cells = [truth.history.cell_at(0.5 * (line.start_s + line.end_s)) for line in lines]
    for name in cells[0] if cells else ():
        group[f"cell/{name}"] = np.array([cell[name] for cell in cells])


def state_at(path: Path, time_s: float) -> tuple[int, dict[str, float]]:
    """Give the number of the state that the line flown at a time, Unix epoch, met, and the cell's state in that line.

    Between lines it is the one before; before the first, and where no line was flown, state 0.

    Raises
    ------
    DataError
        If it is not a truth file.
    """
    try:
        with h5py.File(path, "r") as file:
            lines = file["lines"]
            line = int(np.searchsorted(lines["start_s"][()], time_s, side="right")) - 1
            if line < 0:
                return 0, {}
            cell = lines["cell"] if "cell" in lines else {}
            return int(lines["state"][line]), {name: float(cell[name][line]) for name in cell}
    except (OSError, KeyError) as wrong:
        raise DataError(f"{path} is not a truth file: {wrong}") from wrong
