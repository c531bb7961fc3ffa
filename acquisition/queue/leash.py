"""The worker of the queue ends with the process that started it: a beamline must not fly on where nobody can stop it."""

import contextlib
import os
import signal
import threading
import time
from typing import Any

import psutil
import structlog

logger = structlog.get_logger(__name__)

LOOK_S = 0.5
ABORT_S = 30.0


def hold_leash(parent: int, *, engine: Any) -> None:
    """Abort what flies and end this process group when a process is gone; looks from a thread."""
    try:
        process = psutil.Process(parent)
    except psutil.NoSuchProcess:
        process = None
    threading.Thread(target=_watch, args=(process, engine), name="leash", daemon=True).start()


def _watch(process: psutil.Process | None, engine: Any) -> None:
    while process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(LOOK_S)
    logger.error("the queue process is gone: what flies is aborted")
    deadline = time.monotonic() + ABORT_S
    while engine.state != "idle" and time.monotonic() < deadline:
        # It refuses in the middle of its own transitions.
        with contextlib.suppress(RuntimeError, ValueError):
            engine.abort("the queue process died")
        time.sleep(LOOK_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)
