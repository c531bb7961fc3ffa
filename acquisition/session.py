"""The acquisition process: journal, devices, the cell's record, and one plan.

It serves the journal from the first moment, flies the profile's plan once, and goes on serving until it is stopped. Stopped in
mid-run it aborts: axes stopped, shutter closed, series ended.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from acquisition.announce import Announcer, give_notice, stop_torn_runs
from acquisition.cell.channels import OWN, CellChannels
from acquisition.cell.history import CellHistory
from acquisition.leftovers import clear_leftovers
from acquisition.metadata import run_metadata
from acquisition.plans.catalogue import programme_of
from acquisition.plans.dry_run import check_programme
from acquisition.plans.programme import Programme
from acquisition.safety import CellInterlock
from acquisition.suspenders import make_suspenders
from operando.bus.client import FeedClient
from operando.bus.server import FeedServer
from operando.errors import OperandoError
from operando.journal import Journal
from operando.messages import CellReading
from operando.profile import Profile

if TYPE_CHECKING:
    # At run time these come after the devices: importing them starts Channel Access.
    from bluesky import RunEngine

    from acquisition.devices.beamline import BeamlineDevices

logger = structlog.get_logger(__name__)


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Fly the plan of a profile once, and serve the journal of the beamtime until ``stop`` is set.

    Raises
    ------
    OperandoError
        Before ``ready``: if the scan cannot be flown, a device does not answer, or the address of the journal is taken.
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
        ready()
        if not stop.is_set():
            announcer = Announcer(journal, profile=profile, layout=programme.runs[0].layout)
            cell = {"history": cells.histories[OWN], "hurry_cell": cells.hurry, "select_cell": cells.select}
            _fly(programme, devices, announcer, cell=cell, histories=cells.histories, stop=stop)
        stop.wait()


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
    stop: threading.Event,
) -> None:
    """Run the plan to its end, or until stopped; whatever happens to it is in the journal."""
    from bluesky import RunEngine

    from acquisition.plans.between import Backlog, NoBacklog, ReductionBacklog
    from acquisition.plans.station import Station, fly_programme

    # No signal handlers: in this process SIGINT and SIGTERM set ``stop``.
    engine = RunEngine({}, context_managers=[], call_returns_result=True)
    finished = threading.Event()
    threading.Thread(target=_abort_when_stopped, args=(engine, stop, finished), name="abort", daemon=True).start()
    profile = programme.profile
    with ExitStack() as stack:
        backlog: Backlog = NoBacklog()
        if profile.scan.on_backlog == "hold":
            backlog = ReductionBacklog(stack.enter_context(FeedClient(profile.addresses.reduction)))
        suspenders = make_suspenders(profile, devices)
        station = Station(devices=devices, announcer=announcer, backlog=backlog, suspenders=suspenders, **cell)
        plan = fly_programme(station, programme)
        for channel, history in histories.items():
            interlock = CellInterlock(
                profile.cell_limits, history, channel=channel, trip=lambda reason: _pause_for_cell(engine, announcer, reason)
            )
            threading.Thread(target=interlock.run, args=(finished,), name="cell interlock", daemon=True).start()
        try:
            engine(plan, announcer.document)
            announcer.plan_ended(programme.plan, exit_status="success")
        except Exception as failure:  # the journal is still served, and says why
            if engine.state == "paused":
                engine.abort("the scan was paused and nobody is here to resume it")
            _say_end(announcer, failure, was_stopped=stop.is_set())
            status: Literal["abort", "fail"] = "abort" if stop.is_set() else "fail"
            announcer.plan_ended(programme.plan, exit_status=status, reason=str(failure))
        finally:
            finished.set()


def _pause_for_cell(engine: "RunEngine", announcer: Announcer, reason: str) -> None:
    announcer.notice("error", reason)
    # The plan may have ended of itself by now: then there is nothing left to pause.
    with contextlib.suppress(RuntimeError, ValueError):
        engine.request_pause(defer=False)


def _abort_when_stopped(engine: "RunEngine", stop: threading.Event, finished: threading.Event) -> None:
    while not finished.is_set():
        if not stop.wait(0.2):
            continue
        if engine.state not in ("idle", "aborting"):
            # It may have ended of itself by now: then there is nothing left to abort.
            with contextlib.suppress(RuntimeError, ValueError):
                engine.abort("operando was stopped")
        finished.wait(1.0)


def _say_end(announcer: Announcer, failure: Exception, *, was_stopped: bool) -> None:
    if was_stopped:
        announcer.notice("info", "the scan was stopped")
        return
    sentence = str(failure) if isinstance(failure, OperandoError) else f"the scan failed: {failure}"
    logger.error("scan failed", reason=str(failure), kind=type(failure).__name__)
    announcer.notice("error", sentence)
