"""Top-ups of the storage ring fall between lines: waited for before a line, and a line that one began in is given up."""

import time
from collections.abc import Callable, Generator
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps

Plan = Generator[Msg, Any, Any]
Notify = Callable[[str], None]

LONGEST_S = 30.0
"""A top-up that takes longer does not end; a scan that stands still for ever helps nobody."""

_POLL_S = 0.05


def topup_within(countdown_s: float, need_s: float) -> bool:
    """Whether the next top-up falls into the next so many seconds; a countdown below 0 says that there is none."""
    return 0 <= countdown_s < need_s


def topup_began(*, left_s: float, now_s: float, elapsed_s: float) -> bool:
    """Whether a top-up began in a stretch of time: a busy computer may have begun a sweep late.

    Parameters
    ----------
    left_s, now_s
        The countdown before and after.
    elapsed_s
        How long the stretch was.
    """
    return left_s > 0 and (left_s < elapsed_s or now_s == 0)


def wait_past_topup(countdown: Any, *, need_s: float, notify: Notify, clock: Callable[[], float] = time.monotonic) -> Plan:
    """Wait while the next top-up would fall into the next ``need_s`` seconds, at most until it should be long over.

    Parameters
    ----------
    countdown
        Readable; seconds to the next top-up, 0 while it lasts.
    """
    deadline = clock() + need_s + LONGEST_S
    has_told = False
    while topup_within((yield from bps.rd(countdown)), need_s):
        if clock() > deadline:
            notify("the top-up does not end: the scan goes on")
            return
        if not has_told:
            notify("waiting for the top-up")
            has_told = True
        yield from bps.sleep(_POLL_S)
