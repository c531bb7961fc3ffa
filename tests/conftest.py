"""What all tests share: where real measurements are, and a second try for tests of real processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

settings.register_profile("patient", deadline=None)
# A busy machine holds an example up for any time; how fast the code is, benchmarks tell.
settings.load_profile("patient")

REAL_PROCESSES = (
    "tests/acquisition/",
    "tests/operando/",
    "tests/streaming/refine/test_live_refinement.py",
    "tests/streaming/sources/",
    "tests/streaming/test_analysis",
    "tests/streaming/test_receive.py",
    "tests/streaming/test_reduction.py",
    "tests/viewer/",
    "tests/whole/",
)
"""What runs processes, threads, devices and sockets against the wall clock."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole beamtimes, and let a test of real processes have a second try.

    The longest tests at the end would leave all workers but one without work. On a busy machine a test of real processes may
    lose a race that no user would; the closing line counts the second tries. One that comes often is a defect of the test or
    of the code.
    """
    items.sort(key=lambda item: not item.nodeid.startswith("tests/whole/"))
    for item in items:
        if item.nodeid.startswith(REAL_PROCESSES):
            item.add_marker(pytest.mark.flaky(reruns=1))


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
