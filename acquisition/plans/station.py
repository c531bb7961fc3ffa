"""Fly a programme at a beamline: every run with its own documents, every move verified, whatever happens left safe."""

import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp

from acquisition.announce import Announcer
from acquisition.cell.history import CellHistory
from acquisition.metadata import run_metadata
from acquisition.plans.between import Backlog
from acquisition.plans.dry_run import check_programme
from acquisition.plans.interruptions import Interruptions
from acquisition.plans.programme import Move, PlannedRun, Programme, Wait
from acquisition.plans.steering import Asks, Steering
from acquisition.plans.xrdct import check_beamline, xrdct
from operando.errors import ProfileError

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
                yield from _run(station, programme, step, number=n_flown, metadata=shared)
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
        steering=_steering(station, programme),
        metadata=of_run,
    )


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
    axes = _axes(devices)
    for name, target in move.pose.items():
        yield from bps.abs_set(axes[name], target, group="move")
    yield from bps.wait(group="move", timeout=MOVE_S)


def _wait(station: Station, wait: Wait, *, began_s: float) -> Plan:
    end_s = station.clock() + wait.for_s if wait.for_s is not None else began_s + (wait.until_s or 0.0)
    while (left_s := end_s - station.clock()) > 0 and not station.end_wish():
        yield from bps.checkpoint()
        yield from station.sleep(min(left_s, LOOK_S))


def _axes(devices: "BeamlineDevices") -> dict[str, Any]:
    return {} if devices.hexapod is None else devices.hexapod.axes
