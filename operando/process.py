"""A process of operando from the inside: it says when it is ready, and ends on SIGTERM or when its supervisor is gone."""

import os
import signal
import sys
import threading
from collections.abc import Callable

Work = Callable[[Callable[[], None], threading.Event], None]
"""What a process does: given ``ready`` to call once and ``stop`` to obey."""

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
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if leashed:
        threading.Thread(target=_hold_leash, args=(stop,), name="leash", daemon=True).start()
    work(_say_ready, stop)


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
