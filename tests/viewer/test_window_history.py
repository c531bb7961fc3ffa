"""The slider, the strip and the badge of a real window."""

from collections.abc import Iterator

import numpy as np
import pytest
from qtpy.QtGui import QFontMetrics

from operando.bus import Entry
from tests.viewer.conftest import Phantom, cell_reading, jelly_roll, map_published, pattern_published, run_started
from viewer.app import open_window
from viewer.charts import N_BINS, shares
from viewer.colormaps import coloured
from viewer.marks import HATCH
from viewer.session import Session
from viewer.strip import StripChart
from viewer.style import font
from viewer.window import Monitor


@pytest.fixture
def window(screen, qapp, phantom) -> Iterator[Monitor]:
    monitor = open_window(phantom.address)
    yield monitor
    monitor.viewer.close()


def publish(phantom: Phantom, number: int, *, hole: bool = False) -> None:
    """A scan five minutes after the one before; its map is the roll times a tenth of its number."""
    phantom.run = f"run-{number}"
    time_s = 1_800_000_000.0 + 300 * number
    phantom.store.append(run_started(phantom.run).model_copy(update={"time_s": time_s}), key=f"run/{phantom.run}")
    for second in range(0, 300, 10):
        phantom.store.append(cell_reading(time_s + second, 3.0 + 0.1 * number, 1.0 if number < 2 else -1.0))
    value = jelly_roll() * np.float32(number / 10)
    message, arrays = map_published(
        "x_lithium", value, run=phantom.run, label="x in LixC6", colormap="lixc6", data_time_s=time_s + 120, revision=number
    )
    if hole:
        arrays["reason"][20:40, 20:40] = 2
    phantom.store.append(message, key=f"map/{phantom.run}/x_lithium", arrays=arrays)
    phantom.pattern()


def test_a_voltage_that_hardly_moves_is_told_in_numbers_that_fit_beside_their_title(screen, qapp):
    session = Session()
    for second in range(20):
        reading = cell_reading(1.8e9 + second, 3.7 + 1e-6 * second, 1.0 + 1e-6 * second)
        session.apply(Entry(number=1 + second, message=reading))
    strip = StripChart()
    strip.resize(900, 260)
    strip.show_session(session)
    strip.grab()  # Axes find their range when they are painted.
    for plot in (strip._voltage, strip._current):
        axis, (low, high) = plot.getAxis("left"), plot.viewRange()[1]
        assert low < plot.listDataItems()[0].getData()[1][0] < high
        numbers = [
            number for spacing, values in axis.tickValues(low, high, 120) for number in axis.tickStrings(values, 1, spacing)
        ]
        widest = max(QFontMetrics(axis.style["tickFont"]).horizontalAdvance(number) for number in numbers)
        assert widest + QFontMetrics(font(9)).height() < axis.width(), numbers
    strip.close()


def test_slider_and_strip_are_one_clock_and_following_waits_while_the_user_looks_back(window, phantom, qtbot):
    for number in range(4):
        publish(phantom, number)
    qtbot.waitUntil(lambda: window.is_settled and len(window.strip.bands_s) == 4, timeout=60_000)
    dims = window.viewer.dims
    assert dims.current_step[0] == 3
    assert window.header.badge == "following"
    assert window.strip.step_names == ["CC_Chg"]
    first_s = 1_800_000_000.0
    assert window.strip.cursor_s == first_s + 3 * 300 + 120

    dims.set_current_step(0, 1)
    qtbot.waitUntil(lambda: window.strip.cursor_s == first_s + 300 + 120, timeout=30_000)
    assert window.header.badge == "paused · 0 new"
    assert window.strip.band_s == (first_s + 300, first_s + 300 + 120)

    camera = window.viewer.scene.camera
    camera.zoom *= 1.3
    zoom, limits = camera.zoom, (0.1, 0.7)
    window.layers.layer("x_lithium").contrast_limits = limits
    publish(phantom, 4)
    publish(phantom, 5)
    qtbot.waitUntil(lambda: window.header.badge == "paused · 2 new", timeout=30_000)
    assert dims.current_step[0] == 1
    assert dims.nsteps[0] == 6
    assert camera.zoom == zoom
    assert tuple(window.layers.layer("x_lithium").contrast_limits) == limits

    window.strip.click_at(first_s + 2 * 300 + 50)
    qtbot.waitUntil(lambda: dims.current_step[0] == 2, timeout=30_000)
    window.header.follow_asked.emit()
    qtbot.waitUntil(lambda: dims.current_step[0] == 5, timeout=30_000)
    qtbot.waitUntil(lambda: window.header.badge == "following", timeout=30_000)

    publish(phantom, 6, hole=True)
    qtbot.waitUntil(lambda: dims.current_step[0] == 6, timeout=30_000)
    marks = window.layers.marks_layer("x_lithium")
    qtbot.waitUntil(lambda: (np.asarray(marks.data) == HATCH).all(axis=-1).any(), timeout=30_000)
    drawn = np.argwhere((np.asarray(marks.data) == HATCH).all(axis=-1)) // (marks.data.shape[0] // 61)
    assert drawn.min() == 20
    assert drawn.max() == 39, "only the hole is hatched, not what lies outside"

    window._docks["stages"].raise_()
    qtbot.waitUntil(lambda: window.stages.n_rows == (7, 7), timeout=30_000)
    edges = np.linspace(0, 1, N_BINS + 1)
    rows = np.array([shares(jelly_roll() * np.float32(number / 10), edges) for number in range(7)])
    assert (rows[0, 0], rows[6, 31:].max()) == (100, 0), "nothing but 0 in the first scan, at most 0.6 in the last"
    expected = coloured(rows, low=0.0, high=100.0, colormap="viridis")
    np.testing.assert_array_equal(window.stages._values_image.image, expected)
    patterns = window.stages._patterns_image.image
    assert patterns.shape[1] == pattern_published()[1]["q"].size
    assert (patterns == patterns[0]).all(), "the pattern was the same in all scans"
    assert len(np.unique(patterns[0], axis=0)) > 10, "a pattern has peaks"
    assert [cursor.value() for cursor in window.stages._cursors] == [7, 7]

    window.viewer.layers.selection.active = marks
    for said in (marks.get_status((20.0, 0.0)), f"{marks.name}: [0 0 0 0]"):
        window.viewer.status = said
        assert window.viewer.status == "", "marks are nothing that a person should read of"
    map_status = window.layers.layer("x_lithium").get_status((6, 0.0, 0.0), world=True)
    window.viewer.status = map_status
    assert window.viewer.status == map_status

    window.viewer.layers.remove(window.layers.layer("x_lithium"))
    assert not window.layers.names
    window.gallery.choose(["x_lithium"])
    assert window.layers.visible_names == ["x_lithium"]
