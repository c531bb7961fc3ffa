"""How old what is shown is, in one word, one sentence and one colour: a stalled source must look stalled.

The limits are chosen so that a source that stops is seen within two seconds, or within two frames where a frame lasts longer,
and neither the turn between two lines nor a long exposure is an alarm.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from operando.messages import ScanProgress
from viewer.mailbox import Link
from viewer.session import Session

LOST_S = 1.5
"""Silence of the server that counts as lost: it answers every half second even when there is nothing new."""
AMBER_S = 2.0
"""Age of the data at which a running scan is doubted: a turn between two lines takes about a second."""
RED_S = 6.0
"""Age at which it is given up."""
AMBER_PERIODS, RED_PERIODS = 2, 4
"""The same in frames, where these last longer: the newest frame is one period old when the next is due, and must still come."""
TURN_S = 2.0
"""Allowed for the turn between two lines, beside the frames."""


class Level(Enum):
    """How much trust the picture deserves."""

    WAITING = "waiting"
    FRESH = "fresh"
    DOUBTFUL = "doubtful"
    STALE = "stale"
    HELD = "held"
    """The scan stands still because somebody or something holds it, not because the data fail to come."""
    ENDED = "ended"
    CUT_SHORT = "cut short"
    """Ended before its last line: the maps are whole as far as they go, and that is not all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The verdict on the data's age."""

    level: Level
    text: str


def freshness(session: Session, link: Link | None) -> Freshness:
    """Judge the age of what a session knows; no link means that it was read from a file."""
    if link is not None:
        if not link.is_met:
            return _not_met(link)
        if link.silent_s > LOST_S:
            return Freshness(level=Level.STALE, text=f"source lost {duration(link.silent_s)} ago")
    progress, age_s = session.tomogram.progress, session.data_age_s
    if progress is not None and session.is_over:
        return _ended(progress, session.tomogram.end_s)
    if session.held is not None:
        return Freshness(level=Level.HELD, text=f"scan {session.held.state} for {duration(session.held_s)}")
    if link is None and not session.scans:
        return Freshness(level=Level.WAITING, text="nothing to show")
    if link is None:
        end_s = session.tomogram.end_s
        when = "" if end_s is None else f", {moment(end_s, with_year=False)}"
        return Freshness(level=Level.CUT_SHORT, text=f"file of an unfinished scan{when}")
    if progress is None or progress.state == "waiting" or age_s is None:
        return Freshness(level=Level.WAITING, text="connected, no data yet")
    amber_s, red_s = limits_s(session)
    if age_s < amber_s:
        # Whole seconds: every change of the text paints the window anew.
        return Freshness(level=Level.FRESH, text="live" if age_s < 1 else f"live, {duration(age_s)} old")
    level = Level.DOUBTFUL if age_s < red_s else Level.STALE
    return Freshness(level=level, text=f"no frame for {duration(age_s)}")


def limits_s(session: Session) -> tuple[float, float]:
    """Give the ages of the newest frame, s, from which on a running scan is doubted, and given up."""
    started = session.tomogram.started
    period_s = 0.0 if started is None else started.period_s
    return max(AMBER_S, AMBER_PERIODS * period_s), max(RED_S, RED_PERIODS * period_s + TURN_S)


def duration(seconds: float) -> str:
    """Write a time span as a person says it: ``12 s``, ``3:07``, ``2:03:07``."""
    whole = int(max(seconds, 0.0))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def moment(time_s: float, *, with_year: bool = True) -> str:
    """Write a time of day with its date, on the clock of this machine: ``20 Nov 2026 10:32``."""
    form = "%d %b %Y %H:%M" if with_year else "%d %b %H:%M"
    return datetime.fromtimestamp(time_s, tz=UTC).astimezone().strftime(form)


def _not_met(link: Link) -> Freshness:
    if link.n_malformed:
        return Freshness(level=Level.STALE, text=f"{link.source} is not understood")
    return Freshness(level=Level.WAITING, text=f"waiting for {link.source}, since {duration(link.silent_s)}")


def _ended(progress: ScanProgress, end_s: float | None) -> Freshness:
    when = "" if end_s is None else f", {moment(end_s, with_year=False)}"
    if progress.state == "finished":
        return Freshness(level=Level.ENDED, text=f"scan finished{when}")
    level = Level.STALE if progress.state == "failed" else Level.CUT_SHORT
    return Freshness(
        level=level, text=f"scan {progress.state} at {progress.lines_done} of {progress.lines_expected} lines{when}"
    )
