"""How a run stands: receives what journal and analysis say of its lines, gives the state in a word.

A run is finished when the plan has stopped and all its lines have come through the reduction, not before: what is shown as
finished no longer changes.
"""

from collections.abc import Callable
from typing import Literal

from operando.messages import LineAborted, LineFlown, Message, RunStopped, ScanState

State = Literal["scanning", "paused", "suspended", "finished", "aborted", "failed"]
UNDER_WAY = frozenset({"scanning", "paused", "suspended"})
"""States in which more lines are to come."""

PATIENCE_S = 30.0
"""How long the last lines may take through the reduction; a reduction that has died must not keep a run open for ever."""

_ENDINGS: dict[str, State] = {"success": "finished", "abort": "aborted", "fail": "failed"}


class RunState:
    """The state of one run.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._awaited: set[tuple[int, int]] = set()
        self._taken_up: set[tuple[int, int]] = set()
        self._ending: State | None = None
        self._held: State | None = None
        self._stopped_at = 0.0

    def hear(self, message: Message) -> None:
        """Take up what the journal says of this run."""
        match message:
            case LineFlown():
                self._awaited.add((message.line, message.attempt))
            case LineAborted():
                self._awaited.discard((message.line, message.attempt))
            case ScanState(state=("paused" | "suspended") as held):
                self._held = held
            case ScanState():
                self._held = None
            case RunStopped() if self._ending is None:
                self._ending = _ENDINGS[message.exit_status]
                self._stopped_at = self._clock()

    def take_up(self, *, line: int, attempt: int) -> None:
        """Note that the analysis is done with an attempt, good or bad."""
        self._taken_up.add((line, attempt))

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Attempts (line, attempt) that flew and have not come."""
        return sorted(self._awaited - self._taken_up)

    @property
    def state(self) -> State:
        """The state now."""
        if self._ending is None:
            return self._held or "scanning"
        if self.missing and self._clock() - self._stopped_at < PATIENCE_S:
            return "scanning"
        return self._ending
