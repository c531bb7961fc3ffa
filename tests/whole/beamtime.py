"""The processes of a beamtime as `operando run` starts them, but for the window."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from operando.cli.beamtime import scan_roles
from operando.profile import Profile, write_profile


@contextmanager
def processes(
    profile: Profile, out: Path, *, of_role: Mapping[str, Profile] | None = None
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start the processes of `operando run` for such a profile, but for the window; the last when the others are ready.

    ``of_role`` gives processes another profile than the rest.
    """
    write_profile(profile, out / "profile.toml")
    for role, other in (of_role or {}).items():
        write_profile(other, out / f"{role}.toml")
    started: dict[str, subprocess.Popen[bytes]] = {}
    *first, last = scan_roles(profile)
    try:
        for roles in (first, [last]):
            for role in roles:
                started[role] = _start(role, out)
            for role in roles:
                _await_ready(started[role], role, out)
        yield started
    finally:
        for process in started.values():
            process.terminate()
        for process in started.values():
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()


def start_again(started: dict[str, "subprocess.Popen[bytes]"], role: str, out: Path) -> None:
    """Start a process that has ended once more, with what the profile in the folder says now; returns when it is ready."""
    pipe = started[role].stdout
    assert pipe is not None
    pipe.close()
    started[role] = _start(role, out)
    _await_ready(started[role], role, out)


def _await_ready(process: "subprocess.Popen[bytes]", role: str, out: Path) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", (out / f"{role}.log").read_text()


def _start(role: str, out: Path) -> "subprocess.Popen[bytes]":
    own = out / f"{role}.toml"
    described = own if own.exists() else out / "profile.toml"
    command = [sys.executable, "-m", "operando", "start", role, str(described), "--out", str(out)]
    # Another simulated beamline of the same names may run beside these tests.
    alone = os.environ | {"EPICS_CA_ADDR_LIST": ""}
    with (out / f"{role}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parents[2], env=alone)
