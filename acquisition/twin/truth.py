"""The truth file: what the sample really was, in HDF5, for whoever compares. The layout is described in ``docs/twin.md``."""

from pathlib import Path

import h5py
import numpy as np

from acquisition.twin.phases import CRYSTALS, LITHIUM_X
from acquisition.twin.slice import Slice
from operando.errors import DataError

LAYOUT = 1
"""Raised when a reader of the previous layout would be wrong."""


def write_slice(sample: Slice, path: Path, *, seed: int) -> None:
    """Write a slice to ``path``: to a temporary name, then renamed, so that a reader finds all of it or nothing."""
    unfinished = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(unfinished, "w") as file:
        file.attrs.update(layout=LAYOUT, sample=sample.name, seed=seed, voxel_mm=sample.voxel_mm)
        for axis in ("x_mm", "y_mm"):
            file[axis] = sample.axis_mm
        lithium = file.create_dataset("lithium_x", data=sample.lithium_x.astype(np.float32), compression="gzip", shuffle=True)
        lithium.attrs["axes"] = ["y_mm", "x_mm"]
        for material in sample.materials:
            data = file.create_dataset(
                f"density/{material}", data=sample.density_of(material), compression="gzip", shuffle=True
            )
            data.attrs.update(units="g/cm3", axes=["y_mm", "x_mm"])
            if material in CRYSTALS:
                data.attrs["crystal_density_g_cm3"] = CRYSTALS[material].density_g_cm3
            if material in LITHIUM_X:
                data.attrs["lithium_x"] = LITHIUM_X[material]
    unfinished.replace(path)


def read_slice(path: Path) -> Slice:
    """Read a truth file.

    Raises
    ------
    DataError
        If it is none, or one of another layout.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("layout") != LAYOUT:
                raise DataError(f"{path} has layout {file.attrs.get('layout')}, wanted {LAYOUT}: write it with this version")
            materials = tuple(file["density"])
            density = np.stack([file[f"density/{material}"][()] for material in materials], axis=-1)
            return Slice(
                name=str(file.attrs["sample"]),
                materials=materials,
                density_g_cm3=np.ascontiguousarray(density, dtype=np.float32),
                voxel_mm=float(file.attrs["voxel_mm"]),
            )
    except (OSError, KeyError) as wrong:
        raise DataError(f"{path} is not a truth file: {wrong}") from wrong
