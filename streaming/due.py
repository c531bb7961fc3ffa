"""Now and then: lets one of many threads through when so much time has passed since the last."""

import threading
from collections.abc import Callable


class Due:
    """Tells when something is due again; asked by several threads, true for one of them.

    Parameters
    ----------
    interval_s
        Shortest time between two.
    clock
        Monotonic seconds.
    """

    def __init__(self, *, interval_s: float, clock: Callable[[], float]) -> None:
        self._interval_s, self._clock = interval_s, clock
        self._at_s = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Give whether it is due; if so, the next is due an interval from now."""
        with self._lock:
            now_s = self._clock()
            if now_s < self._at_s:
                return False
            self._at_s = now_s + self._interval_s
            return True
