"""The figures of the stream: counts rejections and the rate, gives one status a second."""

from collections import Counter

from operando.messages import StreamStatus
from streaming.account import Account, SeriesKey

MAX_RANGES = 10_000
"""As many stretches of missing ids as a status may list; beyond that the number alone is exact."""


class Figures:
    """What the status tells besides the account; used from one thread."""

    def __init__(self, *, now: float) -> None:
        self.rejected: Counter[str] = Counter()
        self.newest: SeriesKey | None = None
        self.n_set_aside = 0
        self._n_images = 0
        self._n_images_then = 0
        self._then = now

    def note_image(self, series: SeriesKey) -> None:
        """Count one integrated image for the rate."""
        self._n_images += 1
        self.newest = series

    def status(
        self, account: Account, *, n_held: int, queue_depth: int, queue_capacity: int, now: float, wall_s: float
    ) -> StreamStatus:
        """Give the status, with the rate since the last one.

        Parameters
        ----------
        account
            Who came and who is missing.
        n_held
            Patterns that wait for their line.
        queue_depth, queue_capacity
            Messages that wait for the workers, and how many may.
        now, wall_s
            Monotonic seconds, and seconds since the Unix epoch.
        """
        elapsed_s = max(now - self._then, 1e-6)
        rate = (self._n_images - self._n_images_then) / elapsed_s
        self._n_images_then, self._then = self._n_images, now
        return StreamStatus(
            time_s=wall_s,
            series=self.newest.series if self.newest else None,
            frames_received=account.n_usable,
            frames_duplicated=account.n_duplicated,
            frames_rejected=dict(self.rejected),
            frames_unannounced=n_held + self.n_set_aside,
            missing_ids=[(key.series, first, last) for key, first, last in account.missing()][-MAX_RANGES:],
            frames_missing=account.n_missing,
            queue_depth=min(queue_depth, queue_capacity),
            queue_capacity=queue_capacity,
            frames_per_s=rate,
        )
