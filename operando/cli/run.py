"""``operando run``: a beamtime on the beamline that a profile describes."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from operando.cli.beamtime import VIEW, Beamtime, Window, follow_run, has_screen, scan_roles, start_processes
from operando.cli.progress import RunProgress
from operando.cli.summary import Finish, add_truth, summary_since
from operando.errors import ProfileError, ServiceError, StoppedError
from operando.messages import ScanProgress
from operando.process import stop_on_signals
from operando.profile import Profile, read_profile
from operando.screen import VirtualScreen
from operando.supervise import Supervisor

_SNAPSHOT_TIMEOUT_S = 60.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    profile: Annotated[str, typer.Argument(help="A profile's name, folder or file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the scan would do; touch nothing.")] = False,
    plan: Annotated[str, typer.Option(help="A plan of the catalogue, in place of the profile's.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of the plan; JSON or a word.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Draw on a virtual screen; leave monitor.png.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the beamtime.")] = Path("runs/run"),
) -> None:
    """Scan a cell on the beamline of PROFILE and show its lithium, live."""
    read = with_plan(read_profile(profile), plan, settings or [])
    if dry_run:
        if read.control.mode == "listen":
            raise ProfileError("there is nothing to rehearse where another control system scans: use operando check")
        from acquisition.plans.dry_run import dry_run as rehearse

        rehearsal = rehearse(read, out=out)
        typer.echo(str(rehearsal))
        if rehearsal.complaints:
            raise ProfileError(f"this scan cannot be flown: {rehearsal.complaints[0]}")
        return
    beamtime = Beamtime(profile=read, out=out.resolve())
    finish = summary_since(time.monotonic())
    last = conduct(beamtime, headless=headless, stop=stop_on_signals(), roles=scan_roles(read), finish=finish)
    if last is None:
        raise StoppedError(f"the run was stopped; what it measured is in {out}")
    for sentence in add_truth(out):
        typer.echo(sentence)


def with_plan(profile: Profile, plan: str, settings: Sequence[str]) -> Profile:
    """Give the profile with another plan, or other arguments of its plan; both are checked.

    Raises
    ------
    ProfileError
        If the plan is unknown, or an argument is unknown, missing or wrong.
    """
    from acquisition.plans.catalogue import programme_of

    scan = profile.scan
    arguments = {} if plan and plan != scan.plan else dict(scan.plan_arguments)
    arguments |= dict(_setting(text) for text in settings)
    changed = profile.model_copy(
        update={"scan": scan.model_copy(update={"plan": plan or scan.plan, "plan_arguments": arguments})}
    )
    programme_of(changed)
    return changed


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ProfileError(f"--set {text}: wanted NAME=VALUE, for instance --set n_tomograms=5")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def conduct(
    beamtime: Beamtime,
    *,
    headless: bool,
    stop: threading.Event,
    roles: Sequence[str],
    doing: str = "scanning",
    begin: Callable[[], None] | None = None,
    finish: Finish | None = None,
    is_new_folder: bool = True,
) -> ScanProgress | None:
    """Supervise the roles and a window to the end of the scan; None if it was stopped before.

    With a real screen the window stays until it is closed.

    Parameters
    ----------
    doing
        What goes on, in a word.
    begin
        Called when all processes are ready.
    finish
        Called with the last word of the analysis, while all processes still answer.
    is_new_folder
        Whether a folder that holds another run is refused.

    Raises
    ------
    ServiceError
        If there is no screen, or a process fails for good.
    StoppedError
        If a person aborted the scan; its picture and summary are there all the same.
    """
    if not headless and not has_screen():
        raise ServiceError("no screen: DISPLAY is not set. Add --headless to draw on a virtual screen and get a picture")
    if is_new_folder:
        refuse_used_folder(beamtime.out)
    with ExitStack() as stack:
        window = _window(beamtime, stack, headless=headless)
        progress = stack.enter_context(RunProgress())
        supervisor = stack.enter_context(Supervisor(logs=beamtime.out / "logs", tell=progress.warn))
        progress.step("starting the processes")
        since_s = time.time()
        start_processes(beamtime, supervisor, roles, window)
        if begin is not None:
            begin()
        progress.step(doing)
        last = follow_run(
            beamtime,
            supervisor,
            show=progress.show,
            notice=progress.notice,
            stop=stop,
            to_end_of_plan="acquire" in roles,
            since_s=since_s if "acquire" in roles else 0.0,
        )
        if last is not None:
            if finish is not None:
                finish(beamtime, last)
            _wait_for_window(supervisor, progress, stop, headless=headless, state=last.state)
    if last is not None and roles[-1] in ("acquire", "listen"):
        _refuse_unfinished(last, beamtime.out)
    return last


def _refuse_unfinished(last: ScanProgress, out: Path) -> None:
    if last.state == "aborted":
        raise StoppedError(
            f"the scan was aborted; what it measured is in {out}: operando resume {out} flies the rest of a tomogram"
        )
    if last.state == "failed":
        raise ServiceError(f"the scan failed: see {out / 'logs'}; what it measured is in {out}")


def _wait_for_window(
    supervisor: Supervisor, progress: RunProgress, stop: threading.Event, *, headless: bool, state: str
) -> None:
    if headless:
        if not supervisor.wait_ended(VIEW, timeout_s=_SNAPSHOT_TIMEOUT_S):
            raise ServiceError(f"the viewer left no picture within {_SNAPSHOT_TIMEOUT_S:.0f} s: see the log of view")
        return
    how = "was aborted; start another in the window, or close it" if state == "aborted" else "is complete; close the window"
    progress.step(f"the scan {how} to end")
    while supervisor.is_running(VIEW) and not stop.wait(0.2):
        pass


def refuse_used_folder(out: Path) -> None:
    """Refuse a folder that holds another run: nothing acquired is ever overwritten.

    Raises
    ------
    ServiceError
        If there is a journal or an archive in it.
    """
    for name in ("journal.jsonl", "scan.nxs"):
        if (out / name).exists():
            raise ServiceError(f"{out / name} exists: choose another --out, or move that run away; nothing is overwritten")


def _window(beamtime: Beamtime, stack: ExitStack, *, headless: bool) -> Window:
    if not headless:
        return Window(environment={})
    screen = stack.enter_context(VirtualScreen())
    return Window(environment=screen.environment, snapshot=beamtime.out / "monitor.png")
