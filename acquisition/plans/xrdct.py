"""The tomogram: a zig-zag of lines at stepped angles, announced line by line, with attempts.

The RunEngine's replay is switched off (``rewindable`` false): it would repeat the interrupted line with its old series. Instead
a pause or suspension costs the attempt that it hits: the line is aborted, the detector armed again, and the line flies as the
next attempt, from where the plan stands.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, short_uid

from acquisition.announce import Announcer
from acquisition.cell.history import CellHistory
from acquisition.devices.shutter import CLOSED
from acquisition.plans.attempt import (
    INTERRUPTED,
    InterruptedLineError,
    LineFailedError,
    SentImages,
    Stretch,
    of_sweep,
)
from acquisition.plans.between import Again, Backlog, Holder, NoBacklog, wait_for_word
from acquisition.plans.interruptions import Interruptions
from acquisition.plans.layout import Flown, Layout, check_layout
from acquisition.plans.line import ANSWER_S, Flyer
from acquisition.plans.steering import Steering
from acquisition.plans.timing import OVERHEAD_S
from acquisition.plans.topup import wait_past_topup
from operando.errors import ProfileError
from operando.profile import Axis, Profile
from operando.scan import LineKey

if TYPE_CHECKING:
    from acquisition.devices.beamline import BeamlineDevices

logger = structlog.get_logger(__name__)

Plan = Generator[Msg, Any, Any]

FAILURES = (LineFailedError, FailedStatus, TimeoutError)
"""What ends an attempt and not the scan: missing gates or frames, a motion that did not arrive, a device that was late."""

FAILED = "attempts that failed, pauses and suspensions"
"""What such an attempt took, when it is said what a run waited for."""

N_STATUSES = 8
"""No attempt starts more than this many motions and armings at once; each may fail late, and is thrown at the plan once."""


def xrdct(
    devices: "BeamlineDevices",
    profile: Profile,
    *,
    layout: Layout,
    announcer: Announcer,
    history: CellHistory,
    hurry_cell: Callable[[], None] = lambda: None,
    backlog: Backlog | None = None,
    suspenders: Sequence[Any] = (),
    has_beam: bool = True,
    end_wish: Callable[[], str] = lambda: "",
    cell_complaint: Callable[[], str] = lambda: "",
    steering: Steering | None = None,
    metadata: dict[str, Any] | None = None,
) -> Plan:
    """Fly the lines of a layout as one run: a tomogram, or part of one.

    Parameters
    ----------
    devices
        The beamline.
    profile, layout
        What flies; see :func:`acquisition.plans.layout.layout_of`.
    announcer
        Writes the journal; must be subscribed to the RunEngine that runs this plan.
    history
        Where the cell's readings are, for the state at the middle of each line.
    hurry_cell
        Called when a line has flown, so that the readings around its middle are at hand.
    backlog
        Knows how far the reduction is behind; None waits for nobody.
    suspenders
        Bluesky suspenders that watch while lines fly. They are removed before the beamline is brought to rest: the RunEngine
        breaks when it is suspended at the last messages of a plan (bluesky 1.15.1).
    has_beam
        Whether lines fly with the shutter open.
    end_wish
        Says why the run shall end before its next line; empty if it shall go on.
    cell_complaint
        Says before each line why it must not fly because of the cell; empty if it may.
    steering
        Heeds the map; None flies all lines whatever it shows.
    metadata
        Goes into the start document.

    Raises
    ------
    ProfileError
        Before anything moves, if the scan cannot be flown.
    RuntimeError
        If a line fails ``scan.max_attempts`` times.
    """
    check_layout(profile, layout)
    check_beamline(devices, layout)
    speeds: dict[str, float] = {
        axis: _described(profile, axis).speed for axis in ("fast", *(line.sweep.axis for line in layout.lines))
    }
    interruptions = Interruptions(
        restore=lambda: _put_speeds(devices, speeds), on_pause=lambda: announcer.abort_line(INTERRUPTED)
    )
    flyer = Flyer(
        devices=devices,
        control=profile.control,
        layout=layout,
        announcer=announcer,
        interruptions=interruptions,
        history=history,
        images=SentImages(devices.detector),
        hurry_cell=hurry_cell,
        has_beam=has_beam,
        end_wish=end_wish,
        cell_complaint=cell_complaint,
        steering=steering,
        statuses=[],
    )
    backlog = backlog or NoBacklog()
    holder = Holder(backlog, notify=lambda text: announcer.notice("warning", text))

    def flown() -> Plan:
        for device in (interruptions, devices.trigger, devices.detector):
            yield from bps.stage(device)
        yield from bps.open_run(metadata or {})
        for device, stream in ((devices.detector, "frames"), (devices.trigger, "gates")):
            yield from interruptions.undisturbed(partial(bps.declare_stream, device, name=stream, collect=True))
        yield from flyer.baseline()
        began_s = flyer.clock()
        reason = yield from _fly_all(flyer, profile, holder, backlog)
        if longer := flyer.waits.words(flown_s=flyer.clock() - began_s, planned_s=layout.total_s):
            announcer.notice("info", longer)
        yield from flyer.baseline()
        yield from bps.close_run(reason=reason or None)

    plan = bpp.finalize_wrapper(
        bpp.suspend_wrapper(flown(), list(suspenders)),
        lambda: _rest(devices, interruptions, announcer=announcer, speeds=speeds),
    )
    yield from bpp.rewindable_wrapper(plan, False)


def check_beamline(devices: "BeamlineDevices", layout: Layout) -> None:
    """Ask the beamline as it stands whether every line end, run-up included, and every angle can be reached.

    Raises
    ------
    ProfileError
        With what it answers; nothing has been put then.
    """
    for sweep in {line.sweep.axis: line.sweep for line in layout.lines}.values():
        sweeping, _ = of_sweep(devices, sweep)
        fastest = sweeping.max_speed.get()
        if 0 < fastest < sweep.speed:
            raise ProfileError(
                f"{sweeping.name} does at most {fastest:g} a second, this scan wants {sweep.speed:.4g}: "
                "lengthen scan.exposure_s or shorten the step"
            )
    try:
        for sweep in (line.sweep for line in layout.lines):
            sweeping, standing = of_sweep(devices, sweep)
            for end in (sweep.start, sweep.end):
                sweeping.check_value(end)
            standing.check_value(sweep.still)
    except ValueError as refused:  # ophyd's LimitError is one
        raise ProfileError(f"this scan cannot be flown as the beamline stands: {refused}") from refused


def _fly_all(flyer: Flyer, profile: Profile, holder: Holder, backlog: Backlog) -> Plan:
    """Fly every line until it has all its frames, and again if reduction lost them; returns why it ended early, if it did."""
    again = Again(
        backlog,
        n_lines=len(flyer.layout.lines),
        notify=lambda text: flyer.announcer.notice("warning", text),
    )
    by_number = {line.index: line for line in flyer.layout.lines}
    pending = deque(flyer.layout.lines)
    stretch: Stretch | None = None
    while pending:
        line = pending.popleft()
        key, stretch = yield from _fly_until_flown(
            flyer, line, stretch, n_lines=1 + len(pending), profile=profile, holder=holder
        )
        if key is None:
            return _end_reason(flyer)
        backlog.flew(key)
        if flyer.steering is not None:
            flyer.steering.flew()
        if not pending:
            yield from _even_if_others_fail(partial(_close, flyer.devices))
            yield from flyer.waits.during("the reduction", wait_for_word(backlog))
            if flyer.steering is not None:
                yield from flyer.steering.last_word()
        holes = flyer.steering.take_holes() if flyer.steering is not None else []
        pending.extendleft(by_number[number] for number in (*again.take(), *holes) if number in by_number)
    return ""


def _end_reason(flyer: Flyer) -> str:
    """Say why the run shall end before its next line: somebody wishes it, or the map is as far as it was wanted."""
    return flyer.end_wish() or (flyer.steering.end_reason() if flyer.steering is not None else "")


def _fly_until_flown(
    flyer: Flyer, line: Flown, stretch: Stretch | None, *, n_lines: int, profile: Profile, holder: Holder
) -> Generator[Msg, Any, tuple[LineKey | None, Stretch | None]]:
    """Fly one line, as often as its attempts fail; returns which attempt it was, and the stretch that goes on.

    No attempt is returned where the run shall end before the line.

    ``n_lines`` are still to fly, this one included: a series that begins is armed for so many.
    """
    n_failures = 0
    while True:
        yield from bps.checkpoint()
        yield from _pause_for_cell(flyer)
        if _end_reason(flyer):
            return None, stretch
        yield from _wait_for_good_time(flyer, holder)
        n_interruptions = flyer.interruptions.count
        began_s = flyer.clock()
        try:
            if stretch is None or not stretch.has_room(flyer.layout.flight.n_points):
                stretch = yield from flyer.arm(n_lines=n_lines)
            key = yield from flyer.fly(line, stretch=stretch)
            return key, stretch
        except FAILURES as failure:
            stretch = None
            flyer.waits.add(FAILED, flyer.clock() - began_s)
            is_own_fault = flyer.interruptions.count == n_interruptions and not isinstance(failure, InterruptedLineError)
            n_failures += is_own_fault
            flyer.announcer.abort_line(_reason(failure))
            yield from flyer.waits.during(FAILED, _again_after_late_failures(flyer.give_up))
            if n_failures >= profile.scan.max_attempts:
                raise RuntimeError(f"line {line.index} failed {n_failures} times, at last: {_reason(failure)}") from failure


def _pause_for_cell(flyer: Flyer) -> Plan:
    """Stand paused, the shutter closed, while the cell forbids a line; again at once if a person resumes too early."""
    while (wrong := flyer.cell_complaint()) and not _end_reason(flyer):
        yield from flyer.put_shutter(CLOSED)
        flyer.announcer.notice(
            "error",
            f"{wrong}: no line flies, the shutter is closed and the scan paused; the cell is left alone, a person must resume",
        )
        yield from bps.pause()


def _wait_for_good_time(flyer: Flyer, holder: Holder) -> Plan:
    """Wait for reduction and top-up, with the shutter closed while reduction is behind."""
    if holder.must_hold():
        yield from _close(flyer.devices)
        yield from flyer.waits.during("the reduction", holder.hold())
    topup = wait_past_topup(
        flyer.devices.ring.countdown,
        need_s=flyer.layout.line_s + OVERHEAD_S,
        notify=lambda text: flyer.announcer.notice("info", text),
    )
    yield from flyer.waits.during("top-ups", topup)


def _rest(
    devices: "BeamlineDevices", interruptions: Interruptions, *, announcer: Announcer, speeds: Mapping[str, float]
) -> Plan:
    """Close the shutter, end the series, disarm the box, stop and restore the speed; each even if another fails."""
    if wrong := (yield from _even_if_others_fail(partial(_close, devices))):
        announcer.notice(
            "error",
            f"the shutter could not be closed ({wrong}) and MAY BE OPEN: close it by hand, or the beam; it is told to close "
            "when its server answers again, if this process lives, and at the next start in any case",
        )
    for device in (devices.detector, devices.trigger):
        yield from _even_if_others_fail(partial(bps.unstage, device))
    for axis, speed in speeds.items():
        yield from _even_if_others_fail(partial(_restore_speed, getattr(devices, axis), speed))
    yield from bps.unstage(interruptions)


def _close(devices: "BeamlineDevices") -> Plan:
    group = short_uid("close")
    yield from bps.abs_set(devices.shutter, CLOSED, group=group)
    yield from bps.wait(group=group, timeout=ANSWER_S)


def _put_speeds(devices: "BeamlineDevices", speeds: Mapping[str, float]) -> None:
    for axis, speed in speeds.items():
        getattr(devices, axis).velocity.put(speed)


def _described(profile: Profile, axis: str) -> Axis:
    return profile.control.fast if axis == "fast" else profile.control.rotation


def _restore_speed(axis: Any, speed: float) -> Plan:
    yield from bps.stop(axis)
    group = short_uid("restore")
    yield from bps.abs_set(axis.velocity, speed, group=group)
    yield from bps.wait(group=group, timeout=ANSWER_S)


def _again_after_late_failures(plan: Callable[[], Plan]) -> Plan:
    """Run a plan, again from its start when the failure of an earlier motion comes in between: each comes only once.

    A message of its own that fails at once, as on a server that is away, would fail again, and each time after a timeout.
    """
    for n_left in reversed(range(N_STATUSES)):
        try:
            yield from plan()
            return
        except FailedStatus:
            if not n_left:
                raise


def _even_if_others_fail(plan: Callable[[], Plan]) -> Generator[Msg, Any, str]:
    """Run a plan, and return why it failed; empty if it did not."""
    try:
        yield from _again_after_late_failures(plan)
    except Exception as failure:  # the steps that follow make the beamline safe as well
        logger.error("not brought to rest", reason=_reason(failure))
        return _reason(failure)
    return ""


def _reason(failure: BaseException) -> str:
    cause = failure.__cause__ or failure
    return str(cause) or type(cause).__name__
