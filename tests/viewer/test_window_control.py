"""The control panel in a real window."""

import time
from collections.abc import Iterator

import pytest
from qtpy.QtWidgets import QTabBar

from operando.bus import AnswerServer
from operando.messages import ScanState, ServicesOffered
from tests.viewer.conftest import Phantom
from tests.viewer.test_control import FakeAcquisition
from viewer.app import open_window
from viewer.window import Monitor


@pytest.fixture(scope="module")
def acquisition() -> FakeAcquisition:
    return FakeAcquisition()


@pytest.fixture(scope="module")
def beamtime() -> Iterator[Phantom]:
    published = Phantom()
    yield published
    published.close()


@pytest.fixture(scope="module")
def window(screen, qapp, beamtime, acquisition) -> Iterator[Monitor]:
    with AnswerServer("tcp://127.0.0.1:*", acquisition) as server:
        beamtime.everything()
        beamtime.store.append(ServicesOffered(commands=server.address, time_s=0.0), key="services")
        monitor = open_window(beamtime.address)
        yield monitor
        monitor.viewer.close()


def bring_to_front(window: Monitor) -> None:
    window.commands.parent().raise_()
    window.forget_drawn()


def test_a_person_pauses_resumes_and_aborts_and_is_told_what_comes_of_it(window, beamtime, acquisition, qtbot):
    panel = window.commands
    qtbot.waitUntil(lambda: window.control.answer is not None, timeout=60_000)
    bring_to_front(window)
    qtbot.waitUntil(lambda: panel.words["state"] == "running · xrdct", timeout=60_000)
    assert panel.words["progress"].startswith("30 of 48 lines")
    assert panel.words["dose"].startswith("exposed 1:05 of 1:45")
    assert panel.buttons["resume"].toolTip() == "not now: the scan is not paused"

    panel.press("resume")
    qtbot.waitUntil(lambda: panel.words["reply"] == "Resume refused: the scan is not paused", timeout=60_000)

    panel.press("pause_now")
    paused = ScanState(state="paused", plan="xrdct", reason="paused by the window", time_s=time.time())
    beamtime.store.append(paused, key="scan_state")
    qtbot.waitUntil(lambda: panel.words["state"] == "paused · xrdct", timeout=60_000)
    qtbot.waitUntil(lambda: window.header.pill.text.startswith("scan paused for"), timeout=60_000)
    qtbot.waitUntil(lambda: acquisition.state == "paused", timeout=60_000)

    panel.press("abort")
    assert panel.buttons["abort"].text() == "Abort? Press again"
    assert acquisition.state == "paused", "one press aborts nothing"
    panel.press("abort")
    qtbot.waitUntil(lambda: panel.words["reply"] == "Abort: abort: done for the window", timeout=60_000)

    panel.choose("dark", "n_frames")
    panel.press("start")
    qtbot.waitUntil(lambda: "is no argument" in panel.words["reply"], timeout=60_000)
    panel.choose("dark", "n_frames=12")
    panel.press("start")
    qtbot.waitUntil(lambda: acquisition.given[-1].action == "start", timeout=60_000)
    assert (acquisition.given[-1].plan, acquisition.given[-1].arguments) == ("dark", {"n_frames": 12})
    assert [given.action for given in acquisition.given] == ["resume", "pause_now", "abort", "start"]

    bars = [{bar.tabText(k) for k in range(bar.count())} for bar in panel.window().findChildren(QTabBar) if bar.isVisible()]
    assert not [bar for bar in bars if any(bar < other for other in bars)], "a tab bar is left over"
