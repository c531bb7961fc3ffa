"""Draws what has changed, a few times a second, and holds what a drawing raises: the other panels go on."""

from collections.abc import Callable, Sequence

import structlog

from viewer.header import Header
from viewer.pace import Pace
from viewer.panels import Panel
from viewer.session import Session, Topic

logger = structlog.get_logger(__name__)


class Painter:
    """Knows what was drawn of a session last; used from the window's thread.

    Parameters
    ----------
    session
        What is drawn.
    header
        Says what cannot be drawn.
    panels
        Those that draw themselves.
    clock
        Monotonic seconds.
    """

    def __init__(self, session: Session, header: Header, panels: Sequence[Panel], clock: Callable[[], float]) -> None:
        self.n_faults = 0
        """How often something could not be drawn."""
        self._session, self._header, self._panels = session, header, tuple(panels)
        self._pace = Pace(clock)
        self._seen: dict[str, dict[Topic, int]] = {}

    def draw_panels(self) -> bool:
        """Draw the panels that have changed and can be seen, if it is time for it; false if it is not."""
        if not self._pace.is_due():
            return False
        for panel in self._panels:
            # What is behind a tab is drawn when it comes to the front.
            if not panel.visibleRegion().isEmpty() and self.has_changed(panel.name, panel.topics):
                self.contained(panel.name, lambda panel=panel: panel.show_session(self._session))  # type: ignore[misc]
        return True

    def forget_drawn(self) -> None:
        """Let every panel be drawn anew at the next occasion, whether it has changed or not."""
        self._pace.hurry()
        for panel in self._panels:
            self._seen.pop(panel.name, None)

    def has_changed(self, name: str, topics: tuple[Topic, ...]) -> bool:
        """Tell whether one of some topics has changed since this was asked last under the same name."""
        counts = {topic: self._session.changes[topic] for topic in topics}
        if self._seen.get(name) == counts:
            return False
        self._seen[name] = counts
        return True

    def contained(self, name: str, draw: Callable[[], None]) -> None:
        """Draw something, and say in the header if it cannot be drawn, until it can."""
        try:
            draw()
        except Exception as fault:  # The one place where a fault of drawing is held: the other panels go on.
            logger.exception("panel cannot draw", panel=name)
            self.n_faults += 1
            self._header.note_fault(name, f"{type(fault).__name__}: {fault}")
        else:
            self._header.note_fault(name, None)
