"""Which scan is shown: the newest while following, the user's from the moment when the slider is taken."""


class Timeline:
    """A place among n scans."""

    def __init__(self) -> None:
        self.n = 0
        """How many scans there are."""
        self.index = 0
        """Which is shown, counted from 0; 0 also before the first."""
        self.is_following = True
        self._n_at_pause = 0

    @property
    def n_new(self) -> int:
        """Scans that have begun since the slider was taken."""
        return 0 if self.is_following else self.n - self._n_at_pause

    def grow(self, n: int) -> None:
        """Learn that there are n scans now."""
        self.n = n
        if self.is_following:
            self.index = max(n - 1, 0)

    def take(self, index: int) -> bool:
        """Show a scan because the user wants it, and stop following unless it is the newest; true if anything changed."""
        before = (self.index, self.is_following)
        self.index = min(max(index, 0), max(self.n - 1, 0))
        is_newest = self.index >= self.n - 1
        if self.is_following and not is_newest:
            self._n_at_pause = self.n
        self.is_following = is_newest
        return before != (self.index, self.is_following)

    def resume(self) -> bool:
        """Go to the newest scan and follow from now on; true if anything changed."""
        return self.take(self.n - 1)

    def forget(self, n: int) -> None:
        """Learn that the oldest n scans are gone."""
        self.n -= n
        self.index = max(self.index - n, 0)
        self._n_at_pause = max(self._n_at_pause - n, 0)
