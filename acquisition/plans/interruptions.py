"""How a plan learns that it was interrupted, and what is put back in any case.

The RunEngine calls ``pause`` of every device that a plan has touched, at a pause and at a suspension, and ``unstage`` of every
staged one when the plan is over, however it ends, ``halt`` included. Both are used here instead of the RunEngine's replay: its
replay would repeat the messages of the interrupted line with the old series and attempt.
"""

from collections.abc import Callable, Generator
from typing import Any

import structlog
from bluesky import Msg

logger = structlog.get_logger(__name__)

Plan = Generator[Msg, Any, Any]


class Interruptions:
    """Counts pauses and suspensions; stage it first, so that what it restores is restored last.

    Parameters
    ----------
    restore
        Called once at the end.
    on_pause
        Called at each pause or suspension. Both are called from the RunEngine's thread and must not wait.
    """

    name = "interruptions"
    parent = None

    def __init__(self, *, restore: Callable[[], None], on_pause: Callable[[], object]) -> None:
        self._restore = restore
        self._on_pause = on_pause
        self.count = 0
        """Pauses and suspensions since the start of the plan."""

    def stage(self) -> list[Any]:
        """Make this known to the RunEngine."""
        return [self]

    def unstage(self) -> list[Any]:
        """Restore; a failure is logged, for nobody is left to hear it."""
        try:
            self._restore()
        except Exception as failure:  # the last defence must not stop the others
            logger.error("not restored", reason=str(failure))
        return [self]

    def undisturbed(self, plan: Callable[[], Plan]) -> Plan:
        """Run a plan that may be run twice, again if it was interrupted: a pause cuts a message short in mid-work."""
        while True:
            before = self.count
            result = yield from plan()
            if self.count == before:
                return result

    def pause(self) -> None:
        """Count and say so; called by the RunEngine at a pause or suspension."""
        self.count += 1
        self._on_pause()

    def resume(self) -> None:
        """Do nothing: the plan sees the count and flies the line again."""
