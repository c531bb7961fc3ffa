"""A screen, and a publisher that serves a phantom as the analysis would."""

import contextlib
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from operando.bus import Entry, FeedServer, MemoryStore
from operando.errors import ServiceError
from operando.messages import (
    CellReading,
    FramePreview,
    MapPublished,
    Notice,
    PatternPublished,
    RunStarted,
    ScanProgress,
    SinogramPublished,
    StreamStatus,
)
from operando.screen import VirtualScreen

N = 61
PIXEL_MM = 0.08
FIRST_MM = -PIXEL_MM * (N - 1) / 2


def radius_mm() -> NDArray[np.float64]:
    axis = FIRST_MM + PIXEL_MM * np.arange(N)
    return np.hypot(axis[:, None], axis[None, :])


def jelly_roll() -> NDArray[np.float32]:
    """x in LixC6 of a wound cell: empty outside, black in the lower half of the inner turns, red in the upper."""
    axis = FIRST_MM + PIXEL_MM * np.arange(N)
    r = radius_mm()
    angle = np.arctan2(axis[:, None], axis[None, :])
    turn = (r - 0.08 * angle / np.pi) % 0.55 < 0.36
    x = np.clip(0.5 + 0.25 * axis[:, None] + 0.08 * np.cos(3 * angle), 0, 1)
    return np.where(turn & (r < 2.1) & (r > 0.35), x, np.nan).astype(np.float32)


class Phantom:
    """Publishes what an analysis would, over a real feed."""

    def __init__(self, address: str = "tcp://127.0.0.1:*", run: str = "run-0001") -> None:
        self.store = MemoryStore()
        self.server = FeedServer(self.store, address)
        self.address = self.server.address
        self.run = run
        self.frames = 0

    def close(self) -> None:
        self.server.close()

    def start(self, n_lines: int = 48) -> None:
        self.store.append(run_started(self.run, n_lines), key=f"run/{self.run}")

    def cell(self, time_s: float, voltage_v: float | None, current_a: float | None = 1.2) -> None:
        self.store.append(cell_reading(time_s, voltage_v, current_a))

    def map(self, name: str, value: NDArray[np.float32], *, n_lines: int = 48, **changes: Any) -> None:
        message, arrays = map_published(name, value, run=self.run, n_lines=n_lines, **changes)
        self.store.append(message, key=f"map/{self.run}/{name}", arrays=arrays)

    def progress(self, state: str = "scanning", lines_done: int = 10, lines_expected: int = 48) -> None:
        self.store.append(scan_progress(self.run, state, lines_done, lines_expected), key="progress")

    def status(self, frames: int) -> None:
        self.store.append(stream_status(frames), key="status")

    def frame(self, image_id: int = 1) -> None:
        message = FramePreview(time_s=time.time(), series=3, image_id=image_id, binning=4, n_saturated=0)
        self.store.append(message, key="frame", arrays={"image": rings()})

    def sinogram(self, share: float = 1.0) -> None:
        message, arrays = sinogram_published(self.run, share)
        self.store.append(message, key=f"sinogram/{self.run}/nmc", arrays=arrays)

    def pattern(self) -> None:
        message, arrays = pattern_published(self.run)
        self.store.append(message, key=f"pattern/{self.run}/mean", arrays=arrays)

    def notice(self, text: str, level: str = "warning") -> None:
        self.store.append(Notice(level=level, origin="reduce", text=text, time_s=time.time()))  # type: ignore[arg-type]

    def everything(self, *, share: float = 0.62, state: str = "scanning") -> None:
        """Publish one full set, the given share of the scan done."""
        n_lines, now = round(48 * share), time.time()
        self.start()
        for second in range(600):
            ramp = 3.55 + 0.0004 * second + 0.02 * np.sin(second / 40)
            self.cell(now - 600 + second, float(ramp), 1.2 if second % 200 < 150 else 0.0)
        x, r = jelly_roll(), radius_mm()
        self.map("x_lithium", x, n_lines=n_lines, label="x in LixC6", low=0.0, high=1.0, colormap="lixc6")
        for k, phase in enumerate(["LiC6", "LiC12", "graphite", "NMC", "copper", "aluminium", "steel"]):
            value = np.where(r < 2.3, 100 * np.exp(-(((r - 0.3 * k) % 0.55) ** 2) / 0.02), np.nan).astype(np.float32)
            self.map(f"weight_{phase}", value, n_lines=n_lines, label=phase, unit="wt%", low=0.0, high=100.0)
        self.map("coverage", np.full((N, N), share, np.float32), n_lines=n_lines, label="coverage", colormap="gray")
        self.sinogram(share)
        self.pattern()
        self.frame()
        self.status(round(48 * share) * N - 3)
        self.progress(state, n_lines)
        self.notice("images 412 to 414 of series 7 never came; their pixels are marked")


def run_started(run: str = "run-0001", n_lines: int = 48) -> RunStarted:
    angles = [180.0 * k / n_lines for k in range(n_lines)]
    return RunStarted(
        run=run,
        time_s=time.time() - 80,
        profile="demo",
        plan="zigzag",
        sample="small jelly roll",
        cell="M50T",
        angles_deg=angles,
        first_position_mm=FIRST_MM,
        step_mm=PIXEL_MM,
        n_points=N,
        exposure_s=0.036,
        period_s=0.04,
        speed_mm_s=2.0,
    )


def cell_reading(time_s: float, voltage_v: float | None = 3.7, current_a: float | None = 1.2) -> CellReading:
    return CellReading(
        time_s=time_s,
        voltage_v=voltage_v,
        current_a=current_a,
        temperature_c=25.1,
        charge_ah=1.234,
        step="CC_Chg",
        source="model",
    )


def map_published(
    name: str, value: NDArray[np.float32], *, run: str = "run-0001", n_lines: int = 48, revision: int = 1, **changes: Any
) -> tuple[MapPublished, dict[str, NDArray[Any]]]:
    now = time.time()
    fields: dict[str, Any] = {
        "label": name,
        "unit": "",
        "low": 0.0,
        "high": 1.0,
        "colormap": "viridis",
        "estimator": "live: phase amounts",
        "reasons": {1: "no electrode here", 2: "not measured yet"},
        "empty_reasons": [1],
        "n_lines_expected": 48,
        "pixel_mm": PIXEL_MM,
        "x_first_mm": FIRST_MM,
        "y_first_mm": FIRST_MM,
        "cell": cell_reading(now),
        "data_time_s": now,
        "time_s": now,
    }
    message = MapPublished(run=run, name=name, n_lines=n_lines, revision=revision, **{**fields, **changes})
    sigma = np.where(np.isfinite(value), 0.03, np.nan).astype(np.float32)
    return message, {"value": value, "sigma": sigma, "reason": np.isnan(value).astype(np.uint8)}


def scan_progress(
    run: str = "run-0001", state: str = "scanning", lines_done: int = 10, lines_expected: int = 48
) -> ScanProgress:
    return ScanProgress(
        run=run,
        state=state,  # type: ignore[arg-type]
        lines_done=lines_done,
        lines_expected=lines_expected,
        attempts=lines_done,
        frames_expected=lines_expected * N,
        frames_received=lines_done * N - 3,
        frames_missing=3,
        seconds_left=2.9 * (lines_expected - lines_done),
        time_s=time.time(),
    )


def stream_status(frames: int = 1000) -> StreamStatus:
    return StreamStatus(
        time_s=time.time(),
        series=7,
        frames_received=frames,
        frames_duplicated=1,
        frames_rejected={"wrong dtype": 2},
        frames_unannounced=0,
        missing_ids=[(7, 412, 414)],
        frames_missing=3,
        queue_depth=2,
        queue_capacity=256,
        frames_per_s=24.8,
    )


def sinogram_published(run: str = "run-0001", share: float = 1.0) -> tuple[SinogramPublished, dict[str, NDArray[Any]]]:
    angles = np.array([180.0 * k / 48 for k in range(48)])
    s = FIRST_MM + PIXEL_MM * np.arange(N)
    theta = np.radians(angles)[:, None]
    chord = np.sqrt(np.clip(2.1**2 - (s - 0.1 * np.cos(theta)) ** 2, 0, None))
    spots = sum(np.exp(-((s - r * np.cos(theta - p)) ** 2) / 0.01) for r, p in [(1.2, 0.3), (1.7, 2.0), (0.8, 4.0)])
    sinogram = (chord + spots).astype(np.float32)
    sinogram[np.random.default_rng(3).permutation(48)[round(48 * share) :]] = np.nan
    message = SinogramPublished(
        run=run,
        name="nmc",
        label="NMC 003",
        unit="counts",
        angles_deg=angles.tolist(),
        first_position_mm=FIRST_MM,
        step_mm=PIXEL_MM,
        n_lines=round(48 * share),
        n_lines_expected=48,
        centre_mm=0.03,
        centre_sigma_mm=0.005,
        time_s=time.time(),
    )
    return message, {"sinogram": sinogram}


def pattern_published(run: str = "run-0001") -> tuple[PatternPublished, dict[str, NDArray[Any]]]:
    q = np.linspace(1.0, 6.0, 1500)
    reflections = {
        "LiC6": [1.70, 2.93, 3.40],
        "LiC12": [1.78, 2.92, 3.56],
        "graphite": [1.87, 2.95, 3.06, 3.75],
        "NMC": [1.33, 2.57, 2.68, 3.07, 4.36],
        "copper": [3.01, 3.48, 4.92],
        "aluminium": [2.69, 3.10, 4.39, 5.15],
        "steel": [3.10, 4.38, 5.37],
    }
    fit = 2 + 3 * np.exp(-q) + 0 * q
    for k, lines in enumerate(reflections.values()):
        for line in lines:
            fit = fit + (8 - k) * 0.6 * np.exp(-(((q - line) / 0.02) ** 2))
    noise = np.random.default_rng(1).normal(0, 0.06, q.size)
    message = PatternPublished(
        run=run, name="mean", label="mean pattern", unit="photons/pixel", reflections=reflections, time_s=time.time()
    )
    return message, {"q": q.astype("<f4"), "intensity": (fit + noise).astype("<f4"), "fit": fit.astype("<f4")}


def rings() -> NDArray[np.uint32]:
    """A preview of a Pilatus CdTe 2M: rings, and masked gaps at the maximum."""
    y, x = np.mgrid[0:420, 0:369]
    r = np.hypot(y - 215, x - 180)
    rate = 3 + sum(40 * np.exp(-(((r - k) / 1.5) ** 2)) for k in (62, 90, 118, 123, 141, 177))
    image = np.random.default_rng(2).poisson(rate).astype(np.uint32)
    for edge in range(48, 420, 53):
        image[edge : edge + 5] = 2**32 - 1
    image[:, 122:125] = image[:, 245:248] = 2**32 - 1
    return image


@pytest.fixture
def phantom() -> Iterator[Phantom]:
    published = Phantom()
    yield published
    published.close()


@pytest.fixture
def entries() -> Iterator[list[Entry]]:
    """What a full set of messages looks like when it arrives, without a socket."""
    published = Phantom()
    published.everything()
    yield published.store.since(0, limit=10_000)
    published.close()


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """A screen to draw on: the one that there is, or a virtual one; without either the tests fail with one sentence."""
    from viewer.screen import check_screen

    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        patch.setenv("NAPARI_CONFIG", str(Path(folder) / "napari.yaml"))
        try:
            if not os.environ.get("DISPLAY"):
                virtual = stack.enter_context(VirtualScreen())
                for name, value in virtual.environment.items():
                    patch.setenv(name, value)
            check_screen()
        except ServiceError as missing:
            pytest.fail(str(missing))
        yield os.environ["DISPLAY"]
        delete_windows()


def delete_windows() -> None:
    """Delete what was closed while its screen is still there: Qt ends the process if it finds that out later."""
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance()
    for _ in range(3) if app is not None else ():
        gc.collect()
        app.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        app.processEvents()
