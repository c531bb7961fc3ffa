"""The volume for nDTomo: one HDF5 file with ``data`` [y, x, bin] and its axes, as its window opens it.

Layout after nDTomo 2026.7 (``nDTomoGUI``): ``/data`` with the pattern along the last axis, and the first of ``/d``, ``/q``,
``/twotheta``, ``/Energy``, ``/tth`` that has its length.
"""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from operando import __version__
from streaming.handover.patterns import HandedOver, Selection


def write_ndtomo(path: Path, voxels: Selection, parts: Iterable[HandedOver]) -> None:
    """Write the volume; voxels that are not chosen hold zero, as nDTomo masks them.

    Parameters
    ----------
    path
        The file; it appears when it is whole.
    voxels
        All voxels that the parts hold.
    parts
        The patterns.
    """
    n_edge = voxels.axis_mm.size
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with h5py.File(partial, "w") as file:
        for part in parts:
            if "data" not in file:
                shape = (n_edge, n_edge, part.q.size)
                for name in ("data", "sigma"):
                    file.create_dataset(name, shape=shape, dtype=np.float32, chunks=(1, n_edge, part.q.size), fillvalue=0.0)
                file["q"], file["tth"] = part.q, part.two_theta_deg
                file["y"] = file["x"] = voxels.axis_mm
                file.attrs.update({"creator": f"operando {__version__}", "wavelength_angstrom": part.wavelength_angstrom})
                file.attrs["axes"] = "data[y, x, bin]: y upwards, x to the right, mm from the rotation axis"
            for row in np.unique(part.voxels.row):
                here = part.voxels.row == row
                for name, values in (("data", part.intensity), ("sigma", part.sigma)):
                    plane = file[name][row]
                    plane[part.voxels.column[here]] = values[here]
                    file[name][row] = plane
    partial.replace(path)
