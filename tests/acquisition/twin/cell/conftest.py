"""Histories of simulated cells, each computed once for all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.shelf import history_of


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the histories that these tests keep."""
    # One for all processes of a test run: what one has simulated, the others read.
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cells"


@pytest.fixture(scope="session")
def history(shelf: Path) -> Callable[[str], CellHistory]:
    """Give a history by name."""
    return lambda name: history_of(name, folder=shelf)
