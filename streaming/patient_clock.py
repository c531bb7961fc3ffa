"""The clock of a deadline that must not run while the work itself is late."""

from collections.abc import Callable


class PatientClock:
    """Seconds that count towards a deadline: all of them while nothing is in hand, a tenth of them while something is.

    A line waits for images that may be lost. While images still stand in a queue, or the integrator of a new series is being
    made, waiting proves nothing; but a stream that never rests must not hide a loss for ever either.

    Parameters
    ----------
    clock
        Monotonic seconds.
    is_busy
        Whether images are in hand. Asked at every reading, so read the clock several times a second.
    """

    BUSY_RATE = 0.1

    def __init__(self, *, clock: Callable[[], float], is_busy: Callable[[], bool]) -> None:
        self._clock = clock
        self._is_busy = is_busy
        self._read_at = clock()
        self._counted_s = 0.0

    def __call__(self) -> float:
        """Give the seconds counted since the making of this clock."""
        now = self._clock()
        self._counted_s += (now - self._read_at) * (self.BUSY_RATE if self._is_busy() else 1.0)
        self._read_at = now
        return self._counted_s
