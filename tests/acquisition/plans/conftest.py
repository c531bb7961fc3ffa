"""A beamline of fakes that behave: axes take time and can be stopped, gates come when a start is crossed, images when a gate
comes to an armed detector. Nothing of it needs Channel Access; times are divided by ``HASTE``."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from event_model import ComposeStreamResource
from ophyd import Component, Device, Signal
from ophyd.status import Status

from acquisition.announce import Announcer
from acquisition.cell.history import CellHistory
from acquisition.plans.layout import Layout, layout_of
from acquisition.plans.station import Station
from acquisition.plans.xrdct import xrdct
from operando.bus.store import MemoryStore
from operando.messages import CellReading, Document, Message
from operando.profile import Profile, read_profile
from operando.profile.surroundings import Dose, SignPin

HASTE = 300.0


def done(device: object, *, error: Exception | None = None) -> Status:
    status = Status(device)
    if error is None:
        status.set_finished()
    else:
        status.set_exception(error)
    return status


class PutSignal(Signal):
    """Takes a value at once, as an EPICS record does; a soft signal would do it in a thread of its own."""

    def set(self, value: object, **_: object) -> Status:
        self.put(value)
        return done(self)


class FakeAxis(Device):
    user_readback = Component(Signal, value=0.0, kind="hinted")
    velocity = Component(PutSignal, value=10.0, kind="config")
    max_speed = Component(Signal, value=10.0, kind="omitted")

    def __init__(self, *, name: str, limit: float) -> None:
        super().__init__("", name=name)
        self.user_readback.name = name
        self.limit = limit
        self.on_swept: Callable[[float, float, float], None] = lambda start, end, speed: None
        self.gets_stuck = 0
        self.may_arrive = threading.Event()
        """While this is not set, moves go on without an end; they can be stopped."""
        self.may_arrive.set()
        self._lock = threading.Lock()
        self._move: tuple[Status, float, float, float, float, threading.Timer] | None = None

    def check_value(self, position: float) -> None:
        if abs(position) > self.limit:
            raise ValueError(f"{self.name}: {position:g} outside of {self.limit:g}")

    def set(self, position: float) -> Status:
        self.check_value(position)
        here = self.user_readback.get()
        status = Status(self)
        duration = abs(position - here) / self.velocity.get() / HASTE
        timer = threading.Timer(duration, self._arrive, (status,))
        timer.daemon = True
        self._move = (status, here, position, time.monotonic(), duration, timer)
        timer.start()
        return status

    def stop(self, *, success: bool = False) -> None:
        self._end(success=success)

    @property
    def is_moving(self) -> bool:
        return self._move is not None

    def _arrive(self, status: Status) -> None:
        self.may_arrive.wait()
        if self._move is None or self._move[0] is not status:
            return
        if self.gets_stuck:
            self.gets_stuck -= 1
            self._end(success=False, fraction=0.5)
        else:
            self._end(success=True, fraction=1.0)

    def _end(self, *, success: bool, fraction: float | None = None) -> None:
        with self._lock:
            move, self._move = self._move, None
        if move is None:
            return
        status, start, target, began, duration, timer = move
        timer.cancel()
        if fraction is None:
            fraction = min((time.monotonic() - began) / duration, 1.0) if duration else 1.0
        end = start + fraction * (target - start)
        self.user_readback.put(end)
        self.on_swept(start, end, self.velocity.get())
        if success:
            status.set_finished()
        else:
            status.set_exception(RuntimeError(f"{self.name} stands at {end:.4g}, wanted {target:.4g}"))


class FakeShutter(Device):
    status = Component(Signal, value=0, kind="normal")

    def set(self, value: int) -> Status:
        self.status.put(value)
        return done(self)

    def stop(self, *, success: bool = False) -> None:
        self.status.put(0)

    def pause(self) -> None:
        self.stop()

    def resume(self) -> None: ...


class FakeTriggerBox(Device):
    count = Component(Signal, value=0, kind="normal")

    def __init__(self, *, name: str) -> None:
        super().__init__("", name=name)
        self.train: Any = None
        self.is_armed = False
        self.captures = True
        self.loses = 0
        self.goes_on_by_time = False
        self.on_gate: Callable[[float], None] = lambda position: None
        self._positions: list[float] = []
        self._status: Status | None = None

    def prepare(self, train: Any) -> Status:
        self.train = train
        return done(self)

    def kickoff(self) -> Status:
        self.is_armed = True
        self.count.put(0)
        return done(self)

    def complete(self) -> Status:
        self._status = Status(self)
        return self._status

    def swept(self, start: float, end: float, speed: float, *, axis: str = "fast") -> None:
        """Give the gates whose leading edge the axis has crossed."""
        train = self.train
        if not self.is_armed or train.axis != axis or np.sign(end - start) != train.direction:
            return
        n_lost, self.loses = min(self.loses, train.n_pulses), 0
        if self.goes_on_by_time:
            self._give_by_time(train, start, end)
            return
        step = train.direction * speed * train.period_s
        middle = train.start + train.direction * 0.5 * train.exposure_s * speed
        positions = [middle + i * step for i in range(train.n_pulses - n_lost)]
        self._positions = [p for p in positions if (end - p) * train.direction >= 0 >= (start - p) * train.direction]
        for position in self._positions:
            self.on_gate(position)
        self.count.put(len(self._positions))
        if self._positions:
            self._settle(success=True)

    def _give_by_time(self, train: Any, start: float, end: float) -> None:
        """Give the whole train once its start is crossed, as real boxes do: where the axis stands does not end it."""
        if not (end - train.start) * train.direction >= 0 >= (start - train.start) * train.direction:
            return
        self._positions = [end] * train.n_pulses
        for position in self._positions:
            self.on_gate(position)
        self.count.put(train.n_pulses)
        self._settle(success=True)

    def describe_collect(self) -> dict[str, Any]:
        array = {"dtype": "array", "shape": [self.train.n_pulses if self.train else 1], "source": "fake"}
        return {f"{self.name}_positions": array, f"{self.name}_times": array}

    def collect(self) -> Iterator[dict[str, Any]]:
        positions = np.array(self._positions if self.captures else [])
        data = {f"{self.name}_positions": positions, f"{self.name}_times": np.full(len(positions), time.time())}
        yield {"time": time.time(), "data": data, "timestamps": dict.fromkeys(data, time.time())}

    def stop(self, *, success: bool = False) -> None:
        self._settle(success=success)

    def pause(self) -> None:
        self.stop(success=True)

    def resume(self) -> None: ...

    def unstage(self) -> list[object]:
        self.stop(success=True)
        return list(super().unstage())

    def _settle(self, *, success: bool) -> None:
        self.is_armed = False
        status, self._status = self._status, None
        if status is not None and success:
            status.set_finished()
        elif status is not None:
            status.set_exception(RuntimeError("disarmed before the train was over"))


@dataclass(frozen=True, kw_only=True)
class Frame:
    series: int
    image_id: int
    fast_mm: float
    angle_deg: float
    has_beam: bool


class FakeDetector(Device):
    series = Component(Signal, value=-1, kind="config")

    def __init__(self, *, name: str) -> None:
        super().__init__("", name=name)
        self.is_armed = False
        self.n_armings = 0
        self.misses = 0
        self.doubles = 0
        self.exposure: Any = None
        self.on_frame: Callable[[int, int, float], None] = lambda series, image_id, position: None
        self._n_sent = 0
        self._n_documented = 0
        self._resource: Any = None

    def prepare(self, exposure: Any) -> Status:
        if self.is_armed:
            return done(self, error=RuntimeError("configured while armed"))
        self.exposure = exposure
        return done(self)

    def kickoff(self) -> Status:
        if self.is_armed:
            return done(self, error=RuntimeError("armed while armed"))
        self.n_armings += 1
        self.is_armed = True
        self._n_sent = self._n_documented = 0
        self.series.put(100 + self.n_armings)
        self._resource = ComposeStreamResource()(
            mimetype="x", uri=f"tcp://x/{self.series.get()}", data_key=f"{self.name}_image", parameters={}
        )
        return done(self)

    def complete(self) -> Status:
        return done(self)

    def gate(self, position: float) -> None:
        if not self.is_armed:
            return
        if self.misses:
            self.misses -= 1
            return
        for _ in range(1 + self.doubles):
            self.on_frame(self.series.get(), self._n_sent, position)
            self._n_sent += 1
        self.doubles = 0
        if self._n_sent == self.exposure.n_images:
            self.is_armed = False

    def wait_for_images(self, n_images: int, *, timeout_s: float) -> Status:
        late = TimeoutError(f"{self._n_sent} images, wanted {n_images}")
        return done(self, error=None if self._n_sent >= n_images else late)

    def images_sent(self) -> int:
        return self._n_sent

    def get_index(self) -> int:
        return self._n_sent

    def describe_collect(self) -> dict[str, Any]:
        frame = {"source": "fake", "dtype": "array", "dtype_numpy": "<u4", "shape": [1, 2, 2], "external": "STREAM:"}
        return {f"{self.name}_image": frame}

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        if self._resource is None or self._n_sent <= self._n_documented:
            return
        if self._n_documented == 0:
            yield "stream_resource", self._resource.stream_resource_doc
        indices: Any = {"start": self._n_documented, "stop": self._n_sent}
        self._n_documented = self._n_sent
        yield "stream_datum", self._resource.compose_stream_datum(indices)

    def stop(self, *, success: bool = False) -> None:
        self.is_armed = False

    def pause(self) -> None:
        self.stop()

    def resume(self) -> None: ...

    def unstage(self) -> list[object]:
        self.stop()
        return list(super().unstage())


class FakeHexapod:
    """Axes that move at once with nothing between them."""

    def __init__(self) -> None:
        self.axes = {name: FakeAxis(name=f"hexapod_{name}", limit=8.0) for name in ("x", "z")}


class FakeRing(Device):
    current = Component(Signal, value=100.0, kind="hinted")
    countdown = Component(Signal, value=600.0, kind="normal")


TEST_STEP_MM = 0.01


@dataclass(kw_only=True)
class FakeBeamline:
    """Fake devices with their wiring, and what was seen: journal messages and frames in the order in which they came."""

    profile: Profile
    seen: list[Message | Frame] = field(default_factory=list)
    layout: Layout = field(init=False)
    devices: Any = field(init=False)
    announcer: Announcer = field(init=False)
    history: CellHistory = field(default_factory=CellHistory)
    journal: MemoryStore = field(default_factory=MemoryStore)
    now_s: float = 1.7e9
    slept: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of each wait between runs, and the shutter's status meanwhile."""

    def __post_init__(self) -> None:
        self.layout = layout_of(self.profile)
        fast, rotation = FakeAxis(name="fast", limit=8.0), FakeAxis(name="rotation", limit=400.0)
        rotation.velocity.put(90.0)
        rotation.max_speed.put(90.0)
        trigger, detector = FakeTriggerBox(name="trigger"), FakeDetector(name="detector")
        self.devices = SimpleNamespace(
            fast=fast,
            rotation=rotation,
            shutter=FakeShutter("", name="shutter"),
            trigger=trigger,
            detector=detector,
            ring=FakeRing("", name="ring"),
            hexapod=FakeHexapod(),
            baseline=[FakeRing("", name="baseline_ring", labels={"baseline"})],
        )
        fast.on_swept = trigger.swept
        rotation.on_swept = partial(trigger.swept, axis="rotation")
        trigger.on_gate = detector.gate
        detector.on_frame = self._frame
        self.announcer = Announcer(self, profile=self.profile, layout=self.layout)
        self.read_cell()

    def read_cell(self) -> None:
        """Take a reading of the cell, as the recorder does when it is asked to hurry."""
        self.history.append(CellReading(time_s=time.time(), voltage_v=3.7, current_a=1.0))

    def append(self, message: Message, **_: object) -> int:
        """Keep a journal message; the announcer's store."""
        self.seen.append(message)
        return self.journal.append(message)

    @property
    def head(self) -> int:
        """The number of the newest message."""
        return self.journal.head

    def since(self, number: int, *, limit: int) -> list[Any]:
        """Give what the journal holds."""
        return self.journal.since(number, limit=limit)

    def plan(self, **options: Any) -> Iterator[Any]:
        return xrdct(
            self.devices,
            self.profile,
            layout=self.layout,
            announcer=self.announcer,
            history=self.history,
            hurry_cell=self.read_cell,
            **options,
        )

    @property
    def station(self) -> Station:
        """What programmes fly with; its clock is the beamline's, and sleeping only moves that."""
        return Station(
            devices=self.devices,
            announcer=self.announcer,
            history=self.history,
            hurry_cell=self.read_cell,
            clock=lambda: self.now_s,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> Iterator[Any]:
        """Let time pass, of which the RunEngine sees one message."""
        self.slept.append((seconds, self.devices.shutter.status.get()))
        self.now_s += seconds
        yield from bps.null()

    def messages(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.seen if isinstance(one, kind)]

    def documents(self, name: str) -> list[dict[str, Any]]:
        return [one.document for one in self.messages(Document) if one.name == name]

    @property
    def frames(self) -> list[Frame]:
        return [one for one in self.seen if isinstance(one, Frame)]

    def _frame(self, series: int, image_id: int, position: float) -> None:
        devices = self.devices
        is_turn = devices.trigger.train.axis == "rotation"
        self.seen.append(
            Frame(
                series=series,
                image_id=image_id,
                fast_mm=devices.fast.user_readback.get() if is_turn else position,
                angle_deg=position if is_turn else devices.rotation.user_readback.get(),
                has_beam=devices.shutter.status.get() == 1,
            )
        )


def fly_before(engine: RunEngine, beamline: FakeBeamline, name: str) -> None:
    """Fly what a plan wants to find in the journal: the tomogram that is to be made denser."""
    if name == "densify":
        engine(beamline.plan(), beamline.announcer.document)
        beamline.seen.clear()
        for axis in (beamline.devices.fast, beamline.devices.rotation):
            axis.user_readback.put(0.0)


def place_in(plan: Any) -> Iterator[tuple[str, int]]:
    """Give where a plan stands: code and line of each generator, from the outermost to the one that gave the message."""
    while plan is not None and getattr(plan, "gi_frame", None) is not None:
        yield plan.gi_code.co_name, plan.gi_frame.f_lineno
        plan = plan.gi_yieldfrom


@pytest.fixture(scope="session")
def small_profile() -> Profile:
    """Three lines of five points, so small that a scan of the fakes takes a tenth of a second."""
    profile = read_profile("demo")
    scan = {"n_lines": 3, "n_points": 5, "step_mm": TEST_STEP_MM, "exposure_s": 0.001, "order": "sequential"}
    rotation = profile.control.rotation.model_copy(update={"low": -60.0})
    control = profile.control.model_copy(update={"channels": {"1": "X:1", "2": "X:2"}, "rotation": rotation})
    pin = SignPin(phase="al", x_mm=1.5, y_mm=0.5)
    dose = Dose(flux_photons_s=1e11, energy_kev=60.0, beam_width_mm=0.01, beam_height_mm=0.1, absorption_cm2_g=0.3)
    changed = {"scan": profile.scan.model_copy(update=scan), "control": control, "sign_pin": pin, "dose": dose}
    return profile.model_copy(update=changed)


@pytest.fixture
def beamline(small_profile: Profile) -> FakeBeamline:
    return FakeBeamline(profile=small_profile)


@pytest.fixture(scope="session")
def small_beamline(small_profile: Profile) -> Callable[[], FakeBeamline]:
    """Make beamlines with scans of two lines of three points."""
    scan = small_profile.scan.model_copy(update={"n_lines": 2, "n_points": 3})
    return lambda: FakeBeamline(profile=small_profile.model_copy(update={"scan": scan}))


@pytest.fixture(scope="session")
def engine() -> RunEngine:
    return RunEngine({}, context_managers=[], call_returns_result=True)


@pytest.fixture
def run(engine: RunEngine) -> Callable[..., Any]:
    """Run a fake beamline's plan to its end."""

    def fly(beamline: FakeBeamline, **options: Any) -> Any:
        return engine(beamline.plan(**options), beamline.announcer.document)

    return fly
