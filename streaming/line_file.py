"""Line files: receives a finished line, gives one small HDF5 file that any reader opens; the archive of everything measured.

A file appears whole or not at all: it is written under another name, synced, renamed, and the folder is synced. The name is the
key (line and attempt, in the folder of the run), so writing a line again replaces it by the same. Compression is gzip with
shuffle, which every HDF5 reader has; bitshuffle would be smaller by a few per cent and need a plugin.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError
from operando.messages import CellReading
from operando.scan import LineKey
from streaming.line import Line

FORMAT = "operando-line"
SCHEMA = 1
_CHUNK_BYTES = 256 * 1024
"""Smaller chunks compress worse and cost more calls; larger ones make a reader of one pattern inflate too much."""

_CELL_UNITS = {
    "time_s": "s",
    "voltage_v": "V",
    "current_a": "A",
    "charge_ah": "Ah",
    "temperature_c": "degC",
    "cycle": "",
    "step": "",
    "age_s": "s",
    "source": "",
    "charge_source": "",
    "regime": "",
    "step_charge_ah": "Ah",
    "c_rate": "1/h",
    "soc": "",
    "specific_charge_mah_g": "mAh/g",
    "clock_offset_s": "s",
    "trouble": "",
}


def line_path(key: LineKey, lines_folder: Path, *, is_aborted: bool = False) -> Path:
    """Give the file of a line below the folder of all lines; aborted attempts lie apart, so that no one takes them for data."""
    folder = lines_folder / _as_file_name(key.run)
    return (folder / "aborted" if is_aborted else folder) / f"{key.stem}.h5"


def write_line(line: Line, lines_folder: Path) -> Path:
    """Write a line under ``lines_folder/RUN/``, durably and atomically, and give its path."""
    path = line_path(line.key, lines_folder, is_aborted=bool(line.aborted))
    replace_file(path, _hdf5_from_line(line))
    return path


def read_line(path: Path) -> Line:
    """Read a line file.

    Raises
    ------
    DataError
        If the file is not a line file, is of a later schema, or is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            return _line_from_hdf5(file)
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as wrong:
        raise DataError(f"{path} is not a line file ({FORMAT} {SCHEMA}), or is damaged: {wrong}") from wrong


def replace_file(path: Path, content: bytes) -> None:
    """Put a whole file in place of whatever has that name; after a crash there is the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    with _opened_folder(path.parent) as folder:
        os.fsync(folder)


@contextlib.contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _as_file_name(run: str) -> str:
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in run)
    return safe.lstrip(".") or "_"


def _hdf5_from_line(line: Line) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update({"format": FORMAT, "schema": SCHEMA, "default": "entry", "NX_class": "NXroot"})
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "patterns"})
        for name, value in (("run", line.key.run), ("line", line.key.line), ("attempt", line.key.attempt)):
            entry[name] = value
        entry["aborted"] = line.aborted
        entry["geometry_sha256"] = line.geometry_sha256
        for name, value in (("series", line.series), ("first_image_id", line.first_image_id), ("direction", line.direction)):
            entry[name] = value
        entry["positions_source"] = line.positions_source
        _put(entry, "angle", line.angle_deg, "deg")
        _put(entry, "start", line.start_s, "s")
        _put(entry, "end", line.end_s, "s")
        if line.ring_current_ma is not None:
            _put(entry, "ring_current", line.ring_current_ma, "mA")
        _write_patterns(entry, line)
        _write_sectors(entry, line)
        if line.cell is not None:
            _write_cell(entry, line.cell)
    return buffer.getvalue()


def _write_patterns(entry: Any, line: Line) -> None:
    patterns = entry.create_group("patterns")
    patterns.attrs.update({"NX_class": "NXdata", "signal": "mean", "axes": ["position", "q"]})
    _put(patterns, "position", line.positions_mm, "mm")
    _put(patterns, "q", line.q, "1/angstrom")
    patterns["is_received"] = line.is_received
    if line.angles_deg is not None:
        _put(patterns, "angle", line.angles_deg, "deg")
    for name in ("monitor", "transmitted"):
        readings = getattr(line, name)
        if readings is not None:
            patterns[name] = readings
    n_points, n_radial = line.mean.shape
    rows = max(1, min(n_points, _CHUNK_BYTES // max(1, 4 * n_radial)))
    for name, unit in (("mean", "photons/pixel"), ("trimmed", "photons/pixel"), ("variance", "(photons/pixel)^2")):
        dataset = patterns.create_dataset(
            name,
            data=np.asarray(getattr(line, name), dtype=np.float32),
            chunks=(rows, max(1, n_radial)),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            fletcher32=True,
        )
        dataset.attrs["units"] = unit


def _write_sectors(entry: Any, line: Line) -> None:
    """Write the patterns of sectors: the largest part of a file that has them."""
    if line.cake is None or line.cake_norm is None:
        return
    group = entry.create_group("sectors")
    group.attrs.update({"NX_class": "NXdata", "signal": "mean", "axes": ["position", "sector", "q"]})
    group.attrs["title"] = "patterns of equal sectors of half a turn, from the projected rotation axis"
    rows = max(1, min(line.cake.shape[0], _CHUNK_BYTES // max(1, line.cake[0].nbytes)))
    cake = group.create_dataset(
        "mean",
        data=line.cake,
        chunks=(rows, *line.cake.shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )
    cake.attrs["units"] = "photons/pixel"
    group.create_dataset("norm", data=line.cake_norm, compression="gzip", compression_opts=1, shuffle=True)


def _write_cell(entry: Any, cell: CellReading) -> None:
    group = entry.create_group("cell")
    group.attrs["NX_class"] = "NXcollection"
    for name, unit in _CELL_UNITS.items():
        value = getattr(cell, name)
        if value is not None:
            _put(group, name, value, unit)


def _put(group: Any, name: str, value: object, unit: str) -> None:
    dataset = group.create_dataset(name, data=value)
    if unit:
        dataset.attrs["units"] = unit


def _line_from_hdf5(file: Any) -> Line:
    found, schema = file.attrs.get("format"), file.attrs.get("schema")
    if found != FORMAT or schema != SCHEMA:
        raise ValueError(f"format {found!r} schema {schema}")
    entry, patterns = file["entry"], file["entry/patterns"]
    line = Line(
        key=LineKey(run=_text(entry["run"]), line=int(entry["line"][()]), attempt=int(entry["attempt"][()])),
        series=int(entry["series"][()]),
        first_image_id=int(entry["first_image_id"][()]),
        angle_deg=float(entry["angle"][()]),
        direction=int(entry["direction"][()]),
        positions_mm=patterns["position"][()].astype(np.float64),
        positions_source=_text(entry["positions_source"]),
        is_received=patterns["is_received"][()].astype(np.bool_),
        q=patterns["q"][()].astype(np.float64),
        mean=patterns["mean"][()].astype(np.float32),
        trimmed=patterns["trimmed"][()].astype(np.float32),
        variance=patterns["variance"][()].astype(np.float32),
        ring_current_ma=float(entry["ring_current"][()]) if "ring_current" in entry else None,
        cell=_cell_from_hdf5(entry["cell"]) if "cell" in entry else None,
        start_s=float(entry["start"][()]),
        end_s=float(entry["end"][()]),
        geometry_sha256=_text(entry["geometry_sha256"]),
        monitor=_readings(patterns, "monitor"),
        transmitted=_readings(patterns, "transmitted"),
        angles_deg=_readings(patterns, "angle"),
        cake=entry["sectors/mean"][()].astype(np.float32) if "sectors" in entry else None,
        cake_norm=entry["sectors/norm"][()].astype(np.float32) if "sectors" in entry else None,
        aborted=_text(entry["aborted"]),
    )
    _check_shapes(line)
    return line


def _check_shapes(line: Line) -> None:
    shape = (line.positions_mm.size, line.q.size)
    for name in ("mean", "trimmed", "variance"):
        if getattr(line, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(line, name).shape}, positions and q make it {shape}")
    if line.cake is not None and line.cake_norm is not None and line.cake.shape != (shape[0], *line.cake_norm.shape):
        raise ValueError(f"sectors have shape {line.cake.shape}, their norm {line.cake_norm.shape} for {shape[0]} points")
    for name in ("monitor", "transmitted", "angles_deg"):
        readings = getattr(line, name)
        if readings is not None and readings.shape != shape[:1]:
            raise ValueError(f"{name} has shape {readings.shape}, expected {shape[:1]}")
    if line.is_received.shape != shape[:1]:
        raise ValueError(f"is_received has shape {line.is_received.shape}, expected {shape[:1]}")


def _cell_from_hdf5(group: Any) -> CellReading:
    values: dict[str, Any] = dict.fromkeys(("voltage_v", "current_a"))
    for name in _CELL_UNITS:
        if name in group:
            value = group[name][()]
            values[name] = value.decode() if isinstance(value, bytes) else value.item()
    return CellReading(**values)


def _readings(group: Any, name: str) -> NDArray[np.float64] | None:
    return group[name][()].astype(np.float64) if name in group else None


def _text(dataset: Any) -> str:
    value = dataset[()]
    return value.decode() if isinstance(value, bytes) else str(value)
