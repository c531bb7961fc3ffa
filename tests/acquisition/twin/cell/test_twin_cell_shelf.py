import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from acquisition.twin.cell import shelf as shelf_module
from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.shelf import history_of
from acquisition.twin.cell.solver import load_pybamm

QUIET = """
import os, sys
os.environ.pop("PYBAMM_DISABLE_TELEMETRY", None)
calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from acquisition.twin.cell.solver import load_pybamm
pybamm = load_pybamm()
from acquisition.twin.cell.makes import SMALL
from acquisition.twin.cell.protocols import Protocol, rest
from acquisition.twin.cell.simulate import simulate_cell
simulate_cell("rest", SMALL, Protocol(stages=(rest(60),)))
print(type(pybamm.telemetry._posthog).__name__, pybamm.telemetry._posthog.disabled, pybamm.config.check_opt_out(), calls)
"""


def printed_by(program: str, *, home: Path) -> str:
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PATH": "", "NUMBA_CACHE_DIR": str(home)}
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_is_sent_or_asked_when_a_cell_is_simulated(tmp_path: Path) -> None:
    assert printed_by(QUIET, home=tmp_path) == "MockTelemetry True True []"
    assert not list(tmp_path.rglob("config.yml"))


def test_telemetry_is_switched_off_where_pybamm_was_imported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pybamm = load_pybamm()
    monkeypatch.delenv("PYBAMM_DISABLE_TELEMETRY", raising=False)
    pybamm.telemetry._posthog.disabled = False
    load_pybamm()

    assert pybamm.telemetry._posthog.disabled
    assert pybamm.config.check_opt_out()


def test_kept_history_is_the_one_that_was_simulated(tmp_path: Path) -> None:
    first = history_of("particle", folder=tmp_path)
    modified = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = history_of("particle", folder=tmp_path)

    assert len(modified) == 1
    assert all(path.stat().st_mtime_ns == time for path, time in modified.items())
    assert np.array_equal(first.y, second.y)
    assert (first.step, first.name, first.cathode_ah) == (second.step, second.name, second.cathode_ah)


def test_torn_kept_history_is_simulated_again(history: Callable[[str], CellHistory], shelf: Path, tmp_path: Path) -> None:
    whole = history("particle")
    kept = next(shelf.glob("particle-*.npz"))
    (tmp_path / kept.name).write_bytes(kept.read_bytes()[:1000])

    assert np.array_equal(history_of("particle", folder=tmp_path).y, whole.y)


def test_folder_of_kept_histories_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPERANDO_CACHE", str(tmp_path))
    assert shelf_module.cache_folder() == tmp_path / "cells"
