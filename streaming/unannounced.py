"""Keep what nobody claimed: patterns whose line was never announced go to a file of their own; nothing measured is lost."""

import io
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from streaming.line_file import replace_file
from streaming.measured import Measured

FORMAT = "operando-unannounced"


def write_unannounced(measured: Sequence[Measured], folder: Path, *, q: NDArray[np.float64]) -> Path:
    """Write patterns with their identities to one HDF5 file, durably, and give its path.

    Parameters
    ----------
    measured
        At least one.
    folder
        Where the file goes; its name tells the first image and when it came.
    q
        Centres of the bins, shape (n_radial,), 1/angstrom.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update({"format": FORMAT, "schema": 1})
        file["series"] = np.array([one.frame.series.series for one in measured], dtype=np.int64)
        file["unique_id"] = [one.frame.series.unique_id for one in measured]
        file["image_id"] = np.array([one.frame.image_id for one in measured], dtype=np.int64)
        file["geometry_sha256"] = [one.geometry_sha256 for one in measured]
        for name, unit, values in (
            ("received", "s", np.array([one.received_s for one in measured])),
            ("q", "1/angstrom", q),
            ("mean", "photons/pixel", np.stack([one.pattern.mean for one in measured])),
            ("trimmed", "photons/pixel", np.stack([one.pattern.trimmed for one in measured])),
            ("variance", "(photons/pixel)^2", np.stack([one.pattern.variance for one in measured])),
        ):
            file[name] = values
            file[name].attrs["units"] = unit
    first = measured[0]
    name = f"series-{first.frame.series.series}-image-{first.frame.image_id}-{round(first.received_s * 1000)}.h5"
    path = folder / name
    replace_file(path, buffer.getvalue())
    return path
