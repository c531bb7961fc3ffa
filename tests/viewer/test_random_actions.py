"""A thousand things that a person may do, in any order, while a stream goes on: nothing ends the window or stops a panel."""

import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QDockWidget

from operando.bus import AnswerServer, FeedServer, MemoryStore
from operando.messages import ScanState, ServicesOffered
from tests.viewer.conftest import N, Phantom, jelly_roll, map_published
from tests.viewer.test_control import FakeAcquisition
from tests.viewer.test_window_voxel import answer
from viewer.app import open_window
from viewer.window import Monitor

N_ACTIONS = 1000
TICK_EVERY, PAINT_EVERY = 20, 100
"""Drawing takes time on software OpenGL: so many actions happen between two ticks, two paintings, as when a machine is slow."""
RARELY = 0.06
PATIENCE_MS = 60_000
NAMES = ("x_lithium", "weight_LiC6")


class Person:
    """Does something by chance: with the mouse, with keys, with the panels."""

    def __init__(self, window: Monitor, chance: random.Random) -> None:
        self._window, self._chance = window, chance

    def act(self) -> None:
        self._chance.choice(self._actions())()

    def _actions(self) -> list[Callable[[], object]]:
        window, chance, camera = self._window, self._chance, self._window.viewer.scene.camera
        layers = list(window.viewer.layers)
        dims = window.viewer.dims
        place = (chance.uniform(-4, 4), chance.uniform(-4, 4))
        found: list[Callable[[], object]] = [
            window.follow,
            lambda: window.pointer.pick(place, keep=chance.random() < 0.5),
            lambda: window.pointer.pick_region([place, (0.0, 1.0), (1.0, -1.0)], keep=True),
            lambda: window.session.draw_line(place, (1.0, 1.0)),
            window.session.clear_pins,
            lambda: setattr(camera, "zoom", chance.uniform(1, 400)),
            lambda: setattr(camera, "center", (0.0, *place)),
            lambda: window.strip.click_at(time.time() - chance.uniform(0, 700)),
            lambda: chance.choice(window.shortcuts.all).act(),
            lambda: chance.choice(window.viewer.window._qt_window.findChildren(QDockWidget)).raise_(),
            lambda: window.commands.press(chance.choice(list(window.commands.buttons))),
            lambda: [move(window.viewer, _At(place)) for move in window.viewer.mouse_move_callbacks],
        ]
        # Napari takes a tenth of a second for each layer that comes: what makes many of them anew is seldom chosen.
        if chance.random() < RARELY:
            found.append(lambda: window.gallery.choose(chance.sample(NAMES, chance.randint(1, 2))))
        if dims.ndim > 2:
            found.append(lambda: dims.set_current_step(0, chance.randint(0, 9)))
        if layers:
            layer = chance.choice(layers)
            found.append(lambda: setattr(layer, "visible", chance.random() < 0.5))
            if not layer.rgb:
                found.append(lambda: setattr(layer, "contrast_limits", (0.0, chance.uniform(0.1, 2))))
            if chance.random() < RARELY:
                found.append(lambda: window.viewer.layers.remove(layer))
        return found


class _At:
    def __init__(self, place: tuple[float, float]) -> None:
        self.position = (0.0, *place)


class Stream:
    """Goes on publishing whatever a beamtime may bring, good and bad."""

    def __init__(self, phantom: Phantom, chance: random.Random) -> None:
        self._phantom, self._chance, self._n = phantom, chance, 0

    def go_on(self) -> None:
        phantom, chance = self._phantom, self._chance
        self._n += 1
        chance.choice(
            [
                lambda: phantom.map(chance.choice(NAMES), jelly_roll() * chance.random(), revision=self._n),
                lambda: phantom.map("x_lithium", np.full((N, N), np.nan, "f4"), revision=self._n),
                lambda: phantom.map("other_grid", np.zeros((chance.randint(1, 9), 5), "f4"), revision=self._n),
                self._new_run,
                self._wrong_shape,
                self._begin_anew,
                lambda: phantom.sinogram(chance.random()),
                phantom.pattern,
                lambda: phantom.frame(self._n),
                lambda: phantom.status(self._n * 49),
                lambda: phantom.cell(time.time(), chance.choice([None, 3.7])),
                lambda: phantom.progress(chance.choice(["scanning", "paused", "finished", "aborted", "failed"])),
                lambda: phantom.notice("<b>something</b> & more " * chance.randint(1, 50), chance.choice(["info", "error"])),
                lambda: phantom.store.append(
                    ScanState(state=chance.choice(["running", "paused", "idle"]), time_s=time.time()), key="scan_state"
                ),
            ]
        )()

    def _new_run(self) -> None:
        self._phantom.run = f"run-{self._chance.randint(1, 6)}"
        self._phantom.start()

    def _wrong_shape(self) -> None:
        message, _ = map_published("x_lithium", jelly_roll(), run=self._phantom.run)
        self._phantom.store.append(message, key="wrong", arrays={"value": np.zeros(3, "f4")})

    def _begin_anew(self) -> None:
        if self._chance.random() < 0.2:
            self._phantom.server.close()
            services = [entry.message for entry in self._phantom.store.since(0, limit=10**6) if entry.key == "services"]
            self._phantom.store = MemoryStore()
            self._phantom.store.append(services[0], key="services")
            self._phantom.server = FeedServer(self._phantom.store, self._phantom.address)


@pytest.fixture
def window(screen, qapp, phantom) -> Iterator[Monitor]:
    with AnswerServer("tcp://127.0.0.1:*", answer) as questions, AnswerServer("tcp://127.0.0.1:*", FakeAcquisition()) as desk:
        offered = ServicesOffered(questions=questions.address, commands=desk.address, time_s=0.0)
        phantom.store.append(offered, key="services")
        phantom.start()
        for name in NAMES:
            phantom.map(name, jelly_roll(), label=name)
        phantom.progress()
        monitor = open_window(phantom.address)
        monitor.viewer.window.set_geometry(0, 0, 1000, 700)
        yield monitor
        monitor.viewer.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_random_actions_during_a_stream_end_in_a_window_that_still_follows(window, phantom, qtbot):
    qtbot.waitUntil(lambda: len(window.session.stacks) == len(NAMES), timeout=PATIENCE_MS)
    chance = random.Random(20261120)
    person, stream = Person(window, chance), Stream(phantom, chance)
    for number in range(N_ACTIONS):
        person.act()
        if number % TICK_EVERY == 0:
            stream.go_on()
            window.tick()
        if number % PAINT_EVERY == 0:
            QApplication.processEvents()
    assert window.n_faults == 0, window.header.notices

    window.follow()
    window.gallery.choose(["x_lithium"])
    phantom.run = "run-last"
    phantom.start()
    value = np.full((N, N), 0.625, "f4")
    phantom.map("x_lithium", value, label="x in LixC6", colormap="lixc6", revision=10**6)
    qtbot.waitUntil(lambda: window.session.shown.run == "run-last" and bool(window.session.shown.maps), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.layers.visible_names == ["x_lithium"], timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: bool((window.layers.layer("x_lithium").data[-1] == value).all()), timeout=PATIENCE_MS)
    assert window.n_faults == 0, window.header.notices
    assert not window.is_closed
