"""Which wishes cannot be fulfilled as the acquisition stands, and why: words for the person who wished."""

from operando.messages.commands import Action, State

FLYING_ACTIONS: tuple[Action, ...] = ("pause_after_line", "pause_now", "resume", "stop_after_line", "abort")
"""What can be wished of a plan that flies."""


def refusals(
    state: State,
    *,
    plan: str,
    is_flying: bool,
    forbidden: str,
    abort_reason: str,
    ends_after_line: bool,
    pauses_after_line: bool,
) -> dict[Action, str]:
    """Say why each action would be refused; an action that is not named would be taken.

    Parameters
    ----------
    plan
        The one that flies or is about to.
    forbidden
        Why nothing may fly now; empty if all may.
    abort_reason
        Why the plan is being aborted; empty if it is not.
    ends_after_line, pauses_after_line
        What has been wished already.
    """
    if state == "idle":
        return dict.fromkeys(FLYING_ACTIONS, "nothing is running") | ({"start": forbidden} if forbidden else {})
    if not is_flying:
        return dict.fromkeys((*FLYING_ACTIONS, "start"), f"{plan} is starting")
    found: dict[Action, str] = {"start": f"{plan} is {state}: wait for its end, or abort it"}
    if abort_reason:
        return found | dict.fromkeys(FLYING_ACTIONS, f"the scan is being aborted ({abort_reason})")
    if state == "paused":
        found["pause_after_line"] = found["pause_now"] = "the scan is paused already"
        if forbidden:
            found["resume"] = forbidden
    else:
        found["resume"] = "the scan is not paused"
    if state == "pausing":
        found["pause_after_line"] = "the scan pauses already"
        if not pauses_after_line:
            found["pause_now"] = "the scan pauses already"
    if ends_after_line:
        found["stop_after_line"] = "the scan ends already before its next line"
    return found
