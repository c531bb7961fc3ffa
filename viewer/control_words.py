"""What the control panel says: the state of scan and queue, progress, time left and dose, each from what is known alone."""

import json

from pydantic import JsonValue

from operando.errors import DataError
from operando.messages import Action
from viewer.control import Control
from viewer.freshness import duration, moment
from viewer.session import Session
from viewer.words import Words

LABELS: dict[Action, str] = {
    "start": "Start",
    "pause_after_line": "Pause after line",
    "pause_now": "Pause now",
    "resume": "Resume",
    "stop_after_line": "End after line",
    "abort": "Abort",
}
"""The buttons in their order, by what they do."""

N_WAITING = 2
"""Plans of the queue that are named; of the others the number is told."""

EXPLAINED: dict[Action, str] = {
    "start": "fly the chosen plan",
    "pause_after_line": "let this line finish, then hold: nothing is lost",
    "pause_now": "stop axes and close the shutter at once; the line flies again from its beginning",
    "resume": "go on where it was paused",
    "stop_after_line": "let this line finish, then end the plan: the maps stay as they are",
    "abort": "end the plan at once: the line in flight is lost",
}


def state_words(control: Control, session: Session) -> Words:
    """Say how the acquisition stands and why."""
    if not control.is_offered:
        known = "from a file" if session.status is None and session.is_over else "nobody takes commands"
        return Words(known, "what is shown here cannot be commanded from this window")
    if control.silent_s:
        return Words("no answer", f"the acquisition is silent since {duration(control.silent_s)}")
    if control.answer is None:
        return Words("asking …")
    answer = control.answer
    return Words(f"{answer.state} · {answer.plan}" if answer.plan else answer.state, answer.reason)


def progress_line(session: Session) -> str:
    """Say how far the scan is, how long it takes yet and when it will end."""
    progress = session.tomogram.progress
    if progress is None:
        return "no scan yet"
    parts = [f"{progress.lines_done} of {progress.lines_expected} lines"]
    if session.is_over:
        return " · ".join([*parts, progress.state])
    if session.held is not None and progress.seconds_left is not None:
        parts += [f"{session.held.state}, {duration(progress.seconds_left)} more when it goes on"]
    elif progress.seconds_left is not None:
        end = moment(progress.time_s + progress.seconds_left, with_year=False)
        parts += [f"{duration(progress.seconds_left)} left", f"until {end}"]
    return " · ".join(parts)


def dose_line(session: Session) -> str:
    """Say how long the sample has been exposed and to what dose: all that was flown counts, also what flew in vain."""
    scan = session.tomogram
    if scan.started is None or scan.progress is None:
        return ""
    line_s = scan.started.n_points * scan.started.exposure_s
    done_s, planned_s = line_s * scan.progress.attempts, line_s * scan.progress.lines_expected
    again = scan.progress.attempts - scan.progress.lines_done
    extra = f" · {again} lines more than once" if again > 0 and session.is_over else ""
    point = f"{1000 * scan.started.exposure_s:.3g} ms a point"
    planned_gy = scan.started.estimated_dose_gy
    if planned_gy is None or not scan.progress.lines_expected:
        dose = "dose not known"
    else:
        done_gy = planned_gy * scan.progress.attempts / scan.progress.lines_expected
        dose = f"about {dose_words(done_gy)} of {dose_words(planned_gy)}"
    return f"exposed {duration(done_s)} of {duration(planned_s)} · {point} · {dose}{extra}"


def dose_words(dose_gy: float) -> str:
    """Write a dose with a unit that suits it: ``35 kGy``."""
    unit, size = next(((unit, size) for unit, size in (("MGy", 1e6), ("kGy", 1e3)) if dose_gy >= size), ("Gy", 1.0))
    return f"{dose_gy / size:.3g} {unit}"


def queue_line(control: Control) -> str:
    """Say what waits behind the plan that flies; empty where nothing does."""
    waiting = [] if control.answer is None or control.silent_s else control.answer.queue
    if not waiting:
        return ""
    named = " · ".join(waiting[:N_WAITING])
    more = len(waiting) - N_WAITING
    return f"then: {named}" + (f" · and {more} more" if more > 0 else "")


def arguments_from(text: str) -> dict[str, JsonValue]:
    """Read ``name=value name=value``; a value is JSON, or a word.

    Raises
    ------
    DataError
        If a part is not of this form.
    """
    arguments: dict[str, JsonValue] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise DataError(f"{part!r} is no argument: write name=value, as in n_tomograms=5")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments
