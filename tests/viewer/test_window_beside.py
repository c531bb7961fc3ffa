"""Two scans side by side in a real window: another file, linked; and the discharge beside the charge."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from operando.bus.asking import Answer
from operando.errors import OperandoError
from operando.messages import CakePreview, FrameGeometry, Message, RegionAsked
from tests.viewer.conftest import jelly_roll, rings
from tests.viewer.test_window_voxel import answer
from viewer.app import open_window
from viewer.beside import Rule
from viewer.mix import ASK_FOR_TWO
from viewer.oracle import LocalOracle
from viewer.replay import entries_from_archives
from viewer.sample import write_sample
from viewer.two_colours import two_colours
from viewer.window import Monitor


def asked_of_file(question: Message, *, is_wanted: object) -> Answer:
    assert isinstance(question, RegionAsked)
    assert question.run.startswith("phantom"), "only the file's own run is asked for"
    return answer(question, is_wanted=lambda: True)


def oracle_of(archives: Sequence[Path]) -> LocalOracle:
    assert archives
    return LocalOracle(asked_of_file)


@pytest.fixture
def aged(tmp_path) -> list[Path]:
    """Two scans of another cell, at charges that the live one passes."""
    paths = [tmp_path / "aged" / f"scan{suffix}.nxs" for suffix in ("-a", "")]
    paths[0].parent.mkdir()
    for path, charge in zip(paths, (0.2, 0.8), strict=True):
        write_sample(path, charge=charge, start_s=1.7e9 + 1000 * charge, run=f"phantom-{charge}")
    return paths


@pytest.fixture
def live(screen, qapp, phantom) -> Iterator[Monitor]:
    monitor = open_window(phantom.address, oracle_of=oracle_of)
    yield monitor
    monitor.viewer.close()


def test_a_file_stands_beside_a_running_scan_with_the_same_colours_and_pins(live, phantom, aged, qtbot):
    phantom.start()
    phantom.cell(time.time(), 3.6)
    phantom.map("x_lithium", jelly_roll(), label="x in LixC6", colormap="lixc6", n_lines=30, cell=None)
    phantom.pattern()
    phantom.frame()
    q = np.hypot(*np.mgrid[-215:205, -180:189]).astype("<f4") / 40
    phantom.store.append(FrameGeometry(binning=4, time_s=0.0), key="geometry", arrays={"q": q})
    cake = CakePreview(time_s=0.0, series=3, image_id=7, eta_first_deg=-178, eta_step_deg=4, q_first=1.0, q_step=0.1)
    phantom.store.append(cake, key="cake", arrays={"cake": np.ones((90, 45), "<f4")})
    qtbot.waitUntil(lambda: live.is_settled, timeout=60_000)
    qtbot.waitUntil(lambda: live.frame.rings is not None, timeout=30_000)
    assert live.frame.rings.shape[:2] == rings().shape

    live.comparison.open(aged)
    assert live.comparison.bar.offers[1] == "aged, at the same charge"
    live.comparison.choose(Rule.NUMBER)
    beside = live.comparison.layers
    twin, other = live.layers.layer("x_lithium"), beside.pair("x_lithium").image
    assert (twin.visible, other.visible) == (True, True)
    assert live.layers.pair("x_lithium").words.startswith("live\npartial 62 %\n3.600 V")
    assert beside.pair("x_lithium").words.startswith("aged\nscan 1 of 2, complete\n3.")
    assert beside.pair("x_lithium").marks.name_overlay.visible
    np.testing.assert_array_equal(other.data, live.session.beside.other.scans[0].maps["x_lithium"].arrays["value"])
    shown = [layer for layer in live.viewer.layers if layer.visible]
    assert shown.index(other) == shown.index(twin) + 2, "they share no cell, and stand next to each other"
    twin.contrast_limits = (0.25, 0.5)
    assert tuple(other.contrast_limits) == (0.25, 0.5)

    assert live.pointer.pick((0.8, 0.8))
    qtbot.waitUntil(lambda: live.region.curve_of("A aged") is not None, timeout=60_000)
    qtbot.waitUntil(lambda: live.session.beside.pins.items[0].answer is not None, timeout=60_000)
    assert live.region.curve_of("A") is None, "nobody answers for the phantom's feed"

    live.comparison.toggle_difference()
    difference = beside.pair("x_lithium", is_difference=True)
    assert difference.image.visible
    live.session.draw_line((-2.0, 0.0), (2.0, 0.0))
    live._docks["across"].raise_()
    qtbot.waitUntil(lambda: live.across.n_curves == (2, 2, 2), timeout=30_000)
    live.comparison.toggle()
    assert [layer for layer in live.viewer.layers if layer.visible and "aged" in layer.name] == []
    assert live.layers.pair("x_lithium").words == ""
    assert live.header.notices == ""


@pytest.fixture(scope="module")
def monitor(screen, qapp, tmp_path_factory) -> Iterator[Monitor]:
    """A window on four files of a cycle, for the tests below in their order."""
    folder = tmp_path_factory.mktemp("cycle")
    files = [folder / f"s{k}.nxs" for k in range(4)]
    for k, (path, charge) in enumerate(zip(files, (0.2, 0.6, 0.55, 0.25), strict=True)):
        write_sample(path, charge=charge, start_s=1.7e9 + 1000 * k, run=f"phantom-{k}", is_charging=k < 2)
    opened = open_window(None, files=files, oracle_of=oracle_of)
    opened.feed(entries_from_archives(files))
    yield opened
    opened.viewer.close()


def test_a_cycle_stands_beside_itself_and_a_file_answers(monitor, qtbot):
    qtbot.waitUntil(lambda: monitor.is_settled, timeout=60_000)
    assert monitor.viewer.dims.nsteps[0] == 4
    monitor.comparison.toggle()
    pair = monitor.comparison.layers.pair("x_lithium")
    for shown, partner in [(3, 1), (2, 2), (0, 4), (1, 3)]:
        monitor.session.show(shown)
        qtbot.waitUntil(lambda text=f"scan {partner} of 4": text in pair.words, timeout=30_000)
        np.testing.assert_array_equal(pair.image.data, monitor.session.scans[partner - 1].maps["x_lithium"].arrays["value"])
        assert ("discharging" in pair.words) == (partner > 2)
    assert monitor.pointer.pick((0.8, 0.8))
    for label in ("A", "A beside"):
        qtbot.waitUntil(lambda label=label: monitor.region.curve_of(label) is not None, timeout=60_000)
    monitor.comparison.choose(None)
    monitor.session.clear_pins()


def test_two_chosen_maps_stand_in_one_picture_of_two_colours_and_one_alone_is_refused(monitor, qtbot):
    qtbot.waitUntil(lambda: monitor.is_settled, timeout=60_000)
    monitor.gallery.choose(["wt_lic6"])
    monitor.mix.toggle()
    assert not monitor.mix.is_on
    qtbot.waitUntil(lambda: ASK_FOR_TWO in monitor.header.notices, timeout=30_000)
    monitor.gallery.choose(["wt_lic6", "wt_lic12"])
    monitor.mix.toggle()
    monitor.session.show(1)
    maps = monitor.session.scans[1].maps
    lic6, lic12 = (maps[name].arrays["value"] for name in ("wt_lic6", "wt_lic12"))
    expected = two_colours(lic12, lic6, limits=((0.0, 100.0), (0.0, 100.0)))
    qtbot.waitUntil(lambda: np.array_equal(monitor.mix.pair.image.data, expected), timeout=30_000)
    assert monitor.mix.legend.isVisibleTo(monitor.gallery)
    assert monitor.mix.pair.image.name == "LiC12 orange, LiC6 blue"
    monitor.layers.layer("wt_lic6").contrast_limits = (0.0, 50.0)
    brighter = two_colours(lic12, lic6, limits=((0.0, 100.0), (0.0, 50.0)))
    qtbot.waitUntil(lambda: np.array_equal(monitor.mix.pair.image.data, brighter), timeout=30_000)
    monitor.gallery.choose(["wt_lic6"])
    qtbot.waitUntil(lambda: not monitor.mix.pair.image.visible, timeout=30_000)
    assert not monitor.mix.legend.isVisibleTo(monitor.gallery)


def test_what_cannot_stand_beside_leaves_the_window_as_it_was(monitor, tmp_path):
    (tmp_path / "broken.nxs").write_bytes(b"no archive")
    with pytest.raises(OperandoError):
        monitor.comparison.open([tmp_path / "broken.nxs"])
    monitor.comparison.choose(Rule.CHARGE)
    assert monitor.session.beside is None, "no file is open"
    assert monitor.comparison.bar.offers[0] == "nothing"
