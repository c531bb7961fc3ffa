"""A process of operando from the inside: it says when it is ready, and ends on SIGTERM or when its supervisor is gone."""

import os
import signal
import sys
import threading
from collections.abc import Callable

Work = Callable[[Callable[[], None], threading.Event], None]
"""What a process does: given ``ready`` to call once and ``stop`` to obey."""

STOPPING = (signal.SIGTERM, signal.SIGINT)
READY_LINE = "ready"
_GRACE_S = 10.0


def run_until_stopped(work: Work, *, leashed: bool) -> None:
    """Do the work in the main thread until SIGTERM, Ctrl-C or the end of the leash.

    Parameters
    ----------
    work
        Returns soon after its event is set.
    leashed
        Whether standard input is a pipe from the supervisor: its end means that the supervisor has died, however it died.
    """
    stop = stop_on_signals()
    if leashed:
        threading.Thread(target=_hold_leash, args=(stop,), name="leash", daemon=True).start()
    work(_say_ready, stop)


def stop_on_signals() -> threading.Event:
    """Give an event that SIGTERM and Ctrl-C set, whatever the main thread waits for; to be called from the main thread.

    The system may hand a signal to any thread, and Python runs its handler in the main thread when that next runs at all. One
    that waits for a lock without limit, as a RunEngine's does until its plan ends, would hear of it then. So the number of the
    signal comes through a pipe as well (``signal.set_wakeup_fd``), which a thread of its own reads.
    """
    stop = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in STOPPING:
        signal.signal(number, lambda *_: stop.set())
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_hear, args=(reader, stop), name="signals", daemon=True).start()
    return stop


def _hear(reader: int, stop: threading.Event) -> None:
    while numbers := os.read(reader, 64):
        if any(number in STOPPING for number in numbers):
            stop.set()


def _say_ready() -> None:
    sys.stdout.write(READY_LINE + "\n")
    sys.stdout.flush()


def _hold_leash(stop: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    stop.set()
    # Nobody is left to kill a process that does not obey.
    timer = threading.Timer(_GRACE_S, lambda: os._exit(70))
    timer.daemon = True
    timer.start()
