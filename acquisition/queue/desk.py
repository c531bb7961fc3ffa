"""The command socket of a queue: the same wishes and answers as those of one plan, passed on to the queue server."""

import threading
import time
from collections.abc import Callable

import structlog

from acquisition.queue.client import QueueClient, QueueStatus
from acquisition.refusals import refusals
from operando.bus.asking import Answer
from operando.errors import DataError, ServiceError
from operando.messages import Message
from operando.messages.commands import Action, CommandAnswered, CommandGiven, State
from operando.profile import Profile

logger = structlog.get_logger(__name__)

WATCH_S = 0.2
"""How often a wish that needs a pause first is looked after."""

STATES: dict[str, State] = {"idle": "idle", "paused": "paused", "executing_queue": "running"}


class QueueDesk:
    """Answers :class:`~operando.messages.commands.CommandGiven`; called from the answering thread of a server.

    Parameters
    ----------
    address
        The queue's control socket.
    profile
        Says which plan to submit where none is named.
    forbids
        Says why nothing may fly now, for instance a cell beyond its limits; empty if all may.
    clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        address: str,
        profile: Profile,
        *,
        forbids: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._address, self._profile, self._forbids, self._clock = address, profile, forbids, clock
        self._client = QueueClient(address)
        self._wish: Action | None = None
        self._wished_of = ""
        """Uid of the plan that the wish is about: it must not hit the next one."""
        self._reason = ""
        self._lock = threading.Lock()

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        """Answer a command.

        Raises
        ------
        DataError
            If it is none.
        ServiceError
            If the queue does not answer.
        """
        if not isinstance(question, CommandGiven):
            raise DataError(f"this is where commands are taken, found {type(question).__name__}: ask the analysis")
        status = self._client.status()
        refusal = self._refusals(status).get(question.action, "")
        try:
            accepted, text = (False, refusal) if refusal else (True, self._take(question, status))
        except DataError as refused:
            accepted, text = False, str(refused)
        if question.action != "status":
            logger.info("command", action=question.action, origin=question.origin, accepted=accepted, text=text)
        return self._answer(self._client.status(), accepted=accepted, text=text), {}

    def watch(self, stop: threading.Event) -> None:
        """See wishes through that the queue server takes only from a pause; to be the work of a thread."""
        with QueueClient(self._address) as client:
            while not stop.wait(WATCH_S):
                try:
                    self._see_through(client)
                except (DataError, ServiceError) as refused:
                    # It is between two states: look again.
                    logger.info("wish waits", wish=self._wish, reason=str(refused))

    def _see_through(self, client: QueueClient) -> None:
        with self._lock:
            wish, uid = self._wish, self._wished_of
        if wish is None:
            return
        flying, status = client.flying(), client.status()
        if flying is None or flying.uid != uid:
            with self._lock:
                self._wish, self._reason = None, ""
            if wish == "stop_after_line" and status.manager == "idle" and status.n_waiting:
                # The server lets the queue stand still after a stop; the wish was about one plan.
                client.start()
        elif status.manager == "paused":
            if wish == "abort":
                client.abort()
            else:
                client.stop()
        elif status.manager == "executing_queue" and not status.is_pausing:
            client.pause(after_line=wish == "stop_after_line")

    def _take(self, question: CommandGiven, status: QueueStatus) -> str:
        with self._lock:
            self._reason = "" if question.action in ("status", "start", "resume") else f"wished by {question.origin}"
        if question.action in ("abort", "stop_after_line"):
            flying = self._client.flying()
            with self._lock:
                self._wish, self._wished_of = question.action, flying.uid if flying else ""
        match question.action:
            case "start":
                return self._submit(question, status)
            case "pause_now" | "pause_after_line":
                self._client.pause(after_line=question.action == "pause_after_line")
                return "pauses when the line in flight is over" if question.action == "pause_after_line" else "pauses now"
            case "resume":
                self._client.resume()
                return "goes on: an interrupted line flies again from its start"
            case "abort":
                return "aborts: axes stop, the shutter closes; the plan is put back at the head of the queue, which then waits"
            case "stop_after_line":
                return "ends in order when the line in flight is over; then the queue goes on"
            case _:
                return self._state(status)

    def _submit(self, question: CommandGiven, status: QueueStatus) -> str:
        scan = self._profile.scan
        plan, arguments = (question.plan, question.arguments) if question.plan else (scan.plan, scan.plan_arguments)
        self._client.submit(plan, arguments)
        if status.manager != "idle":
            return f"{plan} waits, {status.n_waiting} before it and one in flight"
        self._client.start()
        return f"{plan} waits, {status.n_waiting} before it: the queue starts" if status.n_waiting else f"{plan} starts"

    def _state(self, status: QueueStatus) -> State:
        with self._lock:
            is_ending = self._wish is not None
        if is_ending and status.manager in ("executing_queue", "paused"):
            return "ending"
        if status.manager == "executing_queue" and status.is_pausing:
            return "pausing"
        return STATES.get(status.manager, "starting")

    def _refusals(self, status: QueueStatus) -> dict[Action, str]:
        flying = self._client.flying()
        forbidden = f"{wrong}: nothing flies until that is over" if (wrong := self._forbids()) else ""
        with self._lock:
            wish, reason = self._wish, self._reason
        found = refusals(
            self._state(status),
            plan=flying.name if flying else "the queue",
            is_flying=flying is not None,
            forbidden=forbidden,
            abort_reason=reason if wish == "abort" else "",
            ends_after_line=wish == "stop_after_line",
            pauses_after_line=status.is_pausing,
        )
        # In a queue whatever is started waits for its turn; but nothing begins that a cell forbids.
        found.pop("start", None)
        if forbidden:
            found["start"] = forbidden
        return (
            found if status.has_environment else found | {"start": "the queue has no environment: it is starting or has failed"}
        )

    def _answer(self, status: QueueStatus, *, accepted: bool, text: str) -> CommandAnswered:
        flying = self._client.flying()
        state = self._state(status)
        return CommandAnswered(
            accepted=accepted,
            text=text[:4000],
            state=state,
            plan=flying.name if flying else "",
            reason=self._reason if state not in ("idle", "running", "starting") else "",
            plans=self._client.plans(),
            queue=[str(plan)[:4000] for plan in self._client.waiting()[:100]],
            refusals={str(action): why for action, why in self._refusals(status).items()},
            time_s=self._clock(),
        )
