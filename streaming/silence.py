"""Says when a process that the analysis follows has fallen silent, and when it is back."""

from collections.abc import Callable, Mapping

SILENT_S = 5.0
"""A feed answers twice a second; a busy machine may hold an answer up for seconds."""


class SilenceWatch:
    """Looks at how long each feed has been silent; used from one thread.

    Parameters
    ----------
    tell
        Called with a sentence, and whether it is bad news.
    """

    def __init__(self, tell: Callable[[str, bool], None]) -> None:
        self._tell = tell
        self._silent: set[str] = set()

    def look(self, silent_s: Mapping[str, float]) -> None:
        """Tell what has changed; a feed that was never heard is not missed.

        Parameters
        ----------
        silent_s
            Seconds since the last answer of each process, by its name; infinite before the first.
        """
        for process, seconds in silent_s.items():
            is_silent = SILENT_S < seconds < float("inf")
            if is_silent and process not in self._silent:
                self._silent.add(process)
                self._tell(f"{process} has been silent for {seconds:.0f} s: has it died? What it measured stays", True)
            elif process in self._silent and seconds < SILENT_S:
                self._silent.discard(process)
                self._tell(f"{process} is back", False)
