"""Read what a Neware cycler wrote (.nda, .ndax), with NewareNDA, into a recording.

Units become V, A and Ah. Current is positive on charge, as Neware writes it. Neware's two capacity counters start from zero at
every step; the charge since the first row is their difference, added up over the steps.
"""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquisition.cell.recording import Recording
from acquisition.cell.row import Row
from operando.errors import DataError, MissingInputError, ServiceError


def read_neware(path: Path) -> Recording:
    """Read a Neware file.

    Raises
    ------
    MissingInputError
        If there is no such file.
    DataError
        If it is not one that NewareNDA can read.
    ServiceError
        If NewareNDA is not installed.
    """
    return _recording(path.name, _columns(path))


def read_neware_rows(path: Path, *, after_s: float) -> list[Row]:
    """Read the rows of a Neware file that are later than a time (Unix epoch), as one that grows is read.

    Raises
    ------
    MissingInputError, DataError, ServiceError
        As :func:`read_neware`.
    """
    columns = _columns(path)
    table = _recording(path.name, columns)
    start_s = float(columns["Timestamp"].astype(np.int64)[0]) * 1e-6
    times_s = start_s + table.time_s
    first = int(np.searchsorted(times_s, after_s, side="right"))
    return [
        Row(
            time_s=float(times_s[i]),
            voltage_v=float(table.voltage_v[i]),
            current_a=float(table.current_a[i]),
            charge_ah=float(table.charge_ah[i]),
            temperature_c=None if table.temperature_c is None else _finite(float(table.temperature_c[i])),
            cycle=int(table.cycle[i]),
            step=table.step[i],
        )
        for i in range(first, len(times_s))
    ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _columns(path: Path) -> dict[str, NDArray[np.generic]]:
    if not path.is_file():
        raise MissingInputError(f"no cycler file {path}: correct cell.source, or give cell.fallback")
    try:
        import NewareNDA
    except ImportError as absent:
        raise ServiceError("reading Neware files needs NewareNDA: install operando-xrdct[cell]") from absent
    try:
        with warnings.catch_warnings():
            # What NewareNDA still does the old way is its authors' business; the rows are checked below.
            warnings.simplefilter("ignore", DeprecationWarning)
            table = NewareNDA.read(str(path), log_level="WARNING")
        columns = {name: table[name].to_numpy() for name in table.columns}
        columns["Timestamp"] = table["Timestamp"].to_numpy(dtype="datetime64[us]")
    except Exception as wrong:  # a parser of foreign binary files fails in any way
        raise DataError(f"{path} is not a Neware file that NewareNDA can read: {wrong}") from wrong
    return columns


def charge_from_step_counters(
    *, charged_ah: NDArray[np.float64], discharged_ah: NDArray[np.float64], step: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give the charge since the first row from counters that start from zero at every step, shape (n_rows,), Ah."""
    net_ah = charged_ah - discharged_ah
    last_of_step = np.flatnonzero(np.diff(step) != 0)
    carried_ah = np.zeros_like(net_ah)
    carried_ah[last_of_step + 1] = net_ah[last_of_step]
    return net_ah + np.cumsum(carried_ah)


def _recording(name: str, columns: dict[str, NDArray[np.generic]]) -> Recording:
    try:
        moments = columns["Timestamp"].astype(np.int64)
        step = columns["Step"].astype(np.int64)
        temperature = columns.get("T1")
        recording = Recording(
            name=name,
            # Neware repeats a time stamp where a step ends; a clock set back in mid-recording must not reorder rows.
            time_s=np.maximum.accumulate((moments - moments[0]) * 1e-6),
            voltage_v=columns["Voltage"].astype(np.float64),
            current_a=columns["Current(mA)"].astype(np.float64) / 1000,
            charge_ah=charge_from_step_counters(
                charged_ah=columns["Charge_Capacity(mAh)"].astype(np.float64) / 1000,
                discharged_ah=columns["Discharge_Capacity(mAh)"].astype(np.float64) / 1000,
                step=step,
            ),
            temperature_c=None if temperature is None else temperature.astype(np.float64),
            cycle=columns["Cycle"].astype(np.int64),
            step=tuple(str(status) for status in columns["Status"]),
        )
    except (KeyError, IndexError) as missing:
        raise DataError(f"{name} has no rows or lacks the column {missing}: export it again") from missing
    return recording
