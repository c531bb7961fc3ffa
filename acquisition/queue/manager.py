"""Starts what the queue consists of: a store, the queue server's manager, and the door before it; and ends all in order."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog

from acquisition.queue.client import QueueClient
from acquisition.queue.door import Door
from operando.errors import DataError, MissingInputError, ServiceError
from operando.profile import Profile

logger = structlog.get_logger(__name__)

READY_S = 180.0
"""The worker imports Bluesky and connects to the beamline; a busy machine takes a minute for it."""
END_S = 40.0
POLL_S = 0.1

EVERYTHING_BUT_FUNCTIONS: dict[str, Any] = {
    "allowed_plans": [None],
    "forbidden_plans": [":^_"],
    "allowed_devices": [None],
    "forbidden_devices": [":^_:?.*"],
    "allowed_functions": [],
    "forbidden_functions": [":.*"],
}


class Queue:
    """A running queue; a context.

    Parameters
    ----------
    profile
        The beamline; ``profile_file`` is where it stands.
    out
        Folder of the beamtime.

    Raises
    ------
    MissingInputError
        If the packages of the extra ``queue`` are not installed.
    ServiceError
        If the server does not start, or its environment does not open: with its last words.
    """

    def __init__(self, profile: Profile, *, profile_file: Path, out: Path) -> None:
        self._profile, self._profile_file, self._out = profile, profile_file, out
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._inner = ""
        self.address = ""
        """Where the queue's control socket is."""

    def __enter__(self) -> "Queue":
        with self._stack:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="operando-queue-")))
            self._log = self._out / "logs" / "queue-manager.log"
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._inner = f"ipc://{folder}/control"
            self._process = self._start(folder, _redis(self._profile, self._stack))
            self._stack.callback(self._end)
            door = self._stack.enter_context(Door(self._profile.queue.control, self._inner))
            self.address = door.address
            self._open_environment()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *of_exception: object) -> None:
        self._stack.close()

    @property
    def is_running(self) -> bool:
        """Whether the manager is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def last_words(self) -> str:
        """The end of the manager's log."""
        lines = self._log.read_text(errors="replace").strip().splitlines() or ["it left no message"]
        return lines[-1][:500]

    def _start(self, folder: Path, redis: str) -> "subprocess.Popen[bytes]":
        (folder / "permissions.yaml").write_text(
            json.dumps({"user_groups": {"root": EVERYTHING_BUT_FUNCTIONS, "primary": EVERYTHING_BUT_FUNCTIONS}})
        )
        options = {
            "--zmq-control-addr": self._inner,
            "--zmq-info-addr": f"ipc://{folder}/info",
            "--zmq-publish-console": "OFF",
            "--redis-addr": redis,
            "--redis-name-prefix": f"operando_{self._profile.name}",
            "--startup-script": str(Path(__file__).with_name("startup_script.py")),
            "--existing-plans-devices": str(folder / "existing.yaml"),
            "--user-group-permissions": str(folder / "permissions.yaml"),
        }
        command = [sys.executable, "-c", "from bluesky_queueserver.manager.start_manager import start_manager; start_manager()"]
        environment = {
            **os.environ,
            "OPERANDO_QUEUE_PROFILE": str(self._profile_file),
            "OPERANDO_QUEUE_OUT": str(self._out),
            "OPERANDO_QUEUE_PARENT": str(os.getpid()),
        }
        with self._log.open("ab") as log:
            # A group of its own: a signal to ours must not kill the worker in mid-flight, with the shutter open.
            return subprocess.Popen(  # noqa: S603
                [*command, *(word for pair in options.items() for word in pair)],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def _open_environment(self) -> None:
        deadline = time.monotonic() + READY_S
        has_asked = False
        with QueueClient(self.address, answer_s=1.0) as client:
            while self.is_running and time.monotonic() < deadline:
                try:
                    status = client.status()
                    if status.has_environment and status.manager == "idle":
                        return
                    if not has_asked and status.manager == "idle":
                        client.ask("environment_open")
                        has_asked = True
                    elif has_asked and status.manager == "idle":
                        break
                except (DataError, ServiceError):
                    pass
                time.sleep(POLL_S)
        raise ServiceError(f"the queue cannot open the beamline: {self.last_words} (log: {self._log})")

    def _end(self) -> None:
        """Abort what flies, close the environment, end the manager; whatever is left then is killed."""
        if self._process is None:
            return
        try:
            # Past the door, which is shut by now.
            with QueueClient(self._inner) as client:
                settle(client, timeout_s=END_S)
        except (DataError, ServiceError) as wrong:
            logger.error("queue not ended in order", reason=str(wrong))
        # The leash of the worker would end it as well, but later.
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(timeout=5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def settle(client: QueueClient, *, timeout_s: float) -> None:
    """Bring the queue to rest: pause and abort what flies, then close the environment.

    Raises
    ------
    ServiceError
        If it does not come to rest in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        status = client.status()
        if not status.has_environment:
            return
        try:
            if status.manager == "paused":
                client.abort()
            elif status.manager == "executing_queue" and not status.is_pausing:
                client.pause(after_line=False)
            elif status.manager == "idle":
                client.ask("environment_close")
        except DataError:
            # It is between two states: look again.
            pass
        time.sleep(POLL_S)
    raise ServiceError(f"the queue did not come to rest within {timeout_s:.0f} s")


def _redis(profile: Profile, stack: ExitStack) -> str:
    """Give the address of a Redis; where the profile names none, one in memory is served here, whose queue ends with it."""
    if profile.queue.redis:
        return profile.queue.redis
    try:
        from fakeredis import TcpFakeServer
    except ImportError as missing:
        raise MissingInputError(
            "the queue needs the packages of the extra `queue`: pip install operando-xrdct[queue]"
        ) from missing
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, name="queue store", daemon=True)
    thread.start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"127.0.0.1:{server.server_address[1]}"
