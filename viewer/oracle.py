"""Who answers questions about regions: the running analysis over its socket, or a function that reads an archive."""

import queue
import threading
from typing import Protocol

import structlog

from operando.bus import Asker, Entry
from operando.bus.asking import Answerer
from operando.errors import OperandoError
from operando.messages import Message, Refused

logger = structlog.get_logger(__name__)


class Oracle(Protocol):
    """Answers one question at a time; used from the window's thread and never waits."""

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        ...

    def ask(self, question: Message) -> None:
        """Ask; an earlier question is given up."""
        ...

    def poll(self) -> Entry | None:
        """Give the answer if it has come; a :class:`~operando.messages.Refused` if there is none."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


class RemoteOracle(Asker):
    """Asks the process that offers it."""


class LocalOracle:
    """Asks a function, in a thread of its own.

    Parameters
    ----------
    answer
        Answers; for instance out of an archive with its line files.
    """

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer
        self._questions: queue.Queue[tuple[int, Message] | None] = queue.Queue()
        self._answers: queue.Queue[Entry] = queue.Queue()
        self._number = 0
        self._is_waiting = False
        self._thread = threading.Thread(target=self._work, name="viewer oracle", daemon=True)
        self._thread.start()

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self._is_waiting

    def ask(self, question: Message) -> None:
        """Ask; an earlier question is given up."""
        self._number += 1
        self._is_waiting = True
        self._questions.put((self._number, question))

    def poll(self) -> Entry | None:
        """Give the answer to the newest question if it has come."""
        while not self._answers.empty():
            entry = self._answers.get()
            if entry.number == self._number:
                self._is_waiting = False
                return entry
        return None

    def close(self) -> None:
        """End the thread."""
        self._number += 1
        self._questions.put(None)
        self._thread.join(timeout=5)

    def _work(self) -> None:
        while (asked := self._questions.get()) is not None:
            number, question = asked
            if number == self._number:
                self._answers.put(self._answered(number, question))

    def _answered(self, number: int, question: Message) -> Entry:
        try:
            message, arrays = self._answer(question, is_wanted=lambda: number == self._number)
        except OperandoError as refusal:
            return Entry(number=number, message=Refused(text=str(refusal)[:4000]))
        except Exception as fault:  # a question must not end the thread that answers the next
            logger.exception("question not answered")
            return Entry(number=number, message=Refused(text=f"this cannot be answered: {type(fault).__name__}"))
        return Entry(number=number, message=message, arrays=arrays)
