"""What a person may wish of the running scan: asks the acquisition how it stands, passes wishes on, remembers what was said.

It decides nothing: what can be done now, and why not, are the acquisition's own words. No window, one socket, never waits.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from pydantic import JsonValue

from operando.bus import Asker
from operando.messages import Action, CommandAnswered, CommandGiven, Refused
from viewer.session import Session

logger = structlog.get_logger(__name__)

ASK_S = 1.0
"""Time between two looks at how the acquisition stands; its changes also come with the feed, but not to who has lost that."""
SILENT_S = 2.0
"""An acquisition that has not answered for so long is called silent: it answers within milliseconds while it lives."""
ORIGIN = "the window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of the last wish."""

    action: Action
    accepted: bool
    text: str


class Control:
    """Speaks to the acquisition that the session's source names; used from the window's thread.

    Parameters
    ----------
    session
        Whose scan it is; its topic ``control`` counts the changes.
    clock
        Monotonic seconds.
    """

    def __init__(self, session: Session, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._asker: Asker | None = None
        self._asked_s = clock() - ASK_S
        self._silent_since_s = clock()
        self._silent_told_s = 0
        self._wished: Action | None = None
        self.answer: CommandAnswered | None = None
        """How the acquisition stands, as it last said; None before its first answer."""
        self.reply: Reply | None = None
        """What came of the last wish; None before the first, and while one waits."""

    @property
    def is_offered(self) -> bool:
        """Whether somebody takes commands."""
        return self._asker is not None

    @property
    def wished(self) -> Action | None:
        """The wish whose answer is awaited."""
        return self._wished

    @property
    def silent_s(self) -> float:
        """Seconds without the answer that is awaited, or 0 if it is not overdue."""
        waits_s = self._clock() - self._silent_since_s
        return waits_s if self._asker is not None and waits_s > SILENT_S + ASK_S else 0.0

    def refusal(self, action: Action) -> str:
        """Say why an action would be refused as far as is known; empty if it would be taken."""
        if self._asker is None:
            return "nobody takes commands here"
        if self.answer is None:
            return "the acquisition has not answered yet"
        return self.answer.refusals.get(action, "")

    def give(self, action: Action, *, plan: str = "", arguments: Mapping[str, JsonValue] | None = None) -> None:
        """Pass a wish on, even one that seems in vain: the acquisition knows better, and says why."""
        if self._asker is None:
            self._say(action, accepted=False, text=self.refusal(action))
            return
        logger.info("command given", action=action, plan=plan)
        self._wished, self.reply = action, None
        self._ask(CommandGiven(action=action, plan=plan, arguments=dict(arguments or {}), origin=ORIGIN))
        self._session.changes["control"] += 1

    def complain(self, action: Action, text: str) -> None:
        """Say why a wish was not passed on."""
        self._say(action, accepted=False, text=text)

    def tick(self) -> None:
        """Take up an answer, and ask when it is time."""
        self._follow_address()
        if self._asker is None:
            return
        entry = self._asker.poll()
        if entry is not None:
            self._take(entry.message)
        if not self._asker.is_waiting and self._clock() - self._asked_s >= ASK_S:
            self._ask(CommandGiven(action="status", arguments={}, origin=ORIGIN))
        if int(self.silent_s) != self._silent_told_s:
            self._silent_told_s = int(self.silent_s)
            self._session.changes["control"] += 1

    def close(self) -> None:
        """Speak no more."""
        if self._asker is not None:
            self._asker.close()
            self._asker = None

    def _ask(self, question: CommandGiven) -> None:
        if self._asker is not None:
            self._asked_s = self._clock()
            self._asker.ask(question)

    def _follow_address(self) -> None:
        services = self._session.services
        offered = "" if services is None else services.commands
        if (self._asker.address if self._asker is not None else "") == offered:
            return
        self.close()
        self.answer, self._wished = None, None
        if offered:
            self._asker = Asker(offered, clock=self._clock)
            self._asked_s, self._silent_since_s = self._clock() - ASK_S, self._clock()
        self._session.changes["control"] += 1

    def _take(self, message: object) -> None:
        action, self._wished = self._wished, None
        if isinstance(message, CommandAnswered):
            before, self.answer, self._silent_since_s = self.answer, message, self._clock()
            is_news = before is None or message != before.model_copy(update={"time_s": message.time_s})
            if action is not None:
                self._say(action, accepted=message.accepted, text=message.text)
            elif is_news:
                self._session.changes["control"] += 1
            return
        text = message.text if isinstance(message, Refused) else f"an answer of another kind: {type(message).__name__}"
        # A status that is refused is a fault, too: nothing that is shown here can be believed then.
        self.answer = None
        self._say(action or "status", accepted=False, text=text)

    def _say(self, action: Action, *, accepted: bool, text: str) -> None:
        self.reply = Reply(action=action, accepted=accepted, text=text)
        self._session.changes["control"] += 1
