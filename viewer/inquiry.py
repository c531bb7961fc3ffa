"""Keeps the pins answered: asks one question at a time of whoever answers, and takes up what comes."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from operando.bus import Entry
from operando.errors import DataError
from operando.messages import Refused, RegionAnswered, ServicesOffered
from viewer.checks import checked_answer
from viewer.oracle import Oracle, RemoteOracle
from viewer.pins import Pins
from viewer.scan import Scan
from viewer.session import Topic


class Subject(Protocol):
    """Whose pins are asked about: a session, or the scan beside the one that it shows."""

    @property
    def pins(self) -> Pins:
        """What is asked about."""
        ...

    @property
    def shown(self) -> Scan:
        """In which scan."""
        ...

    @property
    def services(self) -> ServicesOffered | None:
        """Who answers."""
        ...

    @property
    def changes(self) -> Counter[Topic]:
        """Where an answer is counted."""
        ...


ASK_S = 0.25
"""Time between two questions: an answer that grows with every line is read no faster."""


class Inquiry:
    """Asks about the pins of a subject; used from the window's thread, never waits.

    Parameters
    ----------
    session
        Whose pins they are.
    oracle
        Who answers; None takes whom the subject's source names.
    clock
        Monotonic seconds.
    """

    def __init__(self, session: Subject, oracle: Oracle | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self.oracle = oracle
        self._clock = clock
        self._asked_s = clock() - ASK_S

    def tick(self) -> bool:
        """Take up an answer or ask the next question; true if an answer has come."""
        self._find_oracle()
        if self.oracle is None:
            self._explain()
            return False
        answer = self.oracle.poll()
        if answer is not None:
            self._take(answer)
        if not self.oracle.is_waiting and self._clock() - self._asked_s >= ASK_S:
            question = self._session.pins.next_question(self._session.shown)
            if question is not None:
                self._asked_s = self._clock()
                self.oracle.ask(question)
                self._session.changes["pins"] += 1
        return answer is not None

    def close(self) -> None:
        """Ask no more."""
        if self.oracle is not None:
            self.oracle.close()

    def _find_oracle(self) -> None:
        services = self._session.services
        offered = "" if services is None else services.questions
        if isinstance(self.oracle, RemoteOracle) and self.oracle.address != offered:
            self.oracle.close()
            self.oracle = None
        if self.oracle is None and offered:
            self.oracle = RemoteOracle(offered)

    def _explain(self) -> None:
        """Say why pins get no pattern where nobody answers."""
        for pin in self._session.pins.items:
            if not pin.complaint:
                pin.complaint = "nobody here answers for patterns: the line files are not at hand"
                self._session.changes["pins"] += 1

    def _take(self, entry: Entry) -> None:
        pins = self._session.pins
        try:
            if isinstance(entry.message, RegionAnswered):
                pins.answered(checked_answer(entry.message, entry.arrays))
            else:
                pins.answered(None, entry.message.text if isinstance(entry.message, Refused) else "an answer of another kind")
        except DataError as wrong:
            pins.answered(None, str(wrong))
        self._session.changes["pins"] += 1
