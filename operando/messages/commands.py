"""What a person may wish of the acquisition, what it answers, and how it says that it stands.

A command is answered at once: whether it is taken, and what will happen. What did happen is in the journal as
:class:`ScanState`, which everybody sees.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from operando.messages.message import Finite, Message, Name, Text

Action = Literal["status", "start", "pause_after_line", "pause_now", "resume", "stop_after_line", "abort"]

State = Literal["idle", "starting", "running", "suspended", "pausing", "paused", "ending"]
"""Idle: no plan flies. Suspended: the scan goes on by itself when what it waits for is back. Paused: a person must resume."""


class CommandGiven(Message):
    """A wish of a person for the acquisition; ``status`` wishes to know only."""

    kind: Literal["command_given"] = "command_given"
    action: Action
    plan: Annotated[str, Field(max_length=200)] = ""
    """Which plan to ``start``; empty is the profile's, with its arguments."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=100)
    """Of the plan, by name."""
    origin: Annotated[str, Field(max_length=200)] = ""
    """Who wishes it, as the journal shall name them."""


class CommandAnswered(Message):
    """Whether a command was taken, and what could be commanded now."""

    kind: Literal["command_answered"] = "command_answered"
    accepted: bool
    text: Text
    """What will happen, or why not."""
    state: State
    plan: Annotated[str, Field(max_length=200)] = ""
    """The plan that flies, or flew last; empty if none did."""
    reason: Text = ""
    """Why it is in this state, for instance who paused it."""
    plans: dict[str, Text] = Field(default_factory=dict, max_length=1000)
    """The plans that can be started, and which arguments they take."""
    queue: list[Text] = Field(default_factory=list, max_length=100)
    """The plans that wait, in words, the next first; always empty where there is no queue."""
    refusals: dict[str, str]
    """Why an action would be refused now; an action that is not named would be taken."""
    time_s: Finite


class ScanState(Message):
    """How the acquisition stands; written to the journal at every change."""

    kind: Literal["scan_state"] = "scan_state"
    state: State
    plan: Annotated[str, Field(max_length=200)] = ""
    reason: Text = ""
    """Why, and at whose wish."""
    origin: Name = "acquire"
    time_s: Finite
