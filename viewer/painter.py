"""Draws what has changed, a few times a second, and holds what a drawing raises: the other panels go on."""

from collections.abc import Callable, Sequence

import structlog

from viewer.header import Header
from viewer.pace import Pace
from viewer.panels import Panel
from viewer.session import Session, Topic

logger = structlog.get_logger(__name__)

DATA_S = 1.0
"""Time between two drawings of a panel that only the data call for: they change a sinogram, a mean pattern or the strip once in
some seconds. What the user has done is drawn at once."""
AT_ONCE = 3
"""Panels that the data call for in one go; the others wait for the next, so that the window does not stand still for all."""
OF_THE_USER: frozenset[Topic] = frozenset({"scan", "pins", "focus", "control"})


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
        self._clock = clock
        self._pace = Pace(clock)
        self._seen: dict[str, dict[Topic, int]] = {}
        self._drawn_s: dict[str, float] = {}

    def draw_panels(self) -> bool:
        """Draw the panels that have changed and can be seen, if it is time for it; false if it is not."""
        if not self._pace.is_due():
            return False
        changed = self._changed()
        urgent = [panel for panel in changed if self._is_urgent(panel)]
        now_s = self._clock()
        due = [panel for panel in changed if panel not in urgent and now_s - self._drawn_s[panel.name] >= DATA_S]
        for panel in [*urgent, *sorted(due, key=lambda panel: self._drawn_s[panel.name])[:AT_ONCE]]:
            self.has_changed(panel.name, panel.topics)
            self._drawn_s[panel.name] = now_s
            self.contained(panel.name, lambda panel=panel: panel.show_session(self._session))  # type: ignore[misc]
        return True

    @property
    def is_done(self) -> bool:
        """Whether every panel that can be seen shows the newest data."""
        return not self._changed()

    def _changed(self) -> list[Panel]:
        # What is behind a tab is drawn when it comes to the front.
        changed = [panel for panel in self._panels if self._seen.get(panel.name) != self._counts(panel.topics)]
        return [panel for panel in changed if not panel.visibleRegion().isEmpty()]

    def _is_urgent(self, panel: Panel) -> bool:
        """Tell whether the user has asked for it, or nothing has been drawn yet."""
        seen = self._seen.get(panel.name)
        return seen is None or any(seen.get(topic) != self._session.changes[topic] for topic in OF_THE_USER & {*panel.topics})

    def forget_drawn(self) -> None:
        """Let every panel be drawn anew at the next occasion, whether it has changed or not."""
        self._pace.hurry()
        for panel in self._panels:
            self._seen.pop(panel.name, None)

    def has_changed(self, name: str, topics: tuple[Topic, ...]) -> bool:
        """Tell whether one of some topics has changed since this was asked last under the same name."""
        counts = self._counts(topics)
        if self._seen.get(name) == counts:
            return False
        self._seen[name] = counts
        return True

    def _counts(self, topics: tuple[Topic, ...]) -> dict[Topic, int]:
        return {topic: self._session.changes[topic] for topic in topics}

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
