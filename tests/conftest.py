"""What all tests share: where real measurements are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Undo what a command line set up: it logs to the standard error of its own test, which closes with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real measurements; absent data skips a test, or fails it where data is required."""
    folder = Path(os.environ.get("OPERANDO_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no real data at {folder}: set OPERANDO_DATA"
        if os.environ.get("OPERANDO_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
