"""Histories of simulated cells, each computed once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.shelf import history_of


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the histories that these tests keep."""
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="session")
def history(shelf: Path) -> Callable[[str], CellHistory]:
    """Give a history by name."""
    pytest.importorskip("pybamm", reason="simulating a cell needs operando-xrdct[battery]")
    return lambda name: history_of(name, folder=shelf)
