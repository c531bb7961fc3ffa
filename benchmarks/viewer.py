"""The window on software OpenGL: map sets a second, gaps of the event loop, the thousandth scan, memory over minutes.

A publisher in a process of its own serves sets of four maps of 550 x 550, with uncertainties and reasons, faster than they can
be drawn, and cell, frame, sinogram and pattern beside them. The window shows all four maps and its plots on a virtual screen. A
set counts when a frame with it has been put on the screen. The peer is napari alone: the same four arrays given to four layers,
no plots, no socket. Machine and Mesa are those of the run; a real graphics card is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operando.bus import Entry, FeedServer, MemoryStore
from operando.messages import (
    CellReading,
    FramePreview,
    MapPublished,
    Message,
    PatternPublished,
    RunStarted,
    ScanProgress,
    SinogramPublished,
    StreamStatus,
)
from operando.screen import VirtualScreen

N, PIXEL_MM = 550, 0.02
NAMES = ("x_lithium", "lic6", "lic12", "c")
N_DISTINCT = 8
SETS_PER_S = 10
"""Published a second: more than are drawn, so that skipping is measured, too."""
WARM_S = 10.0
"""Layers, shaders and the layout of the window: what happens once is not what is measured."""
BEAT_MS = 5
PEER_S = 15.0
N_SCANS = 1000
N_EITHER_SIDE = 10
SHORT = {"minutes": 0.5}
"""What ``operando bench --short`` measures."""

Arrays = dict[str, NDArray[Any]]


def rows(minutes: float = 3.0) -> list[dict[str, object]]:
    """Give four rows.

    Parameters
    ----------
    minutes
        How long maps are shown while memory and the event loop are watched; ten for the figure that is promised.
    """
    with VirtualScreen() as screen, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **screen.environment, "NAPARI_CONFIG": str(Path(folder) / "napari.yaml")}
        command = [sys.executable, "-m", "benchmarks.viewer", "--measure", str(minutes)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    common = {"device": f"software OpenGL ({seen['renderer']}), {len(os.sched_getaffinity(0))} cores, publisher included"}
    span = f"{minutes:g} min, 1700 x 1000 window, plots shown"
    return [
        {
            "name": f"sets of four 550 x 550 maps, {span}",
            "ours": round(seen["sets_per_s"], 1),
            "peer": round(seen["peer_sets_per_s"], 1),
            "peer_name": f"napari {version('napari')} alone, layer.data = new, no plots, no socket",
            "unit": "sets/s",
            "ratio": round(seen["sets_per_s"] / seen["peer_sets_per_s"], 2),
            "better": "higher",
            "gui_cpu_ms_per_set": round(seen["gui_cpu_ms"], 1),
            **common,
        },
        _bounded("gap of the event loop, p99", seen["gap_p99_ms"], 250.0, "ms", common, worst=round(seen["gap_max_ms"], 1)),
        _bounded("showing scan 1,000 beside scan 10", seen["append_ratio"], 2.0, "times", common, scan_ms=seen["append_ms"]),
        _bounded(f"memory that grows, {span}", seen["mib_per_min"], 1.0, "MiB/min", common, mib=seen["mib"]),
    ]


def _bounded(name: str, value: float, bound: float, unit: str, common: dict[str, str], **more: object) -> dict[str, object]:
    ratio = round(bound / max(value, 1e-9), 2) if value > 0 else None
    peer = {"peer": bound, "peer_name": "the bound that is promised", "ratio": ratio, "better": "lower"}
    return {"name": name, "ours": round(value, 3), "unit": unit, **peer, **common, **more}


# --- the publisher, in its own process ------------------------------------------------------------------------------


def publish_for_ever() -> None:
    """Serve sets of maps and what comes beside them until the input ends; the address is the first line of output."""
    store = MemoryStore()
    with FeedServer(store, "tcp://127.0.0.1:*") as server:
        print(server.address, flush=True)
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        store.append(run_started("bench", time.time()), key="run/bench")
        sets, revision, next_s = [map_arrays(k) for k in range(N_DISTINCT)], 0, time.monotonic()
        while not ended.is_set():
            revision += 1
            for number, name in enumerate(NAMES):
                arrays = sets[(revision + number) % N_DISTINCT]
                store.append(map_message(name, "bench", revision, time.time()), key=f"map/bench/{name}", arrays=arrays)
            for message, key, arrays in beside(revision, time.time()):
                store.append(message, key=key, arrays=arrays)
            next_s = max(next_s + 1 / SETS_PER_S, time.monotonic() - 1)
            time.sleep(max(0.0, next_s - time.monotonic()))


def map_arrays(seed: int) -> Arrays:
    """Give a disc of smooth values with noise, and holes."""
    random = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, N)
    radius = np.hypot(axis[:, None], axis[None, :])
    value = 0.5 + 0.3 * np.sin(8 * radius + seed) + 0.05 * random.normal(size=(N, N))
    is_empty = (radius > 0.95) | (random.random((N, N)) < 0.01)
    value[is_empty] = np.nan
    return {
        "value": value.astype(np.float32),
        "sigma": np.where(is_empty, np.nan, 0.05).astype(np.float32),
        "reason": is_empty.astype(np.uint8),
    }


def map_message(name: str, run: str, revision: int, time_s: float) -> MapPublished:
    """Give the words of a map."""
    return MapPublished(
        run=run,
        name=name,
        label=name,
        unit="",
        low=0.0,
        high=1.0,
        colormap="lixc6" if name == NAMES[0] else "viridis",
        estimator="bench",
        reasons={1: "nothing here"},
        empty_reasons=[1],
        n_lines=200,
        n_lines_expected=400,
        revision=revision,
        pixel_mm=PIXEL_MM,
        x_first_mm=-5.5,
        y_first_mm=-5.5,
        cell=None,
        data_time_s=time_s,
        time_s=time_s,
    )


def run_started(run: str, time_s: float) -> RunStarted:
    """Give the beginning of a run of 400 lines."""
    return RunStarted(
        run=run,
        time_s=time_s,
        profile="bench",
        plan="xrdct",
        angles_deg=np.linspace(0, 180, 400, endpoint=False).tolist(),
        first_position_mm=-5.5,
        step_mm=PIXEL_MM,
        n_points=N,
        exposure_s=0.01,
        period_s=0.01,
        speed_mm_s=2.0,
    )


def beside(revision: int, now_s: float) -> list[tuple[Message, str | None, Arrays]]:
    """Give what comes beside the maps: sinogram and pattern with each set, frame and status a few times a second."""
    random = np.random.default_rng(revision)
    angles, q = np.linspace(0, 180, 400, endpoint=False), np.linspace(1, 6, 1500)
    sinogram = SinogramPublished(
        run="bench",
        name="mass",
        label="mass",
        unit="",
        angles_deg=angles.tolist(),
        first_position_mm=-5.5,
        step_mm=PIXEL_MM,
        n_lines=200,
        n_lines_expected=400,
        time_s=now_s,
    )
    pattern = PatternPublished(
        run="bench", name="mean", label="mean", unit="photons", reflections={"lic6": [1.7, 3.4]}, time_s=now_s
    )
    curve = (5 + np.sin(9 * q) + 0.1 * random.normal(size=q.size)).astype(np.float32)
    progress = ScanProgress(
        run="bench",
        state="scanning",
        lines_done=200,
        lines_expected=400,
        attempts=200,
        frames_expected=220_000,
        frames_received=110_000 + revision,
        frames_missing=0,
        seconds_left=60.0,
        time_s=now_s,
    )
    found: list[tuple[Message, str | None, Arrays]] = [
        (sinogram, "sinogram", {"sinogram": random.random((400, N), dtype=np.float32)}),
        (pattern, "pattern", {"q": q.astype(np.float32), "intensity": curve, "fit": curve}),
        (progress, "progress", {}),
    ]
    if revision % (SETS_PER_S // 3) == 0:
        image = random.poisson(20, (420, 369)).astype(np.uint32)
        preview = FramePreview(time_s=now_s, series=1, image_id=revision, binning=4, n_saturated=0)
        found += [(preview, "frame", {"image": image}), (_status(revision, now_s), "status", {})]
    if revision % SETS_PER_S == 0:
        volts = 3.7 + 0.3 * np.sin(revision / 3000)
        found.append((CellReading(time_s=now_s, voltage_v=float(volts), current_a=0.5, temperature_c=25.0), None, {}))
    return found


def _status(revision: int, now_s: float) -> StreamStatus:
    return StreamStatus(
        time_s=now_s,
        series=1,
        frames_received=revision * 55,
        frames_duplicated=0,
        frames_rejected={},
        frames_unannounced=0,
        missing_ids=[],
        frames_missing=0,
        queue_depth=0,
        queue_capacity=256,
        frames_per_s=100.0,
    )


# --- the window, in its own process ---------------------------------------------------------------------------------


class Watch:
    """Counts what happens in a Qt process: frames put on the screen, and how long the event loop was busy."""

    def __init__(self, viewer: Any, newest: Callable[[], object]) -> None:
        from qtpy.QtCore import QTimer
        from qtpy.QtOpenGLWidgets import QOpenGLWidget
        from qtpy.QtWidgets import QApplication

        self.app = QApplication.instance()
        self._newest, self._last_shown = newest, newest()
        canvases = [widget for top in self.app.topLevelWidgets() for widget in top.findChildren(QOpenGLWidget)]
        for canvas in canvases:
            canvas.frameSwapped.connect(self._swapped)
        # Of plain numbers: what watches must not grow like what is watched.
        self.n_shown, self.gaps_ms, self._beat_s = 0, array("d"), time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)

    def run(self, seconds: float, each_second: Callable[[], None] = lambda: None) -> None:
        """Let the window live, in an event loop as a person's does: Qt deletes what it was told to delete later only there."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop, ticking = QEventLoop(), QTimer()
        ticking.timeout.connect(each_second)
        self.n_shown, self._beat_s = 0, time.perf_counter()
        del self.gaps_ms[:]
        self._timer.start(BEAT_MS)
        ticking.start(1000)
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()
        ticking.stop()
        self._timer.stop()

    def until_shown(self, deadline_s: float = 60.0) -> None:
        """Let the window live until another state has been put on the screen."""
        n, end_s = self.n_shown, time.perf_counter() + deadline_s
        while self.n_shown == n:
            self.app.processEvents()
            if time.perf_counter() > end_s:
                raise RuntimeError("the canvas never drew what it was given")

    def _swapped(self) -> None:
        newest = self._newest()
        if newest != self._last_shown:
            self._last_shown = newest
            self.n_shown += 1

    def _beat(self) -> None:
        now_s = time.perf_counter()
        self.gaps_ms.append(1000 * (now_s - self._beat_s))
        self._beat_s = now_s


def measure(minutes: float) -> dict[str, object]:
    """Measure everything on the screen of this process."""
    live = _measure_live(minutes)
    return {**live, **_measure_appending(), "peer_sets_per_s": _measure_napari_alone(), "renderer": _renderer()}


def _measure_live(minutes: float) -> dict[str, object]:
    from viewer.app import open_window

    command = [sys.executable, "-m", "benchmarks.viewer", "--publish"]
    publisher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if publisher.stdout is None:
            raise RuntimeError("the publisher has no output")
        monitor = open_window(publisher.stdout.readline().strip())
        watch = Watch(monitor.viewer, lambda: _revision(monitor))
        watch.run(WARM_S)
        monitor.gallery.choose(list(NAMES))
        watch.run(WARM_S)
        resident: list[float] = []
        before_s = time.thread_time()
        watch.run(60 * minutes, each_second=lambda: resident.append(_resident_mib()))
        gui_s = time.thread_time() - before_s
        monitor.viewer.close()
    finally:
        publisher.kill()
        publisher.wait()
    settled = resident[len(resident) // 3 if minutes < 3 else 60 :]
    slope = float(np.polyfit(np.arange(len(settled)) / 60, settled, 1)[0])
    return {
        "sets_per_s": watch.n_shown / (60 * minutes),
        "gui_cpu_ms": 1000 * gui_s / max(watch.n_shown, 1),
        "gap_p99_ms": float(np.percentile(watch.gaps_ms, 99)),
        "gap_max_ms": max(watch.gaps_ms),
        "mib_per_min": slope,
        "mib": [round(mib, 1) for mib in [*resident[::60], resident[-1]]],
    }


def _revision(monitor: Any) -> int:
    """Give the revision that all four maps on the screen have at least."""
    maps = monitor.session.shown.maps
    return min((maps[name].message.revision for name in NAMES if name in maps), default=0)


def _measure_appending() -> dict[str, object]:
    """Compare showing a new scan behind ten others with showing it behind a thousand."""
    from viewer.app import open_window

    monitor = open_window(None)
    watch = Watch(monitor.viewer, lambda: len(monitor.session.scans))
    arrays = map_arrays(0)
    watch.run(1.0)
    costs_ms: dict[int, list[float]] = {10: [], N_SCANS: []}
    for number in range(1, N_SCANS + N_EITHER_SIDE + 1):
        run, start_s = f"run-{number}", time.perf_counter()
        entries = [run_started(run, 300.0 * number), map_message(NAMES[0], run, number, 300.0 * number + 200)]
        monitor.feed([Entry(number=2 * number + k, message=m, arrays=arrays if k else {}) for k, m in enumerate(entries)])
        near = [key for key in costs_ms if abs(number - key) < N_EITHER_SIDE and number > 2]
        if near:
            monitor.tick()
            watch.until_shown()
            costs_ms[near[0]].append(1000 * (time.perf_counter() - start_s))
    monitor.viewer.close()
    early, late = (statistics.median(costs_ms[key]) for key in (10, N_SCANS))
    return {"append_ratio": late / early, "append_ms": [round(early, 1), round(late, 1)]}


def _measure_napari_alone() -> float:
    import napari

    viewer = napari.Viewer(show=False)
    viewer.window.set_geometry(0, 0, 1700, 1000)
    sets = [map_arrays(k)["value"] for k in range(N_DISTINCT)]
    layers = [viewer.add_image(sets[k], contrast_limits=(0, 1), name=name) for k, name in enumerate(NAMES)]
    viewer.canvas.grid.enabled = True
    viewer.show()
    n_given = [0]
    watch = Watch(viewer, lambda: n_given[0])
    watch.run(2.0)
    begin_s, n_drawn = time.perf_counter(), 0
    while time.perf_counter() - begin_s < PEER_S:
        n_given[0] += 1
        for k, layer in enumerate(layers):
            layer.data = sets[(n_given[0] + k) % N_DISTINCT]
        watch.until_shown()
        n_drawn += 1
    viewer.close()
    return n_drawn / PEER_S


def _resident_mib() -> float:
    """Give the memory of this process that is its own: files that it has mapped do not count."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon in /proc/self/status: this benchmark wants Linux")


def _renderer() -> str:
    from qtpy.QtGui import QOffscreenSurface, QOpenGLContext

    surface, context = QOffscreenSurface(), QOpenGLContext()
    surface.create()
    context.create()
    context.makeCurrent(surface)
    import vispy.gloo.gl as gl

    return str(gl.glGetParameter(gl.GL_RENDERER))[:60]


def main() -> None:
    """Print the rows, or be one of the processes behind them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=10.0)
    parser.add_argument("--measure", type=float, metavar="MINUTES", help="be the window, on the screen of this process")
    parser.add_argument("--publish", action="store_true", help="be the publisher")
    arguments = parser.parse_args()
    if arguments.publish:
        publish_for_ever()
    elif arguments.measure:
        print(json.dumps(measure(arguments.measure)))
    else:
        print(json.dumps(rows(arguments.minutes), indent=2))


if __name__ == "__main__":
    main()
