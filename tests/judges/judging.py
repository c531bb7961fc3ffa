"""Programs of others that judge: each in a process of its own, out of an environment of its own (``make judges``).

``OPERANDO_JUDGES`` names another Python that has them. Where nobody made the environment their tests are skipped, or fail if
``OPERANDO_REQUIRE_JUDGES`` is 1.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def judging_python() -> str:
    """Give the Python that has the judges, or skip the test."""
    python = Path(os.environ.get("OPERANDO_JUDGES", ROOT / ".judges" / "bin" / "python"))
    if not python.exists():
        reason = f"no programs of others at {python}: run make judges"
        if os.environ.get("OPERANDO_REQUIRE_JUDGES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(python)


@contextmanager
def judge(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run ``python -m ...`` of the judges' Python until the end of the context."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [judging_python(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)} | dict(environment or {}),
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def script(name: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a script of this folder by the judges' Python, with pipes to speak with it."""
    command = [judging_python(), str(Path(__file__).with_name(name)), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def tickit(
    configuration: str, folder: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a simulation of tickit-devices."""
    (folder / "tickit.yaml").write_text(configuration, encoding="utf-8")
    with judge(["-m", "tickit", "all", "tickit.yaml"], log=folder / "tickit.log", environment=environment) as process:
        yield process
