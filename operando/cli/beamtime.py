"""A whole beamtime under one supervisor: which processes there are, in which order, and how the run goes."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from operando.bus import FeedClient
from operando.errors import ServiceError
from operando.messages import Notice, PlanEnded, RunStarted, ScanProgress
from operando.profile import Profile, write_profile
from operando.supervise import Role, Supervisor

READY_TIMEOUT_S = 90.0
"""A first start compiles nothing, but imports napari, pyFAI and ophyd at the same time on two cores."""

VIEW = "view"
_MAX_RESTARTS = {"detector": 3, "cell": 3, "reduce": 3, "analyse": 3, "listen": 3, VIEW: 3}
"""The plan arms a detector that is back and flies the line again. What holds the state of a run (stages, RunEngine) is not
started again: it would not be the same run."""

_ENDED = ("finished", "aborted", "failed")
"""How a scan may end, as the analysis knows it."""

_RESULTS_SILENT_S = 60.0
"""The analysis publishes at least once a second; a minute of silence while it runs means that it hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How the maps are shown."""

    environment: dict[str, str]
    """Variables that lead the viewer to its screen."""
    snapshot: Path | None = None
    """Where the viewer leaves a picture when the run has ended; it ends itself then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beamtime:
    """A profile resolved for this run, with its folder."""

    profile: Profile
    out: Path

    @property
    def profile_file(self) -> Path:
        """Where the resolved profile stands, for every process and for later."""
        return self.out / "profile.toml"

    def role(self, name: str) -> Role:
        """Give the role of one process of this beamtime."""
        command = [sys.executable, "-m", "operando", "start", name, str(self.profile_file), "--out", str(self.out), "--leashed"]
        # A simulated beamline must never meet a real one, or another simulated one, that this shell knows by the same names.
        alone = {"EPICS_CA_ADDR_LIST": ""} if self.profile.twin is not None else {}
        return Role(name=name, command=command, max_restarts=_MAX_RESTARTS.get(name, 0), environment=alone)

    def view_role(self, window: Window) -> Role:
        """Give the role of the viewer: anyone may kill it, nothing upstream notices."""
        command = [sys.executable, "-m", "operando", "view", self.profile.addresses.results, "--leashed"]
        if window.snapshot is not None:
            command += ["--snapshot", str(window.snapshot)]
        return Role(name=VIEW, command=command, max_restarts=_MAX_RESTARTS[VIEW], environment=window.environment)


def scan_roles(profile: Profile) -> list[str]:
    """Give the processes of a scan in the order of their start; the one that begins the run comes last."""
    if profile.control.mode == "listen":
        return ["cell", "reduce", "analyse", "listen"]
    twin = ["ioc", "detector"] if profile.twin else []
    return [*twin, "cell", "reduce", "analyse", "acquire"]


def start_processes(beamtime: Beamtime, supervisor: Supervisor, roles: Sequence[str], window: Window) -> None:
    """Write the resolved profile and start the processes and the window; returns when the processes are ready.

    The last role is started when the others are ready: it may begin to scan at once.

    Raises
    ------
    ServiceError
        If a process does not get ready, with its last words.
    """
    beamtime.out.mkdir(parents=True, exist_ok=True)
    write_profile(beamtime.profile, beamtime.profile_file)
    *first, last = roles
    for name in first:
        supervisor.start(beamtime.role(name))
    supervisor.start(beamtime.view_role(window))
    supervisor.wait_ready(first, timeout_s=READY_TIMEOUT_S)
    supervisor.start(beamtime.role(last))
    supervisor.wait_ready([last], timeout_s=READY_TIMEOUT_S)


class PlanWatch:
    """Knows from the journal whether a plan is over, and how it ended.

    Parameters
    ----------
    since_s
        What happened before this time (Unix epoch) is of an earlier plan.
    """

    def __init__(self, journal: FeedClient, *, since_s: float = 0.0) -> None:
        self._journal = journal
        self._since_s = since_s
        self._newest_run = ""
        self._ended: PlanEnded | None = None

    def listen(self) -> None:
        """Hear what the journal says."""
        for entry in self._journal.poll(0.0):
            message = entry.message
            if not isinstance(message, RunStarted | PlanEnded) or message.time_s < self._since_s:
                continue
            if isinstance(message, RunStarted):
                self._newest_run = message.run
            else:
                self._ended = message

    def is_over_with(self, last: ScanProgress | None) -> bool:
        """Whether the plan has ended, and the analysis has spoken the last word on its last run, if it had any."""
        return self._ended is not None and self._newest_run == ("" if last is None else last.run)

    def check(self) -> None:
        """Raise ServiceError if the plan failed or never flew, with the reason."""
        ended = self._ended
        if ended is not None and (ended.exit_status == "fail" or not self._newest_run):
            raise ServiceError(f"{ended.plan} failed: {ended.reason or 'no run was begun'}")

    @property
    def abort_reason(self) -> str:
        """Why the plan was aborted; empty if it was not."""
        return self._ended.reason if self._ended is not None and self._ended.exit_status == "abort" else ""


def follow_run(
    beamtime: Beamtime,
    supervisor: Supervisor,
    *,
    show: Callable[[ScanProgress], None],
    notice: Callable[[Notice], None],
    stop: threading.Event,
    to_end_of_plan: bool = True,
    since_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> ScanProgress | None:
    """Watch through the results feed until the plan is over and its last run analysed; None if stopped before.

    A run that a person aborted is given as well: its state says so, and a notice why.

    Parameters
    ----------
    to_end_of_plan
        Whether a plan is flown, which may have several runs; otherwise one run is the end.
    since_s
        Plans and runs that began before this time (Unix epoch) are earlier ones of the same folder.

    Raises
    ------
    ServiceError
        If a process died for good, the analysis fell silent, or the plan failed.
    """
    heard_at = clock()
    last: ScanProgress | None = None
    addresses = beamtime.profile.addresses
    with FeedClient(addresses.results) as results, FeedClient(addresses.journal) as journal:
        plan = PlanWatch(journal, since_s=since_s)
        while not stop.is_set():
            supervisor.check()
            for entry in results.poll(0.5):
                heard_at = clock()
                if isinstance(entry.message, Notice):
                    notice(entry.message)
                if not isinstance(entry.message, ScanProgress):
                    continue
                show(entry.message)
                if entry.message.state in _ENDED:
                    last = entry.message
            plan.listen()
            if last is not None and not to_end_of_plan:
                return last
            if plan.is_over_with(last):
                plan.check()
                if plan.abort_reason:
                    told = f"the scan was aborted: {plan.abort_reason}"
                    notice(Notice(level="warning", text=told, origin="acquire", time_s=time.time()))
                return last
            if clock() - heard_at > _RESULTS_SILENT_S:
                raise ServiceError(f"the analysis has been silent for {_RESULTS_SILENT_S:.0f} s: see {beamtime.out / 'logs'}")
    return None


def has_screen() -> bool:
    """Tell whether this machine offers a screen to draw on."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
