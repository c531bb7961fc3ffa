"""Fakes with real behaviour: a clock that is moved by hand, an integrator whose pattern tells the image, words of a scan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from operando.bus import MemoryStore
from operando.messages import LineAborted, LineAnnounced, LineFlown, Message, RunStarted, RunStopped, StreamStatus
from operando.scan import LineKey
from streaming.account import FrameKey, SeriesKey
from streaming.collect import Collector
from streaming.events import Event, Heard
from streaming.expected import ExpectedDetector
from streaming.intake import Intake, SeriesIntegrator
from streaming.integrate.sectors import Cake
from streaming.line import Line
from streaming.line_file import read_line
from streaming.measured import Measured
from streaming.receive import Received

M = TypeVar("M", bound=Message)

Q = np.linspace(1.0, 2.0, 4)
N_POINTS = 5


class FakeClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class FakePattern:
    mean: NDArray[np.float32]
    trimmed: NDArray[np.float32]
    variance: NDArray[np.float32]
    n_saturated: int = 0
    cake: Cake | None = None


def pattern_of(value: float) -> FakePattern:
    filled = np.full(Q.size, value, np.float32)
    return FakePattern(mean=filled, trimmed=filled + 1, variance=filled + 2)


@dataclass(kw_only=True)
class FakeIntegrator:
    """Takes the sum of the unmasked pixels for the pattern; remembers nothing."""

    mask: NDArray[np.bool_] | None = None
    q: NDArray[np.float64] = field(default_factory=lambda: Q)

    def integrate(self, frame: NDArray[Any]) -> FakePattern:
        good = frame != np.iinfo(frame.dtype).max
        if self.mask is not None:
            good &= ~self.mask
        return pattern_of(float(frame[good].sum()))


def measured(image_id: int, *, series: int = 1, uid: str = "A", value: float | None = None) -> Measured:
    key = FrameKey(series=SeriesKey(series=series, unique_id=uid), image_id=image_id)
    pattern = pattern_of(image_id if value is None else value)
    return Measured(frame=key, pattern=pattern, geometry_sha256="ab", received_s=5000.0 + image_id)


def announced(
    line: int, first: int, *, attempt: int = 0, series: int = 1, n_points: int = N_POINTS, run: str = "r"
) -> LineAnnounced:
    sense = 1 if line % 2 == 0 else -1
    return LineAnnounced(
        run=run, line=line, attempt=attempt, series=series, first_image_id=first, n_points=n_points, angle_deg=10.0 * line,
        direction=sense, first_position_mm=-1.0 * sense, step_mm=0.5 * sense, time_s=4000.0,
    )  # fmt: skip


def flown(line: int, *, attempt: int = 0, n_points: int = N_POINTS, run: str = "r") -> LineFlown:
    sense = 1 if line % 2 == 0 else -1
    return LineFlown(
        run=run, line=line, attempt=attempt, positions_mm=[sense * (-1.0 + 0.5 * k + 0.01) for k in range(n_points)],
        positions_source="captured", angle_deg=10.0 * line + 0.001, ring_current_ma=200.0, start_s=4000.0, end_s=4001.0,
    )  # fmt: skip


def aborted(line: int, *, attempt: int = 0, run: str = "r") -> LineAborted:
    return LineAborted(run=run, line=line, attempt=attempt, reason="beam lost", time_s=4001.0)


def run_started(run: str = "r") -> RunStarted:
    return RunStarted(
        run=run, time_s=1.0, profile="p", plan="xrdct", angles_deg=[0.0], first_position_mm=0.0, step_mm=0.5,
        n_points=N_POINTS, exposure_s=0.01, period_s=0.02, speed_mm_s=1.0,
    )  # fmt: skip


def run_stopped(run: str = "r") -> RunStopped:
    return RunStopped(run=run, exit_status="abort", time_s=1.0)


SHAPE = (20, 30)
EXPECTED = ExpectedDetector(shape=SHAPE, pixel_m=172e-6, energy_ev=103_500.0)
LIMIT_BYTES = 2**20


def integrator_of_mask(mask: NDArray[np.bool_] | None) -> SeriesIntegrator:
    return SeriesIntegrator(integrator=FakeIntegrator(mask=mask), geometry_sha256="masked" if mask is not None else "plain")


def frame_of(image_id: int) -> NDArray[np.uint32]:
    """An image whose sum tells its id."""
    frame = np.zeros(SHAPE, np.uint32)
    frame[image_id % SHAPE[0], image_id % SHAPE[1]] = image_id
    return frame


class Rig:
    """The whole reduction without threads and sockets, on a clock that is moved by hand."""

    def __init__(self, out: Path, *, expected: ExpectedDetector = EXPECTED, limit_bytes: int = LIMIT_BYTES) -> None:
        self.out = out
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.intake = Intake(expected, integrator_of_mask, limit_bytes=limit_bytes)
        self.collector = Collector(
            q=Q,
            out=out,
            store=self.store,
            queue_state=lambda: (0, 64),
            clock=self.clock,
            wall_clock=lambda: 1e9 + self.clock(),
        )

    def receive(self, *messages: bytes | Sequence[bytes]) -> list[Event]:
        """Push messages of V2 (bytes) or V1 (parts) through, and give what they came to."""
        seen: list[Event] = []
        for message in messages:
            parts = (message,) if isinstance(message, bytes) else tuple(message)
            events, job = self.intake.read(Received(parts=parts, received_s=self.clock()))
            seen += events if job is None else [*events, *self.intake.measure(job)]
        for event in seen:
            self.collector.handle(event)
        return seen

    def hear(self, *words: Message) -> None:
        for word in words:
            self.collector.handle(Heard(message=word))

    def pass_s(self, seconds: float) -> None:
        """Let time pass and the collector look at it."""
        self.clock.pass_s(seconds)
        self.collector.tick()

    def told(self, kind: type[M]) -> list[M]:
        """Give what the feed holds of one kind of message."""
        return [entry.message for entry in self.store.since(0, limit=10**6) if isinstance(entry.message, kind)]

    @property
    def status(self) -> StreamStatus:
        self.pass_s(1.001)
        return self.told(StreamStatus)[-1]

    def lines(self) -> dict[LineKey, Line]:
        """Give what is on disk."""
        found = [read_line(path) for path in sorted((self.out / "lines").glob("*/line-*.h5"))]
        return {line.key: line for line in found}


def ids_in(line: Line) -> list[float]:
    """Give the image ids that a line's patterns tell, NaN where there is none."""
    return [float(value) for value in line.mean[:, 0]]
