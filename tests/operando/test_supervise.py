"""The supervisor against real child processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from operando.errors import ServiceError
from operando.supervise import Role, Supervisor

OBEDIENT = """
from operando.process import run_until_stopped
def work(ready, stop):
    ready()
    stop.wait()
run_until_stopped(work, leashed=True)
"""


def role(name: str, program: str, **options: object) -> Role:
    return Role(name=name, command=[sys.executable, "-c", program], **options)  # type: ignore[arg-type]


def test_a_child_is_ready_when_it_says_so_and_ends_when_told(tmp_path: Path) -> None:
    with Supervisor(logs=tmp_path) as supervisor:
        supervisor.start(role("obedient", OBEDIENT))
        supervisor.wait_ready(["obedient"], timeout_s=30)
        assert supervisor.is_running("obedient")
    assert not supervisor.is_running("obedient")


def test_a_child_that_does_not_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Supervisor(logs=tmp_path) as supervisor:
        supervisor.start(role("broken", "import sys; sys.exit('operando: no geometry here')"))
        with pytest.raises(ServiceError, match="broken did not start: it ended: no geometry here"):
            supervisor.wait_ready(["broken"], timeout_s=30)


def test_a_killed_child_is_restarted_within_its_bound_and_then_reported(tmp_path: Path) -> None:
    told: list[str] = []
    with Supervisor(logs=tmp_path, tell=told.append) as supervisor:
        supervisor.start(role("victim", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", max_restarts=1))
        supervisor.wait_ended("victim", timeout_s=30)
        supervisor.check()
        supervisor.wait_ended("victim", timeout_s=30)
        with pytest.raises(ServiceError, match="victim was killed by SIGKILL"):
            supervisor.check()
    assert supervisor.restarts == {"victim": 1}
    assert len(told) == 1
    assert told[0].startswith("victim was killed by SIGKILL; it is started again (1 of 1; log: ")


def test_a_child_that_explained_itself_is_not_restarted(tmp_path: Path) -> None:
    with Supervisor(logs=tmp_path) as supervisor:
        supervisor.start(role("wrong", "import sys; print('bad profile', file=sys.stderr); sys.exit(78)", max_restarts=5))
        supervisor.wait_ended("wrong", timeout_s=30)
        with pytest.raises(ServiceError, match="bad profile"):
            supervisor.check()


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    parent = f"""
import sys, time
from pathlib import Path
from operando.supervise import Role, Supervisor
supervisor = Supervisor(logs=Path({str(tmp_path)!r}))
supervisor.start(Role(name="orphan", command=[sys.executable, "-c", {OBEDIENT!r}]))
supervisor.wait_ready(["orphan"], timeout_s=30)
print(supervisor._children["orphan"].process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _is_alive(orphan) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(orphan)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody reaps answers too.
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()
