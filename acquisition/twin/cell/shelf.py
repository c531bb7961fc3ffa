"""Histories of simulated cells by name, kept on disk: computing one takes seconds, reading it none.

The key is a hash of everything that a history depends on: make, protocol, the version of PyBaMM and that of this code.
"""

import hashlib
import json
import os
import uuid
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import structlog

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import CellMake, ParticleMake
from acquisition.twin.cell.particle import simulate_particle
from acquisition.twin.cell.protocols import Protocol, find_history
from acquisition.twin.cell.simulate import simulate_cell

logger = structlog.get_logger(__name__)

FOLDER_VARIABLE = "OPERANDO_CACHE"
RECIPE = 2
"""Raised when the same make and protocol would give another history."""


def history_of(name: str, *, folder: Path | None = None) -> CellHistory:
    """Give the history of a name, simulated the first time and read from ``folder`` afterwards.

    Raises
    ------
    ProfileError
        If there is none of that name.
    ServiceError
        If it must be simulated and PyBaMM is not installed.
    """
    make, protocol = find_history(name)
    path = (folder or cache_folder()) / f"{name}-{history_key(make, protocol)}.npz"
    if path.is_file():
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, BadZipFile) as wrong:
            logger.warning("kept history unreadable, simulated again", path=str(path), reason=str(wrong))
    logger.info("simulating a cell", history=name)
    history = simulate(name, make, protocol)
    _write(history, path)
    return history


def simulate(name: str, make: CellMake | ParticleMake, protocol: Protocol) -> CellHistory:
    """Simulate a cell or a particle."""
    if isinstance(make, ParticleMake):
        return simulate_particle(name, make, protocol)
    return simulate_cell(name, make, protocol)


def history_key(make: CellMake | ParticleMake, protocol: Protocol) -> str:
    """Give the hash of all that a history depends on."""
    try:
        solver = version("pybamm")
    except PackageNotFoundError:
        solver = "none"
    recipe = {"make": asdict(make), "protocol": asdict(protocol), "pybamm": solver, "recipe": RECIPE}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """Give the folder of kept histories: ``$OPERANDO_CACHE``, or the user's cache."""
    if FOLDER_VARIABLE in os.environ:
        return Path(os.environ[FOLDER_VARIABLE]) / "cells"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "operando" / "cells"


def _write(history: CellHistory, path: Path) -> None:
    names = sorted(set(history.step))
    columns = {field.name: getattr(history, field.name) for field in fields(history) if field.name != "step"}
    columns["step_names"] = np.array(names)
    columns["step"] = np.array([names.index(step) for step in history.step])
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may simulate the same cell at the same time: each writes its own file, and the last one stands.
    unfinished = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.npz")
    np.savez_compressed(unfinished, **columns)
    unfinished.replace(path)


def _read(path: Path) -> CellHistory:
    # numpy leaves a torn file open when it is given the path.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        columns = {name: kept[name] for name in kept.files}
    names = [str(name) for name in columns.pop("step_names")]
    step = tuple(names[i] for i in columns.pop("step"))
    scalars = {name: columns.pop(name).item() for name in ("name", "anode_ah", "cathode_ah")}
    return CellHistory(**columns, **scalars, step=step)
