"""What a window leaves behind when it is closed: no timer, no thread, no socket, no widget; with the fixture of napari."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from app_model import Application
from napari._app_model._app import APP_NAME
from npe2 import PluginManager
from qtpy.QtCore import QThread, QThreadPool, QTimer
from qtpy.QtWidgets import QApplication

from operando.bus import AnswerServer
from operando.messages import ServicesOffered
from tests.viewer.conftest import Phantom, delete_windows, jelly_roll
from tests.viewer.test_control import FakeAcquisition
from tests.viewer.test_window_voxel import answer
from viewer.mailbox import Receiver
from viewer.window import Monitor


def alive() -> dict[str, set[int]]:
    """Give what runs in this process, by kind and identity."""
    # An object may answer for its class with another's; its type is its own.
    objects = [thing for thing in gc.get_objects() if issubclass(type(thing), QTimer | QThread | zmq.Socket)]
    return {
        "timers": {id(one) for one in objects if isinstance(one, QTimer) and is_there(one.isActive)},
        "Qt threads": {id(one) for one in objects if isinstance(one, QThread) and is_there(one.isRunning)},
        "sockets": {id(one) for one in objects if isinstance(one, zmq.Socket) and not one.closed},
        "threads": {id(thread) for thread in threading.enumerate()},
        "widgets": {id(widget) for widget in QApplication.topLevelWidgets()},
        "jobs": set(range(QThreadPool.globalInstance().activeThreadCount())),
    }


def is_there(ask: Callable[[], bool]) -> bool:
    """Ask a Qt object; one that Qt has deleted is not there."""
    try:
        return ask()
    except RuntimeError:
        return False


def left_since(before: dict[str, set[int]]) -> dict[str, int]:
    """Give how many of each kind have come since."""
    return {kind: len(now - before[kind]) for kind, now in alive().items() if now - before[kind]}


@pytest.fixture
def services(phantom: Phantom) -> Iterator[None]:
    """Somebody who answers questions about voxels, and somebody who takes commands."""
    with AnswerServer("tcp://127.0.0.1:*", answer) as questions, AnswerServer("tcp://127.0.0.1:*", FakeAcquisition()) as desk:
        offered = ServicesOffered(questions=questions.address, commands=desk.address, time_s=0.0)
        phantom.store.append(offered, key="services")
        yield


@pytest.fixture
def make_viewer(screen, request) -> Iterator[Any]:
    """Give napari's own fixture, without what it does to the windows of other tests."""
    forget_application()
    yield request.getfixturevalue("make_napari_viewer")
    forget_application()


def forget_application() -> None:
    """Let napari's next window set everything up anew: it does so after its fixture, and must not do it twice."""
    delete_windows()
    events = PluginManager.instance().events
    events.plugins_registered.disconnect()
    events.enablement_changed.disconnect()
    if Application.get_app(APP_NAME) is not None:
        Application.destroy(APP_NAME)


def lived(monitor: Monitor, qtbot: Any, before: dict[str, set[int]]) -> "weakref.ref[Monitor]":
    """Use a window for what leaves something running, close it, and give who knows whether it is still held."""
    qtbot.waitUntil(lambda: monitor.is_settled and monitor.control.answer is not None, timeout=60_000)
    monitor.pointer.pick((1.2, 0.8))
    qtbot.waitUntil(lambda: any(pin.answer is not None for pin in monitor.session.pins.items), timeout=60_000)
    monitor.commands.press("abort")
    monitor.shortcuts.card.toggle()
    assert {"timers", "sockets", "threads", "widgets"} <= set(left_since(before)), "there must be something to be left"
    monitor.viewer.close()
    assert monitor.is_closed
    return weakref.ref(monitor)


def test_a_closed_window_leaves_neither_timers_nor_threads_nor_sockets_nor_widgets(phantom, services, make_viewer, qtbot):
    phantom.start()
    phantom.map("x_lithium", jelly_roll(), label="x in LixC6")
    phantom.progress()
    before = alive()
    closed = lived(Monitor(make_viewer(show=True, strict_qt="raise"), Receiver(phantom.address)), qtbot, before)
    delete_windows()
    qtbot.waitUntil(lambda: left_since(before) == {}, timeout=30_000)
    assert closed() is None, "somebody still holds the window"


def test_a_timer_that_was_left_running_is_found(screen, qapp):
    before = alive()
    forgotten = QTimer()
    forgotten.start(1000)
    assert left_since(before) == {"timers": 1}
    forgotten.stop()
    assert left_since(before) == {}
