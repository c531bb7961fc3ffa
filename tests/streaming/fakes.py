"""Fakes with real behaviour: a clock that is moved by hand, an integrator whose pattern tells the frame."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operando.messages import LineAborted, LineAnnounced, LineFlown, RunStarted, RunStopped
from streaming.account import FrameKey, SeriesKey
from streaming.measured import Measured

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
