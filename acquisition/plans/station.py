"""Fly a programme at a beamline: every run with its own documents, every move verified, whatever happens left safe."""

import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import short_uid

from acquisition.announce import Announcer
from acquisition.cell.history import CellHistory
from acquisition.metadata import run_metadata
from acquisition.plans.between import Backlog
from acquisition.plans.densify import STEPS_IN_ONE, Disc, dense_layout, n_frames_of_map, named_disc
from acquisition.plans.dry_run import check_programme
from acquisition.plans.interruptions import Interruptions
from acquisition.plans.programme import Move, PlannedRun, Programme, Wait
from acquisition.plans.steering import Asks, Steering
from acquisition.plans.xrdct import check_beamline, xrdct
from operando.errors import ProfileError
from operando.messages import RunStarted
from operando.scan import TomogramGrid

if TYPE_CHECKING:
    from acquisition.devices.beamline import BeamlineDevices

Plan = Generator[Msg, Any, Any]

MOVE_S = 300.0
"""Deadline for a move of the hexapod between runs. Its axes have their own, shorter ones; this is for one that is silent."""

LAST = "last"
"""Stands for the newest tomogram of the journal, where a run says which one it continues."""

LOOK_S = 1.0
"""How often a wait looks at the clock: it ends this much late at most, and can be paused and aborted in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Everything that a programme flies with."""

    devices: "BeamlineDevices"
    announcer: Announcer
    history: CellHistory
    """Readings of the profile's own cell, for lines and for conditions."""
    select_cell: Callable[[str | None], CellHistory] | None = None
    """Says which channel's cell is in the beam, and gives its readings; None where there is but one."""
    hurry_cell: Callable[[], None] = lambda: None
    backlog: Backlog | None = None
    suspenders: Sequence[Any] = ()
    end_wish: Callable[[], str] = lambda: ""
    """Says why a programme shall end before its next line; empty if it shall go on."""
    cell_complaint: Callable[[], str] = lambda: ""
    """Says why no line may fly because of a cell; empty if all may."""
    asks: Asks | None = None
    """Asks the analysis how the map is; None steers no plan."""
    clock: Callable[[], float] = time.time
    """Seconds since the Unix epoch."""
    sleep: Callable[[float], Plan] = bps.sleep


def fly_programme(station: Station, programme: Programme, *, metadata: dict[str, Any] | None = None) -> Plan:
    """Fly the steps of a programme in order, until they are over or its condition is met.

    Raises
    ------
    ProfileError
        Before anything moves, if any step cannot be flown.
    """
    check_programme(programme)
    check_steps(station.devices, programme)
    interruptions = Interruptions(restore=lambda: None, on_pause=lambda: None)
    group = uuid.uuid4().hex
    shared = {**(metadata or {}), "programme": {"group": group, "n_runs": len(programme.runs)}}

    def all_steps() -> Plan:
        yield from bps.stage(interruptions)
        began_s = station.clock()
        n_flown = 0
        for step in programme.steps:
            reason = _end_reached(station, programme, began_s=began_s) if n_flown else ""
            if reason:
                station.announcer.notice("info", f"{programme.plan} ends after {n_flown} runs: {reason}")
                return
            if isinstance(step, PlannedRun):
                run = step if step.densify is None else (yield from _located(station, step))
                if run is not None:
                    yield from _run(station, programme, run, number=n_flown, metadata=shared)
                    n_flown += 1
            elif isinstance(step, Move):
                yield from interruptions.undisturbed(partial(_move, station.devices, step))
            else:
                yield from _wait(station, step, began_s=began_s)

    def end() -> Plan:
        if station.select_cell is not None:
            station.select_cell("")
        yield from bps.unstage(interruptions)

    plan = bpp.finalize_wrapper(all_steps(), end)
    yield from bpp.rewindable_wrapper(plan, False)


def check_steps(devices: "BeamlineDevices", programme: Programme) -> None:
    """Ask the beamline as it stands whether every line end, angle and move can be reached; nothing is put.

    Raises
    ------
    ProfileError
        With what it answers.
    """
    for layout in {id(run.layout): run.layout for run in programme.runs}.values():
        check_beamline(devices, layout)
    axes = _axes(devices)
    for step in programme.steps:
        for name, target in step.pose.items() if isinstance(step, Move) else ():
            if name not in axes:
                raise ProfileError(f"there is no axis {name} to move, there are {', '.join(axes) or 'none'}: see hexapod_axes")
            try:
                axes[name].check_value(target)
            except ValueError as refused:  # ophyd's LimitError is one
                raise ProfileError(f"this cannot be flown as the beamline stands: {refused}") from refused


def _run(station: Station, programme: Programme, run: PlannedRun, *, number: int, metadata: dict[str, Any]) -> Plan:
    of_run = {
        **run_metadata(run.profile, run.layout),
        **metadata,
        **run.metadata,
        "plan_name": programme.plan,
        "purpose": run.purpose,
        "programme": {**metadata["programme"], "number": number},
    }
    history = station.history if run.channel == "" else CellHistory()
    if station.select_cell is not None:
        history = station.select_cell(run.channel)
    if (reading := history.newest) is not None:
        of_run["cell"] = {**of_run["cell"], "c_rate": reading.c_rate}
    if of_run.get("continues") == LAST:
        of_run["continues"] = station.announcer.newest_tomogram()
    station.announcer.lay_out(profile=run.profile, layout=run.layout, metadata=of_run)
    yield from xrdct(
        station.devices,
        run.profile,
        layout=run.layout,
        announcer=station.announcer,
        history=history,
        hurry_cell=station.hurry_cell,
        backlog=station.backlog,
        suspenders=station.suspenders,
        has_beam=run.has_beam,
        end_wish=station.end_wish,
        cell_complaint=station.cell_complaint,
        steering=None if run.densify is not None else _steering(station, programme),
        metadata=of_run,
    )


def _located(station: Station, run: PlannedRun) -> Generator[Msg, Any, PlannedRun | None]:
    """Return a run that makes an earlier one denser as it flies, now that this one is there; None, and why, if it cannot."""
    wanted, announcer = run.densify, station.announcer
    if wanted is None:
        return run
    earlier = announcer.newest_tomogram() if wanted.run == LAST else wanted.run
    started, flown = announcer.plan_and_lines(earlier)
    if started is None or not flown or started.metadata.get("sweep"):
        announcer.notice("warning", f"nothing is made denser: no run {earlier or 'of a tomogram'} with lines is in the journal")
        return None
    if wanted.x_mm is not None and wanted.y_mm is not None:
        disc: Disc | None = Disc(x_mm=wanted.x_mm, y_mm=wanted.y_mm, radius_mm=wanted.radius_mm)
    else:
        disc = (yield from named_disc(station.asks, wanted, run=earlier)) if station.asks is not None else None
    if disc is None:
        announcer.notice("warning", "nothing is made denser: the analysis names no place, or was silent; name x_mm and y_mm")
        return None
    grid = _grid_to_refine(started)
    lines = wanted.lines(grid, flown)
    layout = dense_layout(run.profile, grid, disc, lines)
    announcer.notice(
        "info",
        f"{len(lines)} lines fly again within {disc.radius_mm:g} mm of ({disc.x_mm:.3g}, {disc.y_mm:.3g}) mm, "
        f"{layout.flight.n_points} points at {layout.flight.step_mm:g} mm each",
    )
    metadata = {
        **run.metadata,
        "densifies": earlier,
        "region": {"x_mm": disc.x_mm, "y_mm": disc.y_mm, "radius_mm": disc.radius_mm},
        "n_frames_of_map": n_frames_of_map(grid, layout, flown),
    }
    scan = run.profile.scan.model_copy(update={"step_mm": layout.grid.step_mm, "n_points": layout.grid.n_points})
    return replace(run, profile=run.profile.model_copy(update={"scan": scan}), layout=layout, metadata=metadata)


def _grid_to_refine(started: RunStarted) -> TomogramGrid:
    """Give the grid of a run; of one that is denser itself, that of the run before it, so that both stand on one grid."""
    grid = TomogramGrid(
        angles_deg=np.array(started.angles_deg),
        first_position_mm=started.first_position_mm,
        step_mm=started.step_mm,
        n_points=started.n_points,
    )
    if not started.metadata.get("densifies"):
        return grid
    return replace(grid, step_mm=STEPS_IN_ONE * grid.step_mm, n_points=(grid.n_points - 1) // STEPS_IN_ONE + 1)


def _steering(station: Station, programme: Programme) -> Steering | None:
    if programme.steering is None or station.asks is None:
        return None
    announcer = station.announcer
    return Steering(
        programme.steering, station.asks, run=lambda: announcer.run, notify=lambda text: announcer.notice("info", text)
    )


def _end_reached(station: Station, programme: Programme, *, began_s: float) -> str:
    now_s = station.clock()
    return station.end_wish() or programme.until.met(elapsed_s=now_s - began_s, reading=station.history.newest, now_s=now_s)


def _move(devices: "BeamlineDevices", move: Move) -> Plan:
    axes, group = _axes(devices), short_uid("move")
    for name, target in move.pose.items():
        yield from bps.abs_set(axes[name], target, group=group)
    yield from bps.wait(group=group, timeout=MOVE_S)


def _wait(station: Station, wait: Wait, *, began_s: float) -> Plan:
    end_s = station.clock() + wait.for_s if wait.for_s is not None else began_s + (wait.until_s or 0.0)
    while (left_s := end_s - station.clock()) > 0 and not station.end_wish():
        yield from bps.checkpoint()
        yield from station.sleep(min(left_s, LOOK_S))


def _axes(devices: "BeamlineDevices") -> dict[str, Any]:
    return {} if devices.hexapod is None else devices.hexapod.axes
