"""A beamline opened for a person or a queue: RunEngine, devices and plans by name (``operando.startup``).

Importing this touches nothing; opening connects to the beamline, says and puts right what an earlier process left behind,
serves the journal and records the cell. It is the same for IPython, for scripts and for the start-up file of a queue server.
"""

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluesky.utils import MsgGenerator

from acquisition.announce import Announcer, give_notice, stop_torn_runs
from acquisition.cell.channels import OWN, CellChannels
from acquisition.leftovers import clear_leftovers
from acquisition.plans.catalogue import make_programme, programme_of
from acquisition.plans.dry_run import DryRun, rehearse
from acquisition.safety import LOOK_S, CellInterlock, first_complaint
from acquisition.suspenders import make_suspenders
from operando.bus.asking import Asker
from operando.bus.client import FeedClient
from operando.bus.server import FeedServer
from operando.errors import ProfileError
from operando.journal import Journal
from operando.messages import RunStarted, ScanState, ServicesOffered
from operando.messages.commands import State
from operando.profile import Profile, read_profile

if TYPE_CHECKING:
    from bluesky import RunEngine

    from acquisition.devices.beamline import BeamlineDevices
    from acquisition.plans.station import Station


def open_workplace(
    profile: str | Path | Profile, *, out: str | Path = "runs/interactive", takes_commands: bool = False
) -> dict[str, Any]:
    """Open the beamline of a profile, and give what a session works with, by name.

    ``RE`` is the RunEngine; each device of the beamline goes by its role (``fast``, ``rotation``, ``shutter``, ...), each plan
    of the catalogue by its name; ``dry_run("xrdct", n_lines=10)`` says what a plan would do; ``close()`` ends it all in order.

    Parameters
    ----------
    profile
        A name, a folder, a file, or a profile that was read.
    out
        Folder of the beamtime, for the journal.
    takes_commands
        Whether somebody takes the profile's commands for this beamline, as the journal then says.

    Raises
    ------
    OperandoError
        If the profile is wrong, or the beamline does not answer.
    """
    read = profile if isinstance(profile, Profile) else read_profile(str(profile))
    if read.control.mode == "listen":
        raise ProfileError(f"{read.name} only listens: another control system scans there; use operando start listen")
    folder = Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opening:
        names = _open(read, folder, opening, takes_commands=takes_commands)
        stack = opening.pop_all()
    names["close"] = stack.close
    atexit.register(stack.close)
    return names


def _open(profile: Profile, out: Path, stack: ExitStack, *, takes_commands: bool) -> dict[str, Any]:
    from acquisition.devices.beamline import make_devices

    journal = Journal(out / "journal.jsonl")
    stack.callback(journal.close)
    stop_torn_runs(journal)
    stack.enter_context(FeedServer(journal, profile.addresses.journal))
    devices = make_devices(profile)
    stack.callback(devices.detector.client.close)
    clear_leftovers(devices, profile, tell=lambda text: give_notice(journal, "warning", text))
    cells = CellChannels({OWN: devices.cell, **devices.channels}, journal=journal)
    station = _station(profile, devices, journal, cells, stack)
    engine = _engine(journal, station)
    if takes_commands:
        journal.append(ServicesOffered(commands=profile.addresses.commands, time_s=time.time()))
    for work in (cells.run, *_interlocks(profile, cells, engine, station)):
        _start(work, stack)
    _start(partial(_tell_of_cell, journal, engine, station), stack)

    def dry_run(plan: str = "", **arguments: Any) -> DryRun:
        """Give what a plan would do, to be printed; nothing is touched. Without a name, it is the profile's plan."""
        programme = make_programme(plan, profile, arguments) if plan else programme_of(profile)
        return rehearse(programme, out=out)

    return {"RE": engine, "profile": profile, "dry_run": dry_run, **_devices_by_role(devices), **_plans(station, profile)}


def _station(
    profile: Profile, devices: "BeamlineDevices", journal: Journal, cells: CellChannels, stack: ExitStack
) -> "Station":
    # These come after the devices: importing them starts Channel Access.
    from acquisition.plans.between import Backlog, NoBacklog, ReductionBacklog
    from acquisition.plans.station import Station

    backlog: Backlog = NoBacklog()
    if profile.scan.on_backlog == "hold":
        backlog = ReductionBacklog(stack.enter_context(FeedClient(profile.addresses.reduction)))
    asker = Asker(profile.addresses.questions)
    stack.callback(asker.close)
    return Station(
        devices=devices,
        announcer=Announcer(journal, profile=profile, layout=programme_of(profile).runs[0].layout),
        history=cells.histories[OWN],
        hurry_cell=cells.hurry,
        select_cell=cells.select,
        backlog=backlog,
        suspenders=make_suspenders(profile, devices),
        cell_complaint=lambda: first_complaint(profile.cell_limits, cells.histories, now_s=time.time()),
        asks=asker,
    )


def _engine(journal: Journal, station: "Station") -> "RunEngine":
    from bluesky import RunEngine

    # Scans of a beamtime are counted on, however often the session is opened anew.
    n_runs = sum(isinstance(entry.message, RunStarted) for entry in journal.since(0, limit=journal.head))
    engine = RunEngine({"scan_id": n_runs})
    engine.subscribe(station.announcer.document)
    engine.state_hook = lambda state, _: _say_state(journal, str(state), forbidden=station.cell_complaint())
    return engine


def _say_state(journal: Journal, engine_state: str, *, forbidden: str) -> None:
    """Write how the RunEngine stands, and why it must stay so; transitions that pass at once are left out."""
    states: dict[str, State] = {"idle": "idle", "running": "running", "paused": "paused"}
    if engine_state in states:
        reason = "" if engine_state == "running" else forbidden
        journal.append(ScanState(state=states[engine_state], reason=reason, time_s=time.time()))


def _tell_of_cell(journal: Journal, engine: "RunEngine", station: "Station", ended: threading.Event) -> None:
    """Write when a cell begins to forbid all flying, and when it no longer does: who takes commands elsewhere reads it."""
    was = ""
    while not ended.wait(LOOK_S):
        forbidden = station.cell_complaint()
        if bool(forbidden) != bool(was):
            _say_state(journal, str(engine.state), forbidden=forbidden)
        was = forbidden


def _interlocks(
    profile: Profile, cells: CellChannels, engine: "RunEngine", station: "Station"
) -> list[Callable[[threading.Event], None]]:
    def trip(reason: str) -> None:
        station.announcer.notice("error", reason)
        # Nothing may be running: then there is nothing to pause.
        with contextlib.suppress(RuntimeError, ValueError):
            engine.request_pause(defer=False)

    histories = cells.histories.items()
    return [CellInterlock(profile.cell_limits, history, channel=name, trip=trip).run for name, history in histories]


def _start(work: Callable[[threading.Event], None], stack: ExitStack) -> None:
    """Let a thread work until the workplace is closed; of the control layer's own kind, for only those may use its channels."""
    from ophyd import get_cl

    ended = threading.Event()
    thread = get_cl().thread_class(target=work, args=(ended,), daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join(timeout=5)

    stack.callback(end)


def _devices_by_role(devices: "BeamlineDevices") -> dict[str, Any]:
    roles = ("fast", "rotation", "hexapod", "shutter", "trigger", "ring", "detector", "cell")
    named = {role: getattr(devices, role) for role in roles}
    return {role: device for role, device in named.items() if device is not None}


def _plans(station: "Station", profile: Profile) -> dict[str, Callable[..., MsgGenerator[None]]]:
    from acquisition.plans.bound import plans_of

    return {name: _told(name, plan, station.announcer) for name, plan in plans_of(station, profile).items()}


def _told(name: str, plan: Callable[..., MsgGenerator[None]], announcer: Announcer) -> Callable[..., MsgGenerator[None]]:
    """Let a plan say in the journal that it is over, however it ends."""

    @wraps(plan)
    def told(*args: Any, **arguments: Any) -> Generator[Any, Any, None]:
        try:
            yield from plan(*args, **arguments)
        except GeneratorExit:
            raise
        except BaseException as failure:
            is_abort = type(failure).__name__ in ("RequestAbort", "RequestStop", "PlanHalt")
            announcer.plan_ended(name, exit_status="abort" if is_abort else "fail", reason=str(failure))
            raise
        announcer.plan_ended(name, exit_status="success")

    return told
