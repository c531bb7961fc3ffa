"""Maps as tables and as pictures that other programs measure in: CSV for anything, float TIFF for ImageJ and its kin."""

import csv
import json
from pathlib import Path

import numpy as np

from operando.messages import MapPublished
from viewer.cell_state import CellState
from viewer.colormaps import colour_table
from viewer.out_file import whole_file
from viewer.scan_file import MapShown

COLUMNS = ("x_mm", "y_mm", "value", "sigma", "reason")
SIGMA_SHARE = 0.15
"""The uncertainty's channel opens with a range of this part of the value's."""


def write_csv(path: Path, shown: MapShown, cell: CellState | None = None) -> None:
    """Write a map voxel by voxel: place, value, uncertainty, and the code of the reason where there is no value.

    Lines that begin with ``#`` say what it is, in which units. Numbers carry nine digits: a float32 comes back exactly.

    Parameters
    ----------
    path
        The file.
    shown
        The map.
    cell
        How the cell was, for the head.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    message, arrays = shown.message, shown.arrays
    value = arrays["value"]
    x_mm, y_mm = axes_mm(shown)
    sigma = arrays.get("sigma", np.full_like(value, np.nan))
    reason = arrays.get("reason", np.zeros(value.shape, dtype=np.uint8))
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {key}: {text}\n" for key, text in describe(message, cell).items())
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for row, y in enumerate(y_mm):
            for column, x in enumerate(x_mm):
                numbers = (value[row, column], sigma[row, column])
                table.writerow([f"{x:.6g}", f"{y:.6g}", *(f"{n:.9g}" for n in numbers), int(reason[row, column])])


def write_tiff(path: Path, shown: MapShown, cell: CellState | None = None) -> None:
    """Write a map as an ImageJ TIFF, float32, with channels value, sigma and reason.

    Pixels are in millimetres from the rotation axis, the first row is the upper edge (the largest y). The value's channel opens
    in the colours and the range that the map declares; voxels without a value are NaN.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    import tifffile

    message, value = shown.message, shown.arrays["value"]
    names = [name for name in ("value", "sigma", "reason") if name in shown.arrays]
    channels = np.stack([shown.arrays[name].astype(np.float32)[::-1] for name in names])
    span = message.high - message.low
    ranges = {
        "value": (message.low, message.high),
        "sigma": (0.0, SIGMA_SHARE * span),
        "reason": (0.0, 255.0),
    }
    table = (colour_table(message.colormap)[:, :3].T * 255).round().astype(np.uint8)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None], 3, axis=0)
    last_row_mm = message.y_first_mm + message.pixel_mm * (value.shape[0] - 1)
    metadata = {
        "axes": "CYX",
        "mode": "color",
        "unit": "mm",
        "xorigin": -message.x_first_mm / message.pixel_mm,
        "yorigin": last_row_mm / message.pixel_mm,
        "Labels": names,
        "Ranges": tuple(edge for name in names for edge in ranges[name]),
        "LUTs": [table if name == "value" else grey for name in names],
        "Info": "\n".join(f"{key} = {text}" for key, text in describe(message, cell).items()),
    }
    per_mm = 1 / message.pixel_mm
    with whole_file(path) as temporary:
        tifffile.imwrite(temporary, channels, imagej=True, resolution=(per_mm, per_mm), metadata=metadata)


def axes_mm(shown: MapShown) -> tuple[np.ndarray, np.ndarray]:
    """Give the centres of a map's columns and rows, x and y from the rotation axis, mm."""
    message = shown.message
    n_rows, n_columns = shown.arrays["value"].shape
    return (
        message.x_first_mm + message.pixel_mm * np.arange(n_columns),
        message.y_first_mm + message.pixel_mm * np.arange(n_rows),
    )


def describe(message: MapPublished, cell: CellState | None = None) -> dict[str, str]:
    """Say what a map is, in which units, how it was made and how the cell was."""
    words = {
        "map": message.name,
        "label": message.label,
        "unit of value and sigma": message.unit or "1",
        "x_mm, y_mm": "voxel centre from the rotation axis, mm; x to the right, y upwards",
        "voxel edge": f"{message.pixel_mm:.6g} mm",
        "estimator": message.estimator,
        "sigma": "standard uncertainty, nan where there is none",
        "reason": json.dumps({str(code): text for code, text in message.reasons.items()}, ensure_ascii=False),
        "lines": f"{message.n_lines} of {message.n_lines_expected}",
        "run": message.run,
    }
    if cell is not None and cell.voltage_v is not None:
        words["voltage in the middle of the scan"] = f"{cell.voltage_v:.4f} V"
    if cell is not None and cell.charge_ah is not None:
        words["charge in the middle of the scan"] = f"{cell.charge_ah:.5f} Ah"
    return words
