"""Asking a voxel in a real window."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from operando.bus import AnswerServer
from operando.bus.asking import Answer
from operando.errors import DataError
from operando.messages import Message, PhaseShare, RegionAnswered, RegionAsked, ServicesOffered
from tests.viewer.conftest import jelly_roll, pattern_published, radius_mm
from viewer.app import open_window
from viewer.window import Monitor


def answer(question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
    """A pattern whose height tells for how many voxels it was asked."""
    assert isinstance(question, RegionAsked)
    if question.x_mm[0] < -2:
        raise DataError("the patterns of line-00007 cannot be read")
    message, arrays = pattern_published()
    names, q = list(message.reflections), arrays["q"]
    background, height = np.full_like(q, 2.0), float(len(question.x_mm))
    phases = np.array([[height * (k == 0)] * q.size for k in range(len(names))], dtype="f4")
    fit = background + phases.sum(axis=0)
    found = RegionAnswered(
        run=question.run,
        estimator="live: phase amounts",
        unit="photons/pixel/mm",
        n_voxels=len(question.x_mm),
        n_lines=30,
        n_lines_expected=48,
        phases=[PhaseShare(name=n, label=n, amount=1.0, amount_sigma=0.1, percent=12.5, percent_sigma=0.5) for n in names],
        reflections=message.reflections,
        x_lithium=0.634,
        x_lithium_sigma=0.021,
        misfit_percent=4.25,
        time_s=time.time(),
    )
    curves = {"q": q, "intensity": fit, "sigma": 0.1 + 0 * q, "fit": fit, "background": background, "phases": phases}
    return found, {name: np.ascontiguousarray(curve, dtype="<f4") for name, curve in curves.items()}


@pytest.fixture
def window(screen, qapp, phantom) -> Iterator[Monitor]:
    with AnswerServer("tcp://127.0.0.1:*", answer) as server:
        phantom.store.append(ServicesOffered(questions=server.address, time_s=0.0), key="services")
        monitor = open_window(phantom.address)
        yield monitor
        monitor.viewer.close()


def painted(window: Monitor, colour: str) -> int:
    """How many pixels of the marks have a colour."""
    rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return int((np.asarray(window.layers.marks_layer("x_lithium").data)[..., :3] == rgb).all(axis=-1).sum())


class _Drag:
    """A drag as napari tells it: press, moves, release."""

    button = 1

    def __init__(self, path: list[tuple[float, float]], modifiers: tuple[str, ...] = ()) -> None:
        self._path = path
        self.modifiers = modifiers
        self.type = "mouse_press"
        self._at = 0

    @property
    def position(self) -> tuple[float, float, float]:
        x, y = self._path[self._at]
        return (0.0, y, x)

    @property
    def pos(self) -> tuple[float, float]:
        x, y = self._path[self._at]
        return (100 * x, 100 * y)

    def on(self, window: Monitor) -> None:
        callback = window.viewer.mouse_drag_callbacks[-1](window.viewer, self)
        next(callback)
        self.type = "mouse_move"
        while self._at + 1 < len(self._path):
            self._at += 1
            next(callback)
        self.type = "mouse_release"
        with pytest.raises(StopIteration):
            next(callback)


def test_a_click_shows_the_pattern_of_a_voxel_and_drags_those_of_regions_and_lines(window, phantom, qtbot):
    phantom.start()
    phantom.map("x_lithium", jelly_roll(), label="x in LixC6", colormap="lixc6", n_lines=30)
    phantom.map("wt", np.where(radius_mm() < 2, 10.0, np.nan).astype("f4"), label="LiC6", unit="wt%", high=100.0)
    qtbot.waitUntil(lambda: window.is_settled and "wt" in window.session.stacks, timeout=60_000)
    pins = window.session.pins

    _Drag([(1.2, 0.8)]).on(window)
    qtbot.waitUntil(lambda: window.region.curve_of("A") is not None, timeout=60_000)
    assert window.region.curve_of("A")[1][0] == 3.0
    table = dict(window.region.table)
    assert table["x in LixC6"].endswith("± 0.03")
    assert table["LiC6"] == "10.00 ± 0.03 wt%"
    assert table["x, fit of the pattern"] == "0.634 ± 0.021"
    assert table["LiC6, fit"] == "12.5 ± 0.5 wt%"
    assert table["Rwp"] == "4.25 %"
    qtbot.waitUntil(lambda: painted(window, pins.items[0].colour) > 10, timeout=30_000)

    _Drag([(-1.0, -1.0), (-0.5, -1.0), (-0.5, -0.5), (-1.0, -0.5)], ("Shift",)).on(window)
    qtbot.waitUntil(lambda: window.region.curve_of("B") is not None, timeout=60_000)
    n_voxels = pins.items[1].n_voxels
    assert n_voxels == 36
    assert window.region.curve_of("B")[1][0] == 2.0 + n_voxels
    assert [row[0] for row in window.region.table if len(row) == 3]
    orange = pins.items[1].colour
    qtbot.waitUntil(lambda: painted(window, orange) > 100, timeout=30_000)

    _Drag([(-2.2, 0.0), (2.2, 0.0)], ("Control",)).on(window)
    window._docks["across"].raise_()
    qtbot.waitUntil(lambda: window.across.profile() is not None, timeout=30_000)
    distance, value = window.across.profile()
    assert distance[-1] == pytest.approx(4.4)
    row = jelly_roll()[30]
    np.testing.assert_allclose(value[np.isfinite(value)].max(), np.nanmax(row))

    heights = np.histogram(row_of_all := jelly_roll()[np.isfinite(jelly_roll())], np.linspace(0, 1, 51))[0]
    edges, percent = window.across._histogram.listDataItems()[0].getData()
    np.testing.assert_allclose(percent, 100 * heights / row_of_all.size)
    np.testing.assert_allclose(edges, np.linspace(0, 1, 51))

    _Drag([(-2.35, 0.0)]).on(window)
    window._docks["voxel"].raise_()
    qtbot.waitUntil(lambda: "A: the patterns of line-00007 cannot be read" in window.region.words, timeout=60_000)
    assert [pin.label for pin in pins.items] == ["A"]
    qtbot.waitUntil(lambda: painted(window, orange) == 0, timeout=30_000)
    camera = window.viewer.scene.camera
    assert camera.mouse_pan, "a plain drag moves the map again"
    assert window.header.notices == ""

    window.session.clear_pins()
    qtbot.waitUntil(lambda: window.region.table == [], timeout=30_000)
