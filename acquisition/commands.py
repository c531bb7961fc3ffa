"""The command socket: a person's wishes for the scan, answered at once, with why what is refused is refused.

It decides nothing itself: plans are checked by who knows them, all else is the conductor's.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from pydantic import JsonValue

from acquisition.conductor import Conductor
from acquisition.plans.programme import Programme
from operando.bus.asking import Answer
from operando.errors import DataError, OperandoError
from operando.messages import Message
from operando.messages.commands import CommandAnswered, CommandGiven

logger = structlog.get_logger(__name__)

Prepare = Callable[[str, Mapping[str, JsonValue]], Programme]
"""Gives the checked programme of a plan by name, with its arguments, or raises an OperandoError that says what is wrong."""


class CommandDesk:
    """Answers :class:`~operando.messages.commands.CommandGiven`; called from the answering thread of a server.

    Parameters
    ----------
    conductor
        Does what is wished.
    prepare
        Checks what shall be started.
    plans
        Which plans there are, with their arguments in words.
    clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        conductor: Conductor,
        *,
        prepare: Prepare,
        plans: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._conductor = conductor
        self._prepare = prepare
        self._plans = dict(plans)
        self._clock = clock
        self._changed = threading.Condition()
        self._next: Programme | None = None

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        """Answer a command.

        Raises
        ------
        DataError
            If it is none.
        """
        if not isinstance(question, CommandGiven):
            raise DataError(f"this is where commands are taken, found {type(question).__name__}: ask the analysis")
        accepted, text = self._start(question) if question.action == "start" else self._pass_on(question)
        if question.action != "status":
            logger.info("command", action=question.action, origin=question.origin, accepted=accepted, text=text)
        return self._answer(accepted=accepted, text=text), {}

    def await_start(self, stop: threading.Event, *, look_s: float = 0.2) -> Programme | None:
        """Wait until a plan is to be started, and give it; None when stopped."""
        with self._changed:
            while not stop.is_set():
                if self._next is not None:
                    programme, self._next = self._next, None
                    return programme
                self._changed.wait(look_s)
        return None

    def _start(self, question: CommandGiven) -> tuple[bool, str]:
        try:
            programme = self._prepare(question.plan, question.arguments)
        except OperandoError as wrong:
            return False, str(wrong)[:4000]
        refusal = self._conductor.expect(programme.plan)
        if refusal:
            return False, refusal
        with self._changed:
            self._next = programme
            self._changed.notify_all()
        n_lines = sum(len(run.layout.lines) for run in programme.runs)
        return True, f"{programme.plan} starts: {n_lines} lines, {programme.n_frames} frames, {programme.duration_s:.0f} s"

    def _pass_on(self, question: CommandGiven) -> tuple[bool, str]:
        text = self._conductor.command(question.action, by=question.origin)
        if text:
            return True, text
        return False, self._conductor.refusals().get(question.action, "the scan has just changed: ask again")

    def _answer(self, *, accepted: bool, text: str) -> CommandAnswered:
        conductor = self._conductor
        return CommandAnswered(
            accepted=accepted,
            text=text,
            state=conductor.state,
            plan=conductor.plan,
            reason=conductor.reason[:4000],
            plans=self._plans,
            refusals={str(action): why for action, why in conductor.refusals().items()},
            time_s=self._clock(),
        )
