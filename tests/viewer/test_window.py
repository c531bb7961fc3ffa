"""Real windows on a real screen, judged by what can be seen in them."""

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtGui import QImage

from operando.bus import FeedServer
from tests.viewer.conftest import Phantom
from viewer.app import Director, open_window, view
from viewer.freshness import Level
from viewer.snapshot import picture_of
from viewer.window import Monitor

N = 61
PIXEL_MM = 0.08


@pytest.fixture(scope="module")
def beamtime() -> Iterator[Phantom]:
    """What the window of this module listens to: the tests are hours of one beamtime, in their order."""
    published = Phantom()
    yield published
    published.close()


@pytest.fixture(scope="module")
def window(screen, qapp, beamtime) -> Iterator[Monitor]:
    monitor = open_window(beamtime.address)
    yield monitor
    monitor.viewer.close()


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 12) -> float:
    """Part of the pixels that have a colour."""
    distance = np.abs(picture[..., :3].astype(int) - colour).max(axis=-1)
    return float((distance <= tolerance).mean())


def rows_of(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.intp]:
    distance = np.abs(picture[..., :3].astype(int) - colour).max(axis=-1)
    return np.nonzero(distance <= 12)[0]


def blocks() -> NDArray[np.float32]:
    """Half of the slice: a quarter LiC6 where y is high, a quarter C6 where y is low, NaN on the other side of x."""
    value = np.full((N, N), np.nan, np.float32)
    value[: N // 2, : N // 2] = 0.0
    value[N // 2 :, : N // 2] = 1.0
    return value


def test_colours_are_the_published_ones_with_y_upwards_and_nothing_where_nothing_is(window, beamtime, qtbot):
    beamtime.start()
    beamtime.map("x_lithium", blocks(), label="x in LixC6", colormap="lixc6", n_lines=30)
    qtbot.waitUntil(lambda: window.is_settled and "x_lithium" in window.layers.names, timeout=60_000)
    layer = window.layers.layer("x_lithium")
    layer.colorbar.visible = False
    assert len([one for one in window.viewer.layers if one.visible]) == 4, "the map has its uncertainty beside it"
    window.layers.toggle_sigma()
    picture = picture_of(window.viewer)
    canvas = np.asarray(window.viewer.screenshot(canvas_only=True, flash=False))
    assert picture.shape[:2] == (1000, 1700)
    assert 0.1 < share(canvas, (0, 0, 0)) < 0.3
    assert 0.1 < share(canvas, (255, 0, 0)) < 0.3
    assert share(canvas, (255, 255, 255)) > 0.4
    assert rows_of(canvas, (255, 0, 0)).mean() < rows_of(canvas, (0, 0, 0)).mean()
    corner = canvas[-60:, :200]
    assert (corner[..., :3] < 128).any(), "the text 'partial 62 %' is missing"

    position = (0.0, 1.0, -0.8)
    row, column = (round((p + PIXEL_MM * 30) / PIXEL_MM) for p in position[1:])
    assert layer.get_value(position, world=True) == blocks()[row, column] == 1.0

    layer.contrast_limits = (0.2, 0.9)
    window.viewer.scene.camera.zoom *= 1.5
    zoom = window.viewer.scene.camera.zoom
    beamtime.map("x_lithium", blocks()[::-1].copy(), label="x in LixC6", colormap="lixc6", revision=2)
    qtbot.waitUntil(lambda: bool(layer.data[0, 0, 0] == 1.0), timeout=30_000)
    assert window.layers.layer("x_lithium") is layer
    assert layer.contrast_limits == [0.2, 0.9]
    assert window.viewer.scene.camera.zoom == zoom
    window.layers.toggle_sigma()


def test_the_window_tells_what_the_feed_tells_and_a_lost_source_looks_lost(window, beamtime, qtbot):
    beamtime.everything()
    qtbot.waitUntil(lambda: window.is_settled and "images 412 to 414" in window.header.notices, timeout=60_000)
    # Panels follow the data once a second at most.
    qtbot.waitUntil(lambda: "30 / 48 lines" in window.header.chips["scan"].text, timeout=60_000)
    qtbot.waitUntil(lambda: len(window.strip.curve("voltage")[0]) == 600, timeout=60_000)
    chips = {caption: chip.text for caption, chip in window.header.chips.items()}
    assert "V" in chips["cell"]
    assert "1827 frames" in chips["detector"]
    assert "3 missing · 1 doubled · 2 rejected" in chips["detector"]
    assert "live: phase amounts" in chips["run"]
    assert "images 412 to 414" in window.header.notices
    volts = window.strip.curve("voltage")[1]
    assert volts[0] == pytest.approx(3.55)
    assert window.layers.names[0] == "x_lithium"
    assert window.layers.visible_names == ["x_lithium"]

    x = beamtime.store.since(0, limit=10_000)
    message = next(entry for entry in x if entry.key == "map/run-0001/x_lithium")
    beamtime.store.append(message.message, key="map/run-0001/x_lithium", arrays={"value": np.zeros(3, "f4")})
    qtbot.waitUntil(lambda: "1 messages refused" in window.header.notices, timeout=30_000)

    beamtime.server.close()
    qtbot.waitUntil(lambda: "source lost" in window.header.pill.text, timeout=60_000)
    assert window.header.pill.level is Level.STALE
    beamtime.server = FeedServer(beamtime.store, beamtime.address)
    counts = itertools.count(2000)

    def is_live_again() -> bool:
        # Frames go on coming: how soon the window asks the new server is not what is judged here.
        beamtime.status(next(counts))
        return window.header.pill.level is Level.FRESH

    qtbot.waitUntil(is_live_again, timeout=60_000)


def test_maps_that_are_chosen_stand_side_by_side_and_a_panel_that_fails_stops_no_other(window, beamtime, qtbot, tmp_path):
    def fail(session: object) -> None:
        raise ZeroDivisionError("no scale")

    beamtime.run = "run-0002"
    window.sinogram.show_session = fail
    beamtime.everything()
    qtbot.waitUntil(lambda: "the sinogram panel cannot draw: ZeroDivisionError" in window.header.notices, timeout=60_000)
    assert window.n_faults > 0
    qtbot.waitUntil(lambda: window.is_settled and "images 412 to 414" in window.header.notices, timeout=60_000)
    window.gallery.choose(["x_lithium", "weight_LiC6"])
    assert len(window.viewer.layers) == 2 * 3, "two maps, one of them with its uncertainty since it was alone, and their marks"
    assert window.viewer.canvas.grid.actual_shape(window.viewer.layers) == (1, 2)
    for name, title, high in (("x_lithium", "x in LixC6", 1.0), ("weight_LiC6", "LiC6 (wt%)", 100.0)):
        layer = window.layers.layer(name)
        assert layer.name == title, "what the colour bar beside it is of, and its unit"
        assert layer.name_overlay.visible
        assert layer.colorbar.visible or name == "x_lithium", "that bar was hidden above"
        assert tuple(layer.contrast_limits_range) == (0.0, high)
        assert [str(unit) for unit in layer.units[-2:]] == ["millimeter", "millimeter"]
    for callback in window.viewer.mouse_move_callbacks:
        callback(window.viewer, _MouseAt(y=1.0, x=0.5))
    assert "x in LixC6 at x 0.50 mm, y 1.00 mm: " in window.gallery.readout
    assert "± 0.03" in window.gallery.readout

    beamtime.run = "run-0003"
    beamtime.start()
    qtbot.waitUntil(lambda: window.session.tomogram.run == "run-0003", timeout=30_000)
    qtbot.waitUntil(lambda: window.viewer.dims.current_step[0] == 2, timeout=30_000)
    history = window.layers.layer("x_lithium").data
    assert len(history) == 3
    assert np.isfinite(history[1]).any()
    assert np.isnan(history[2]).all()

    stop = threading.Event()
    director = Director(window, snapshot=tmp_path / "stopped.png", stop=stop, ends_itself=False)
    director.tick()
    assert not (tmp_path / "stopped.png").exists()
    stop.set()
    window.on_tick = director.tick
    qtbot.waitUntil(lambda: window.is_closed, timeout=60_000)
    assert director.fault is None
    assert read_png(tmp_path / "stopped.png").shape[:2] == (1000, 1700)


class _MouseAt:
    def __init__(self, *, y: float, x: float) -> None:
        self.position = (y, x)


def test_the_picture_that_is_left_behind_shows_the_final_maps_and_no_setting_of_the_user_is_touched(
    screen, qtbot, phantom, tmp_path, monkeypatch
):
    settings = tmp_path / "napari.yaml"
    monkeypatch.setenv("NAPARI_CONFIG", str(settings))
    phantom.everything(share=1.0, state="finished")
    assert view(phantom.address, snapshot=tmp_path / "monitor.png", wait_for_end=True) == 0
    picture = read_png(tmp_path / "monitor.png")
    assert picture.shape[:2] == (1000, 1700)
    middle = picture[150:650, 400:1200]
    assert share(middle, (255, 0, 0), tolerance=40) > 0.01, "no LiC6 is seen"
    assert share(middle, (0, 0, 0), tolerance=40) > 0.01, "no C6 is seen"
    assert not settings.exists()
    assert os.environ["NAPARI_CONFIG"] == str(settings)


def read_png(path: Path) -> NDArray[np.uint8]:
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGBA8888)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    return np.frombuffer(bits, np.uint8).reshape(image.height(), image.width(), 4).copy()
