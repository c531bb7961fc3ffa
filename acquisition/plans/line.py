"""Fly one attempt of one line: turn, arm, announce, sweep, see that every frame was taken, tell where it was.

Every motion is a message to the RunEngine, so that a pause stops it. After each wait the interruption count is looked at: a
wait that a pause cut short returns as if all were done. A line that did not give all its frames raises, and never flies on.
Each group of motions has a name of its own: one that failed before it was waited for would end the wait of its namesake in the
next attempt at once (bluesky 1.15.1), with the axes still on their way.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.utils import short_uid
from numpy.typing import NDArray

from acquisition.announce import Announcer
from acquisition.cell.history import CellHistory
from acquisition.devices.detector import Exposure
from acquisition.devices.shutter import CLOSED, OPEN
from acquisition.devices.trigger import GateTrain
from acquisition.plans.attempt import (
    IMAGES_S,
    INTERRUPTED,
    InterruptedLineError,
    LineFailedError,
    SentImages,
    Stretch,
    captured,
    of_sweep,
    settled,
)
from acquisition.plans.interruptions import Interruptions
from acquisition.plans.layout import Flown, Layout
from acquisition.plans.topup import topup_began, topup_within, wait_past_topup
from acquisition.plans.waits import Waits
from operando.profile import Control
from operando.scan import LineKey

if TYPE_CHECKING:
    from acquisition.devices.beamline import BeamlineDevices
    from acquisition.plans.steering import Steering

Plan = Generator[Msg, Any, Any]

ANSWER_S = 15.0
"""Deadline for what needs no motion (arming, shutter). Devices have their own, shorter ones; this is for dead ones."""

CELL_S = 0.3
"""How long a line waits for a reading of the cell from after its middle; a slower cycler gives its last one, with its age."""

SILENT_S = 5.0
"""A cycler that has said nothing for so long is not waited for."""

LATE_S = 3.0
"""Images that come so long after the last gate are worth a word: a detector sends at once, a simulated one as it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flyer:
    """All that flying a line needs."""

    devices: "BeamlineDevices"
    control: Control
    layout: Layout
    announcer: Announcer
    interruptions: Interruptions
    history: CellHistory
    images: SentImages
    hurry_cell: Callable[[], None]
    """Asks for a reading of the cell now."""
    has_beam: bool = True
    """Whether lines fly with the shutter open; closed for dark frames."""
    end_wish: Callable[[], str] = lambda: ""
    """Says why the run shall end before its next line; empty if it shall go on."""
    cell_complaint: Callable[[], str] = lambda: ""
    """Says why no line may fly because of the cell; empty if it may."""
    steering: "Steering | None" = None
    """Heeds the map, where the plan asks for it."""
    statuses: list[Any]
    """Statuses of the running attempt: whoever gives it up waits until they have settled."""
    late_told: list[float] = field(default_factory=list)
    """How late images were, s, once that has been said: once in a run is enough."""
    clock: Callable[[], float] = time.time
    waits: Waits = field(default_factory=lambda: Waits(clock=time.time))

    def arm(self, *, n_lines: int) -> Generator[Msg, Any, Stretch]:
        """Arm the detector for one image at each gate of so many lines; returns the stretch that begins."""
        n_interruptions = self.interruptions.count
        flight = self.layout.flight
        n_images = n_lines * flight.n_points
        exposure = Exposure(exposure_s=flight.exposure_s, period_s=flight.period_s, n_images=n_images)
        for command in (partial(bps.prepare, self.devices.detector, exposure), partial(bps.kickoff, self.devices.detector)):
            group = short_uid("arm")
            yield from self._started(command(group=group))
            yield from bps.wait(group=group, timeout=4 * ANSWER_S)
        series = yield from bps.rd(self.devices.detector.series)
        stretch = Stretch(series=int(series), n_interruptions=n_interruptions, n_images=n_images)
        self._check(stretch)
        return stretch

    def fly(self, line: Flown, *, stretch: Stretch) -> Generator[Msg, Any, LineKey]:
        """Fly a line once; returns which attempt it was.

        Raises
        ------
        LineFailedError
            If frames or gates are missing, or the line was interrupted.
        """
        yield from self._turn(line, stretch)
        sweeping, _ = of_sweep(self.devices, line.sweep)
        yield from self._set_speed(sweeping, line.sweep.speed, stretch)
        yield from self._past_topup()
        self._check(stretch)
        gates = short_uid("gates")
        yield from self._started(bps.kickoff(self.devices.trigger, group=gates))
        yield from bps.wait(group=gates, timeout=ANSWER_S)
        self._check(stretch)
        self.announcer.announce_line(line, series=stretch.series, first_image_id=stretch.next_image_id)
        left_s = yield from bps.rd(self.devices.ring.countdown)
        start_s = self.clock()
        yield from self._sweep(line, stretch)
        end_s = self.clock()
        yield from self._refuse_topped_up(left_s, flew_s=end_s - start_s)
        yield from self._await_images(stretch)
        key = yield from self._tell(line, stretch, start_s=start_s, end_s=end_s)
        stretch.next_image_id += self.layout.flight.n_points
        return key

    def give_up(self) -> Plan:
        """Bring a failed attempt to rest, so that nothing of it can reach into the next; the series ends."""
        for device in (self.devices.fast, self.devices.rotation, self.devices.trigger, self.devices.detector):
            yield from bps.stop(device)
        deadline = self.clock() + ANSWER_S
        yield from bps.sleep(0.02)
        while self.clock() < deadline and not all(status.done for status in self.statuses):
            yield from bps.sleep(0.02)
        # An arming that the pause overtook has ended by now.
        yield from bps.stop(self.devices.detector)
        self.statuses.clear()

    def _turn(self, line: Flown, stretch: Stretch) -> Plan:
        """Bring rotation, fast axis, shutter and trigger box to the start of a line."""
        flight, sweep = self.layout.flight, line.sweep
        sweeping, standing = of_sweep(self.devices, sweep)
        described = self.control.fast if sweep.axis == "fast" else self.control.rotation
        train = GateTrain(
            axis=sweep.axis,
            start=sweep.gate,
            direction=line.direction,
            n_pulses=flight.n_points,
            period_s=flight.period_s,
            exposure_s=flight.exposure_s,
        )
        turn = short_uid("turn")
        position = yield from bps.rd(sweeping.user_readback)
        if abs(position - sweep.start) > described.tolerance:
            yield from self._set_speed(sweeping, described.speed, stretch)
            yield from self._started(bps.abs_set(sweeping, sweep.start, group=turn))
        yield from self._started(bps.abs_set(standing, sweep.still, group=turn))
        yield from self._started(bps.prepare(self.devices.trigger, train, group=turn))
        yield from self._started(bps.abs_set(self.devices.shutter, OPEN if self.has_beam else CLOSED, group=turn))
        yield from bps.wait(group=turn, timeout=self._turn_deadline_s())
        self._check(stretch)

    def _set_speed(self, axis: Any, speed: float, stretch: Stretch) -> Plan:
        """Set an axis' speed and read it back: a controller clamps what it cannot do."""
        velocity = axis.velocity
        if (yield from bps.rd(velocity)) != speed:
            group = short_uid("speed")
            yield from self._started(bps.abs_set(velocity, speed, group=group))
            yield from bps.wait(group=group, timeout=ANSWER_S)
        self._check(stretch)
        found = yield from settled(velocity, speed)
        if abs(found - speed) > 1e-4 * speed:
            raise LineFailedError(f"{axis.name} accepts a speed of {found:.6g}, wanted {speed:.6g}: check its velocity limits")

    def _past_topup(self) -> Plan:
        """Wait with the shutter closed if the turn took so long that the top-up would fall into the sweep."""
        countdown = self.devices.ring.countdown
        if not topup_within((yield from bps.rd(countdown)), self.layout.line_s):
            return
        yield from self.put_shutter(CLOSED)
        waiting = wait_past_topup(countdown, need_s=self.layout.line_s, notify=partial(self.announcer.notice, "info"))
        yield from self.waits.during("top-ups", waiting)
        yield from self.put_shutter(OPEN if self.has_beam else CLOSED)

    def put_shutter(self, position: int) -> Plan:
        """Open or close the shutter, and see that it has."""
        group = short_uid("shutter")
        yield from self._started(bps.abs_set(self.devices.shutter, position, group=group))
        yield from bps.wait(group=group, timeout=ANSWER_S)

    def _refuse_topped_up(self, left_s: float, *, flew_s: float) -> Plan:
        now_s = yield from bps.rd(self.devices.ring.countdown)
        if topup_began(left_s=left_s, now_s=now_s, elapsed_s=flew_s):
            raise LineFailedError("the top-up began in the line")

    def _sweep(self, line: Flown, stretch: Stretch) -> Plan:
        deadline_s, sweep = 2 * self.layout.line_s + ANSWER_S, short_uid("sweep")
        self._check(stretch)
        yield from self._started(bps.complete(self.devices.trigger, group=sweep))
        self._check(stretch)
        yield from self._started(bps.abs_set(of_sweep(self.devices, line.sweep)[0], line.sweep.end, group=sweep))
        yield from bps.wait(group=sweep, timeout=deadline_s)
        self._check(stretch)
        n_gates = yield from settled(self.devices.trigger.count, self.layout.flight.n_points)
        if n_gates != self.layout.flight.n_points:
            raise LineFailedError(f"the trigger box gave {n_gates} gates, wanted {self.layout.flight.n_points}")

    def _await_images(self, stretch: Stretch) -> Plan:
        n_points = self.layout.flight.n_points
        wanted = stretch.next_image_id + n_points
        asked_s = self.clock()
        images = short_uid("images")
        yield from self._started(bps.abs_set(self.images, wanted, group=images))
        yield from bps.wait(group=images, timeout=n_points * IMAGES_S + ANSWER_S)
        self._check(stretch)
        self.waits.add("the detector's images", self.clock() - asked_s)
        self._tell_if_late(self.clock() - asked_s)
        sent = self.devices.detector.images_sent()
        if sent is not None and sent != wanted:
            raise LineFailedError(f"the detector sent {sent} images for {wanted} gates of series {stretch.series}")

    def _tell_if_late(self, late_s: float) -> None:
        if late_s < LATE_S or self.late_told:
            return
        self.late_told.append(late_s)
        self.announcer.notice(
            "warning",
            f"the detector's last images came {late_s:.0f} s after the last gate: it, or who takes its stream, is slower than "
            f"the scan's {1 / self.layout.flight.period_s:.0f} frames/s, and every line waits for it. A simulated detector "
            "needs more of the processor than it gets: close other programs, or lengthen scan.exposure_s",
        )

    def _tell(self, line: Flown, stretch: Stretch, *, start_s: float, end_s: float) -> Generator[Msg, Any, LineKey]:
        """Document the line, and announce that it has flown."""
        trains = yield from bps.collect(self.devices.trigger, name="gates")
        yield from bps.collect(self.devices.detector, name="frames", return_payload=False)
        readings = yield from self._event("lines", self.devices.rotation, self.devices.ring)
        self._check(stretch)
        rotation, ring = readings
        gates_at, times_s = captured(trains, self.devices.trigger.name)
        n_points = self.layout.flight.n_points
        if len(times_s) == n_points:
            half_s = 0.5 * self.layout.flight.exposure_s
            start_s, end_s = float(times_s[0]) - half_s, float(times_s[-1]) + half_s
        cell = yield from self.waits.during("readings of the cell", self._cell_at(0.5 * (start_s + end_s)))
        self._check(stretch)
        is_captured = len(gates_at) == n_points
        angle_deg = float(rotation[self.devices.rotation.name]["value"])
        positions_mm: NDArray[np.float64] = line.planned_mm(n_points)
        angles_deg: NDArray[np.float64] = np.empty(0)
        if line.sweep.axis == "rotation":
            planned_deg = line.angle_deg + line.angle_step_deg * np.arange(n_points, dtype=np.float64)
            angles_deg, angle_deg = gates_at if is_captured else planned_deg, line.angle_deg
        elif is_captured:
            positions_mm = gates_at
        return self.announcer.line_flown(
            positions_mm.tolist(),
            angles_deg=angles_deg.tolist(),
            source="captured" if is_captured else "computed",
            angle_deg=angle_deg,
            ring_current_ma=float(ring[self.devices.ring.current.name]["value"]),
            cell=cell,
            start_s=start_s,
            end_s=end_s,
        )

    def _cell_at(self, time_s: float) -> Plan:
        """Return the state of the cell at a time, with readings on both sides of it if the cycler gives them in time."""
        deadline = self.clock() + CELL_S
        self.hurry_cell()
        while self.clock() < deadline:
            newest = self.history.newest
            if newest is None or not time_s - SILENT_S < newest.time_s < time_s:
                break
            yield from bps.sleep(0.02)
        return self.history.at(time_s)

    def baseline(self) -> Plan:
        """Document where everything stands that is labelled ``baseline``; at the start and at the end of a run."""
        devices = self.devices.baseline
        if devices:
            yield from self.interruptions.undisturbed(partial(self._event, "baseline", *devices))

    def _event(self, stream: str, *devices: Any) -> Plan:
        """Document one event of these devices, and return their readings; an event that was disturbed is dropped."""
        before = self.interruptions.count
        yield from bps.create(stream)
        readings = []
        try:
            for device in devices:
                readings.append((yield from bps.read(device)))
        except Exception:
            yield from bps.drop()
            raise
        yield from bps.save() if self.interruptions.count == before else bps.drop()
        return readings

    def _check(self, stretch: Stretch) -> None:
        if self.interruptions.count != stretch.n_interruptions:
            raise InterruptedLineError(INTERRUPTED)

    def _started(self, messages: Plan) -> Plan:
        """Run a message that starts something, and remember its status."""
        status = yield from messages
        if status is not None:
            self.statuses.append(status)
        return status

    def _turn_deadline_s(self) -> float:
        # The axes know their own deadlines from where they stand; this one is for a device that is silent.
        fast, rotation = self.control.fast, self.control.rotation
        return ANSWER_S + 3 * max((fast.high - fast.low) / fast.speed, (rotation.high - rotation.low) / rotation.speed)
