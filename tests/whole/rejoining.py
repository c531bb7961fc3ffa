"""From journal and frames to the map in one process: the real join, line files and analysis, on patterns without noise.

A pattern is that of the place where its frame was exposed, whatever the journal says of it: a frame that is bound to the wrong
pixel shows in the map.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from operando.bus import MemoryStore
from operando.messages import LineWritten, MapPublished, Message, RunStarted
from streaming.account import FrameKey, SeriesKey
from streaming.analysis import Analysis
from streaming.collect import DEADLINE_S, Collector
from streaming.events import Heard
from streaming.measured import Measured
from streaming.tomogram import Tomogram
from tests.acquisition.plans.conftest import Frame
from tests.streaming.phantom import Phantom


@dataclass(frozen=True, kw_only=True)
class FlatPattern:
    """A pattern as the integrator gives it."""

    mean: NDArray[np.float32]
    trimmed: NDArray[np.float32]
    variance: NDArray[np.float32]
    n_saturated: int = 0
    cake: None = None


@dataclass(frozen=True, kw_only=True)
class Rejoined:
    """What became of a run."""

    x: NDArray[np.float32]
    mass: NDArray[np.float64]
    is_measured: NDArray[np.bool_]


def rejoined(seen: Iterable[Any], phantom: Phantom, out: Path, *, dropped: set[tuple[int, int]]) -> Rejoined:
    """Join and analyse one run.

    Parameters
    ----------
    seen
        Journal messages of the run, with :class:`Frame` between them where the detector exposed one.
    dropped
        (line, grid point) of frames that never arrive.
    """
    seen = list(seen)
    now_s, feed, results = [100.0], MemoryStore(), MemoryStore()
    collector = Collector(
        q=phantom.model.q, out=out, store=feed, queue_state=lambda: (0, 64), clock=lambda: now_s[0], wall_clock=lambda: 5000.0
    )
    analysis = Analysis(
        phantom.profile, phantom.model, out=out, store=results, clock=lambda: now_s[0], wall_clock=lambda: 5000.0
    )
    started = next(one for one in seen if isinstance(one, RunStarted))
    for event in seen:
        if isinstance(event, Frame):
            if pixel_of(event, started) not in dropped:
                collector.handle(measured(event, phantom))
        else:
            collector.handle(Heard(message=event))
            analysis.hear(event, {})
    for _ in range(2):
        now_s[0] += DEADLINE_S + 1
        collector.tick()
    for entry in feed.since(0, limit=10_000):
        if isinstance(entry.message, LineWritten):
            analysis.hear(entry.message, {})
    analysis.finish()
    for _ in range(2):
        now_s[0] += 60.0
        analysis.work()
        analysis.finish()
    assert isinstance(analysis._tomogram, Tomogram)
    result = analysis._tomogram.result()
    assert result is not None
    newest: list[tuple[Message, Any]] = [(entry.message, entry.arrays) for entry in results.since(0, limit=10_000)]
    x = next(arrays["value"] for one, arrays in reversed(newest) if isinstance(one, MapPublished) and one.name == "x_lithium")
    return Rejoined(x=np.array(x), mass=result.mass_sinogram, is_measured=result.is_measured)


def pixel_of(frame: Frame, run: RunStarted) -> tuple[int, int]:
    """Give (line, grid point) of a frame by where it was exposed."""
    line = run.angles_deg.index(pytest.approx(frame.angle_deg, abs=0.02))
    return line, round((frame.fast_mm - run.first_position_mm) / run.step_mm)


def measured(frame: Frame, phantom: Phantom) -> Measured:
    """Give what the integrator makes of a frame."""
    mean = phantom._expected(np.array([frame.fast_mm]), frame.angle_deg)[0].astype(np.float32)
    pattern = FlatPattern(mean=mean, trimmed=mean, variance=np.maximum(mean, np.float32(1e-9)) / np.float32(1e6))
    key = FrameKey(series=SeriesKey(series=frame.series, unique_id=str(frame.series)), image_id=frame.image_id)
    return Measured(frame=key, pattern=pattern, geometry_sha256="ab", received_s=5000.0)
