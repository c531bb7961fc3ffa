"""Write the journal of a run: what the plan announces, and every document that the RunEngine emits.

Lines are announced before they fly. Whatever ends a run early, the open line is aborted and the run stopped in the journal:
both follow from the RunEngine's stop document, which is emitted in every case but the death of the process.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import structlog

from acquisition.plans.dose import layout_dose_gy
from acquisition.plans.layout import Flown, Layout
from operando.bus.store import Store
from operando.messages import (
    CellReading,
    Document,
    LineAborted,
    LineAnnounced,
    LineFlown,
    Notice,
    PlanEnded,
    RunStarted,
    RunStopped,
)
from operando.profile import Cell, Profile
from operando.scan import LineKey

logger = structlog.get_logger(__name__)

ORIGIN = "acquire"


class Announcer:
    """Tells everyone what one scan does; called from the RunEngine's thread.

    Parameters
    ----------
    journal
        Where it is written.
    profile, layout
        What flies.
    metadata
        What else a listener should know of the run; plain values.
    clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        journal: Store,
        *,
        profile: Profile,
        layout: Layout,
        metadata: dict[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._profile = profile
        self._layout = layout
        self._metadata = metadata or {}
        self._clock = clock
        self.run = ""
        """Id of the open run, that of its start document; empty when none is open."""
        self._n_announced: dict[int, int] = {}
        self.open_line: LineAnnounced | None = None
        """The line that has been announced and has neither flown nor been aborted."""

    def lay_out(self, *, profile: Profile, layout: Layout, metadata: dict[str, Any]) -> None:
        """Say what the next run flies; between runs only."""
        self._profile, self._layout, self._metadata = profile, layout, metadata

    def newest_tomogram(self) -> str:
        """Give the newest run of the journal whose frames are for a tomogram; empty if there is none."""
        return newest_tomogram(self._journal)

    def plan_and_lines(self, run: str) -> tuple[RunStarted | None, list[int]]:
        """Give how a run of the journal began, and the lines that flew in it; see :func:`plan_and_lines`."""
        return plan_and_lines(self._journal, run)

    def document(self, name: str, document: dict[str, Any]) -> None:
        """Write a document of the RunEngine, and what it means for the run; to be subscribed to the RunEngine."""
        self._journal.append(Document(name=name, document=_plain(document)))
        if name == "start":
            self._start(str(document["uid"]))
        elif name == "stop":
            self.abort_line(f"the run ended ({document['exit_status']})")
            self._stop(document["exit_status"], str(document.get("reason", "")))

    def announce_line(self, line: Flown, *, series: int, first_image_id: int) -> None:
        """Say which frames the line that is about to fly will have, and where they are planned; each time is an attempt."""
        attempt = self._n_announced.get(line.index, 0)
        self._n_announced[line.index] = attempt + 1
        self.open_line = LineAnnounced(
            run=self.run,
            line=line.index,
            attempt=attempt,
            series=series,
            first_image_id=first_image_id,
            n_points=self._layout.flight.n_points,
            angle_deg=line.angle_deg,
            angle_step_deg=line.angle_step_deg,
            direction=line.direction,
            first_position_mm=line.first_position_mm,
            step_mm=line.step_mm,
            time_s=self._clock(),
        )
        self._journal.append(self.open_line)

    def line_flown(
        self,
        positions_mm: Sequence[float],
        *,
        source: Literal["captured", "computed"],
        angle_deg: float,
        angles_deg: Sequence[float] = (),
        ring_current_ma: float | None,
        cell: CellReading | None,
        start_s: float,
        end_s: float,
    ) -> LineKey:
        """Say where the points of the open line really were, and what the cell did meanwhile.

        Raises
        ------
        RuntimeError
            If no line is open.
        """
        line = self.open_line
        if line is None:
            raise RuntimeError("a line flew that was never announced: announce it first")
        flown = LineFlown(
            run=line.run,
            line=line.line,
            attempt=line.attempt,
            positions_mm=list(positions_mm),
            positions_source=source,
            angle_deg=angle_deg,
            angles_deg=list(angles_deg),
            ring_current_ma=ring_current_ma,
            cell=cell,
            start_s=start_s,
            end_s=end_s,
        )
        self._journal.append(flown)
        self.open_line = None
        return LineKey(run=line.run, line=line.line, attempt=line.attempt)

    def abort_line(self, reason: str) -> bool:
        """Say that the frames of the open line count for nothing; false if no line is open."""
        line = self.open_line
        if line is None:
            return False
        self.open_line = None
        self._journal.append(
            LineAborted(run=line.run, line=line.line, attempt=line.attempt, reason=reason[:4000], time_s=self._clock())
        )
        logger.warning("line aborted", line=line.line, attempt=line.attempt, reason=reason)
        return True

    def notice(self, level: Literal["info", "warning", "error"], text: str) -> None:
        """Tell the person at the beamline."""
        give_notice(self._journal, level, text, clock=self._clock)

    def plan_ended(self, plan: str, *, exit_status: Literal["success", "abort", "fail"], reason: str = "") -> None:
        """Say that no further run of a plan follows."""
        self._journal.append(PlanEnded(plan=plan, exit_status=exit_status, reason=reason[:4000], time_s=self._clock()))

    def _start(self, run: str) -> None:
        profile, layout, flight = self._profile, self._layout, self._layout.flight
        self.run = run
        self._n_announced = attempts_so_far(self._journal, before(self._metadata))
        started = RunStarted(
            run=run,
            time_s=self._clock(),
            profile=profile.name,
            plan=str(self._metadata.get("plan_name", "xrdct")),
            sample=f"simulated {profile.twin.sample}" if profile.twin is not None else profile.cell.name,
            cell=_cell_in_words(profile.cell),
            angles_deg=layout.grid.angles_deg.tolist(),
            first_position_mm=layout.grid.first_position_mm,
            step_mm=layout.grid.step_mm,
            n_points=layout.grid.n_points,
            exposure_s=flight.exposure_s,
            period_s=flight.period_s,
            speed_mm_s=flight.speed_mm_s,
            geometry_sha256=str(self._metadata.get("geometry_sha256", "")),
            estimated_duration_s=layout.total_s,
            estimated_dose_gy=None if profile.dose is None else layout_dose_gy(layout, profile.dose),
            metadata=_plain(self._metadata),
        )
        self._journal.append(started)
        logger.info("run started", run=run, lines=len(layout.lines), frames=layout.n_frames)

    def _stop(self, exit_status: Literal["success", "abort", "fail"], reason: str) -> None:
        self._journal.append(RunStopped(run=self.run, exit_status=exit_status, reason=reason[:4000], time_s=self._clock()))
        logger.info("run stopped", run=self.run, exit_status=exit_status, reason=reason)
        self.run = ""


def give_notice(
    journal: Store, level: Literal["info", "warning", "error"], text: str, *, clock: Callable[[], float] = time.time
) -> None:
    """Write a sentence for the person at the beamline."""
    journal.append(Notice(level=level, origin=ORIGIN, text=text[:4000], time_s=clock()))
    logger.info("notice", level=level, text=text)


def attempts_so_far(journal: Store, run: str) -> dict[int, int]:
    """Give how many attempts of each line were announced in a run and in those before it; the next go on counting."""
    entries = journal.since(0, limit=journal.head) if run else []
    continued = {
        entry.message.run: before(entry.message.metadata) for entry in entries if isinstance(entry.message, RunStarted)
    }
    runs: set[str] = set()
    while run and run not in runs:
        runs.add(run)
        run = continued.get(run, "")
    counted: dict[int, int] = {}
    for entry in entries:
        if isinstance(entry.message, LineAnnounced) and entry.message.run in runs:
            counted[entry.message.line] = max(counted.get(entry.message.line, 0), entry.message.attempt + 1)
    return counted


def before(metadata: Mapping[str, Any]) -> str:
    """Give the run that a run continues or makes denser; empty if there is none."""
    return str(metadata.get("continues") or metadata.get("densifies") or "")


def plan_and_lines(journal: Store, run: str) -> tuple[RunStarted | None, list[int]]:
    """Give how a run began, None if it is not known, and the lines that flew in it or in those that it continues."""
    messages = [entry.message for entry in journal.since(0, limit=journal.head)]
    started = {one.run: one for one in messages if isinstance(one, RunStarted)}
    runs = [run]
    while (earlier := before(started[runs[-1]].metadata) if runs[-1] in started else "") and earlier not in runs:
        runs.append(earlier)
    flown = [one.line for one in messages if isinstance(one, LineFlown) and one.run in runs]
    return started.get(run), list(dict.fromkeys(flown))


def newest_tomogram(journal: Store) -> str:
    """Give the newest run whose frames are for a tomogram; empty if there is none."""
    started = (entry.message for entry in journal.since(0, limit=journal.head))
    runs = [one.run for one in started if isinstance(one, RunStarted) and one.metadata.get("purpose", "tomogram") == "tomogram"]
    return runs[-1] if runs else ""


def stop_torn_runs(journal: Store, *, clock: Callable[[], float] = time.time) -> int:
    """Stop, in the journal, the runs that an earlier process left open when it died; give their number."""
    open_runs: dict[str, LineAnnounced | None] = {}
    for entry in journal.since(0, limit=journal.head):
        message = entry.message
        if isinstance(message, RunStarted):
            open_runs[message.run] = None
        elif isinstance(message, LineAnnounced):
            open_runs[message.run] = message
        elif isinstance(message, LineFlown | LineAborted):
            open_runs[message.run] = None
        elif isinstance(message, RunStopped):
            open_runs.pop(message.run, None)
    reason = "the process that ran it died"
    for run, line in open_runs.items():
        if line is not None:
            journal.append(LineAborted(run=run, line=line.line, attempt=line.attempt, reason=reason, time_s=clock()))
        journal.append(RunStopped(run=run, exit_status="fail", reason=reason, time_s=clock()))
    return len(open_runs)


def _plain(value: Any) -> Any:
    """Give a document without NumPy: event_model's own way imports dask, which takes seconds in the middle of a line."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _cell_in_words(cell: Cell) -> str:
    """Name the cell, and say so when what it does is not happening now at its own pace."""
    pace = f"(replayed {cell.speed:g} times fast)" if cell.speed != 1 else ""
    return " ".join(word for word in (cell.name, cell.chemistry, pace) if word)
