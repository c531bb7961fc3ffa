"""The acquisition process: journal, devices, the cell's record, one plan after another, and the commands of persons.

It serves the journal from the first moment, flies the profile's plan, and then what it is told to fly, until it is stopped.
Stopped in mid-run it aborts: axes stopped, shutter closed, series ended. Paused it stays so until somebody resumes.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import JsonValue

from acquisition.announce import Announcer, give_notice, stop_torn_runs
from acquisition.cell.channels import OWN, CellChannels
from acquisition.cell.history import CellHistory
from acquisition.commands import CommandDesk
from acquisition.conductor import Conductor
from acquisition.leftovers import clear_leftovers
from acquisition.metadata import run_metadata
from acquisition.plans.catalogue import CATALOGUE, arguments_of, make_programme, programme_of
from acquisition.plans.dry_run import check_programme
from acquisition.plans.programme import Programme
from acquisition.safety import CellInterlock, first_complaint
from acquisition.suspenders import make_suspenders
from operando.bus.asking import AnswerServer, Asker
from operando.bus.client import FeedClient
from operando.bus.server import FeedServer
from operando.errors import OperandoError
from operando.journal import Journal
from operando.messages import CellReading, ServicesOffered
from operando.profile import Profile

if TYPE_CHECKING:
    # At run time these come after the devices: importing them starts Channel Access.
    from acquisition.devices.beamline import BeamlineDevices

logger = structlog.get_logger(__name__)

STOPPED = "operando was stopped"


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Fly the plan of a profile and then those that are wished, and serve the journal of the beamtime until ``stop`` is set.

    Raises
    ------
    OperandoError
        Before ``ready``: if the scan cannot be flown, a device does not answer, or an address is taken.
    """
    programme = programme_of(profile)
    check_programme(programme)
    run_metadata(profile, programme.runs[0].layout)
    with ExitStack() as stack:
        journal = Journal(out / "journal.jsonl")
        stack.callback(journal.close)
        stop_torn_runs(journal)
        stack.enter_context(FeedServer(journal, profile.addresses.journal))
        devices = _connect(profile, programme)
        clear_leftovers(devices, profile, tell=lambda text: give_notice(journal, "warning", text))
        cells = CellChannels(
            {OWN: devices.cell, **devices.channels},
            journal=journal,
            on_first=lambda reading: _say_source(profile, journal, reading),
        )
        stack.callback(_start_recording(cells))
        conductor = _make_conductor(profile, journal, cells.histories)
        desk = CommandDesk(
            conductor,
            prepare=lambda plan, arguments: _prepared(profile, plan, arguments),
            plans={name: arguments_of(name) for name in CATALOGUE},
        )
        commands = stack.enter_context(AnswerServer(profile.addresses.commands, desk))
        journal.append(ServicesOffered(commands=commands.address, time_s=time.time()))
        stack.callback(lambda: journal.append(ServicesOffered(time_s=time.time())))
        stack.callback(_abort_when(stop, conductor))
        ready()
        announcer = Announcer(journal, profile=profile, layout=programme.runs[0].layout)
        cell = {"history": cells.histories[OWN], "hurry_cell": cells.hurry, "select_cell": cells.select}
        wanted: Programme | None = programme if profile.scan.begin == "at_once" else desk.await_start(stop)
        while wanted is not None and not stop.is_set():
            _fly(wanted, devices, announcer, cell=cell, histories=cells.histories, conductor=conductor)
            wanted = desk.await_start(stop)


def _prepared(profile: Profile, plan: str, arguments: Mapping[str, JsonValue]) -> Programme:
    """Give the checked programme of a plan; without a name, the profile's with its arguments.

    Raises
    ------
    OperandoError
        If it cannot be flown.
    """
    programme = make_programme(plan, profile, arguments) if plan else programme_of(profile)
    check_programme(programme)
    return programme


def _make_conductor(profile: Profile, journal: Journal, histories: Mapping[str, CellHistory]) -> Conductor:
    from bluesky import RunEngine

    # No signal handlers: in this process SIGINT and SIGTERM set ``stop``.
    engine = RunEngine({}, context_managers=[], call_returns_result=True)

    def forbids() -> str:
        wrong = first_complaint(profile.cell_limits, histories, now_s=time.time())
        return f"{wrong}: nothing flies until that is over" if wrong else ""

    return Conductor(engine, tell=journal.append, forbids=forbids)


def _abort_when(stop: threading.Event, conductor: Conductor) -> Callable[[], None]:
    """Abort whatever flies once stopped; the function that is given back ends that."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if stop.wait(0.2):
                conductor.abort(STOPPED)
                ended.wait(0.2)

    thread = threading.Thread(target=watch, name="abort", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join(timeout=5)

    return end


def _connect(profile: Profile, programme: Programme) -> "BeamlineDevices":
    from acquisition.devices.beamline import make_devices

    devices = make_devices(profile)
    from acquisition.plans.station import check_steps

    check_steps(devices, programme)
    return devices


def _start_recording(recorder: CellChannels) -> Callable[[], None]:
    """Start recording the cell; the function that is given back ends it."""
    from ophyd import get_cl

    ended = threading.Event()
    # A thread of the control layer's own kind: only those may use its channels.
    thread = get_cl().thread_class(target=recorder.run, args=(ended,), name="cell", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        recorder.hurry()
        thread.join(timeout=5)

    return end


def _say_source(profile: Profile, journal: Journal, reading: CellReading) -> None:
    """Tell where the cell state comes from; loudly if that is a model."""
    is_replaced = reading.source.startswith("model") and not profile.cell.source.startswith("model")
    instead = f" instead of {profile.cell.source}" if is_replaced else ""
    give_notice(journal, "warning" if is_replaced else "info", f"the cell state comes from {reading.source}{instead}")


def _fly(
    programme: Programme,
    devices: "BeamlineDevices",
    announcer: Announcer,
    *,
    cell: dict[str, Any],
    histories: Mapping[str, CellHistory],
    conductor: Conductor,
) -> None:
    """Run the plan to its end, or until stopped; whatever happens to it is in the journal."""
    from acquisition.plans.between import Backlog, NoBacklog, ReductionBacklog
    from acquisition.plans.station import Station, fly_programme

    profile, finished = programme.profile, threading.Event()
    with ExitStack() as stack:
        backlog: Backlog = NoBacklog()
        if profile.scan.on_backlog == "hold":
            backlog = ReductionBacklog(stack.enter_context(FeedClient(profile.addresses.reduction)))
        station = Station(
            devices=devices,
            announcer=announcer,
            backlog=backlog,
            suspenders=make_suspenders(profile, devices),
            end_wish=conductor.end_wish,
            asks=_asker(profile, programme, stack),
            cell_complaint=lambda: first_complaint(profile.cell_limits, histories, now_s=time.time()),
            **cell,
        )
        stack.callback(finished.set)
        for channel, history in histories.items():
            interlock = CellInterlock(
                profile.cell_limits,
                history,
                channel=channel,
                trip=lambda reason: _pause_for_cell(conductor, announcer, reason),
            )
            threading.Thread(target=interlock.run, args=(finished,), name="cell interlock", daemon=True).start()
        try:
            plan = fly_programme(station, programme)
            ending = conductor.fly(plan, name=programme.plan, on_document=announcer.document)
        except Exception as failure:  # the journal is still served, and says why
            _say_failure(announcer, failure)
            announcer.plan_ended(programme.plan, exit_status="fail", reason=str(failure))
        else:
            if ending.reason:
                announcer.notice("info", f"{programme.plan} is over: {ending.reason}")
            announcer.plan_ended(programme.plan, exit_status=ending.exit_status, reason=ending.reason)


def _asker(profile: Profile, programme: Programme, stack: ExitStack) -> Asker | None:
    if programme.steering is None and not any(run.densify for run in programme.runs):
        return None
    asker = Asker(profile.addresses.questions)
    stack.callback(asker.close)
    return asker


def _pause_for_cell(conductor: Conductor, announcer: Announcer, reason: str) -> None:
    announcer.notice("error", reason)
    conductor.pause(reason)


def _say_failure(announcer: Announcer, failure: Exception) -> None:
    sentence = str(failure) if isinstance(failure, OperandoError) else f"the scan failed: {failure}"
    logger.error("scan failed", reason=str(failure), kind=type(failure).__name__)
    announcer.notice("error", sentence)
