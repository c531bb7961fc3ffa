"""Start the processes of a beamtime, see that they are ready, restart them within bounds, and end them all together.

The supervisor owns no data: every process can be started by hand as well, in any order. Each child has its own process group, a
log file, and a leash: a pipe that closes when the supervisor dies, however it dies.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import structlog

from operando.errors import ServiceError
from operando.process import READY_LINE

logger = structlog.get_logger(__name__)

STOP_TIMEOUT_S = 15.0
"""How long a child may take to end after SIGTERM: closing files and the shutter takes seconds; then it is killed."""

_HOPELESS_EXIT_CODES = frozenset(range(64, 79)) - {74}
"""The child said what is wrong (:mod:`operando.errors`): again would be the same. Only a full disk (74) may pass."""

_COMPLAINT = "operando: "
"""Begins the sentence with which a process of operando ends (:func:`operando.cli.main`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One process of a beamtime."""

    name: str
    command: Sequence[str]
    max_restarts: int = 0
    """How often it may be started again after it died; 0 where a new start would not go on with the same work."""
    environment: dict[str, str] = field(default_factory=dict)


class _Child:
    """A running process of a role."""

    def __init__(self, role: Role, log: Path) -> None:
        self.role = role
        self.log = log
        self.ready = threading.Event()
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(  # noqa: S603
                list(role.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **role.environment},
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name=f"ready {role.name}", daemon=True).start()

    def _listen(self) -> None:
        if self.process.stdout is None:
            return
        with self.process.stdout:
            for line in self.process.stdout:
                if line.decode(errors="replace").strip() == READY_LINE:
                    self.ready.set()

    def end(self) -> str:
        """Tell how it ended: its own sentence, else the signal or exit code."""
        code = self.process.poll()
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["it left no message"]
        if lines[-1].startswith(_COMPLAINT):
            return f"ended: {lines[-1].removeprefix(_COMPLAINT)[:500]}"
        return f"ended with exit code {code}: {lines[-1][:500]}"

    def let_go(self) -> None:
        """Drop the leash of a child that has ended."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def signal(self, number: int) -> None:
        # The whole group: a child may have children of its own.
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


class Supervisor:
    """Starts roles and keeps them until the end of a ``with`` block.

    Parameters
    ----------
    logs
        Folder of the log files, one per role.
    tell
        Called with a sentence when a process is started again; default: it is logged.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, *, logs: Path, tell: Callable[[str], None] = logger.warning, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logs = logs
        self._tell = tell
        self._clock = clock
        self._children: dict[str, _Child] = {}
        self.restarts: dict[str, int] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, role: Role) -> None:
        """Start a role's process; :meth:`wait_ready` tells when it can be used."""
        self._children[role.name] = _Child(role, self._logs / f"{role.name}.log")

    def wait_ready(self, names: Sequence[str], *, timeout_s: float) -> None:
        """Wait until all the named roles are ready.

        Raises
        ------
        ServiceError
            If one ends or does not get ready in time, with its last words.
        """
        deadline = self._clock() + timeout_s
        for name in names:
            child = self._children[name]
            while not child.ready.wait(0.05):
                if child.process.poll() is not None and not child.ready.is_set():
                    raise ServiceError(f"{name} did not start: it {child.end()} (log: {child.log})")
                if self._clock() > deadline:
                    raise ServiceError(f"{name} was not ready within {timeout_s:.0f} s (log: {child.log})")

    def check(self) -> None:
        """Start again what died and may be restarted.

        Raises
        ------
        ServiceError
            If a role died that cannot be restarted, with its last words.
        """
        for child in list(self._children.values()):
            code = child.process.poll()
            if code is None:
                continue
            name = child.role.name
            child.let_go()
            if code == 0:
                del self._children[name]
            elif code in _HOPELESS_EXIT_CODES or self.restarts.get(name, 0) >= child.role.max_restarts:
                raise ServiceError(f"{name} {child.end()} (log: {child.log})")
            else:
                self.restarts[name] = self.restarts.get(name, 0) + 1
                count = f"{self.restarts[name]} of {child.role.max_restarts}"
                self._tell(f"{name} {child.end()}; it is started again ({count}; log: {child.log})")
                self.start(child.role)

    def is_running(self, name: str) -> bool:
        """Tell whether a role's process is there."""
        child = self._children.get(name)
        return child is not None and child.process.poll() is None

    def wait_ended(self, name: str, *, timeout_s: float) -> bool:
        """Wait for a role to end by itself; false if it did not in time."""
        child = self._children.get(name)
        if child is None:
            return True
        try:
            child.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, name: str) -> None:
        """End one role: SIGTERM, then after a while SIGKILL."""
        child = self._children.pop(name, None)
        if child is None:
            return
        child.signal(signal.SIGTERM)
        try:
            child.process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            logger.warning("process killed", role=name, after_s=STOP_TIMEOUT_S)
            child.signal(signal.SIGKILL)
            child.process.wait()
        child.let_go()

    def stop_all(self) -> None:
        """End all roles, the last started first."""
        for name in reversed(list(self._children)):
            self.stop(name)

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop_all()
